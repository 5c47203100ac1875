"""The alerts and the runbook that each leads to, found in the code that sends them."""

import ast
import re
from collections.abc import Iterator

from citydata import settings
from citydata.documentation.markdown import code, page, table

SENDERS = ("plugins", "dags", "include/citydata")
PAGES = settings.ROOT / "docs" / "runbooks"


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of the page."""
    errors, named = by_error(), sorted(leading())
    yield (
        "reference/alerts.md",
        page(
            "Alerts",
            "An alert carries the dataset, the batch, the reason, a link to the log and a link to its runbook. It goes to the"
            " log, and by e-mail and webhook when they are [set up](settings.md). It never holds a value of the data.",
            table(
                ("runbook", "seen as", "errors"),
                [
                    (
                        f"[{title(name)}](../runbooks/{name}.md)",
                        seen_as(name),
                        ", ".join(code(error) for error, runbook in sorted(errors.items()) if runbook == name) or "–",
                    )
                    for name in named
                ],
            ),
            "An error that is not named here leads to [a step failed](../runbooks/failed-step.md).",
        ),
    )


def by_error() -> dict[str, str]:
    """The runbook of each error that a task may fail with."""
    return {
        str(error): str(name)
        for tree in _code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["RUNBOOKS"]
        for error, name in ast.literal_eval(node.value).items()
    }


def leading() -> set[str]:
    """Every runbook that an alert or a DAG leads to."""
    called = {
        word.value
        for tree in _code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "runbook"
        for word in ast.walk(node)
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
    return called | set(by_error().values())


def _code() -> Iterator[ast.Module]:
    for place in SENDERS:
        for path in sorted((settings.ROOT / place).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "runbook(" in text or "RUNBOOKS" in text:
                yield ast.parse(text)


def title(name: str) -> str:
    """The title of a runbook; its name when nobody has written it, for which the build of the site complains."""
    return _read(name).partition("\n")[0].removeprefix("# ") or name


def seen_as(name: str) -> str:
    """How somebody meets what the runbook is about; a paragraph of Markdown."""
    found = re.search(r"\*\*Seen as\*\* (.+?)(?:\n\n|\Z)", _read(name), re.DOTALL)
    return " ".join(found[1].split()) if found else "–"


def _read(name: str) -> str:
    path = PAGES / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""
