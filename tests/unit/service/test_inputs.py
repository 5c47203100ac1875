"""The manifest of real files: what it may say, and what lies in the drop directory afterwards."""

from pathlib import Path

import pytest

from citydata.service import inputs
from citydata.service.inputs import InputError


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    file = tmp_path / "chart 2026.csv"
    file.write_text("Tili;Tilin nimi\n4000;Ostot\n", encoding="utf-8")
    return file


def _manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_variables_and_their_defaults_are_replaced(
    tmp_path: Path, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = _manifest(tmp_path, f"inputs: {{finance.accounts: {{file: '${{REAL:-{tmp_path}}}/chart 2026.csv'}}}}")
    monkeypatch.delenv("REAL", raising=False)
    assert inputs.read(manifest) == {"finance.accounts": accounts}
    monkeypatch.setenv("REAL", "/nowhere")
    with pytest.raises(InputError, match=r"finance\.accounts: there is no file /nowhere"):
        inputs.read(manifest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs: {finance.acounts: {file: x}}", "finance.acounts is not a dataset.*finance.accounts"),
        ("inputs: {hr.people: {file: x}}", "hr.people comes from neither files nor a synthetic service"),
        ("inputs: {finance.accounts: {file: '${UNSET_AND_NO_DEFAULT}/x'}}", "UNSET_AND_NO_DEFAULT.*not set"),
        ("inputs: {finance.accounts: {path: x}}", r"inputs\.finance\.accounts\.\w+.*allowed is"),
        ("inputs: {finance.accounts: {file: x, encoding: latin1}}", r"inputs\.finance\.accounts\.encoding.*allowed is"),
        ("datasets: {}", "allowed is"),
        ("inputs: [", "not YAML"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inputs.read(_manifest(tmp_path, text))


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: there is no such file"):
        inputs.read(tmp_path / "absent.yaml")


def test_a_file_is_dropped_complete_under_a_name_that_the_contract_takes(tmp_path: Path, accounts: Path) -> None:
    drop = tmp_path / "drop"
    assert inputs.drop("finance.accounts", accounts, drop)
    names = sorted(path.name for path in (drop / "finance").iterdir())
    assert names == ["tilit-chart 2026.csv", "tilit-chart 2026.csv.done"]
    assert (drop / "finance" / names[0]).read_bytes() == accounts.read_bytes()


def test_the_same_file_is_dropped_once_and_a_changed_one_again(tmp_path: Path, accounts: Path) -> None:
    drop = tmp_path / "drop"
    inputs.drop("finance.accounts", accounts, drop)
    assert not inputs.drop("finance.accounts", accounts, drop)
    accounts.write_text("Tili;Tilin nimi\n4001;Muut\n", encoding="utf-8")
    assert inputs.drop("finance.accounts", accounts, drop)
    assert "4001" in (drop / "finance" / "tilit-chart 2026.csv").read_text(encoding="utf-8")
