"""Every command in the pages exists; what it does is tried on an installation."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperGroup

from citydata.cli import app
from citydata.settings import ROOT


def commands_in(text: str) -> Iterator[list[str]]:
    """The arguments of each `./citydata …` in backticks, or at the beginning of an indented line."""
    for found in re.finditer(r"`\./citydata([^`\n]*)`|^    \./citydata([^\n]*)$", text, re.MULTILINE):
        yield shlex.split(found[1] or found[2] or "", comments=True)


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
    known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
    return next((word for word in rest if word.startswith("--") and word not in known), None)


def test_every_command_in_the_documents_is_real() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {page: list(commands_in(page.read_text(encoding="utf-8"))) for page in pages}
    assert len(found) > 10
    assert sum(map(len, found.values())) > 50
    wrong = {page.name: [each for each in commands if unreal(each)] for page, commands in found.items()}
    assert not any(wrong.values()), wrong
    assert unreal(["governance", "shew"]) == "shew"
    assert unreal(["backfill", "finance.accounts", "--fro", "2025"]) == "--fro"
    assert unreal(["governance", "show", "--vieww", "system"]) == "--vieww"
