"""Every check of every suite passes on the clean sample and fails on its canary."""

import pytest

from citydata import canary, contract


@pytest.mark.parametrize("dataset", sorted(contract.load_all()))
def test_every_check_passes_the_sample_and_catches_its_canary(platform, dataset):
    results = canary.run(dataset)

    assert [result for result in results if not result.proven] == []
