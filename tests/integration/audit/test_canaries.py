"""Every check of every suite passes on the clean sample and fails on its canary."""

import pytest

from citydata import canary, contract


@pytest.mark.parametrize("dataset", sorted(contract.load_all()))
def test_every_check_passes_the_sample_and_catches_its_canary(platform, dataset):
    results = canary.run(dataset)

    assert [result for result in results if not result.proven] == []


@pytest.mark.parametrize(
    ("clean", "caught", "proven"),
    [
        ("pass", "fail", True),
        ("fail", "fail", False),
        ("pass", "pass", False),
        ("pass", "error", False),
        ("skip", "fail", False),
    ],
)
def test_a_check_is_proven_when_it_passed_and_failed(clean, caught, proven):
    assert canary.CanaryResult("finance.accounts", "x", clean, caught, 1).proven == proven
