"""Eight ways of cheating, each tried on a small town that is measured for real before and after: none raises the share."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest
from psycopg import sql

from citydata import contract, database, settings
from citydata.governance import attestation, inventory, measure, snapshot
from citydata.governance.evidence import CRITERIA
from citydata.governance.share import Judged
from citydata.governance.snapshot import Figure
from citydata.service.postgres import Cluster
from simulators import statistics_files
from tests.integration.steps import Steps
from tests.integration.transform import raw_rows

LOADED, EMPLOYMENTS = "statistics.municipalities", "hr.employments"
OFFICER_KEY, OFFICER_PUBLIC = attestation.new_key()
OWNER_KEY, OWNER_PUBLIC = attestation.new_key()
Entries = dict[str, list[dict[str, Any]]]

DESCRIPTION = "Hakemukset, päätökset ja niiden liitteet vuodesta 2015 alkaen."
BESKRIVNING = "Ansökningar, beslut och deras bilagor från och med år 2015."


def today() -> date:
    return datetime.now(UTC).date()


def described(name: str, **changes: Any) -> dict[str, Any]:
    """A dataset that the platform does not load, complete but for the signature and the documents about it."""
    return {
        "id": name,
        "name_fi": f"Aineisto {name}",
        "name_sv": f"Datamängd {name}",
        "description_fi": f"{name}: {DESCRIPTION}",
        "description_sv": f"{name}: {BESKRIVNING}",
        "system": "permits",
        "sector": "urban",
        "kind": "register",
        "criticality": "core",
        "tietovaranto": "permits",
        "task_class": "10.03.00",
        "process": "permits",
        "interfaces": ["permits_to_archive"],
        "owner": "owner",
        "steward": "steward",
        "publicity": "public",
        "personal_data": "none",
        "retention": {"period": "10 vuotta", "ground": "laki", "starts": "päätös", "then": "archive"},
    } | changes


def documented(*names: str, on: date | None = None) -> list[dict[str, Any]]:
    """Manual evidence for the three criteria that a person may document."""
    return [
        {
            "dataset": name,
            "criterion": criterion,
            "result": "pass",
            "document": f"TARK-{name}",
            "reviewer": "reviewer",
            "reviewed_on": str(on or today()),
        }
        for name in names
        for criterion in ("C7", "C8", "C9")
    ]


def loaded(name: str, **changes: Any) -> dict[str, Any]:
    """A dataset that the platform loads: what its contract says is not said again."""
    kept = ("name_fi", "name_sv", "description_fi", "description_sv", "kind", "criticality")
    return {key: described(name)[key] for key in kept} | {"id": name, "sector": "concern"} | changes


def honest() -> Entries:
    """A town with two governed datasets, one that the platform loads and one on documents, and five that are not."""
    contracts = [contract.load(LOADED), contract.load(EMPLOYMENTS)]
    office = {"title_fi": "Virka", "title_sv": "Tjänst"}
    system = {
        "name_fi": "Järjestelmä",
        "name_sv": "System",
        "kind": "application",
        "criticality": "core",
        "owner": "owner",
    }
    mapped = {"on": str(today() - timedelta(days=60)), "by": "reviewer"}
    way = {"name_fi": "Siirto", "name_sv": "Överföring", "direction": "out", "method": "file"}
    employed = (row["person_number"] for row in raw_rows.hr()[EMPLOYMENTS] if row["end_date"] is None)
    people: list[dict[str, Any]] = [
        {"id": "officer", "employee": next(employed), "roles": ["governance_officer"], "signing_key": OFFICER_PUBLIC},
        {"id": "owner", "employee": next(employed), "signing_key": OWNER_PUBLIC},
        {"id": "steward", "employee": next(employed)},
        {"id": "reviewer", "employee": next(employed), "roles": ["information_manager"]},
    ]
    offices = [name for entry in contracts for name in (entry.owner, entry.steward)]
    people += [{"id": name, "employee": next(employed)} for name in offices]
    fi = [entry.platform.fi for entry in contracts]
    classes = [f"10.{number:02}.00" for number in range(3, 15)] + [str(each["tehtavaluokka"]) for each in fi]
    return {
        "people": [office | person for person in people],
        "task_classes": [{"id": code, "name_fi": code, "name_sv": code} for code in ["10", *classes]],
        "processes": [
            {"id": "permits", "name_fi": "Luvat", "name_sv": "Tillstånd", "task_class": "10"},
            *(
                {
                    "id": f"p{n}",
                    "name_fi": each["toimintaprosessi"],
                    "name_sv": "P",
                    "task_class": each["tehtavaluokka"],
                }
                for n, each in enumerate(fi)
            ),
        ],
        "tietovarannot": [
            {"id": "permits", "name_fi": "Lupien tietovaranto", "name_sv": "Tillståndslagret"},
            *({"id": f"v{n}", "name_fi": each["tietovaranto"], "name_sv": "L"} for n, each in enumerate(fi)),
        ],
        "art30": [{"id": fi[1]["art30Id"], "name_fi": "Henkilöstö", "name_sv": "Personal"}],
        "dpia": [{"id": fi[1]["dpiaId"], "approved_on": str(today()), "approved_by": "officer"}],
        "systems": [
            system | {"id": "permits", "sector": "urban", "mapped": mapped},
            system | {"id": "statistics", "sector": "concern", "mapped": mapped, "drop_directories": ["statistics"]},
            system | {"id": "hr", "sector": "concern", "mapped": mapped, "connections": ["hr"]},
            system | {"id": "old_shares", "sector": "concern", "kind": "shared_drive"},
        ],
        "interfaces": [
            way | {"id": "permits_to_archive", "system": "permits"},
            way | {"id": "statistics_file", "system": "statistics", "direction": "in"},
        ],
        "datasets": [
            described("easy"),
            described("hard", task_class="10.04.00", owner=None, publicity=None),
            described("harder", task_class="10.05.00", description_sv=None, retention=None),
            described("unsigned", task_class="10.06.00"),
            described("undescribed", task_class="10.07.00", description_fi=None, description_sv=None),
            loaded("municipalities", system="statistics", contracts=[LOADED], interfaces=["statistics_file"]),
            loaded("employments", system="hr", contracts=[EMPLOYMENTS]),
        ],
        "manual_evidence": documented("easy", "unsigned", "undescribed"),
        "access_reviews": [
            {
                "id": "R1",
                "datasets": ["municipalities"],
                "reviewer": "reviewer",
                "reviewed_on": str(today()),
                "document": "R1",
            }
        ],
        "changes": [],
    }


@dataclass
class Town:
    """The small town on a database of its own, with suites that may be changed."""

    directory: Path
    suite: Path
    entries: Entries = field(default_factory=honest)

    def write(self) -> None:
        """Write the inventory's files."""
        for kind, found in self.entries.items():
            (self.directory / f"{kind}.yaml").write_text(json.dumps(found), encoding="utf-8")

    def dataset(self, name: str) -> dict[str, Any]:
        """An entry, to be changed in place."""
        return next(entry for entry in self.entries["datasets"] if entry["id"] == name)

    def sign(self, *names: str, at: datetime | None = None) -> None:
        """The officer signs datasets as they are."""
        self.write()
        read = inventory.read(self.directory, contract.load_each()[0])
        with database.connect("officer", autocommit=True) as connection:
            attestation.attest(
                connection, names, signed_by="officer", private_key=OFFICER_KEY, signed_at=at, inventory=read
            )

    def measure(self, *, after: timedelta = timedelta()) -> tuple[Figure, dict[str, Judged]]:
        """Measure now, or a time from now."""
        self.write()
        figure = measure.measure("test", now=datetime.now(UTC) + after)
        with database.connect("officer") as connection:
            judged = snapshot.datasets(connection, figure.snapshot_id)
        return figure, {entry.dataset: entry for entry in judged}

    def reasons(self, dataset: str, criterion: str) -> set[str]:
        """Why a dataset lacks a criterion in the newest snapshot."""
        with database.connect("officer") as connection:
            newest = snapshot.required(connection)
            rows = snapshot.evidence(connection, newest.snapshot_id, dataset)
        return {row.reason for row in rows if row.criterion == criterion and not row.counts(newest.taken_at)}


@pytest.fixture(scope="module")
def _prepared(cluster: Cluster, _template: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A database in which the dataset was loaded and audited and HR was read, and the settings it was made with."""
    home, name = tmp_path_factory.mktemp("cheating"), "template_cheating"
    contracts = home / "contracts"
    for dataset in (LOADED, EMPLOYMENTS):
        path = contracts.joinpath(*dataset.split(".")).with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(settings.CONTRACTS.joinpath(*dataset.split(".")).with_suffix(".yaml"), path)
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_template))
        )
    environment = {
        "CITYDATA_HOME": str(home),
        "CITYDATA_PSEUDONYM_KEY": f"k1:{secrets.token_hex(32)}",
        "CITYDATA_ARCHIVE_KEY": str(pyrage.x25519.Identity.generate()),
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        patch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
        contract.load_each.cache_clear()
        steps = Steps(home)
        statistics_files.drop(home / "drop", seed=1, scale=0.1, day=0, datasets=[LOADED], faults=False)
        [batch] = steps.load(LOADED)
        assert batch.state == "published"
        raw_rows.publish_all({EMPLOYMENTS: raw_rows.hr()[EMPLOYMENTS]})
    return name, environment


@pytest.fixture
def town(
    cluster: Cluster,
    _prepared: tuple[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Town]:
    """The honest town, measured once, on a copy of the prepared database."""
    source, environment = _prepared
    name = f"test_cheating_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
        )
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    for variable in ("CITYDATA_DROP", "CITYDATA_SOURCE_HR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
    suites = tmp_path / "expectations"
    shutil.copytree(settings.EXPECTATIONS, suites, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(settings, "EXPECTATIONS", suites)
    monkeypatch.setattr(settings, "CONTRACTS", Path(environment["CITYDATA_HOME"]) / "contracts")
    (tmp_path / "inventory").mkdir()
    monkeypatch.setattr(settings, "INVENTORY", tmp_path / "inventory")
    contract.load_each.cache_clear()
    made = Town(tmp_path / "inventory", suites.joinpath(*LOADED.split(".")).with_suffix(".json"))
    made.sign("easy", "undescribed", "municipalities")
    yield made
    contract.load_each.cache_clear()
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def change_suite(town: Town, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(town.suite.read_text(encoding="utf-8"))
    change(document)
    town.suite.write_text(json.dumps(document), encoding="utf-8")


def test_the_honest_town(town: Town) -> None:
    """What the others are compared with: counted by hand, 2 of 7 datasets, 3 systems mapped and 1 not: 2/(7 + 1·3)."""
    figure, judged = town.measure()
    assert {name for name, entry in judged.items() if entry.level >= 3} == {"easy", "municipalities"}
    assert (figure.n, figure.m, figure.s, figure.u) == (2, 7, 3, 1)
    assert (figure.text, figure.upper_text) == ("2/10 (20,0 %)", "2/8 (25,0 %)")
    assert (figure.automatic, figure.manual) == (1, 1)
    assert town.reasons("unsigned", "C10") == {"C10.not_attested"}
    assert all(name in CRITERIA for entry in judged.values() for name in entry.missing)


def test_split_easy_datasets(town: Town) -> None:
    """Five parts of a governed dataset, all signed and documented, are one at most."""
    before, _ = town.measure()
    whole = town.dataset("easy")
    town.entries["datasets"].remove(whole)
    parts = [described(f"easy_{kind}") for kind in ("talot", "sillat", "kadut", "puistot", "satamat")]
    names = [part["id"] for part in parts]
    town.entries["datasets"] += parts
    town.entries["manual_evidence"] = documented(*names, "unsigned", "undescribed")
    # of the same tietovaranto, task class and controller: refused, and the last figure stands
    town.write()
    with pytest.raises(inventory.InventoryError, match="easy_sillat: another one has the same tietovaranto"):
        measure.measure("test")
    # of task classes of their own, and nobody has decided it
    for number, part in enumerate(parts):
        part["task_class"] = f"10.{8 + number:02}.00"
    town.sign(*names)
    figure, judged = town.measure()
    assert {judged[name].uncounted for name in names} == {"unlogged"}
    assert judged["easy"].uncounted == "vanished"
    assert (figure.n, figure.m) == (1, 12)
    # decided by the owner: no decision
    split = {
        "kind": "split",
        "before": ["easy"],
        "after": names,
        "on": str(today()),
        "document": "P1",
        "note_fi": "jako",
    }
    town.entries["changes"] = [split | {"approver": "owner"}]
    assert town.measure()[0].n == 1
    # decided by the officer: what is counted is frozen until the month has ended
    town.entries["changes"] = [split | {"approver": "officer"}]
    figure, judged = town.measure()
    assert {judged[name].level for name in names} == {3}
    assert (figure.n, figure.m, figure.share) == (before.n, before.m, before.share)


def test_vacuous_checks(town: Town) -> None:
    """Checks that cannot fail, none at all, and one of a kind that does not exist."""
    before, _ = town.measure()

    def anything_goes(document: dict[str, Any]) -> None:
        for entry in document["expectations"]:
            entry["type"], entry["kwargs"] = "expect_rows_to_satisfy", {"rule": "true"}

    kept = town.suite.read_text(encoding="utf-8")
    for change, reason in (
        (anything_goes, "C8.cannot_fail"),
        (lambda document: document["expectations"].clear(), "C8.no_suite"),
        (lambda document: document["expectations"][0].update(type="expect_nothing"), "C8.no_suite"),
    ):
        town.suite.write_text(kept, encoding="utf-8")
        change_suite(town, change)
        figure, judged = town.measure()
        assert reason in town.reasons("municipalities", "C8")
        assert judged["municipalities"].level < 3
        assert figure.share is not None
        assert before.share is not None
        assert figure.share < before.share


def test_self_attestation(town: Town) -> None:
    """The owner signs: as somebody who may not, with the officer's name, and as an officer of the own dataset."""
    before, _ = town.measure()
    town.write()
    read = inventory.read(town.directory, contract.load_each()[0])
    with database.connect("officer", autocommit=True) as connection:
        with pytest.raises(attestation.AttestationError):
            attestation.attest(connection, ["unsigned"], signed_by="owner", private_key=OWNER_KEY, inventory=read)
        # past the command, straight into the table, in the officer's name and with the owner's own key
        content = attestation.content_hash(read.datasets["unsigned"], read, contract.load_each()[0])
        moment = datetime.now(UTC)
        for name in ("officer", "owner"):
            forged = attestation.sign(
                OWNER_KEY, dataset="unsigned", content_sha256=content, signed_by=name, signed_at=moment
            )
            connection.execute(
                "INSERT INTO governance.attestation (dataset, content_sha256, signed_by, signed_at, signature)"
                " VALUES ('unsigned', %s, %s, %s, %s)",
                (content, name, moment, forged),
            )
            figure, judged = town.measure()
            assert judged["unsigned"].level == 2
            assert town.reasons("unsigned", "C10")
            assert figure.share == before.share
    next(person for person in town.entries["people"] if person["id"] == "owner")["roles"] = ["governance_officer"]
    figure, judged = town.measure()
    assert judged["unsigned"].level == 2
    assert figure.share == before.share


def test_expired_evidence(town: Town) -> None:
    """A year later nothing holds that nobody has looked at again, and dates in the future do not help."""
    before, _ = town.measure()
    figure, judged = town.measure(after=timedelta(days=366))
    assert (figure.n, judged["easy"].level, judged["municipalities"].level) == (0, 1, 1)
    assert "C10" in judged["easy"].missing
    town.entries["manual_evidence"] = documented("easy", "unsigned", "undescribed", on=today() + timedelta(days=300))
    figure, judged = town.measure()
    assert judged["easy"].missing[:3] == ("C7", "C8", "C9")
    assert town.reasons("easy", "C7") == {"any.dated_in_the_future"}
    assert figure.n < before.n
    with pytest.raises(attestation.AttestationError, match="future"):
        town.sign("unsigned", at=datetime.now(UTC) + timedelta(days=300))


def test_deleted_hard_datasets(town: Town) -> None:
    """What leaves the files without an officer's decision goes on counting; what is excluded by others too."""
    before, _ = town.measure()
    hard = [town.dataset(name) for name in ("hard", "harder", "undescribed")]
    for entry in hard:
        town.entries["datasets"].remove(entry)
    town.entries["manual_evidence"] = documented("easy", "unsigned")
    figure, judged = town.measure()
    assert {judged[entry["id"]].uncounted for entry in hard} == {"vanished"}
    assert (figure.n, figure.m, figure.share) == (before.n, before.m, before.share)
    removed = {"kind": "removed", "before": ["hard"], "on": str(today()), "document": "P2", "note_fi": "poisto"}
    town.entries["changes"] = [removed | {"approver": "steward"}]
    assert town.measure()[0].m == before.m
    town.entries["datasets"] += hard
    town.entries["changes"] = []
    town.entries["exclusions"] = [
        {
            **{"subject": "hard", "reason": "group_company", "approver": "owner", "note_fi": "pois"},
            **{"approved_on": str(today()), "expires_on": str(today() + timedelta(days=90))},
        }
    ]
    assert town.measure()[0].m == before.m


def test_unmapped_systems(town: Town) -> None:
    """A system that nobody names, one that vanishes, one whose owner calls it mapped, and files that appear."""
    before, _ = town.measure()
    old = next(system for system in town.entries["systems"] if system["id"] == "old_shares")
    town.entries["systems"].remove(old)
    figure, _ = town.measure()
    assert (figure.u, figure.share) == (before.u, before.share)
    town.entries["systems"].append(old | {"mapped": {"on": str(today()), "by": "reviewer"}})  # without any dataset
    assert town.measure()[0].u == before.u
    town.entries["systems"][-1] = old | {"mapped": {"on": str(today()), "by": "owner"}}
    town.entries["datasets"].append(described("shared", system="old_shares", task_class="10.08.00"))
    figure, _ = town.measure()
    assert figure.u == before.u
    assert figure.share is not None
    assert before.share is not None
    assert figure.share < before.share
    Steps(settings.home()).drop("kaikki.xlsx", "1", directory="forgotten")
    figure, _ = town.measure()
    assert figure.u == before.u + 1
    with database.connect("officer") as connection:
        assert "files:forgotten" in {one.system for one in snapshot.systems(connection, figure.snapshot_id)}


PLACEHOLDERS = (
    ("Kuvaus puuttuu toistaiseksi, täydennetään.", "Beskrivning saknas tills vidare, kompletteras."),
    ("TODO TODO TODO TODO TODO TODO", "TBD TBD TBD TBD TBD TBD"),
    ("Aineisto undescribed", "Datamängd undescribed"),  # the name again
    (f"easy: {DESCRIPTION}", f"easy: {BESKRIVNING}"),  # another dataset's text
    (f"undescribed: {DESCRIPTION}", f"undescribed: {DESCRIPTION}"),  # one language in both places
)


def test_placeholder_text(town: Town) -> None:
    """Texts that say nothing, and then signed."""
    before, _ = town.measure()
    for fi, sv in PLACEHOLDERS:
        town.dataset("undescribed").update(description_fi=fi, description_sv=sv)
        town.sign("undescribed")
        figure, judged = town.measure()
        assert (judged["undescribed"].level, judged["undescribed"].missing[0]) == (0, "C1"), fi
        assert "C10" not in judged["undescribed"].missing, "the text is all that it lacks"
        assert figure.n <= before.n
    town.dataset("undescribed").update(
        description_fi=f"undescribed: {DESCRIPTION}", description_sv=f"undescribed: {BESKRIVNING}"
    )
    town.sign("undescribed")
    assert town.measure()[1]["undescribed"].level >= 3, "a real description would have counted"


def test_a_lowered_mostly(town: Town) -> None:
    """What the officer signed holds the rules: with a rule made lenient the signature is under something else."""
    before, _ = town.measure()

    def lower(document: dict[str, Any]) -> None:
        rule = next(entry for entry in document["expectations"] if "mostly" in entry["kwargs"])
        rule["kwargs"]["mostly"] = 0.5

    change_suite(town, lower)
    figure, judged = town.measure()
    assert "C10" in judged["municipalities"].missing
    assert town.reasons("municipalities", "C10") == {"C10.content_changed"}
    assert (figure.n, before.n) == (1, 2)
