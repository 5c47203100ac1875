"""What the pages tell people to type: each command with the page, and what the page says that it needs."""

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from citydata.documentation import commands as reference
from citydata.settings import ROOT

PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/towns/paimio/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
SHELL = {"bash", "sh", "console", "shell"}
"""Languages of blocks whose every line is typed. One of another language is none; one without is, if its first line is a command."""
PROGRAMS = {
    *(
        "docker",
        "podman",
        "systemctl",
        "journalctl",
        "sudo",
        "apt",
        "apt-get",
        "git",
        "pip",
        "uv",
        "curl",
        "ssh",
        "scp",
    ),
    *(
        "psql",
        "pg_dump",
        "pg_restore",
        "openssl",
        "age",
        "age-keygen",
        "ogr2ogr",
        "isql",
        "odbcinst",
        "bash",
        "crontab",
    ),
    *("chmod", "chown", "mkdir", "cp", "mv", "tar", "rsync", "umask", "install", "kinit", "java"),
    *("python", "python3", "aws", "echo", "cat"),
}
PREPARING = {"read", "export", "unset"}
"""What a shell does itself to the variables of the commands beside it."""
BUILT_IN = {*PREPARING, "set", "cd", "source", "."}
"""What a shell does itself: typed in blocks, but a word among words in a sentence."""
NEEDS = ("server", "quiet machine")
"""What CI does not have: a page says of a command that it needs one. A quiet machine is needed to measure."""
MARK, PAGE_MARK, INLINE_MARK = "# needs a {}", "**Needs a {}.**", " (needs a {}"
"""First line of a block of such commands; beginning of a paragraph of a page that has no others; what follows one in a sentence."""

CODE = ("code_block", "fence")
_HEREDOC = re.compile(r"^([^\n]*<<'?(\w+)'?[^\n]*)\n.*?^\s*\2$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """One command of a page."""

    page: str
    line: str
    needs: str = ""
    """One of NEEDS, or nothing."""
    block: tuple[str, ...] = ()
    """All commands of its block, itself too; none when it stands in a sentence."""

    @property
    def words(self) -> list[str]:
        """The command and its arguments, without a comment."""
        return shlex.split(self.line, comments=True)

    @property
    def arguments(self) -> list[str]:
        """What follows `./citydata`; nothing for another program."""
        return self.words[1:] if self.words[0] == "./citydata" else []


@functools.cache
def everything() -> tuple[Typed, ...]:
    """Every command of every page, in the pages' order."""
    return tuple(command for page in PAGES for command in read(page))


def read(page: Path) -> Iterator[Typed]:
    """The commands of one page."""
    name = str(page.relative_to(ROOT))
    text = page.read_text(encoding="utf-8")
    everywhere = next(filter(None, (_needs(PAGE_MARK, line) for line in text.splitlines())), "")
    blocks: list[str] = []
    for token in _parsed(text):
        if token.type in CODE:
            lines = list(_lines(token))
            needs = everywhere or (_needs(MARK, lines[0]) if lines else "")
            block = tuple(line for line in lines if not line.startswith("#"))
            blocks += block
            yield from (Typed(name, line, needs, block) for line in block)
        for place, child in enumerate(children := token.children or []):
            if child.type == "code_inline" and _is_typed(child.content.split()):
                after = children[place + 1].content if place + 1 < len(children) else ""
                line = " ".join(child.content.split())
                if not any(
                    typed.startswith(line.removesuffix("…").strip()) for typed in blocks
                ):  # else it speaks of that one
                    yield Typed(name, line, everywhere or _needs(INLINE_MARK, after))


def blocks(page: Path) -> list[Typed]:
    """The commands of a page's blocks in their order, for the test of the page. Those that need what CI lacks are left out."""
    return [command for command in read(page) if command.block and not command.needs]


def code(page: Path) -> list[Token]:
    """Blocks of code of a page, in any language."""
    return [token for token in _parsed(page.read_text(encoding="utf-8")) if token.type in CODE]


def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def _needs(mark: str, text: str) -> str:
    return next((what for what in NEEDS if text.startswith(mark.format(what))), "")


def _lines(block: Token) -> Iterator[str]:
    """Lines of a block that are typed, those that end with a backslash joined; none of a block that is something else."""
    text = _HEREDOC.sub(r"\1", block.content.replace("\\\n", " "))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    language = block.info.split()[0] if block.info.strip() else ""
    if language in SHELL or (lines and not language and (_needs(MARK, lines[0]) or _begins_with_command(lines))):
        yield from (re.sub(r"^\$ ", "", line) for line in lines)


def _begins_with_command(lines: list[str]) -> bool:
    """Whether the first line of a block is a command, comments and variables before it aside."""
    for line in lines:
        if _is_command(line):
            return True
        if not re.match(r"#|\w+=", line):
            return False
    return False


def _is_typed(words: list[str]) -> bool:
    """Whether code in a sentence is a command to type, and not the name of one, such as `git diff`."""
    words = _without_variables(" ".join(words)).split()
    return len(words) > 1 and (_is_own(words[0]) or (words[0] in PROGRAMS and len(words) > 2))


def _is_command(line: str) -> bool:
    word = _without_variables(line.removeprefix("$ ").lstrip("(")).split(" ", 1)[0]
    return _is_own(word) or word in PROGRAMS or word in BUILT_IN


def _is_own(word: str) -> bool:
    return word == "./citydata" or word.startswith(".venv/bin/")


def _without_variables(line: str) -> str:
    """A command without the variables that are set for it alone: a line that only sets some is a line of a file of settings."""
    return re.sub(r"^(\w+=(\"[^\"]*\"|'[^']*'|\S)*(\s+|$))+", "", line)


PAGES_WITH_TESTS: dict[str, str] = {
    "docs/how-to/administer-bi-access.md": (
        "tests/integration/drivers/test_reporting_pages.py::test_the_pages_work_as_they_are_written"
    ),
    "docs/tutorials/your-first-dataset.md": (
        "tests/end_to_end/test_tutorial.py::test_the_tutorial_ends_with_a_new_dataset_in_a_mart_and_can_be_undone"
    ),
    "docs/how-to/when-a-source-changes.md": (
        "tests/integration/test_source_change.py::test_five_commands_of_the_page_bring_a_renamed_column_from_held_to_released"
    ),
    "tests/towns/paimio/README.md": "tests/documentation/test_commands.py::test_another_town_is_checked_as_its_page_says",
}
"""Pages whose blocks are typed in their order by a test that reads the page."""
FAMILIES_WITH_TESTS = {
    "backfill": "tests/integration/release/test_approval.py::test_the_commands_of_the_pages_from_the_preview_to_the_decision",
    "contract": (
        "tests/integration/test_source_change.py::test_five_commands_of_the_page_bring_a_renamed_column_from_held_to_released"
    ),
    "export geopackage": (
        "tests/integration/transform/test_buildings.py::test_the_command_line_writes_them_where_it_is_told"
    ),
    "governance attest": "tests/integration/governance/test_commands.py::test_the_officer_signs",
    "new": "tests/integration/drafting/test_drafts_load.py::test_the_commands_of_the_page_draft_each_kind_of_source",
}
"""Commands of which a test asks `family` for every line that any page has, and types each."""
COMMANDS_WITH_TESTS = {
    "up": ("tests/end_to_end/running_platform.py", '["./citydata", "up"'),
    "up --input mine.yaml": ("tests/end_to_end/running_platform.py", '*(["--input", manifest] if manifest else [])'),
    "down": ("tests/unit/service/test_cli.py::test_down_with_nothing_running_is_well", '["down"]'),
    "test": (".ci/run", "./citydata test\n"),
    "test tests/unit -q": (
        "tests/documentation/test_commands.py::test_a_newcomers_command_gives_pytest_the_unit_tests_that_ci_runs",
        '["test", "tests/unit", "-q"]',
    ),
    "docs": ("tests/documentation/conftest.py::address", '["./citydata", "docs"]'),
    "docs --build DIR": ("tests/documentation/conftest.py::built", '["docs", "--build"'),
    "governance snapshot": (
        "tests/integration/governance/test_commands.py::test_from_no_snapshot_to_the_first_ones",
        'run("snapshot")',
    ),
    "run warehouse": (
        "tests/integration/test_source_change.py::test_five_commands_of_the_page_bring_a_renamed_column_from_held_to_released",
        "type_line(line, batch)",
    ),
}
"""Commands, word for word, that tests of their own run, because they start something or take long: the test, and its call."""
NEVER_RUN_HERE = ("up", "down", "reset", "simulate", "new", "test", "docs", "server", "backfill")
"""Commands that start, stop, delete, write into the checkout or take long: a test of their own runs them, or nobody does."""
RUN_BY = (
    "tests/integration/documentation/test_typed.py::test_every_command_that_needs_no_server_does_what_its_page_says"
)
"""What runs all others as they stand."""
KINDS = ("page", "test", "family", "run", *NEEDS, "nobody")


def kind(command: Typed) -> str:
    """How it is proven: by a test of these very words, by the test of its page, by one that types every line of its family, by
    being run as it stands, where there is what it needs, or not."""
    if command.needs:
        return command.needs
    if " ".join(command.arguments) in COMMANDS_WITH_TESTS:
        return "test"
    if command.block and command.page in PAGES_WITH_TESTS:
        return "page"
    if _is_set_by_tests(command):
        return "test"
    if only_named(command):
        return "run"
    if family_of(command):
        return "family"
    return "run" if command.arguments and command.arguments[0] not in NEVER_RUN_HERE else "nobody"


def _is_set_by_tests(command: Typed) -> bool:
    """Whether a line only prepares the commands of its block, and the tests of all of them name every variable of it."""
    names = _prepared(command.line)
    if not names:
        return False
    others = [Typed(command.page, line, block=command.block) for line in command.block if not _prepared(line)]
    tests = [_test_of(other) for other in others]
    return bool(tests) and all(test and names <= _words_of(test) for test in tests)


def _prepared(line: str) -> set[str]:
    """Variables that a line sets, reads or forgets; none when it does anything else."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    names: set[str] = set()
    for part in " ".join(lexer).replace(" && ", " ; ").split(" ; "):
        word, *rest = part.split()
        if word not in PREPARING or not all(re.fullmatch(r"-\w+|[A-Za-z_]\w*(=.*)?", each) for each in rest):
            return set()
        names |= {each.partition("=")[0] for each in rest if not each.startswith("-")}
    return names


def _test_of(command: Typed) -> str | None:
    """The test, or the script, that proves a command."""
    match kind(command):
        case "test":
            return COMMANDS_WITH_TESTS[" ".join(command.arguments)][0]
        case "family":
            return FAMILIES_WITH_TESTS[family_of(command) or ""]
        case "run":
            return RUN_BY
    return None


def source_of(node: str) -> str:
    """Text of the file of a test, or of the script that CI runs."""
    return (ROOT / node.partition("::")[0]).read_text(encoding="utf-8")


def _words_of(node: str) -> set[str]:
    """All words in a test; in the whole file, where it names no test."""
    text, name = source_of(node), node.partition("::")[2]
    if name:
        found = next(
            each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef) and each.name == name
        )
        text = ast.get_source_segment(text, found) or ""
    return set(re.findall(r"\w+", text))


@functools.cache
def _commands() -> dict[str, Any]:
    return dict(reference.each())


def name_of(arguments: list[str]) -> str:
    """The words of a command that name it."""
    names = [name for name in _commands() if arguments[: len(name.split())] == name.split()]
    return max(names, key=len, default="")


def only_named(command: Typed) -> bool:
    """Whether a page only speaks of a command by its name: without arguments that it needs. Its help can be asked for."""
    name = name_of(command.arguments)
    required = bool(name) and any(parameter.required for parameter in _commands()[name].params)
    return required and command.arguments == name.split()


def family_of(command: Typed) -> str | None:
    """The family of a command of the platform."""
    words = " ".join(command.arguments)
    return next((name for name in FAMILIES_WITH_TESTS if words == name or words.startswith(f"{name} ")), None)


def family(name: str) -> list[list[str]]:
    """The arguments of every command of a family, each once, in the order of the pages; for the test of the family.

    Those that a test of their page types are left out.
    """
    found = [command for command in everything() if kind(command) == "family" and family_of(command) == name]
    assert found, name
    return [list(words) for words in dict.fromkeys(tuple(command.arguments) for command in found)]
