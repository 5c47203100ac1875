"""`./citydata governance …` on a database: what it says, its documents for machines, and its exit codes."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner, Result

from citydata import contract, database, deploy, settings
from citydata.cli import app
from citydata.governance import attestation, criteria, inventory, reasons, share, snapshot
from citydata.governance.evidence import CRITERIA, Case, level, passed
from citydata.governance.share import Judged
from citydata.governance.snapshot import CountedSystem, Figure
from citydata.service.postgres import Cluster
from tests.documentation import typed
from tests.unit.governance import cases

NUMBER = "HR-5550123"
"""The number of everybody in HR: evidence names offices, and this nowhere."""
GAP = "kokouspoytakirjat"
PRIVATE, PUBLIC = attestation.new_key()

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command of the group; its exit code must be the one given, and nothing may end in a traceback."""

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["governance", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code == code, result.output
        assert NUMBER not in result.output
        return result

    return invoke


def said(result: Result) -> str:
    """What is on the screen, without frames and line ends."""
    return " ".join(re.sub(r"[│╭╮╰╯─┃]", " ", result.output).split())


def case_of(**changes: Any) -> Case:
    """Two datasets: the loaded one is monitored; of the other nobody has said what it is in Swedish."""
    people = {name: cases.person(name, employee=f"{NUMBER}-{number}") for name, number in cases.EMPLOYEES.items()}
    state = cases.case().people[cases.EMPLOYEES[cases.OWNER]]
    found = cases.case(
        cases.unloaded(description_sv=None),
        people={f"{NUMBER}-{number}": state for number in cases.EMPLOYEES.values()},
        **changes,
    )
    return cases.with_inventory(found, people=people)


def seal(connection: Any, case: Case, as_of: date) -> Figure:
    """Judge the datasets of a case by every rule, and seal what comes out, as a measurement does."""
    evidence = {name: criteria.judge(entry, case) for name, entry in case.inventory.datasets.items()}
    held = {name: passed(rows, case.now) for name, rows in evidence.items()}
    judged = [
        Judged(
            dataset=name, unit=share.unit_of(case.inventory, name, case.method, as_of), name_fi=entry.name_fi,
            name_sv=entry.name_sv, system=entry.system, sector=entry.sector, criticality=entry.criticality,
            personal_data=entry.personal_data or "unknown", level=level(held[name]),
            missing=tuple(each for each in CRITERIA if each not in held[name]), manual=not entry.contracts,
            contracts=tuple(entry.contracts), rows=12000 if entry.contracts else None, bytes=0 if entry.contracts else None,
        )
        for name, entry in case.inventory.datasets.items()
    ]  # fmt: skip
    systems = [
        CountedSystem(name, name, name, "concern", "inventory", mapped=True) for name in sorted(case.inventory.systems)
    ]
    systems.append(CountedSystem("vendor:9001234-5", "–", "–", None, "reconciliation", mapped=False, found_in="vendor"))
    return snapshot.seal(
        connection, taken_at=case.now, as_of=as_of, method_version=case.method.version, official=False,
        reason="test", run_id=None, judged=judged, evidence=evidence, systems=systems,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sealed(cluster: Cluster, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Figure]]:
    """A database with two snapshots, which the tests read: nobody had signed before the second."""
    name = "test_commands"
    with psycopg.connect(cluster.url(), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_template))
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CITYDATA_HOME", str(tmp_path_factory.mktemp("commands")))
            patch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
            with database.connect_admin() as copied:
                deploy.admit(copied)
            with database.connect("measurer", autocommit=True) as connection:
                yield [
                    seal(connection, case_of(attestations={}), cases.TODAY - timedelta(days=4)),
                    seal(connection, case_of(), cases.TODAY),
                ]
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_what_nobody_can_mean_is_wrong_usage(run: Run) -> None:
    for arguments, message in {
        ("show", "--as-of", "1.6.2026"): "1.6.2026 is not a date; write 2026-12-31",
        ("show", "--view", "unit"): "unit is none of sector, system, criticality, personal_data",
        ("explain", cases.LOADED, "--language", "de"): "de is none of fi, sv, en",
    }.items():
        assert message in said(run(*arguments, code=2))


# -- with snapshots --------------------------------------------------------------------------------------------------


def test_the_share_is_shown_with_its_parts(run: Run, sealed: list[Figure]) -> None:
    shown = said(run("show"))
    # Two mapped systems with two datasets, and a vendor of software that nobody knows: 1/(2 + 1).
    assert "1/3 (33,3 %) upper bound 1/3 (33,3 %) 2026-06-15, working figure, snapshot 2" in shown
    assert "rows all 12 000 12 000 100,0 %" in shown
    assert "bytes all 0 0" in shown  # of nothing there is no share
    assert "vendor:9001234-5 vendor" in shown
    assert sealed[1].sha256 in shown
    assert "erp" not in shown  # the view by system is long


def test_one_view_is_shown_alone(run: Run, sealed: list[Figure]) -> None:
    shown = said(run("show", "--view", "system"))
    assert shown.startswith("Data under governance 1/3 (33,3 %)")
    assert "system case_management 0 1" in shown
    assert "system erp 1 1" in shown
    assert "criticality" not in shown


def test_a_past_day_is_shown_as_it_was_then(run: Run, sealed: list[Figure]) -> None:
    for day in ("2026-06-11", "2026-06-14"):
        document = json.loads(run("show", "--as-of", day, "--json").stdout)
        assert (document["share"]["snapshot_id"], document["share"]["text"]) == (1, "0/3 (0,0 %)")
    assert "0/3 (0,0 %)" in said(run("show", "--as-of", "2026-06-14"))
    assert json.loads(run("show", "--as-of", "2026-06-15", "--json").stdout)["share"]["snapshot_id"] == 2
    before = said(run("show", "--as-of", "2026-06-10", code=1))
    assert "no snapshot of the share of 2026-06-10 or before; the first is of 2026-06-11" in before


def test_documents_for_machines_hold_everything(run: Run, sealed: list[Figure]) -> None:
    shown = json.loads(run("show", "--json").stdout)
    assert shown["share"]["sha256"] == sealed[1].sha256
    assert {line["view"] for line in shown["views"]} == {*share.VIEWS, *share.HELD, "systems"}
    assert {line["criterion"]: line["lacking"] for line in shown["blockers"] if line["only"]} == {"C1": 1}
    assert [system["system"] for system in shown["unmapped"]] == ["vendor:9001234-5"]
    # The screen shows one view, the document all of them.
    assert json.loads(run("show", "--view", "sector", "--json").stdout) == shown

    rows = json.loads(run("list", "--json").stdout)
    assert {row["dataset"]: (row["level"], row["missing"][:1]) for row in rows} == {
        cases.LOADED: (4, []),
        GAP: (0, ["C1"]),
    }
    explained = json.loads(run("explain", GAP, "--language", "sv", "--json", code=3).stdout)
    assert explained["level"] == 0
    [gap] = [row for row in explained["evidence"] if row["result"] != "pass" and row["criterion"] == "C1"]
    assert (gap["reason"], gap["subject"]) == ("C1.no_description", "sv")
    assert gap["text"] == reasons.texts()["C1.no_description"]["sv"].format(subject="sv")


def test_a_dataset_is_explained_by_its_id_or_its_contract(run: Run, sealed: list[Figure]) -> None:
    shown = said(run("explain", cases.LOADED))
    assert f"{cases.LOADED}: Toimittajarekisteri / Leverantörsregister, level 4 missing: nothing" in shown
    assert shown == said(run("explain", cases.CONTRACT))
    assert all(f" {criterion} " in shown for criterion in CRITERIA)
    assert cases.OWNER in shown  # the office answers, the person's number stays out (`run` looks)

    shown = said(run("explain", GAP, code=3))
    assert "level 0 missing: C1" in shown
    texts = {language: said(run("explain", GAP, "--language", language, code=3)) for language in ("fi", "sv", "en")}
    assert len(set(texts.values())) == 3
    assert texts["en"] == shown

    unknown = said(run("explain", "tuntematon", code=2))
    assert "no dataset tuntematon in snapshot 2; `./citydata governance list` names them" in unknown


def test_datasets_are_listed_by_sector(run: Run, sealed: list[Figure]) -> None:
    shown = said(run("list", "--sector", "concern"))
    assert f"{GAP} concern case_management 0 C1" in shown
    assert f"{cases.LOADED} concern erp 4" in shown
    assert "no dataset of a sector concerm; there are concern" in said(run("list", "--sector", "concerm", code=2))


def test_sealed_snapshots_are_verified_and_a_changed_one_is_found(run: Run, sealed: list[Figure]) -> None:
    first, last = sealed
    assert f"2 of 2; head {last.sha256}" in said(run("verify"))
    assert json.loads(run("verify", "--json").stdout) == {"snapshots": 2, "head": last.sha256, "problems": []}
    run("verify", "--head", first.sha256)
    assert "no snapshot has the hash ffffffffffff…" in said(run("verify", "--head", "f" * 64, code=1))

    with database.connect_admin(autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")  # past the triggers that refuse it
        change = "UPDATE governance.snapshot_dataset SET level = %s WHERE snapshot_id = 2 AND dataset = %s"
        admin.execute(change, (4, GAP))
        shown = said(run("verify", code=1))
        document = json.loads(run("verify", "--json", code=1).stdout)
        admin.execute(change, (0, GAP))
    assert "snapshot 2 of 2026-06-15 was changed after it was sealed" in shown
    assert "its figure is not what its datasets and systems count up to" in shown
    assert "snapshot 1" not in shown
    assert len(document["problems"]) == 2


# -- measuring -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_town(platform: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an inventory with a dataset that the platform does not load, and a drive that nobody mapped."""
    (platform / "contracts").mkdir()
    directory = platform / "inventory"
    directory.mkdir()
    monkeypatch.setattr(settings, "CONTRACTS", platform / "contracts")
    monkeypatch.setattr(settings, "INVENTORY", directory)
    contract.load_each.cache_clear()
    system = {"name_fi": "Järjestelmä", "name_sv": "System", "sector": "concern", "criticality": "core"}
    entries = {
        "people": [{"id": "joku", "title_fi": "Virka", "title_sv": "Tjänst"}],
        "systems": [
            system | {"id": "luvat", "kind": "application", "mapped": {"on": "2026-01-02", "by": "joku"}},
            system | {"id": "levyjako", "kind": "shared_drive"},
        ],
        "datasets": [
            {"id": "hakemukset", "name_fi": "Hakemukset", "name_sv": "Ansökningar", "system": "luvat",
             "sector": "concern", "kind": "register", "criticality": "core"},
        ],
    }  # fmt: skip
    for kind, found in entries.items():
        (directory / f"{kind}.yaml").write_text(json.dumps(found), encoding="utf-8")
    yield directory
    contract.load_each.cache_clear()


def test_from_no_snapshot_to_the_first_ones(run: Run, small_town: Path) -> None:
    for arguments in (["show"], ["show", "--json"], ["explain", "hakemukset"], ["list"], ["verify"]):
        shown = said(run(*arguments, code=1))
        assert "no snapshot of the share yet" in shown
        assert "./citydata governance snapshot" in shown
    # Somebody noted a hash, so there was one.
    assert "snapshots were removed" in said(run("verify", "--head", "a" * 64, code=1))

    datasets = small_town / "datasets.yaml"
    good = datasets.read_text(encoding="utf-8")
    datasets.write_text("- {id: hakemukset, system: luvat}", encoding="utf-8")
    assert re.search(r"datasets\.yaml: hakemukset: name_fi: Field required", said(run("snapshot", code=1)))
    assert "no snapshot of the share yet" in said(run("show", code=1))

    datasets.write_text(good, encoding="utf-8")
    assert "Data under governance 0/2 (0,0 %)" in said(run("snapshot"))
    document = json.loads(run("snapshot", "--official", "--json").stdout)
    assert (document["snapshot_id"], document["text"], document["official"]) == (2, "0/2 (0,0 %)", True)
    assert "by hand" in document["reason"]
    assert "official figure, snapshot 2" in said(run("show"))
    assert document["sha256"] in said(run("verify"))


# -- signing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def officers_town(monkeypatch: pytest.MonkeyPatch) -> None:
    """A town whose officer has a key, and answers for nothing but one of its datasets."""
    people = {
        cases.OFFICER: cases.person(cases.OFFICER, signing_key=PUBLIC),
        cases.OWNER: cases.person(cases.OWNER, signing_key=PUBLIC),
    }
    town = cases.inventory(
        cases.dataset(contracts=[]),
        cases.unloaded(owner=cases.OFFICER),
        people={**cases.inventory().people, **people},
    )
    monkeypatch.setattr(inventory, "load", lambda: town)


def signatures() -> list[tuple[str, str]]:
    """Dataset and signer of each stored signature."""
    with database.connect("officer") as connection:
        return connection.execute(
            "SELECT dataset, signed_by FROM governance.attestation ORDER BY attestation_id"
        ).fetchall()


@pytest.mark.usefixtures("sealed", "officers_town")
def test_the_officer_signs(run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CITYDATA_SIGNING_KEY", PRIVATE)
    before = signatures()
    [[_, verb, *datasets, by, _]] = typed.family("governance attest")
    assert (len(datasets), by) == (2, "--by")
    # This town has one dataset that may be signed: named twice, it is signed once.
    result = run(verb, *[cases.LOADED] * len(datasets), by, cases.OFFICER)
    assert f"{cases.LOADED}: signed by {cases.OFFICER}" in said(result)
    assert "./citydata governance snapshot" in said(result)
    assert signatures() == [*before, (cases.LOADED, cases.OFFICER)]
    assert PRIVATE not in result.output + caplog.text


@pytest.mark.usefixtures("sealed", "officers_town")
def test_who_may_not_sign_is_told_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signatures()
    monkeypatch.delenv("CITYDATA_SIGNING_KEY", raising=False)
    assert "CITYDATA_SIGNING_KEY is not set" in said(run("attest", cases.LOADED, "--by", cases.OFFICER, code=1))

    monkeypatch.setenv("CITYDATA_SIGNING_KEY", PRIVATE)
    for arguments, message in {
        (cases.LOADED, "--by", cases.OWNER): f"{cases.OWNER} is no governance officer and may not attest",
        (cases.LOADED, GAP, "--by", cases.OFFICER): f"{GAP}: {cases.OFFICER} is its owner or steward",
        (
            "tuntematon",
            "--by",
            cases.OFFICER,
        ): "tuntematon: no such dataset in the inventory; `./citydata governance list`",
    }.items():
        assert message in said(run("attest", *arguments, code=1))
    other, _ = attestation.new_key()
    for key, message in {
        other: "the private key is not the one registered",
        "no key": "no Ed25519 private key",
    }.items():
        monkeypatch.setenv("CITYDATA_SIGNING_KEY", key)
        result = run("attest", cases.LOADED, "--by", cases.OFFICER, code=1)
        assert message in said(result)
        assert other not in result.output
    run("attest", cases.LOADED, code=2)  # without saying who signs
    assert signatures() == before
