"""A FHIR dataset's contract: what is wrong with a path or a key is said when the contract is checked."""

from pathlib import Path

import pytest

from citydata import contract, settings

GOOD = (settings.CONTRACTS / "social_health" / "patients.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("birthDate.yearOf()", "birthDate.year()", "column birth_year: “birthDate.year()”: unknown function year(); known: exists"),
        ("'urn:oid:1.2.246.21'", "urn:oid:1.2.246.21", "“:oid:1.2.246.21 and use !~ 'old').value” cannot be read"),
        ("birthDate.yearOf()", "birthDate.exists()", "column birth_year: “birthDate.exists()” gives a value of logicalType boolean"),
        ("birthDate.yearOf()", "birthDate.lowBoundary()", "gives a value of logicalType timestamp"),
        ('physicalName: "id"', 'physicalName: "identifier.value"', "one key, whose physicalName is id"),
        ('resource: "Patient"', 'resource: "patient"', "connector"),
        ('client_id: "porvoo-tietoalusta"', 'export: "Patient/1/$export"', "connector"),
        ('client_id: "porvoo-tietoalusta"', "poll_seconds: 0", "connector"),
        ('ground: "Laki 616/2021"', 'ground: ""', "`until` needs `ground`"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_an_error_of_the_contract(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "social_health" / "patients.yaml"
    path.parent.mkdir()
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(contract.ContractError, match=r"patients\.yaml:\d+: ") as error:
        contract.read(path)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["patients", "encounters"])
def test_no_name_address_or_reason_is_read(name: str) -> None:
    """What a path does not lead to never leaves the encrypted archive."""
    entry = contract.load(f"social_health.{name}")
    paths = " ".join(column.source_name for column in entry.columns)
    for word in ("name", "address", "telecom", "display", "text", "reason", "diagnosis", "photo", "contact"):
        assert word not in paths.lower()
    assert entry.platform.encryptedArchive
    assert {column.classification for column in entry.columns if column.personal_data} == {"secret"}
    assert all(column.personal_data for column in entry.columns if column.name != "last_updated")
    for column in entry.columns:
        assert (column.personal_data in ("pseudonym", "identity_code")) == column.name.endswith(
            ("_id", "identity_code", "part_of")
        )
