"""A source changes its columns: compare, adopt, and read what was held from its archive, without a lost row."""

import errno
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from citydata import contract, database, pipeline, settings
from citydata.cli import app
from citydata.extract import SourceError
from citydata.service import status
from citydata.service.postgres import Cluster
from citydata.source_change import adoption, difference
from citydata.source_change.adoption import AdoptionError, Outcome, Plan
from citydata.source_change.difference import Difference
from tests.documentation import typed
from tests.integration.sources import Sources
from tests.integration.steps import Steps

CENTRES, SENSORS, METERS = "trial.cost_centres", "trial.sensors", "trial.meters"
VOUCHERS = "trial.vouchers"
OLD = "Koodi;Nimi;Talousarvio;Voimassa"
NEW = "Koodi;Määräraha;Nimike;Voimassa"
DECIDED = {"person": "omistaja", "reason": "Lähde nimesi sarakkeet uudelleen."}


def rows(header: str, *, changed: int = 0) -> str:
    """Ten cost centres in the columns' order of a header, `changed` of them with another budget."""
    lines = []
    for number in range(10):
        budget = f"{1000 + number + (500 if number < changed else 0)},00"
        values = {
            "Koodi": f"10{number:02d}",
            "Nimi": f"Yksikkö {number}",
            "Talousarvio": budget,
            "Voimassa": "1.1.2026",
        }
        values |= {"Nimike": values["Nimi"], "Määräraha": budget, "Lisätieto": f"x{number}"}
        lines.append(";".join(values[title] for title in header.split(";")))
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture
def source(trial: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """A trial installation whose contracts may be written."""
    monkeypatch.setattr(settings, "CONTRACTS", Path(shutil.copytree(settings.CONTRACTS, tmp_path / "contracts")))
    contract.load_each.cache_clear()
    return trial


def compared(dataset: str = CENTRES) -> Difference:
    entry = contract.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        return difference.compare(connection, entry, difference.look(connection, entry))


def planned(dataset: str = CENTRES, **said: Any) -> Plan:
    return adoption.plan(compared(dataset), **({"uses": lambda _: []} | said))


def adopted(dataset: str = CENTRES, **said: Any) -> Outcome:
    return adoption.adopt(planned(dataset, **said), **DECIDED)


def loaded(source: Steps, number: int, content: str, name: str = "kustannuspaikat", dataset: str = CENTRES) -> None:
    source.drop(f"{name}{number}.csv", content)
    source.load(dataset)


def test_renamed_columns_go_from_held_to_published_without_a_lost_row(source: Steps) -> None:
    loaded(source, 1, rows(OLD))
    loaded(source, 2, rows(NEW, changed=2))
    assert source.states(CENTRES) == ["published", "held"]
    before = source.versions(CENTRES)

    found = compared()
    assert (found.missing, found.new) == (("name", "budget"), ("Määräraha", "Nimike"))
    assert {one.column: one.title for one in found.renames} == {"name": "Nimike", "budget": "Määräraha"}
    assert "80% of 10 rows" in next(
        one.evidence.reason for one in found.renames if one.column == "budget" and one.evidence
    )
    assert source.versions(CENTRES) == before

    outcome = adopted(accept=True)
    assert (outcome.plan.version, outcome.held) == ("1.1.0", [])
    assert source.states(CENTRES) == ["published", "published"]
    newest = source.batch(CENTRES)
    assert (newest["extracted"], newest["changed"], newest["unchanged"]) == (10, 2, 8)
    source.assert_accounted(CENTRES, extracted=10)

    # Without the rename it would have been the same, and from the archives of both it is.
    released = source.versions(CENTRES)
    pipeline.rebuild(CENTRES)
    assert source.versions(CENTRES) == released
    loaded(source, 3, rows(OLD, changed=2))
    assert source.batch(CENTRES)["unchanged"] == 10
    assert not compared().differs
    [row] = adoption.history(CENTRES)
    assert (row["from_version"], row["to_version"], row["decided_by"]) == ("1.0.0", "1.1.0", "omistaja")
    assert row["to_hash"] == contract.load(CENTRES).hash != row["from_hash"] == newest["contract_hash"]
    with pytest.raises(Exception, match="append-only"):
        source.execute("UPDATE ops.contract_change SET decided_by = 'joku'")


def _refuse(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_what_was_killed_after_the_file_was_written_goes_on(source: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(source, 1, rows(OLD))
    for number in (2, 3):
        loaded(source, number, rows(NEW, changed=number))
    source.execute("UPDATE ops.batch SET state = 'held', held = landed WHERE state = 'superseded'")
    file = contract.load(CENTRES).path
    old = file.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(adoption.deploy, "deploy", lambda: (_ for _ in ()).throw(RuntimeError("no database")))
        with pytest.raises(RuntimeError):
            adopted(accept=True)
    assert file.read_bytes() == old
    with monkeypatch.context() as read_only:
        read_only.setattr(adoption.tempfile, "NamedTemporaryFile", _refuse)
        with pytest.raises(AdoptionError, match=r"cannot be written here .*Read-only.*Adopt in the checkout"):
            adoption._write(file, "")
    file.write_text(planned(accept=True).text, encoding="utf-8")
    contract.load_each.cache_clear()
    outcome = adopted(accept=True)
    assert not outcome.plan.changes
    assert [one.now.state for one in outcome.batches] == ["published", "published"]
    [row] = adoption.history(CENTRES)
    assert (row["from_version"], row["to_version"]) == ("1.0.0", "1.1.0")
    source.assert_accounted(CENTRES, extracted=10)
    adopted()
    assert len(adoption.history(CENTRES)) == 1


def test_nothing_is_changed_when_something_is_left_over_or_contradicts(source: Steps) -> None:
    loaded(source, 1, rows(OLD))
    loaded(source, 2, rows(f"{NEW};Lisätieto"))
    file = contract.load(CENTRES).path
    old = file.read_bytes()
    renames = [adoption.rename_of(text) for text in ("Nimike=name", "Määräraha=budget")]
    for said, complaint in (
        ({}, "column name"),
        ({"accept": True}, "title “Lisätieto”"),
        ({"renames": renames[:1]}, "column budget"),
        ({"renames": [adoption.rename_of("Nimike=valid_from")]}, "is there under its title “Voimassa”"),
        ({"renames": [adoption.rename_of("Nimikkeet=name")]}, "no new title “Nimikkeet”"),
        ({"renames": [adoption.rename_of("Nimike=name"), adoption.rename_of("Nimike=budget")]}, "renamed twice"),
        ({"accept": True, "drops": ["valid_from"]}, "still sends valid_from"),
        ({"renames": renames[1:], "drops": ["name"]}, "is required"),
    ):
        with pytest.raises(AdoptionError, match=complaint):
            adopted(**said)
    # What it is renamed to has not the values of the column: the batch could be read, and its rows would be refused.
    wrong = [adoption.rename_of(text) for text in ("Määräraha=name", "Nimike=budget")]
    extra = adoption.addition_of("Lisätieto=note; type=integer; classification=internal; fi=a; sv=b; en=c")
    assert file.read_bytes() == old
    assert source.states(CENTRES) == ["published", "held"]
    outcome = adopted(renames=wrong, additions=[extra])
    assert [one.now.state for one in outcome.held] == ["held"]
    assert "in quarantine" in str(outcome.held[0].now.held_reason)


def test_a_new_column_is_optional_and_older_archives_need_not_have_it(source: Steps) -> None:
    loaded(source, 1, rows(OLD))
    loaded(source, 2, rows(f"{OLD};Lisätieto"))
    with pytest.raises(AdoptionError, match="only a person knows type, sv"):
        adoption.addition_of("Lisätieto=note; classification=internal; fi=Lisätieto.; en=Note.")
    extra = adoption.addition_of(
        "Lisätieto=note; type=string; classification=internal; fi=Lisätieto.; sv=Tillägg.; en=Note."
    )
    outcome = adopted(additions=[extra])
    assert (outcome.plan.version, source.states(CENTRES)) == ("1.1.0", ["published", "published"])
    assert any("added column note" in change for change in outcome.deployed)
    assert source.query("SELECT count(note), count(*) FROM raw.trial__cost_centres WHERE _closed_by IS NULL") == [
        (10, 10)
    ]
    built = source.versions(CENTRES)
    pipeline.replay(source.batch(CENTRES)["batch_id"])
    pipeline.rebuild(CENTRES)
    assert source.versions(CENTRES) == built
    loaded(source, 3, rows(OLD, changed=1))  # from now on it must come
    assert source.states(CENTRES)[-1] == "held"

    # The source sends it no more: its rows of before stay.
    with pytest.raises(AdoptionError, match="check some_check"):
        planned(drops=["note"], uses=lambda _: [adoption.Use("check", "some_check")])
    assert adopted(drops=["note"], uses=lambda _: [adoption.Use("staging model", "stg")]).plan.version == "2.0.0"
    assert source.states(CENTRES)[-1] == "published"
    assert source.query("SELECT count(note), count(*) FROM raw.trial__cost_centres WHERE _closed_by IS NULL") == [
        (0, 10)
    ]
    built = source.versions(CENTRES)
    pipeline.rebuild(CENTRES)
    assert source.versions(CENTRES) == built


def test_a_field_of_documents_is_renamed_and_added_alike(source: Steps) -> None:
    def records(name: str) -> str:
        return ", ".join(f'{{"number": "{n}", "{name}": {n}.5, "working": true}}' for n in range(5))

    source.drop("anturit1.json", f'{{"data": [{records("reading")}]}}')
    source.load(SENSORS)
    source.drop("anturit2.json", f'{{"data": [{records("value")}]}}')
    source.load(SENSORS)
    assert source.states(SENSORS) == ["published", "held"]
    assert [(one.column, one.title) for one in compared(SENSORS).renames] == [("reading", "value")]
    assert adopted(SENSORS, accept=True).held == []
    assert source.batch(SENSORS)["unchanged"] == 5


def test_held_batches_with_other_columns_still_are_told_and_adopted_in_their_turn(source: Steps) -> None:
    for number, unit in enumerate(("unit", "yksikkö", "dept")):
        lines = [f"{2024 + number};{voucher};{voucher},50;U{voucher}" for voucher in range(6)]
        source.drop(f"tositteet{number}.csv", "\n".join([f"fiscal_year;voucher;amount;{unit}", *lines]) + "\n")
        source.load(VOUCHERS)
    assert source.states(VOUCHERS) == ["published", "held", "held"]
    outcome = adopted(VOUCHERS, renames=[adoption.rename_of("dept=unit")])
    [older] = outcome.held
    assert (older.held.batch_id, source.states(VOUCHERS)) == (
        source.batches(VOUCHERS)[1]["batch_id"],
        ["published", "held", "published"],
    )
    assert "yksikkö" in str(older.error)
    outcome = adopted(VOUCHERS, accept=True, renames=[adoption.rename_of("yksikkö=unit")])
    assert (outcome.plan.version, outcome.held) == ("1.2.0", [])
    assert contract.load(VOUCHERS).columns[-1].titles == ("yksikkö", "unit", "dept")
    assert source.query("SELECT count(unit), count(DISTINCT fiscal_year) FROM raw.trial__vouchers") == [(18, 3)]
    source.assert_accounted(VOUCHERS)
    versions = source.versions(VOUCHERS)
    pipeline.rebuild(VOUCHERS)
    assert source.versions(VOUCHERS) == versions


def test_without_a_held_batch_the_source_itself_is_looked_at(source: Steps) -> None:
    loaded(source, 1, rows(OLD))
    assert not compared().differs
    source.drop("kustannuspaikat2.csv", rows(NEW.replace("1.1.2026", "2026-01-01")))
    found = compared()
    assert found.seen.batch is None
    assert "kustannuspaikat2.csv" in found.seen.where
    assert found.differs
    assert source.states(CENTRES) == ["published"]
    assert adopted(accept=True).batches == []
    source.load(CENTRES)
    assert source.states(CENTRES) == ["published", "published"]


def test_values_that_are_written_in_another_way_are_counted_and_not_told(source: Steps) -> None:
    loaded(source, 1, rows(OLD))
    dropped = source.drop("kustannuspaikat2.csv", rows(OLD).replace("1.1.2026", "-"))
    assert compared().emptied == ("valid_from",)
    dropped.unlink()
    loaded(source, 3, rows(OLD).replace("1.1.2026", "salainen"))
    found = compared()
    assert found.differs
    assert [(one.column, one.rule, one.rows, one.holds) for one in found.misfits] == [
        ("valid_from", "format", 10, True)
    ]
    assert "salainen" not in str(found)


def test_a_renamed_column_of_a_table_is_seen_in_its_catalogue(
    source: Steps, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_SOURCE_TRIAL", cluster.url("test_trial"))
    source.execute("CREATE TABLE public.meter (number integer, remark text, changed_at timestamptz)")
    source.execute(
        "INSERT INTO public.meter SELECT n, 'remark ' || n, now() - interval '1 day' FROM generate_series(1, 9) n"
    )
    source.load(METERS)
    assert not compared(METERS).differs
    source.execute("ALTER TABLE public.meter RENAME COLUMN remark TO note")
    source.execute("ALTER TABLE public.meter ADD COLUMN secret text DEFAULT 'x'")
    with pytest.raises(SourceError):
        source.load(METERS)
    with database.connect("engineer", autocommit=True) as connection:
        failed = status.batch(connection, source.batch(METERS)["batch_id"])
    assert (failed.state, failed.commands[0]) == ("failed", f"./citydata contract diff {METERS}")
    found = compared(METERS)
    assert (found.missing, found.new, found.beside) == (("remark",), (), ("note", "secret"))
    assert [(one.column, one.title) for one in found.renames] == [("remark", "note")]
    assert adopted(METERS, accept=True).batches == []
    source.load(METERS)
    assert source.states(METERS)[-1] == "published"
    source.assert_accounted(METERS, extracted=9)
    versions = source.versions(METERS)
    pipeline.rebuild(METERS)
    assert source.versions(METERS) == versions


def test_services_are_asked_without_making_a_batch(
    steps: Steps, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CONTRACTS", Path(shutil.copytree(settings.CONTRACTS, tmp_path / "contracts")))
    asked = ("gis.buildings", "gis.addresses", "social_health.regions")
    for dataset in asked:
        contract.load_each.cache_clear()
        found = compared(dataset)
        assert (found.missing, found.new, found.renames, found.differs) == ((), (), (), False), dataset
        assert found.rows > 0
        key = next(column for column in found.contract.columns if column.key)
        path = found.contract.path
        path.write_text(path.read_text(encoding="utf-8").replace(f'"{key.source_name}"', f'"{key.source_name}_1"'))
        if f'"{key.source_name}_1"' not in path.read_text(encoding="utf-8"):
            path.write_text(
                path.read_text(encoding="utf-8").replace(
                    f"name: {key.name}\n", f'name: {key.name}\n        physicalName: "x_{key.name}"\n'
                )
            )
        contract.load_each.cache_clear()
        assert [(one.column, one.title) for one in compared(dataset).renames] == [(key.name, key.source_name)]
    assert steps.query("SELECT count(*) FROM ops.batch") == [(0,)]


# -- the five commands -----------------------------------------------------------------------------------------------------

PAGE = settings.ROOT / "docs" / "how-to" / "when-a-source-changes.md"
ACCOUNTS, BATCH_ON_PAGE = "finance.accounts", "12"
MARTS = ("mart_finance.purchase", "mart_finance.supplier_spend")
BEFORE, AFTER = "Asiantuntijapalvelut", "Asiantuntija- ja tutkimuspalvelut"
CHART = {"4340": BEFORE, "4520": "Elintarvikkeet"} | {f"43{number}": f"Palvelut {number}" for number in range(50, 56)}


def chart(title: str, names: dict[str, str]) -> str:
    return "".join(f"{account};{name}\n" for account, name in [("Tili", title), *names.items()])


def released(*tables: str) -> Counter[tuple[str, tuple[tuple[str, Any], ...]]]:
    """Every row of tables, by name of table and column."""
    with database.connect_admin(row_factory=dict_row) as connection:
        return Counter(
            (table, tuple(row.items())) for table in tables for row in connection.execute(f"SELECT * FROM {table}")
        )


@pytest.fixture
def town(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """A warehouse that was built and released, whose contracts may be written and whose chart of accounts came in a file."""
    monkeypatch.setattr(settings, "CONTRACTS", Path(shutil.copytree(settings.CONTRACTS, tmp_path / "contracts")))
    monkeypatch.setenv("CITYDATA_DROP", str(tmp_path / "drop"))
    monkeypatch.setenv("CITYDATA_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("COLUMNS", "200")
    contract.load_each.cache_clear()
    installation = warehouse / "secrets.env"  # the environment has them
    installation.touch()
    steps = Steps(tmp_path)
    steps.execute("DELETE FROM raw.finance__accounts")  # made up without an archive
    steps.execute("DELETE FROM ops.batch WHERE dataset = %s", ACCOUNTS)
    steps.execute(
        "CREATE VIEW team_finance.by_account AS SELECT account_name_fi, sum(amount_net) AS spent"
        " FROM mart_finance.supplier_spend GROUP BY account_name_fi"
    )
    yield steps
    installation.unlink()
    contract.load_each.cache_clear()


def type_line(line: str, batch: int) -> tuple[int, str]:
    """Type a command of the page; its exit code and what it says, on one line."""
    words = [str(batch) if word == BATCH_ON_PAGE else word for word in shlex.split(line)[1:]]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def test_five_commands_of_the_page_bring_a_renamed_column_from_held_to_released(town: Steps) -> None:
    commands = [command.line for command in typed.blocks(PAGE)]
    assert len(commands) == 5
    before = released(*MARTS)
    town.drop("tilit1.csv", chart("Tilin nimi", CHART), directory="finance")
    town.load(ACCOUNTS)
    town.drop("tilit2.csv", chart("Selite", CHART | {"4340": AFTER}), directory="finance")
    town.load(ACCOUNTS)
    assert town.states(ACCOUNTS) == ["published", "held"]
    batch = town.batch(ACCOUNTS)["batch_id"]

    file = contract.load(ACCOUNTS).path
    contents = file.read_bytes()
    code, document = type_line(f"{commands[2]} --json", batch)
    found = json.loads(document)
    assert (code, found["batch"], found["missing"], found["renames"][0]["title"]) == (3, batch, ["name"], "Selite")
    code, change = type_line(f"{commands[3]} --dry-run", batch)
    assert (code, '+ physicalName: "Selite"' in change, "+version: 1.1.0" in change) == (0, True, True)
    code, refusal = type_line(f"./citydata contract adopt {ACCOUNTS} --drop name --reason x", batch)
    assert (code, "name is required" in refusal) == (1, True)
    assert file.read_bytes() == contents

    said = [type_line(commands[0], batch)[1]]
    assert f"./citydata batch show {batch}" in said[0]
    assert released(*MARTS) == before
    for line, code, words in (
        (commands[1], 3, ["missing", "Selite", f"./citydata contract diff {ACCOUNTS}"]),
        (commands[2], 3, ["--rename Selite=name", "88% of 8 rows", "team_finance.by_account", "mart_finance.purchase"]),
        (commands[3], 0, [f"batch {batch} is published", "no new signature is needed", "./citydata run warehouse"]),
        (commands[4], 0, ["warehouse released"]),
    ):
        exit_code, output = type_line(line, batch)
        assert (exit_code, [word for word in words if word not in output]) == (code, []), output
        said.append(output)
    assert "Purchases by supplier" in said[2]
    assert BEFORE not in " ".join(said)
    assert AFTER not in " ".join(said)

    # Row by row what it would have been: the one account has its new name, and nothing else is other than before.
    expected = Counter(
        {
            (
                table,
                tuple((name, AFTER if name == "account_name_fi" and value == BEFORE else value) for name, value in row),
            ): n
            for (table, row), n in before.items()
        }
    )
    assert expected != before
    assert released(*MARTS) == expected
    town.assert_accounted(ACCOUNTS, current=sorted((CHART | {"4340": AFTER}).items()), extracted=8)
    versions = town.versions(ACCOUNTS)
    pipeline.rebuild(ACCOUNTS)
    assert town.versions(ACCOUNTS) == versions
    assert type_line(commands[2], batch)[0] == 0
    shown = type_line(f"./citydata contract show {ACCOUNTS}", batch)[1]
    assert "Tilin nimi" in shown
    assert "1.1.0" in shown

    # What other pages say of `contract`, of a batch that is held because the column is renamed once more.
    town.drop("tilit3.csv", chart("Nimike", CHART | {"4340": AFTER}), directory="finance")
    town.load(ACCOUNTS)
    batch = town.batch(ACCOUNTS)["batch_id"]
    lines = typed.family("contract")
    assert {words[1] for words in lines} == {"diff", "adopt", "show"}
    for words in sorted(lines, key=lambda words: words[1], reverse=True):  # what shows and compares before what adopts
        code, output = type_line(
            " ".join(["./citydata", *map(shlex.quote, words)]).replace("SYSTEM.DATASET", ACCOUNTS), batch
        )
        assert code == (3 if words[1] == "diff" else 0), output
    assert town.states(ACCOUNTS)[-1] == "published"
    assert contract.load(ACCOUNTS).version == "1.2.0"
