"""Every command in the pages is typed by a test of its page, run by a test, or visibly needs what CI has not. No fourth kind."""

import ast
import importlib.util
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from citydata.cli import app
from citydata.commands import proof
from citydata.settings import ROOT
from tests.documentation import typed
from tests.documentation.typed import MARK, Typed

log = logging.getLogger(__name__)

SERVER = MARK.format("server")
STATEMENT = re.compile(r"(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|BEGIN)\b")


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
    modules = {name for each in found for name in re.findall(r"python3? -m (\S+)", each.line)}
    assert [name for name in modules if not importlib.util.find_spec(name)] == []
    assert unreal(["governance", "shew"]) == "shew"
    assert unreal(["backfill", "finance.accounts", "--fro", "2025"]) == "--fro"
    assert unreal(["governance", "show", "--vieww", "system"]) == "--vieww"


def test_there_is_no_fourth_kind() -> None:
    kinds = {kind: [each for each in typed.everything() if typed.kind(each) == kind] for kind in typed.KINDS}
    for what in typed.NEEDS:
        for command in kinds[what]:
            log.info("needs a %s: %s: %s", what, command.page, command.line)
    advice = f"run them in a test and name it in tests/documentation/typed.py, or begin the block with `{SERVER}`"
    assert kinds["nobody"] == [], advice
    assert all(kinds[kind] for kind in ("page", "test", "family", "run")), {
        kind: len(commands) for kind, commands in kinds.items()
    }


@pytest.mark.parametrize(("page", "test"), typed.PAGES_WITH_TESTS.items())
def test_a_page_with_a_test_of_its_own_is_read_by_it(
    page: str, test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (ROOT / page).exists()
    source = _source_of(test)
    assert page.rsplit("/", 1)[-1].removesuffix(".md") in source
    if "typed.blocks(" in source:
        return
    assert '"^```bash' in source, "it asks typed.blocks for the commands, or takes all blocks of a language"
    rest = re.sub(r"^```bash\n.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(typed, "ROOT", tmp_path)
    (tmp_path / "rest.md").write_text(rest, encoding="utf-8")
    assert typed.blocks(tmp_path / "rest.md") == [], "typed by nobody"


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
    text = typed.source_of(node)
    if name := node.partition("::")[2]:
        assert name in {each.name for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)}, node
    return text


def test_every_block_of_sql_is_on_a_page_whose_statements_a_test_runs() -> None:
    runner = typed.source_of("tests/integration/drivers/test_reporting_pages.py")
    for page in typed.PAGES:
        languages = {block.info for block in typed.code(page) if block.info == "sql" or STATEMENT.match(block.content)}
        assert languages <= {"sql"}, f"{page}: a statement in a block that no test takes"
        assert not languages or f'"{page.stem}"' in runner, page


def test_a_newcomers_command_gives_pytest_the_unit_tests_that_ci_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[list[str]] = []
    monkeypatch.setattr(
        proof.subprocess, "run", lambda command, **_: run.append(command) or SimpleNamespace(returncode=0)
    )
    assert CliRunner().invoke(app, ["test", "tests/unit", "-q"]).exit_code == 0
    assert run == [[sys.executable, "-m", "pytest", "tests/unit", "-q"]]
    assert any("tests/unit" in paths for paths in proof.BESIDE)
    assert "step test ./citydata test\n" in typed.source_of(".ci/run")


def test_another_town_is_checked_as_its_page_says(tmp_path: Path) -> None:
    commands = typed.blocks(ROOT / "tests" / "towns" / "paimio" / "README.md")
    script = "\n".join(command.line for command in commands).replace(
        "CITYDATA_HOME=/tmp/", f"CITYDATA_HOME={tmp_path}/"
    )
    assert str(tmp_path) in script
    done = subprocess.run(["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models are left out" in done.stdout + done.stderr, "the checkout's own town leaves out none"


def test_blocks_and_sentences_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        f"Type `./citydata status`, then `docker compose up` (needs a server).\n\n    {SERVER}\n    ./citydata up   # soon\n\n"
        "```bash\n$ ./citydata run \\\n    hr\n```\n\n```yaml\n./citydata: no\n```\n\n    a b c\n\nAnd\n\n    A=1\n    B=2\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(typed, "ROOT", tmp_path)
    assert [(each.words, each.needs) for each in typed.read(page)] == [
        (["./citydata", "status"], ""),
        (["docker", "compose", "up"], "server"),
        (["./citydata", "up"], "server"),
        (["./citydata", "run", "hr"], ""),
    ]
    assert [each.line for each in typed.blocks(page)] == ["./citydata run      hr"]
    page.write_text(f"{typed.PAGE_MARK.format('quiet machine')} All of it.\n\n    docker ps -a\n", encoding="utf-8")
    assert [each.needs for each in typed.read(page)] == ["quiet machine"]


@pytest.mark.parametrize(
    "line",
    [
        "PYTHONPATH=include:. .venv/bin/python -m tests.benchmarks.ledger",
        '(umask 077; touch "$HOME/tasks.env")',
        "echo 'export A=b' > /etc/profile.d/a.sh",
        "aws s3 sync archive s3://town/archive",
        "A='b c' ./citydata up",
    ],
)
def test_a_command_is_seen_however_its_block_begins(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"Type\n\n    # as root\n    day=7\n    {line}\n", encoding="utf-8")
    assert [(each.line, typed.kind(each)) for each in typed.read(page)] == [("day=7", "nobody"), (line, "nobody")]
    page.write_text(f"Type\n\n    {SERVER}\n    nft list ruleset\n", encoding="utf-8")
    assert [typed.kind(each) for each in typed.read(page)] == ["server"], (
        "a marked block is typed, whatever it begins with"
    )


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        (("export CITYDATA_SIGNING_KEY=x", "./citydata governance attest kirjanpito --by x"), "test"),
        (("unset CITYDATA_SIGNING_KEY", "./citydata governance attest kirjanpito --by x"), "test"),
        (
            ("export CITYDATA_SIGNING_KEY=x", "./citydata governance attest kirjanpito --by x", "./citydata up"),
            "nobody",
        ),
        (("export CITYDATA_SIGNING_KEY=x", "./citydata governance attest kirjanpito --by x", "docker ps"), "nobody"),
        (("export CITYDATA_SIGNING_KEY=x",), "nobody"),
        (("export CITYDATA_SIGNING_KEY=x && git pull", "./citydata governance attest kirjanpito --by x"), "nobody"),
        (("export CITYDATA_BROKER_URL='redis://x'", "./citydata up"), "nobody"),
        (("cd /opt/citydata", "./citydata status"), "nobody"),
    ],
)
def test_a_variable_is_proven_by_a_test_that_sets_it(block: tuple[str, ...], kind: str) -> None:
    assert typed.kind(Typed("x.md", block[0], block=block)) == kind


def test_each_command_is_of_the_kind_that_proves_it() -> None:
    assert typed.kind(Typed("x.md", "docker compose up")) == "nobody"
    assert typed.kind(Typed("x.md", "./citydata simulate")) == "nobody"
    assert typed.kind(Typed("x.md", "./citydata simulate", "server")) == "server"
    assert typed.kind(Typed("x.md", "./citydata up --input mine.yaml")) == "test"
    assert typed.kind(Typed("x.md", "./citydata up --input other.yaml")) == "nobody", "words of a test are exact"
    assert typed.kind(Typed("x.md", "./citydata backfill show 7")) == "family"
    assert typed.kind(Typed("x.md", "./citydata new")) == "run", "its help"


def test_a_statement_in_a_sentence_says_what_it_needs() -> None:
    """Statements in blocks are run by the tests of their pages."""
    verbs = "SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE"
    for page in typed.PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(rf"`(?:{verbs}) [^`]+`", text):
            told = text[found.end() :].startswith(tuple(typed.INLINE_MARK.format(what) for what in typed.NEEDS))
            assert told, f"{page.relative_to(ROOT)}: {found[0]}"
