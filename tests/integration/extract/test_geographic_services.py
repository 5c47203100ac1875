"""Buildings from a WFS and addresses from an OGC API: what comes, what these servers do wrong, and what never gets in."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely

from citydata import contract
from citydata.connector_options import FilesConnector, OgcConnector
from citydata.contract import Contract
from citydata.extract import Candidate, SourceError, archive, ogc
from simulators import features, web
from simulators.buildings import Register, register_of
from tests.identity_codes import EVERY_TABLE
from tests.integration.sources import Sources
from tests.integration.steps import Steps

BUILDINGS, ADDRESSES = "gis.buildings", "gis.addresses"


def register(sources: Sources) -> Register:
    """What the sources hold now."""
    return register_of(sources.town.seed, sources.town.scale, sources.town.day)


def points(steps: Steps, dataset: str, key: str) -> dict[str, tuple[float, float]]:
    """Where the current rows of a dataset are, easting first."""
    rows = steps.query(f"SELECT {key}, geometry FROM raw.{dataset.replace('.', '__')} WHERE _closed_by IS NULL")
    return {name: shapely.from_wkb(bytes(wkb)).coords[0] for name, wkb in rows}


def assert_same_places(found: dict[str, Any], expected: dict[str, tuple[float, float]]) -> None:
    """The same keys, each within a millimetre."""
    assert found.keys() == expected.keys()
    assert max(math.dist(found[key], expected[key]) for key in expected) < 1e-3


def dumped(steps: Steps) -> str:
    """Every row in every table of the database, as text."""
    tables = [name for (name,) in steps.query(EVERY_TABLE)]
    return "\n".join(text for name in tables for (text,) in steps.query(f"SELECT t::text FROM {name} AS t"))


def with_connector(dataset: str, connector: Any) -> Contract:
    """The dataset's contract with another connector, for the rest of the test."""
    changed = contract.load(dataset)
    changed = replace(changed, platform=changed.platform.model_copy(update={"connector": connector}))
    contract.load_each()[0][dataset] = changed
    return changed


@pytest.fixture
def asked(sources: Sources, platform: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Any], Any]]:
    """A function that reads buildings of the national register; returns their keys and what the fetch says."""
    own = contract.load(BUILDINGS)
    key = replace(next(column for column in own.columns if column.key), source_name="building_key")

    def read(protocol: str = "wfs", source_name: str = "building_key", **options: Any) -> tuple[list[Any], Any]:
        connection = "wfs" if protocol == "wfs" else "ogcapi"
        options = {"type_name": "ryhti:open_building", "requests_per_second": 1000, "attempts": 2} | options
        connector = OgcConnector(type="ogc", protocol=protocol, connection=connection, **options)
        one = replace(
            own,
            columns=(replace(key, source_name=source_name),),
            platform=own.platform.model_copy(update={"connector": connector}),
        )
        fetch = ogc.fetch(one, Candidate(None))
        blocks = list(ogc.parse(one, fetch.chunks, [source_name]))
        assert [n for block in blocks for n in block.numbers.to_pylist()] == list(
            range(1, 1 + sum(len(block.rows) for block in blocks))
        )
        return [value for block in blocks for value in block.rows.column("building_id").to_pylist()], fetch.source

    return read


# -- the two datasets ------------------------------------------------------------------------------------------------


def test_buildings_come_with_their_points_and_without_their_owners(sources: Sources, steps: Steps) -> None:
    [published] = steps.load(BUILDINGS)
    assert published.state == "published", steps.batch(BUILDINGS)["held_reason"]
    standing = register(sources).buildings
    expected = {building.id: (building.easting, building.northing) for building in standing}
    assert_same_places(points(steps, BUILDINGS, "building_id"), expected)
    steps.assert_accounted(BUILDINGS, extracted=len(standing))
    row = "SELECT permanent_building_id, property_id, intended_use, volume_m3 FROM raw.gis__buildings WHERE building_id = %s"
    first = standing[0]
    assert steps.query(row, first.id) == [(first.permanent_id, first.property_id, first.use, first.volume)]

    batch = steps.batch(BUILDINGS)
    assert batch["archive_path"].endswith(".age")
    received = b"".join(archive.read(batch["archive_path"], batch["archive_sha256"])).decode()
    assert received.startswith("WARC/1.1")
    people = {owner for building in standing for owner in building.owners if owner.given_name}
    assert len(people) > 20
    assert all(f"<yht:sukunimi>{owner.family_name}</yht:sukunimi>" in received for owner in people)
    found = dumped(steps)
    assert first.property_id in found
    assert not [owner for owner in people if re.search(rf"\b{owner.family_name}\b", found)]
    assert "turvakielto" not in found.lower().replace("fi: turvakielto", "")


def test_a_day_brings_new_changed_and_demolished_buildings(sources: Sources, steps: Steps) -> None:
    steps.load(BUILDINGS)
    for _ in range(2):
        sources.advance()
        [published] = steps.load(BUILDINGS)
        assert published.state == "published", steps.batch(BUILDINGS)["held_reason"]
        batch = steps.batch(BUILDINGS)
        assert (batch["inserted"], batch["closed"]) == (2, 1)
        assert batch["changed"] >= 3
        assert batch["quarantined"] == 0
    assert points(steps, BUILDINGS, "building_id").keys() == {building.id for building in register(sources).buildings}


def test_addresses_are_the_towns_own(sources: Sources, steps: Steps) -> None:
    addresses = register(sources).addresses
    own = [address for address in addresses if address.place.municipality == "638"]
    assert len(own) < len(addresses)
    [published] = steps.load(ADDRESSES)
    assert published.state == "published", steps.batch(ADDRESSES)["held_reason"]
    expected = {f"A{address.number:09d}": (address.easting, address.northing) for address in own}
    assert_same_places(points(steps, ADDRESSES, "address_id"), expected)
    source = steps.batch(ADDRESSES)["source"]
    assert (source["rows_read"], source["rows_without_filter"]) == (len(own), len(addresses))


def test_mistakes_of_the_source_go_to_quarantine_and_heal(sources: Sources, steps: Steps) -> None:
    sources.reset(scale=0.2)
    reasons = []
    for _ in range(3):
        faulty = {
            building.id for building in register(sources).buildings if building.number in register(sources).faulty
        }
        steps.load(BUILDINGS)
        newest = steps.batch(BUILDINGS)
        refused = [row for row in steps.quarantine(BUILDINGS) if row["batch_id"] == newest["batch_id"]]
        assert newest["state"] == "published"
        assert {row["row"]["rakennustieto/Rakennus/yksilointitieto"] for row in refused} == faulty
        reasons += steps.reasons(BUILDINGS).values()
        sources.advance()
    assert reasons == [["permanent_id_valid"], ["geometry.bounds"], ["property_id_valid"]]
    assert [row["state"] for row in steps.quarantine(BUILDINGS)][:2] == ["resolved", "resolved"]


def test_faults_of_the_network_leave_no_trace(sources: Sources, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "RETRY_AFTER", 0)
    monkeypatch.setattr(web, "SLOWEST", 0.02)
    sources.faults = 0.2
    for dataset, pages in ((BUILDINGS, None), (ADDRESSES, 10)):
        own = contract.load(dataset).platform.connector
        with_connector(
            dataset, own.model_copy(update={"page_size": pages, "requests_per_second": 1000, "attempts": 12})
        )
        [published] = steps.load(dataset)
        assert published.state == "published"
    assert len(points(steps, BUILDINGS, "building_id")) == len(register(sources).buildings)
    own_addresses = [one for one in register(sources).addresses if one.place.municipality == "638"]
    assert len(points(steps, ADDRESSES, "address_id")) == len(own_addresses)


def test_a_recorded_answer_of_a_town(sources: Sources, steps: Steps, real_data: Path) -> None:
    sources.serve_recorded(BUILDINGS, real_data / "gis" / "krysp-building-2.1.2.xml")
    [published] = steps.load(BUILDINGS)
    assert published.state == "published", steps.batch(BUILDINGS)["held_reason"]
    rows = steps.query(
        "SELECT building_id, permanent_building_id, property_id, floors FROM raw.gis__buildings ORDER BY 1"
    )
    assert rows == [("ID11485", "1234567892", "63845900130022", 1), ("ID11486", None, "63845900130022", 1)]
    assert points(steps, BUILDINGS, "building_id")["ID11485"] == pytest.approx((422301.989867, 6699097.09677))
    # 123456789 leaves 2 modulo 31: the id that the documentation invented is a right one.
    judged = "SELECT outcome, evaluated FROM quality.check_result WHERE check_id = 'gis.buildings.permanent_id_valid'"
    assert steps.query(judged) == [("pass", 1)]
    assert not re.search("Testaaja|Antero|Pauliina|Paavo|example.com", dumped(steps))


# -- what servers do wrong -------------------------------------------------------------------------------------------


def test_servers_that_leave_out_features_are_noticed(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"came on an earlier one: .* its order is not stable"):
        asked(page_size=50, sort_by="municipality_number")
    monkeypatch.setattr(features, "CAP", 30)
    keys, source = asked(page_size=50, sort_by="building_key")
    assert len(keys) == len(set(keys)) == source["rows_reported"] == 120
    assert source["answers"] == 4, "pages go on where the last one really ended"
    with pytest.raises(
        SourceError, match=r"reports 120 features and sent 30: it sends no more at once \(set page_size"
    ):
        asked()

    town_map = {"version": "1.1.0", "type_name": "GIS:Rakennukset", "source_name": "Id"}
    with pytest.raises(SourceError, match="ignores the paging"):
        asked(**town_map, page_size=50, sort_by="Id")
    keys, source = asked(**town_map)
    assert len(keys) == 121
    assert keys[0] == "0"
    assert "rows_reported" not in source, "it ignores hits as well"


def test_filters_that_are_ignored_and_requests_that_are_refused(asked: Any) -> None:
    for protocol, name in (("wfs", "ryhti:open_building"), ("features", "open_building")):
        with pytest.raises(SourceError, match="ignores the filter, or the filter is not needed"):
            asked(protocol, type_name=name, filter="municipality_number='638'")
    keys, source = asked(filter="main_purpose='011'")
    assert 0 < len(keys) < source["rows_without_filter"] == 120

    for options, said in (
        ({"type_name": "ryhti:tontti"}, r"InvalidParameterValue \(typeName\): Feature type ryhti:tontti unknown"),
        ({"version": "1.1.0", "type_name": "GIS:Tontit"}, "Feature type GIS:Tontit unknown"),
        ({"page_size": 10, "sort_by": "nimi"}, r"InvalidParameterValue \(sortBy\): nimi is not a property"),
        ({"protocol": "features", "type_name": "tontti"}, "answers 404 Not Found for /ogcapi/collections/tontti/items"),
        (
            {"protocol": "features", "type_name": "open_address", "filter": "x"},
            "refuses the request .the filter cannot",
        ),
    ):
        with pytest.raises(SourceError, match=said):
            asked(**options)


# -- files -----------------------------------------------------------------------------------------------------------


def dropped_buildings(steps: Steps, content: bytes, axes: str) -> None:
    """Load a KuntaGML document as a file."""
    with_connector(
        BUILDINGS,
        FilesConnector(
            type="files", directory="gis", pattern="*.xml", format="gml", feature="ValmisRakennus", axes=axes
        ),
    )
    steps.drop("rakennukset.xml", content, directory="gis")
    steps.load(BUILDINGS)


@pytest.fixture
def document(sources: Sources) -> bytes:
    """The town's buildings as KuntaGML."""
    import requests

    question = "service=WFS&version=1.1.0&request=GetFeature&typeName=rakval:ValmisRakennus"
    return requests.get(f"{sources.address}/wfs?{question}", timeout=30).content


def test_swapped_coordinates_never_get_in(steps: Steps, document: bytes) -> None:
    dropped_buildings(steps, document, axes="by_srs")
    batch = steps.batch(BUILDINGS)
    assert (batch["state"], batch["quarantined"]) == ("held", 120)
    assert set(map(tuple, steps.reasons(BUILDINGS).values())) == {("geometry.bounds",)}
    assert "120 of 120 rows are in quarantine" in batch["held_reason"]
    assert all(row["key"] for row in steps.quarantine(BUILDINGS))


def test_a_value_that_occurs_twice_is_refused_and_its_row_stays_what_it_was(steps: Steps, document: bytes) -> None:
    dropped_buildings(steps, document, axes="north_east")
    before = steps.current(BUILDINGS)
    twice = document.replace(b"<rakval:tilavuus>", b"<rakval:tilavuus>7</rakval:tilavuus><rakval:tilavuus>", 1)
    nested = twice.replace(b"<rakval:kerrosluku>1<", b"<rakval:kerrosluku><yht:n>1</yht:n><", 1)
    steps.drop("rakennukset2.xml", nested, directory="gis")
    steps.load(BUILDINGS)
    batch = steps.batch(BUILDINGS)
    assert (batch["state"], batch["quarantined"], batch["closed"]) == ("published", 2, 0)
    assert sorted(steps.reasons(BUILDINGS).values()) == [
        ["row.nested_elements"],
        ["row.several_values", "volume_m3.format"],
    ]
    assert steps.current(BUILDINGS) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wfs-exception.xml", r"exception report: InvalidParameterValue \(outputFormat\): Failed to find response"),
        ("wfs-2.0-capabilities.xml", "holds no Osoitteet; its root element is WFS_Capabilities"),
        ("ogc-api-collections.json", "the document is not XML"),
        ("trimble-speed-limits.gml", "holds Nopeusrajoitusalueet where the contract expects Osoitteet"),
        ("krysp-building-2.1.2.xml", "holds ValmisRakennus where the contract expects Osoitteet"),
    ],
)
def test_other_documents_are_held_with_a_reason(trial: Steps, real_data: Path, name: str, reason: str) -> None:
    trial.drop(f"{name}.gml", (real_data / "gis" / name).read_bytes())
    trial.load("trial.map_addresses")
    batch = trial.batch("trial.map_addresses")
    assert batch["state"] == "held"
    assert re.search(reason, batch["held_reason"])


def test_another_towns_map_is_read_and_lies_outside(trial: Steps, real_data: Path) -> None:
    trial.drop("turku.gml", (real_data / "gis" / "trimble-addresses.gml").read_bytes())
    trial.load("trial.map_addresses")
    batch = trial.batch("trial.map_addresses")
    assert (batch["state"], batch["quarantined"]) == ("held", 3)
    assert list(trial.reasons("trial.map_addresses").values()) == [["geometry.bounds"]] * 3
    [first, *_] = trial.quarantine("trial.map_addresses")
    assert first["row"]["Geometry"] == "SRID=3877;POINT(23466798.343 6697796.876)"
