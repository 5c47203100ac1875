"""The commands of the pages, as they are written there, on an installation with data, held batches, refused rows and a figure."""

import re
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from citydata import database, transform
from citydata.cli import app
from citydata.documentation import commands as reference
from citydata.documentation import models, tables
from tests.documentation import typed
from tests.integration.governance.test_commands import case_of, seal
from tests.integration.steps import Steps
from tests.integration.transform.raw_rows import ACCOUNTS
from tests.unit.governance import cases

DATASET = "finance.accounts"
CODES = {"status": 1, "batch show": 3, "quarantine list": 3, "quarantine retry": 3}
"""Exit codes that stand in the reference for what is the case here: Airflow does not run, a batch is held, rows wait."""


class Town:
    """An installation in which something is held, refused and measured; it knows what the capitals of the pages stand for."""

    def __init__(self, home: Path) -> None:
        self.steps, self._drops = Steps(home), 0
        with database.connect("measurer", autocommit=True) as connection:
            for case, day in ((case_of(attestations={}), cases.TODAY - timedelta(days=4)), (case_of(), cases.TODAY)):
                self._head = seal(connection, case, day).sha256
        self.publish()

    def _load(self, accounts: list[tuple[str, str]]) -> None:
        self._drops += 1
        lines = "".join(f"{account};{name}\n" for account, name in accounts)
        self.steps.drop(f"tilit-{self._drops}.csv", f"Tili;Tilin nimi\n{lines}", directory="finance")
        self.steps.load(DATASET)

    def publish(self) -> int:
        """A batch that lacks nothing; one row in hundred and more is none."""
        accounts = [(f"{4700 + number}", f"Tili {number} {self._drops}") for number in range(150)]
        self._load([*ACCOUNTS, *accounts, ("tilinumero", "Ei tili")])
        assert self.steps.batch(DATASET)["state"] == "published"
        return int(self.steps.batch(DATASET)["batch_id"])

    def hold(self) -> int:
        """A batch that lacks most accounts, with a row that is none."""
        self._load([*ACCOUNTS, (f"{5000 + self._drops}", "Muut kulut"), ("tilinumero", "Ei tili")])
        assert self.steps.batch(DATASET)["state"] == "held"
        return int(self.steps.batch(DATASET)["batch_id"])

    def filled(self, words: list[str]) -> list[str]:
        """The arguments with what this town has in place of the capitals."""
        stands_for = {
            "SYSTEM.DATASET": DATASET,
            "SYSTEM": DATASET.partition(".")[0],
            "DATASET": cases.LOADED,
            "HASH": self._head,
        }
        batches = (
            {word for word in words if word in ("BATCH", "ID") or word.isdigit()} if words[0] == "batch" else set()
        )
        if batches:
            batch = self.publish() if words[1] == "replay" else self.hold()
            stands_for |= dict.fromkeys(batches, str(batch))
        return [stands_for.get(word, word) for word in words]


def documented(name: str) -> set[int]:
    """Exit codes of a command by its help; 0 and 1 when it names none."""
    said = re.search(r"Exit codes: (.*)", dict(reference.each())[name].help or "", re.DOTALL)
    return {int(code) for code in re.findall(r"\b(\d+) ", said[1])} if said else {0, 1}


def test_every_command_that_needs_no_server_does_what_its_page_says(
    platform: Path,
) -> None:
    town = Town(platform)
    wrong, seen = [], set()
    for command in typed.everything():
        if typed.kind(command) != "run" or tuple(command.arguments) in seen:
            continue
        seen.add(tuple(command.arguments))
        name = typed.name_of(command.arguments)
        arguments = [*command.arguments, "--help"] if typed.only_named(command) else town.filled(command.arguments)
        done = CliRunner().invoke(app, arguments, input="y\n")
        expected = 0 if "--help" in arguments else CODES.get(name, 0)
        if name and expected not in documented(name):
            wrong.append(f"{name}: exit code {expected} is not in its help")
        if done.exit_code != expected or not (done.exception is None or isinstance(done.exception, SystemExit)):
            wrong.append(f"{command.page}: {command.line}: exit code {done.exit_code}: {done.output[-400:]}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 20


def test_the_reference_says_of_every_table_what_is_so_in_the_warehouse(warehouse: Path) -> None:
    document = transform.manifest(transform.code_hash())
    with database.connect_admin(autocommit=True) as connection:
        for model in models.released():
            node = f"model.citydata.{model.name}"
            assert models.datasets(model) == sorted(transform.datasets(document, transform.ancestors(document, node)))
            assert connection.execute(tables.example(model).encode()).fetchone(), model.name
            columns = (
                connection.execute(f"SELECT * FROM {model.schema}.{model.table} LIMIT 0".encode()).description or ()
            )
            assert {column.name for column in columns} == {column["name"] for column in model.columns}, model.name
