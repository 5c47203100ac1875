"""What is drafted loads: each kind of source is drafted, filled as a person would, deployed, loaded and checked by its own suite."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql
from typer.testing import CliRunner

from citydata import audit, canary, contract, database, deploy, settings
from citydata.cli import app
from citydata.commands import invocation
from citydata.drafting import draft, sources
from citydata.drafting.answers import Answers
from citydata.drafting.sources import Source
from citydata.governance import inventory
from tests.documentation import typed
from tests.integration.sources import Sources
from tests.integration.steps import Steps

KNOWN = Answers(
    name_fi="Paikat", name_sv="Platser",
    description_fi="Paikat.", description_sv="Platser.", description_en="Places.", purpose="Käyttö.", domain="gis",
    owner="puistopaallikko", steward="katutietoasiantuntija", contact="x@example.org", publicity="julkinen", schedule="15 5 * * *",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what drafts are written into."""
    tree = tmp_path / "tree"
    for name, folder in (
        ("CONTRACTS", "include/contracts"),
        ("INVENTORY", "include/inventory"),
        ("EXPECTATIONS", "expectations"),
    ):
        shutil.copytree(getattr(settings, name), tree / folder)
        monkeypatch.setattr(settings, name, tree / folder)
    (tree / "dbt_project" / "models" / "staging").mkdir(parents=True)
    return tree


@pytest.fixture
def adopt(steps: Steps, tree: Path) -> Iterator[Callable[[str, Source], int]]:
    """A function that drafts a dataset, fills the draft and deploys it; returns the number of the sample's rows."""

    def make(dataset: str, source: Source) -> int:
        found = sources.read(source, dataset.partition(".")[0], lambda text: None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "ROOT", tree)  # for the staging model; migrations are the checkout's
            draft.write(draft.make(draft.places(dataset), found, KNOWN, datetime.now(UTC).date()))
        path = draft.places(dataset).contract
        text = re.sub(
            r"(?m)^.*property: fi\..*value: \}.*\n", "", path.read_text(encoding="utf-8")
        )  # a gap that is only measured
        text = re.sub(r"value: \}  #.*", 'value: "sana"}', text)
        text = text.replace('keyless, value: "sana"', "keyless, value: true")
        path.write_text(
            re.sub(r"(?m)^( *\w+):  #.*$", r'\1: "sana"', text).replace("status: draft", "status: active"),
            encoding="utf-8",
        )
        entry = settings.INVENTORY / "datasets" / f"{dataset.replace('.', '_')}.yaml"
        entry.write_text(
            f"- {{id: {entry.stem}, name_fi: x, name_sv: x, system: katutiedot, sector: urban, kind: register, criticality: ordinary,"
            f" contracts: [{dataset}]}}\n"
        )
        contract.load_each.cache_clear()
        inventory.load.cache_clear()
        deploy.deploy()
        return found.rows

    yield make
    contract.load_each.cache_clear()
    inventory.load.cache_clear()


def test_a_drafted_file_is_loaded_whole_and_every_check_of_its_suite_can_fail(
    adopt: Callable[[str, Source], int], steps: Steps, tmp_path: Path
) -> None:
    day = datetime.now(UTC).date()
    lines = ["Tunnus;Nimi;Alue;Alueen nimi;Koko, m²;Alkaa;Päättyy;Tarkastettu;Kunnossa"]
    for i in range(40):
        area, start = i % 4, f"{i % 28 + 1}.{i % 12 + 1}.2020"
        lines.append(f"P-{i:03};Paikka {chr(65 + i % 26)}{i};{area};Alue numero {area};1 {i:03},25;{start};31.12.2024;"
                     f"{day.day}.{day.month}.{day.year};{'kyllä' if i % 3 else 'ei'}")  # fmt: skip
    file = tmp_path / "paikat-1.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = adopt("parks.places", Source(file=file))
    steps.drop(file.name, file.read_bytes(), directory="parks")
    assert [batch.inserted for batch in steps.load("parks.places")] == [rows] == [40]
    assert steps.quarantine("parks.places") == []
    results = canary.run("parks.places")
    assert [result for result in results if not result.proven] == []
    assert steps.query("SELECT outcome, count(*) FROM quality.check_result WHERE source = 'suite' GROUP BY 1") == [
        ("pass", len(results))
    ]
    suite = draft.places("parks.places").suite.read_text(encoding="utf-8")
    for dimension in (
        "correctness",
        "precision",
        "currentness",
        "consistency",
        "uniqueness",
        "coverage",
        "completeness",
    ):
        assert f'"dimension": "{dimension}"' in suite


@pytest.fixture
def things(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with 300 rows in a database that is the source `register`."""
    monkeypatch.setenv("CITYDATA_SOURCE_REGISTER", database.admin_url())
    steps.execute(
        "CREATE TABLE public.things (id integer PRIMARY KEY, name varchar(40) NOT NULL, price numeric(9, 2), made date, seen timestamptz"
        " NOT NULL, good boolean, raw bytea);"
        " INSERT INTO public.things SELECT i, 'thing ' || i, i * 1.25, date '2020-02-01' + i, now() - i * interval '1 h', i % 2 = 0, 'x'"
        " FROM generate_series(1, 300) AS i"
    )


@pytest.mark.usefixtures("things")
def test_a_drafted_table_and_drafted_services_are_loaded_whole(
    adopt: Callable[[str, Source], int], steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_has_rows_to_judge", lambda batch: False)  # a suite still lacks what only people know
    for dataset, source in {
        "things.all": Source(connection="register", table="public.things"),
        "maps.buildings": Source(connection="wfs", layer="rakval:ValmisRakennus"),
        "maps.addresses": Source(connection="ogcapi", layer="open_address"),
        "figures.indicators": Source(connection="sotkanet", path="indicators"),
    }.items():
        rows = adopt(dataset, source)
        entry = contract.load(dataset)
        published = steps.query(
            sql.SQL("SELECT count(*) FROM {} WHERE _closed_by IS NULL").format(sql.Identifier("raw", entry.raw_name))
        ) if steps.load(dataset) else []  # fmt: skip
        assert published, (dataset, steps.batch(dataset)["held_reason"], steps.batch(dataset)["state"])
        assert rows > 5, dataset
        assert published[0][0] >= rows, dataset
        assert steps.quarantine(dataset) == [], dataset
    types = {column.name: column.pg_type for column in contract.load("things.all").columns}
    assert types == {
        "id": "integer", "name": "text", "price": "numeric(9,2)", "made": "date", "seen": "timestamptz", "good": "boolean",
    }  # fmt: skip
    assert contract.load("things.all").key == ["id"]
    assert any(column.settings.geometry for column in contract.load("maps.buildings").columns)


@pytest.mark.usefixtures("things", "sources")
def test_the_commands_of_the_page_draft_each_kind_of_source(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ROOT", tree)
    monkeypatch.setattr(invocation, "installation", lambda: None)  # the environment has the addresses
    file = tmp_path / "paikat.csv"
    file.write_text("Tunnus;Nimi\n1;Ensimmäinen\n2;Toinen\n", encoding="utf-8")
    stands_for = {
        "--file": {"PATH": str(file)},
        "--table": {"NAME": "register", "SCHEMA.TABLE": "public.things"},
        "--layer": {"NAME": "wfs", "TYPENAME": "rakval:ValmisRakennus"},
        "--path": {"NAME": "sotkanet", "PATH": "indicators"},
    }
    lines = typed.family("new")
    [undo] = [words for words in lines if "--undo" in words]
    lines.remove(undo)
    assert [option for words in lines for option in stands_for if option in words] == [*stands_for]
    before = _files(tree)
    for words, meant in zip(lines, stands_for.values(), strict=True):
        assert "Next:" in _typed(words, meant)
        contract.load_each.cache_clear()
        draft_of_it = draft.places("parks.places").contract.read_text(encoding="utf-8")
        assert "status: draft" in draft_of_it, words
        assert _typed(undo, {})
        assert _files(tree) == before, words


def _typed(words: list[str], meant: dict[str, str]) -> list[str]:
    """Type a command of the page with what its capitals stand for; the lines that it says."""
    line = [(meant | {"SYSTEM.DATASET": "parks.places"}).get(word, word) for word in words]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, (line, result.output)
    return result.output.strip().splitlines()


def _files(tree: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
