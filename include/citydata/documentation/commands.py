"""The command line as `--help` says it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer.core import TyperGroup

from citydata.documentation.markdown import code, page, prose, table, text

WORDS = {int: "NUMBER", float: "NUMBER", list[int]: "NUMBER", Path: "PATH"}
"""What stands for the value of an option without a word of its own; else TEXT."""


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of the page."""
    sections = [_section(name, command) for name, command in each()]
    yield (
        "reference/commands.md",
        page(
            "Command line",
            "Every command explains itself with `--help`, and every one that shows something has `--json` for machines.",
            table(
                ("exit code", "meaning"),
                [
                    ("0", "done and well"),
                    ("1", "failure"),
                    ("2", "wrong usage"),
                    ("3", "done, but something is held, late or stale and waits for a person"),
                    ("130", "interrupted; the same command goes on"),
                ],
            ),
            *sections,
        ),
    )


def each() -> Iterator[tuple[str, Any]]:
    """Every command that can be typed, with the words after `./citydata`."""
    from citydata.cli import app  # noqa: PLC0415 - the command line imports the commands, of which this is a part

    yield from _below((), typer.main.get_command(app))


def _below(path: tuple[str, ...], command: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield " ".join(path), command
        return
    for name, below in command.commands.items():
        yield from _below((*path, name), below)


def _section(name: str, command: Any) -> str:
    usage = [f"./citydata {name}"]
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = (parameter.metavar or parameter.name.upper()).strip("[]")
            usage.append(shown if parameter.required else f"[{shown}]")
            rows.append((code(shown), prose(parameter.help or "")))
        else:
            value = (
                ""
                if parameter.is_flag
                else f" {parameter.metavar or WORDS.get(parameter.type_descriptor.annotation, 'TEXT')}"
            )
            if parameter.required:
                usage.append(f"{parameter.opts[0]}{value}")
            rows.append((code(", ".join(parameter.opts) + value), _help(parameter)))
    parts = [f"## ./citydata {name}", f"```text\n{' '.join(usage)}\n```"]
    parts += [prose(paragraph) for paragraph in (command.help or "").split("\n\n")]
    parts += [table(("argument or option", "meaning"), rows)] if rows else []
    return "\n\n".join(parts)


def _help(parameter: Any) -> str:
    said = [prose(parameter.help or "")]
    if parameter.required:
        said.append("Required.")
    elif isinstance(parameter.show_default, str):
        said.append(f"Default: {text(parameter.show_default)}.")
    elif parameter.default not in (None, False, "", ()):
        said.append(f"Default: {code(parameter.default)}.")
    return " ".join(said)
