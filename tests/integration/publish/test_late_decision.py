"""A person releases a held batch after a later one of another scope was published."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from citydata import pipeline
from tests.integration.steps import Steps

VOUCHERS = "trial.vouchers"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def vouchers(year: int, numbers: range) -> str:
    return "fiscal_year;voucher;amount;unit\n" + "".join(f"{year};{number};10,00;\n" for number in numbers)


def test_a_horizon_that_was_fixed_sees_nothing_of_it_and_the_next_one_does(trial: Steps) -> None:
    refused = "2025;77;kymmenen;\n" * 40
    files = (
        vouchers(2025, range(20)),
        vouchers(2026, range(20)),
        vouchers(2025, range(18)) + refused,
        vouchers(2026, range(21)),
    )
    for hour, content in enumerate(files):
        trial.drop(f"tositteet-{hour}.csv", content, at=NOON + timedelta(hours=hour))
        trial.load(VOUCHERS)
    assert trial.states(VOUCHERS) == ["published", "published", "held", "published"]
    held, horizon = trial.batches(VOUCHERS)[2]["batch_id"], trial.batch(VOUCHERS)["batch_id"]
    before = trial.current(VOUCHERS, horizon)

    assert pipeline.decide(held, release=True, person="omistaja", reason="poistettiin").state == "published"

    assert trial.current(VOUCHERS, horizon) == before
    assert trial.batch(VOUCHERS)["batch_id"] > horizon
    assert trial.batch(VOUCHERS)["decided_reason"] == "poistettiin"
    assert trial.states(VOUCHERS) == ["published", "published", "superseded", "published", "published"]
    expected = [
        (year, str(number), Decimal("10.00"), None)
        for year, count in ((2025, 18), (2026, 21))
        for number in range(count)
    ]
    trial.assert_accounted(VOUCHERS, current=expected)
