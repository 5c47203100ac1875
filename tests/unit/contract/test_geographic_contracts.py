"""A geographic dataset's contract: what cannot be asked for, and what is never read."""

from pathlib import Path

import pytest

from citydata import contract, settings

BUILDINGS, ADDRESSES = (
    (settings.CONTRACTS / "gis" / f"{name}.yaml").read_text(encoding="utf-8") for name in ("buildings", "addresses")
)
PAGES = 'srs: "EPSG:3067"\n      page_size: 100'


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (BUILDINGS, 'srs: "EPSG:3067"', PAGES, "page_size needs `sort_by`, a unique field"),
        (
            BUILDINGS,
            'version: "1.1.0"',
            'version: "1.0.0"\n      page_size: 5\n      sort_by: "id"',
            "1.0.0 has no pages",
        ),
        (BUILDINGS, 'version: "1.1.0"', 'version: "3.0.0"', "'1.0.0', '1.1.0' or '2.0.0'"),
        (BUILDINGS, '"EPSG:3067"', '"KKJ3"', "String should match pattern"),
        (BUILDINGS, 'axes: "north_east"', 'axes: "yx"', "'by_srs', 'east_north' or 'north_east'"),
        (ADDRESSES, '"EPSG:3067"', '"EPSG:3880"', "ask an OGC API for EPSG:3067 or longitude and latitude"),
        (ADDRESSES, "page_size: 500", 'sort_by: "address_key"', "axes and sort_by are for a WFS"),
        (ADDRESSES, "page_size: 500", "page_size: 0", "greater than 0"),
        (
            BUILDINGS,
            'type: "ogc"\n      protocol: "wfs"\n      connection: "wfs"\n      version: "1.1.0"\n      type_name: "rakval:ValmisRakennus"',
            'type: "files"\n      directory: "gis"\n      pattern: "*.gml"\n      format: "gml"',
            "format gml needs `feature`",
        ),
    ],
)
def test_what_no_server_could_answer_is_an_error_of_the_contract(
    tmp_path: Path, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    path = tmp_path / "gis" / ("buildings.yaml" if text is BUILDINGS else "addresses.yaml")
    path.parent.mkdir()
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(contract.ContractError, match=rf"{path.name}:\d+: ") as error:
        contract.read(path)
    assert message in str(error.value)


def test_no_owner_is_read_and_the_archive_is_encrypted() -> None:
    """What a path does not lead to never leaves the encrypted archive."""
    entry = contract.load("gis.buildings")
    for column in entry.columns:
        assert not {"omistaja", "omistajatieto", "henkilo", "yritys", "turvakieltoKytkin"} & set(
            column.source_name.split("/")
        )
    assert entry.platform.encryptedArchive
    assert not entry.personal
