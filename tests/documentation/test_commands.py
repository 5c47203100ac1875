"""Every command in the pages is typed by a test of its page, run by a test, or visibly needs a server. There is no fourth kind."""

import ast
import logging
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from citydata.cli import app
from citydata.settings import ROOT
from tests.documentation import typed
from tests.documentation.typed import MARK, PROGRAMS, Typed

log = logging.getLogger(__name__)


def unreal(arguments: list[str]) -> str | None:
    """What of a command line does not exist; None when all of it does."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            name = getattr(command, "default", name)
        if name not in command.commands:
            return name
        command = command.commands[name]
    if command.ignore_unknown_options:
        return None
    known = {"--help", *(option for each in command.params for option in (*each.opts, *each.secondary_opts))}
    return next((word for word in rest if word.startswith("--") and word not in known), None)


def test_every_command_is_real() -> None:
    found = typed.everything()
    assert len(found) > 60
    assert [each for each in found if each.words[0] == "./citydata" and unreal(each.arguments)] == []
    assert unreal(["governance", "shew"]) == "shew"
    assert unreal(["backfill", "finance.accounts", "--fro", "2025"]) == "--fro"
    assert unreal(["governance", "show", "--vieww", "system"]) == "--vieww"


def test_there_is_no_fourth_kind() -> None:
    kinds = {kind: [each for each in typed.everything() if typed.kind(each) == kind] for kind in typed.KINDS}
    for command in kinds["server"]:
        log.info("needs a server: %s: %s", command.page, command.line)
    advice = f"run them in a test and name it in tests/documentation/typed.py, or begin the block with `{MARK}`"
    assert kinds["nobody"] == [], advice
    assert all(kinds[kind] for kind in ("page", "test", "family", "run")), {
        kind: len(commands) for kind, commands in kinds.items()
    }


@pytest.mark.parametrize(("page", "test"), typed.PAGES_WITH_TESTS.items())
def test_a_page_with_a_test_of_its_own_is_read_by_it(page: str, test: str) -> None:
    assert (ROOT / page).exists()
    assert page.rsplit("/", 1)[-1].removesuffix(".md") in _source_of(test)


@pytest.mark.parametrize(("name", "test"), typed.FAMILIES_WITH_TESTS.items())
def test_a_family_is_asked_for_by_its_test(name: str, test: str) -> None:
    assert f'typed.family("{name}")' in _source_of(test)
    assert typed.family(name)


@pytest.mark.parametrize(("command", "test"), typed.COMMANDS_WITH_TESTS.items())
def test_a_command_with_a_test_of_its_own_is_run_by_it(command: str, test: tuple[str, str]) -> None:
    node, called = test
    assert unreal(command.split()) is None
    assert called in _source_of(node)


def _source_of(node: str) -> str:
    """Text of the file of a test, or of the script that CI runs. The test must be there."""
    path, _, name = node.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    if name:
        assert name in {each.name for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)}, node
    return text


def test_blocks_and_sentences_are_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        f"Type `./citydata status`, then `docker compose up` (needs a server).\n\n    {MARK}\n    ./citydata up   # soon\n\n"
        "```bash\n$ ./citydata run \\\n    hr\n```\n\n```yaml\n./citydata: no\n```\n\n    a b c\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(typed, "ROOT", tmp_path)
    assert [(each.words, each.needs_server) for each in typed.read(page)] == [
        (["./citydata", "status"], False),
        (["docker", "compose", "up"], True),
        (["./citydata", "up"], True),
        (["./citydata", "run", "hr"], False),
    ]
    assert "docker" in PROGRAMS
    page.write_text(f"{typed.PAGE_MARK} All of it.\n\n    docker ps -a\n", encoding="utf-8")
    assert [each.needs_server for each in typed.read(page)] == [True]
    assert typed.kind(Typed("x.md", "docker compose up", False)) == "nobody"
    assert typed.kind(Typed("x.md", "./citydata simulate", False)) == "nobody"
    assert typed.kind(Typed("x.md", "./citydata simulate", True)) == "server"
    assert typed.kind(Typed("x.md", "./citydata up --input mine.yaml", False)) == "test"
    assert typed.kind(Typed("x.md", "./citydata up --input other.yaml", False)) == "nobody", "words of a test are exact"
    assert typed.kind(Typed("x.md", "./citydata backfill show 7", False)) == "family"
    assert typed.kind(Typed("x.md", "./citydata new", False)) == "run", "its help"
