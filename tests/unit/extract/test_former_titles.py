"""An archive with titles that the source had before reads as one with today's, in every format."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from citydata import contract
from citydata.connector_options import JsonRecords, TextFormat
from citydata.contract import Column, Contract
from citydata.extract import ColumnsDiffer, sql, text_format

TRIAL = Path(__file__).parents[2] / "contracts" / "trial" / "cost_centres.yaml"
ROWS = [("1001", "Tietohallinto"), ("1002", None)]

CSV = TextFormat(delimiter=",")
JSON = TextFormat(format="json", records=[JsonRecords(path=["data"])])
FEATURE = '{{"type": "Feature", "geometry": null, "properties": {{"{0}": "100%s}}}}'
# How each format is read, and a document with these two titles.
FORMS = {
    "csv": (CSV, "{0},{1}\n1001,Tietohallinto\n1002,\n"),
    "unquoted": (TextFormat(delimiter=",", header="unquoted"), "{0},{1}\n1001,Tietohallinto\n1002,\n"),
    "json": (JSON, '{{"data": [{{"{0}": "1001", "{1}": "Tietohallinto"}}, {{"{0}": "1002"}}]}}'),
    "geojson": (
        TextFormat(format="geojson"),
        '{{"type": "FeatureCollection", "features": ['
        + FEATURE % '1", "{1}": "Tietohallinto"'
        + ", "
        + FEATURE % '2"'
        + "]}}",
    ),
    "gml": (
        TextFormat(format="gml", feature="centre"),
        "<FeatureCollection><member><centre><{0}>1001</{0}><{1}>Tietohallinto</{1}></centre></member>"
        "<member><centre><{0}>1002</{0}></centre></member></FeatureCollection>",
    ),
}
STRICT = [name for name in FORMS if name != "gml"]  # of GML only what the contract names is read


def dataset(*former: str, **changes: object) -> Contract:
    """Two columns of the trial contract, whose second had other titles before."""
    entry = contract.read(TRIAL)
    code, name = entry.columns[:2]
    settings = name.settings.model_copy(update={"formerNames": list(former)})
    return replace(entry, columns=(code, replace(name, required=False, settings=settings, **changes)))  # type: ignore[arg-type]


def read(entry: Contract, options: TextFormat, text: str) -> list[tuple[str | None, ...]]:
    titles = [column.source_name for column in entry.columns]
    blocks = text_format.parse(entry, options, iter([text.encode()]), titles)
    return [
        tuple(row.get(column.name) for column in entry.columns) for block in blocks for row in block.rows.to_pylist()
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("title", ["Nimi", "Nimike", "Selite"])
def test_every_title_that_a_column_had_is_read_as_its_own(form: str, title: str) -> None:
    options, document = FORMS[form]
    text = document.format("Koodi", title)
    assert read(dataset("Nimike", "Selite"), options, text) == ROWS
    assert text_format.titles_of(dataset("Nimike", "Selite"), options, iter([text.encode()])) == ["Koodi", title]


@pytest.mark.parametrize("form", STRICT)
def test_a_title_that_it_never_had_still_holds_the_batch(form: str) -> None:
    options, document = FORMS[form]
    with pytest.raises(ColumnsDiffer):
        read(dataset("Nimike"), options, document.format("Koodi", "Selite"))


@pytest.mark.parametrize("header", ["Koodi,Nimi,Nimike", "Koodi,Nimike,Selite"])
def test_two_titles_of_one_column_at_once_are_not_chosen_between(header: str) -> None:
    with pytest.raises(ColumnsDiffer):
        read(dataset("Nimike", "Selite"), CSV, f"{header}\n1001,a,b\n")


def test_a_path_of_objects_may_be_a_former_title() -> None:
    entry = dataset("name.fi")
    assert (
        read(entry, JSON, '{"data": [{"Koodi": "1001", "name": {"fi": "Tietohallinto"}}, {"Koodi": "1002"}]}') == ROWS
    )


def test_an_archived_reading_of_a_table_keeps_the_names_it_was_read_with() -> None:
    def archived(*names: str) -> Iterator[bytes]:
        sink = pa.BufferOutputStream()
        batch = pa.record_batch(
            [pa.array(column, pa.string()) for column in zip(*ROWS, strict=True)], names=list(names)
        )
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield sink.getvalue().to_pybytes()

    entry = dataset("Nimike")
    for title in ("Nimi", "Nimike"):
        [block] = sql.parse(entry, archived("Koodi", title), ["Koodi", "Nimi"])
        assert [tuple(row.values()) for row in block.rows.to_pylist()] == ROWS
    with pytest.raises(ColumnsDiffer, match="Selite"):
        list(sql.parse(entry, archived("Koodi", "Selite"), ["Koodi", "Nimi"]))


# -- columns that came later, or are sent no more --------------------------------------------------------------------------


def name_of(entry: Contract) -> Column:
    return entry.columns[1]


@pytest.mark.parametrize("form", ["csv", "unquoted"])
def test_only_an_archive_from_before_may_lack_a_column_that_was_added(form: str) -> None:
    options, _ = FORMS[form]
    entry = dataset()
    added = name_of(entry).settings.model_copy(update={"addedIn": "1.10.0"})
    entry = replace(entry, columns=(entry.columns[0], replace(name_of(entry), settings=added)))
    assert read(entry.of_archive("1.9.3"), options, "Koodi\n1001\n") == [("1001", None)]
    assert read(entry.of_archive("1.9.3"), options, "Koodi,Nimi\n1001,a\n") == [("1001", "a")]
    for version in ("1.10.0", "2.0.0"):
        with pytest.raises(ColumnsDiffer):
            read(entry.of_archive(version), options, "Koodi\n1001\n")


@pytest.mark.parametrize(
    ("former", "said"),
    [
        ("[Koodi]", "which is a title of code"),
        ("[Vanha, Vanha]", "which is a title of name"),
    ],
)
def test_a_title_means_one_column(tmp_path: Path, former: str, said: str) -> None:
    path = tmp_path / "trial" / "cost_centres.yaml"
    path.parent.mkdir()
    mark = '          - {property: description_en, value: "name"}\n'
    text = TRIAL.read_text(encoding="utf-8")
    path.write_text(
        text.replace(mark, f"{mark}          - {{property: formerNames, value: {former}}}\n"), encoding="utf-8"
    )
    with pytest.raises(contract.ContractError, match=said):
        contract.read(path)


@pytest.mark.parametrize("setting", ["addedIn", "removedIn"])
def test_what_was_not_always_there_is_not_required(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "trial" / "cost_centres.yaml"
    path.parent.mkdir()
    text = TRIAL.read_text(encoding="utf-8")
    for column, said in (("name", "is not required"), ("budget", None)):
        mark = f'          - {{property: description_en, value: "{column}"}}\n'
        own = f'{mark}          - {{property: {setting}, value: "1.1.0"}}\n'
        path.write_text(text.replace(mark, own), encoding="utf-8")
        if said:
            with pytest.raises(contract.ContractError, match=said):
                contract.read(path)
        else:
            assert contract.read(path).columns[2].may_lack == (setting == "removedIn")
