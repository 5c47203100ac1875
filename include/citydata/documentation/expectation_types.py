"""The town's own expectation types, read from their source: importing Great Expectations takes seconds."""

import ast
import re
from collections.abc import Iterator

from citydata import settings
from citydata.documentation.markdown import code, page, prose, table

OWN = settings.ROOT / "expectations"


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of the page."""
    used = "\n".join(path.read_text(encoding="utf-8") for path in sorted(settings.EXPECTATIONS.glob("*/*.json")))
    parts = []
    for path in sorted(OWN.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Expect"):
                name = re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower()
                count = used.count(f'"{name}"')
                parts += [
                    f"## {name}",
                    "\n\n".join(map(prose, (ast.get_docstring(node) or "").split("\n\n"))),
                    table(("argument", "type", "default"), _arguments(node)) if _arguments(node) else "",
                    f"Used by {count} {'check' if count == 1 else 'checks'} ([{path.name}](/expectations/{path.name})).",
                ]
    yield (
        "reference/expectations.md",
        page(
            "Expectation types",
            "What a suite in `expectations/` may expect beside the types of"
            " [Great Expectations](https://greatexpectations.io/expectations/). The types about columns take `column`, and"
            " `mostly` from 0.5 to 1: the share of rows that must keep the rule.",
            *parts,
        ),
    )


def _arguments(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    found = []
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            default = ast.unparse(line.value) if line.value else "required"
            inside = re.search(r"default=([^,)]+)", default)
            default = inside[1] if inside else "required" if default.startswith("pydantic.Field") else default
            found.append((code(line.target.id), code(ast.unparse(line.annotation)), code(default)))
    return found
