"""The layout in which Porvoo publishes its own purchase invoices is read by the settings of a contract alone."""

import csv
import io
from collections import Counter

from simulators import porvoo_layout
from tests.integration.steps import Steps

LEDGER = "finance.ledger_2021"


def test_every_line_arrives_to_the_cent(trial: Steps) -> None:
    path = porvoo_layout.write(trial.home / "drop" / "porvoo", seed=3, scale=0.05, year=2025)
    lines = list(csv.reader(io.StringIO(path.read_bytes().decode("latin-1")), delimiter=";", quoting=csv.QUOTE_NONE))[
        1:
    ]
    cents = [int(line[5].replace(" ", "").replace(",", "")) for line in lines]
    assert any(" " in line[5] for line in lines), "the generated file must have thousands"
    assert any(value < 0 for value in cents), "the generated file must have credits"
    assert any(line[4].count("'") == 1 for line in lines), "the generated file must have a lone apostrophe"
    assert any("ä" in line[3] for line in lines), "the generated file must have letters beyond ASCII"

    trial.load(LEDGER)

    current = trial.current(LEDGER)
    assert Counter((*row[:5], int(row[5] * 100), row[6]) for row in current) == Counter(
        (*(text or None for text in line[:5]), amount, line[6]) for line, amount in zip(lines, cents, strict=True)
    )
    trial.assert_accounted(LEDGER, extracted=len(lines))
