"""What the pages tell people to type: each command with the page, and whether the page says that it needs a server."""

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

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SHELL = {"bash", "sh", "console", "shell"}
"""Languages of blocks whose every line is typed. A block of another language is none; one without is, if it begins as one."""
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
    *("chmod", "chown", "mkdir", "cp", "mv", "tar", "rsync", "umask", "install", "kinit", "java", "python3"),
}
BUILT_IN = {"read", "export", "unset", "set", "cd", "source"}
"""What a shell does itself: typed in blocks, but a word among words in a sentence."""
MARK = "# needs a server"
"""First line of a block that can only be tried on a server."""
PAGE_MARK = "**Needs a server.**"
"""Beginning of the paragraph of a page that can as a whole only be tried on a server."""
INLINE_MARK = " (needs a server"
"""What follows a command in a sentence that can only be tried on a server."""

_HEREDOC = re.compile(r"^([^\n]*<<'?(\w+)'?[^\n]*)\n.*?^\s*\2$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """One command of a page."""

    page: str
    line: str
    needs_server: bool
    in_block: bool = True

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
    everywhere = any(line.startswith(PAGE_MARK) for line in text.splitlines())
    blocks: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("code_block", "fence"):
            lines = list(_lines(token))
            marked = everywhere or (bool(lines) and lines[0].startswith(MARK))
            blocks += lines
            yield from (Typed(name, line, marked) for line in lines if not line.startswith("#"))
        for place, child in enumerate(children := token.children or []):
            if child.type == "code_inline" and _is_typed(child.content.split()):
                after = children[place + 1].content if place + 1 < len(children) else ""
                line = " ".join(child.content.split())
                if not any(
                    typed.startswith(line.removesuffix("…").strip()) for typed in blocks
                ):  # else it speaks of that one
                    yield Typed(name, line, everywhere or after.startswith(INLINE_MARK), in_block=False)


def _lines(block: Token) -> Iterator[str]:
    """Lines of a block that are typed, those that end with a backslash joined; none of a block that is something else."""
    text = _HEREDOC.sub(r"\1", block.content.replace("\\\n", " "))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    typed = [line for line in lines if not line.startswith("#")]
    language = block.info.split()[0] if block.info.strip() else ""
    if language in SHELL or (not language and typed and _is_command(typed[0], PROGRAMS | BUILT_IN)):
        yield from (re.sub(r"^\$ ", "", line) for line in lines)


def _is_typed(words: list[str]) -> bool:
    """Whether code in a sentence is a command to type, and not the name of one, such as `git diff`."""
    return len(words) > 1 and (words[0] == "./citydata" or (words[0] in PROGRAMS and len(words) > 2))


def _is_command(line: str, programs: set[str]) -> bool:
    word = line.removeprefix("$ ").split(" ", 1)[0]
    return word == "./citydata" or word in programs


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
    "up --input /srv/town/input.yaml": (
        "tests/end_to_end/running_platform.py",
        '*(["--input", manifest] if manifest else [])',
    ),
    "down": ("tests/unit/service/test_cli.py::test_down_with_nothing_running_is_well", '["down"]'),
    "test": (".ci/run", "./citydata test\n"),
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
KINDS = ("page", "test", "family", "run", "server", "nobody")


def kind(command: Typed) -> str:
    """How it is proven: by a test of these very words, by the test of its page, by one that types every line of its family, by
    being run as it stands, on a server, or not."""
    if command.needs_server:
        return "server"
    words = " ".join(command.arguments)
    if words in COMMANDS_WITH_TESTS or command.words[0] in BUILT_IN:
        return "test"  # a word of the shell only prepares the command after it, whose test sets the same variable
    if command.in_block and command.page in PAGES_WITH_TESTS:
        return "page"
    if only_named(command):
        return "run"
    if family_of(command):
        return "family"
    return "run" if command.arguments and command.arguments[0] not in NEVER_RUN_HERE else "nobody"


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
