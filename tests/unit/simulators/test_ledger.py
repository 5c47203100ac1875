import re
from pathlib import Path

import pytest
from stdnum.fi import ytunnus

from simulators import ledger

ROWS = 250_000
ROW = re.compile(r"\d{10};[123];\d\d\.\d\d\.2026;\d{4};\d{5};\d{7}-\d;[^;]{10,60};-?\d+,\d\d;A\d{3}")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = tmp_path_factory.mktemp("ledger") / "ledger.csv"
    assert ledger.write(path, rows=ROWS) == path.stat().st_size
    return path.read_text().splitlines()


def test_rows_have_the_nine_columns_and_the_promised_size(plain: list[str]) -> None:
    header, *rows = plain
    assert header.split(";") == list(ledger.COLUMNS)
    assert len(rows) == ROWS
    assert all(ROW.fullmatch(row) for row in rows)
    assert 92 < sum(len(row.encode()) + 1 for row in rows) / ROWS < 102
    assert len({tuple(row.split(";")[:2]) for row in rows}) == ROWS
    assert all(ytunnus.is_valid(identifier) for identifier in {row.split(";")[5] for row in rows})


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, plain: list[str]) -> None:
    ledger.write(tmp_path / "again.csv", rows=ROWS)
    assert (tmp_path / "again.csv").read_text().splitlines() == plain
    ledger.write(tmp_path / "other.csv", rows=ROWS, seed=2)
    assert (tmp_path / "other.csv").read_text().splitlines() != plain


def test_the_same_rows_in_another_order(tmp_path: Path, plain: list[str]) -> None:
    ledger.write(tmp_path / "shuffled.csv", rows=ROWS, shuffled=True)
    header, *rows = (tmp_path / "shuffled.csv").read_text().splitlines()
    assert rows != plain[1:]
    assert [header, *sorted(rows)] == [plain[0], *sorted(plain[1:])]


@pytest.mark.parametrize("shuffled", [False, True])
def test_one_percent_has_another_amount(tmp_path: Path, plain: list[str], shuffled: bool) -> None:
    ledger.write(tmp_path / "changed.csv", rows=ROWS, changed_share=0.01, shuffled=shuffled)
    rows = dict(_by_key((tmp_path / "changed.csv").read_text().splitlines()[1:]))
    differing = [(old, rows[key]) for key, old in _by_key(plain[1:]) if rows[key] != old]
    assert len(differing) == ROWS // 100
    assert all(old[:5] + old[6:] == new[:5] + new[6:] for old, new in differing)


def _by_key(rows: list[str]) -> list[tuple[tuple[str, str], list[str]]]:
    return [((cells[0], cells[1]), cells[2:]) for cells in (row.split(";") for row in rows)]


@pytest.mark.parametrize("settings", [{"rows": -1}, {"rows": 1, "changed_share": 1.5}])
def test_senseless_arguments_are_refused(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more rows"):
        ledger.write(tmp_path / "none.csv", **settings)
    assert not list(tmp_path.iterdir())
