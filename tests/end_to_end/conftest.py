"""Platforms that are started once for all tests that share them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from citydata import settings
from tests.end_to_end.running_platform import Platform, started


@pytest.fixture(scope="module")
def synthetic() -> Iterator[Platform]:
    """A platform that has read the synthetic sources once."""
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def real() -> Iterator[Platform]:
    """A platform that has read the real finance files once."""
    folder = Path(os.environ.get("CITYDATA_REAL_DATA", settings.ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real input: CITYDATA_REAL_DATA ({folder}) does not exist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_REAL_DATA", str(folder))
        with started(settings.ROOT / "tests" / "real_input.yaml") as running:
            yield running
