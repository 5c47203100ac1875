import csv
import io
import json
import os
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from stdnum.fi import ytunnus

from simulators import date_of, finance_files, invoices, porvoo_layout, town

SCALE = 0.1
SEED = 7


def files(day: int, *, faults: bool = False, scale: float = SCALE) -> dict[str, bytes]:
    made = finance_files.files(seed=SEED, scale=scale, day=day, faults=faults)
    return {name.removeprefix("finance/"): content for name, content in made.items()}


def rows(day: int, kind: str, **settings: bool) -> list[dict[str, str]]:
    content = files(day, **settings)[f"{kind}_{date_of(day)}.csv"]
    return list(csv.DictReader(io.StringIO(content.decode()), delimiter=";"))


def amounts(lines: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(line["Tositenumero"], line["Summa alv 0 EUR"]) for line in lines]


def test_the_same_day_has_the_same_bytes_and_another_seed_has_others() -> None:
    first = finance_files.files(seed=3, scale=0.05, day=2)
    invoices._opening.cache_clear()
    assert finance_files.files(seed=3, scale=0.05, day=2) == first
    other = finance_files.files(seed=4, scale=0.05, day=2)
    assert all(other[name] != first[name] for name in first if "ostolaskut" in name or "toimittajat" in name)


def test_the_layout_is_the_one_real_municipalities_publish(real_data: Path) -> None:
    finance = real_data / "finance"
    made = files(0)
    for kind, real in (
        ("ostolaskut-2026", "paimio-purchase-invoices-2020-2025.csv"),
        ("toimittajat", "paimio-suppliers.csv"),
        ("tilit", "paimio-accounts.csv"),
    ):
        content = made[f"{kind}_{date_of(0)}.csv"]
        assert content.splitlines()[0] == (finance / real).read_bytes().splitlines()[0]
    organisation = json.loads(made[f"organisaatio_{date_of(0)}.json"])
    assert organisation.keys() == json.loads((finance / "paimio-organisation.json").read_bytes()).keys()


def test_day_0_has_whole_closed_years_and_later_days_the_year_to_date() -> None:
    assert [name for name in files(0) if name.startswith("ostolaskut")] == [
        f"ostolaskut-{year}_2026-11-02.csv" for year in (2024, 2025, 2026)
    ]
    assert [name for name in files(1) if name.startswith("ostolaskut")] == ["ostolaskut-2026_2026-11-03.csv"]
    assert [name for name in files(3) if name.startswith("ostolaskut")] == [
        f"ostolaskut-{year}_2026-11-05.csv" for year in (2025, 2026)
    ]


@pytest.mark.parametrize("day", [1, 2, 3])
def test_each_day_brings_every_documented_kind_of_change(day: int) -> None:
    before, after = rows(day - 1, "ostolaskut-2026"), rows(day, "ostolaskut-2026")
    old_vouchers = {line["Tositenumero"] for line in before}
    new = [line for line in after if line["Tositenumero"] not in old_vouchers]
    gone, come = Counter(amounts(before)) - Counter(amounts(after)), Counter(amounts(after)) - Counter(amounts(before))
    corrected = {voucher for voucher, _ in gone} & {voucher for voucher, _ in come}
    shorter = Counter(voucher for voucher, _ in gone.elements())
    shorter.subtract(voucher for voucher, _ in come.elements())

    assert {line["Tositekuukausi"] for line in new} == {"2026-11", "2026-10"}, "new vouchers and a late one"
    assert corrected, "a corrected amount"
    assert [voucher for voucher, count in shorter.items() if count > 0], "a deleted line of a voucher that stays"
    content = Counter(tuple(line.values()) for line in new)
    assert any(count == 2 for count in content.values()), "two equal lines of one voucher"
    negated = {(line["Toimittajan nimi"], line["Tili"], f"-{line['Summa alv 0 EUR']}") for line in before}
    assert any((x["Toimittajan nimi"], x["Tili"], x["Summa alv 0 EUR"]) in negated for x in new), "a reversed voucher"


def test_registers_change_between_days() -> None:
    suppliers = [{row["Y-tunnus"]: row for row in rows(day, "toimittajat")} for day in range(4)]
    pairs = list(pairwise(suppliers))
    assert all(later.keys() - earlier.keys() for earlier, later in pairs), "new suppliers every day"
    assert suppliers[2].keys() - suppliers[3].keys(), "one removed on day 3"
    for column, (earlier, later) in (("Toimittajan nimi", pairs[0]), ("Kunta (YTJ)", pairs[1])):
        assert [x for x in earlier.keys() & later.keys() if earlier[x][column] != later[x][column]]
    accounts = [{row["Tili"]: row["Tilin nimi"] for row in rows(day, "tilit")} for day in range(4)]
    assert accounts[0]["4520"] != accounts[1]["4520"]
    assert accounts[3].items() - accounts[2].items() == {invoices.NEW_ACCOUNT}
    assert invoices.NEW_ACCOUNT[0] in {line["Tili"] for line in rows(2, "ostolaskut-2026")}
    organisations = [json.loads(files(day)[f"organisaatio_{date_of(day)}.json"]) for day in range(4)]
    assert set(organisations[2]["tulosalue"]) - set(organisations[1]["tulosalue"])
    assert set(organisations[2]["tulosalue"]) - set(organisations[3]["tulosalue"])
    assert set(organisations[3]["toimielin"]) - set(organisations[2]["toimielin"])


@pytest.mark.parametrize("day", [0, 1, 2, 3])
def test_faults_are_few_and_healed_the_day_after(day: int) -> None:
    name = f"ostolaskut-2026_{date_of(day)}.csv"
    broken = files(day, faults=True, scale=1.0)[name].splitlines()
    right = files(day, scale=1.0)[name].splitlines()
    faulty = [old for old, new in zip(right, broken, strict=True) if old != new]
    assert 0 < len(faulty) < 0.01 * len(right)
    tomorrow = files(day + 1, faults=True, scale=1.0)[f"ostolaskut-2026_{date_of(day + 1)}.csv"]
    assert len(set(faulty) & set(tomorrow.splitlines())) >= len(faulty) - 1, "but for a line that was itself corrected"


def test_every_kind_of_fault_breaks_the_format() -> None:
    line = rows(0, "ostolaskut-2026")[5]
    for fault in finance_files.INVOICE_FAULTS.values():
        values = list(line.values())
        fault(values)
        month, account, amount = values[3], values[5], values[12]
        good = (re.fullmatch(r"\d{4}-(0\d|1[0-2])", month), account, re.fullmatch(r"-?\d+,\d\d", amount))
        assert sum(bool(part) for part in good) == 2


def test_faults_occur_within_the_first_days_even_in_a_small_town() -> None:
    assert files(1, faults=True) != files(1, faults=False)
    with_faults = [
        row["Y-tunnus"]
        for row in csv.DictReader(
            io.StringIO(files(0, faults=True, scale=1.0)[f"toimittajat_{date_of(0)}.csv"].decode()), delimiter=";"
        )
    ]
    assert with_faults.count("") == 1


def test_day_0_is_as_untidy_as_real_towns_are() -> None:
    lines = [line for year in (2024, 2025, 2026) for line in rows(0, f"ostolaskut-{year}")]
    share = {
        "no unit": sum(not line["Toimielin"] for line in lines) / len(lines),
        "no business id": sum(not line["Toimittajan Y-tunnus"] for line in lines) / len(lines),
        "month of another year": sum(line["Tositekuukausi"][:4] != line["Tilikausi"] for line in lines) / len(lines),
        "negative": sum(line["Summa alv 0 EUR"].startswith("-") for line in lines) / len(lines),
    }
    assert all(0 < value < 0.06 for value in share.values()), share
    names: dict[str, set[str]] = {}
    for line in lines:
        names.setdefault(line["Toimittajan Y-tunnus"], set()).add(line["Toimittajan nimi"])
    assert any(len(variants) > 1 for identifier, variants in names.items() if identifier), "one id, several names"
    assert {line["Kuntanumero"] for line in lines} == {"638"}
    assert {(line["Tili"], line["Tilin nimi"]) for line in lines} <= set(town.ACCOUNTS.items())


def test_suppliers_are_no_real_companies() -> None:
    suppliers = town.suppliers(SEED, 1.0)
    identifiers = [supplier.business_id for supplier in suppliers if supplier.business_id]
    assert len(identifiers) == len(set(identifiers)) == 400
    assert all(ytunnus.is_valid(identifier) and identifier.startswith("9") for identifier in identifiers)
    assert all(
        re.match("Esimerkki|Malli|Koe|Testi|Keksitty|Exempel|Prov|Påhitt", supplier.name) for supplier in suppliers
    )
    assert any(supplier.business_id is None for supplier in suppliers)
    assert 0.2 < sum(supplier.municipality == "Porvoo" for supplier in suppliers) / len(suppliers) < 0.5
    assert max(Counter(supplier.name for supplier in suppliers).values()) == 2, "one name with two ids"


def test_the_organisation_and_the_chart_are_complete() -> None:
    assert {unit.sector for unit in town.UNITS} == set(town.SECTORS)
    assert len({unit.code for unit in town.UNITS}) == len(town.UNITS)
    assert len(town.ACCOUNTS) >= 60
    assert all(re.fullmatch(r"\d{4}", account) for account in town.ACCOUNTS)
    assert {account for trade in town.TRADES for account in trade.accounts} <= town.ACCOUNTS.keys()


def test_a_file_is_complete_before_its_marker_and_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[str, bool]] = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        moves.append((target.name, target.with_name(f"{target.name}.done").exists()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    written = finance_files.drop(tmp_path, seed=SEED, scale=0.02, day=0)
    assert (
        {path.name for path in written} == {name for name, marked in moves if not marked} == set(files(0, scale=0.02))
    )
    assert {path.name for path in (tmp_path / "finance").iterdir()} == {
        name for path in written for name in (path.name, f"{path.name}.done")
    }
    assert all(path.with_name(f"{path.name}.done").stat().st_size == 0 for path in written)
    assert finance_files.drop(tmp_path, seed=SEED, scale=0.02, day=0) == []
    assert len(moves) == len(written), "equal bytes are not written again"


def test_datasets_can_be_chosen_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    written = finance_files.drop(tmp_path, seed=SEED, scale=0.02, day=0, datasets=["finance.accounts"])
    assert [path.name for path in written] == ["tilit_2026-11-02.csv"]
    with pytest.raises(
        ValueError, match=r"no such finance dataset: finance.invoices; there are finance.purchase_invoices"
    ):
        finance_files.files(seed=SEED, scale=0.02, day=0, datasets=["finance.invoices"])
    with pytest.raises(ValueError, match="start at 0"):
        finance_files.files(seed=SEED, scale=0.02, day=-1)


def test_the_year_turns() -> None:
    day = (date_of(0).replace(year=2027, month=1, day=2) - date_of(0)).days
    made = files(day)
    lines = list(csv.DictReader(io.StringIO(made["ostolaskut-2027_2027-01-02.csv"].decode()), delimiter=";"))
    assert {line["Tilikausi"] for line in lines} == {"2027"}
    assert "ostolaskut-2026_2027-01-02.csv" in made, "December gets late vouchers"


def test_the_citys_own_layout(tmp_path: Path) -> None:
    path = porvoo_layout.write(tmp_path, seed=SEED, scale=SCALE)
    text = path.read_bytes().decode("latin-1")
    with pytest.raises(UnicodeDecodeError):
        path.read_bytes().decode("utf-8")
    header, *lines = [line.split(";") for line in text.splitlines()]
    assert header == [
        "Tositenumero", "Tositelaji", "Kustannuspaikka", "Kustannuspaikan nimi", "Selite", "EUR, brutto", "Rondo ID",
    ]  # fmt: skip
    assert all(len(line) == 7 and re.fullmatch(r"-?\d{1,3}( \d{3})*,\d\d", line[5]) for line in lines)
    assert any(" " in line[5] for line in lines)
    assert any(line[5].startswith("-") for line in lines)
    assert any("'" in line[3] for line in lines)
    assert any(line[4].count("'") == 1 for line in lines)
    assert len({line[6] for line in lines}) == len(lines)
    before = path.stat().st_mtime_ns
    porvoo_layout.write(tmp_path, seed=SEED, scale=SCALE)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="2026 is not a closed fiscal year"):
        porvoo_layout.content(seed=SEED, scale=SCALE, year=2026)


@pytest.mark.parametrize(
    ("cents", "text"), [(-50, "-0,50"), (5, "0,05"), (123_456_789, "1 234 567,89"), (-100_000, "-1 000,00")]
)
def test_thousands_are_grouped_by_a_space(cents: int, text: str) -> None:
    assert porvoo_layout.grouped(cents) == text
