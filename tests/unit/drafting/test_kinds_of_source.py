"""A sample of each kind of source: what is found out about it is how the platform then reads it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from citydata.cli import app
from citydata.drafting import proposal, sources
from citydata.drafting.sample import DraftError, Sample

POINT = "<gml:Point srsName='urn:ogc:def:crs:EPSG::3067'><gml:pos>425000 6695000</gml:pos></gml:Point>"


def sampled(tmp_path: Path, name: str, content: str | bytes) -> Sample:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return sources.read(sources.Source(file=file), "parks", lambda text: None)


def connector(found: Sample) -> dict[str, Any]:
    """What was found out, without what every file has."""
    return {k: v for k, v in found.connector.items() if k not in ("type", "directory", "pattern", "complete", "format")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1;x\n", {"encoding": "utf-8", "delimiter": ";"}),
        ("a,b\n1,x\n", {"encoding": "utf-8", "delimiter": ","}),
        ("a\tb\n1\tx\n", {"encoding": "utf-8", "delimiter": "\t"}),
        ("a|b\n1|x\n", {"encoding": "utf-8", "delimiter": "|"}),
        ("\ufeffa;b\r\n1;\"x;y\"\r\n2;z\r\n", {"encoding": "utf-8", "delimiter": ";"}),
        ("a;b\n1,5;2,5\n3,5;4,5\n", {"encoding": "utf-8", "delimiter": ";"}),
        ('a;b\n1;"x\ny"\n2;z\n', {"encoding": "utf-8", "delimiter": ";", "newlines_in_values": True}),
        ('a;b\n1;"5 tuuman" putki\n2;"3 tuuman" putki\n', {"encoding": "utf-8", "delimiter": ";", "quote": ""}),
        ("a;b\n1;Töölö\n".encode("iso-8859-1"), {"encoding": "iso-8859-1", "delimiter": ";"}),
        ("a;b\n1;5 – 7 €\n".encode("cp1252"), {"encoding": "cp1252", "delimiter": ";"}),
    ],
)  # fmt: skip
def test_delimited_text(tmp_path: Path, text: str | bytes, expected: dict[str, Any]) -> None:
    found = sampled(tmp_path, "lista.csv", text)
    assert connector(found) == expected
    assert [one.title for one in found.fields] == ["a", "b"]
    assert found.refused == {}
    assert found.rows > 0


def test_an_encoding_that_no_sign_tells_is_left_open(tmp_path: Path) -> None:
    found = sampled(tmp_path, "lista.csv", "a;b\n1;5 €\n".encode("iso-8859-15"))
    assert found.connector["encoding"] is None
    assert "iso-8859-15" in found.undecided["encoding"]


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    found = sampled(tmp_path, "lista.csv", "a;b\n" + "1;2\n" * 5 + "1;2;3\n")
    assert (found.rows, found.refused) == (5, {"column_count": 1})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"), ("a;a\n1;2\n", "a title occurs twice"), ("a;;b\n1;2;3\n", "column 2 has no title"),
        ("1;2,5\n3;4,5\n", "column 1 has no title but what may be a value"), ("a;b\n".encode("utf-16"), "UTF-16"),
        ("{}", "no list of records"), ('{"class": "dataset", "id": [], "size": [], "dimension": {}}', "JSON-stat"),
        ("[1, ", "cannot be read"), ("<html><body>Ei</body></html>", "no feature"), ("<a></b>", "not well-formed"),
        (b"\x1f\x8b\x08broken", "gzip"),
    ],
)  # fmt: skip
def test_what_cannot_be_drafted_says_why(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    with pytest.raises(DraftError, match=complaint):
        sampled(tmp_path, "x.csv", content)


CODE = "010190-900A"


@pytest.mark.parametrize(
    ("content", "value", "told_as"),
    [
        (f"Testinen;Testi;{CODE};testi@example.org\nMallinen;Malli;010190-901B;malli@example.org\n", CODE, "column 3"),
        ("Nimi;testi@example.org\nx;malli@example.org\n", "testi@example.org", "column 2"),
        ("Nimi;040 1234567\nx;050 1\n", "040 1", "column 2"),
        (json.dumps([{"nimi": "x", CODE: 1}] * 2), CODE, "column 2"),
        (json.dumps({f"x{CODE}": [{"nimi": "x"}]}), CODE, "key 1"),
        (json.dumps({"a": [{"nimi": 1}] * 2, CODE: [{"nimi": 1}]}), CODE, None),
        (f'{{"{CODE}": 1}}\n{{"{CODE}": 2}}\n', CODE, "column 1"),
        (f"<x><member><t><x{CODE}>1</x{CODE}></t></member></x>", CODE, "column 1"),
    ],
    ids=["code", "mail", "phone", "field", "key", "another list", "line", "element"],
)  # fmt: skip
def test_a_value_in_a_title_s_place_is_told_by_its_number_only(
    tmp_path: Path, content: str, value: str, told_as: str | None
) -> None:
    file = tmp_path / "x.txt"
    file.write_text(content, encoding="utf-8")
    told = CliRunner().invoke(app, ["new", "parks.people", "--file", str(file), "--no-ask", "--dry-run"])
    assert value not in told.output + str(told.exception)
    assert told.exit_code == (1 if told_as else 0), told.output
    assert not told_as or f"{told_as} has no title" in " ".join(told.output.split())


def test_json_at_the_longest_list_with_nested_fields(tmp_path: Path) -> None:
    document = {
        "meta": {"tags": ["x"]},
        "data": {"items": [{"id": i, "title": {"fi": f"a{i}", "sv": "b"}, "size": 1.5} for i in range(3)]},
    }
    found = sampled(tmp_path, "x.json", json.dumps(document))
    assert connector(found) == {"records": [{"path": ["data", "items"]}]}
    assert [one.title for one in found.fields] == ["id", "title.fi", "title.sv", "size"]
    assert found.fields[3].texts.to_pylist() == ["1.5"] * 3
    assert "meta.tags" in found.notes[0]


def test_json_lines_and_packed_files(tmp_path: Path) -> None:
    lines = b'{"id": 1, "a": {"b": "x"}}\n{"id": 2}\nnot json\n'
    found = sampled(tmp_path, "tiedot-2026-11.ndjson.gz", gzip.compress(lines))
    assert found.connector == {
        "type": "files", "directory": "parks", "pattern": "tiedot*.ndjson.gz", "compression": "gzip", "complete": "done_file",
        "format": "ndjson",
    }  # fmt: skip
    assert [one.texts.to_pylist() for one in found.fields] == [["1", "2"], ["x", None]]
    assert found.refused == {"json": 1}


def test_geojson_and_where_its_geometries_are(tmp_path: Path) -> None:
    feature = {"type": "Feature", "properties": {"id": 1}, "geometry": {"type": "Point", "coordinates": [25.66, 60.39]}}
    found = sampled(tmp_path, "x.geojson", json.dumps({"type": "FeatureCollection", "features": [feature] * 2}))
    assert found.connector["format"] == "geojson"
    columns = proposal.propose(found).columns
    assert [column.name for column in columns] == ["id", "geometry"]
    assert columns[1].geometry == {"types": ["Point"], "within": "town"}


def test_gml(tmp_path: Path) -> None:
    members = "".join(
        f"<f:member><talo><id>{i}</id><osa><nimi>x</nimi></osa><tagi>a</tagi><tagi>b</tagi><paikka>{POINT}</paikka></talo></f:member>"
        for i in (1, 2)
    )
    deep = "rakennuksenOsanTiedot"
    members = members.replace("<osa>", f"<{deep}><{deep}><{deep}>").replace("</osa>", f"</{deep}></{deep}></{deep}>")
    text = f"<f:FeatureCollection xmlns:f='http://www.opengis.net/wfs/2.0' xmlns:gml='http://www.opengis.net/gml/3.2'>{members}</f:FeatureCollection>"
    found = sampled(tmp_path, "x.gml", text)
    assert connector(found) == {"feature": "talo"}
    assert [one.title for one in found.fields] == ["id", f"{deep}/{deep}/{deep}/nimi", "paikka"]
    assert found.notes == ("the element tagi occurs several times in a feature and is left out",)
    assert proposal.propose(found).columns[2].geometry == {"types": ["Point"], "within": "town"}
