from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators.__main__ import app

runner = CliRunner()


@pytest.mark.parametrize("command", ["files", "hr", "serve", "ledger"])
def test_every_command_explains_itself(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_files_lists_what_it_wrote(tmp_path: Path) -> None:
    arguments = ["files", str(tmp_path), "--scale", "0.02", "--day", "1"]
    written = runner.invoke(app, arguments).output.split()
    assert {Path(path).parent.name for path in written} == {"finance", "statistics"}  # boundaries change on other days
    assert set(written) == {str(path) for path in tmp_path.rglob("*.*") if path.suffix != ".done"}
    assert runner.invoke(app, arguments).output == ""


def test_a_wrong_dataset_is_a_usage_error(tmp_path: Path) -> None:
    result = runner.invoke(app, ["files", str(tmp_path), "--dataset", "invoices"])
    assert result.exit_code == 2
    assert "no such dataset: invoices" in " ".join(result.output.split())


def test_ledger_reports_its_size(tmp_path: Path) -> None:
    result = runner.invoke(app, ["ledger", str(tmp_path / "ledger.csv"), "--rows", "10"])
    assert result.output.split()[-4:] == ["10", "rows,", str((tmp_path / "ledger.csv").stat().st_size), "bytes"]
