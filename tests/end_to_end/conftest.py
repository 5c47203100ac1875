"""Platforms that are started once for all tests that share them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running_platform import Platform, started


@pytest.fixture(scope="package")
def synthetic() -> Iterator[Platform]:
    """A platform that has read the synthetic sources once; the tutorial's test goes on where the others end."""
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def real(real_data: Path) -> Iterator[Platform]:
    """A platform that has read the real finance files once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_REAL_DATA", str(real_data))
        with started("tests/real_input.yaml") as running:
            yield running
