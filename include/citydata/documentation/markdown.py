"""Pieces of Markdown that generated pages are made of."""

import re
from collections.abc import Iterable, Sequence

LANGUAGES = {"suomi": "fi", "svenska": "sv"}
"""Titles of columns whose words are not English, and their language: a screen reader must pronounce them."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~])")
_CELL = re.compile(r"(?<!\\)\|")


def text(words: object) -> str:
    """Words as they are: nothing in them is a sign of Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(words).split()))


def code(words: object) -> str:
    """Words as code, also in a cell of a table; nothing for nothing."""
    shown = str(words).replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}" if shown else ""


def prose(words: str) -> str:
    """Words of a docstring: what stands between backticks is code, the rest is text."""
    pieces = " ".join(words.split()).split("`")
    return "".join(code(piece) if place % 2 else _SPECIAL.sub(r"\\\1", piece) for place, piece in enumerate(pieces))


def spoken(language: str, words: str) -> str:
    """Words in another language than the page's."""
    return f'<span lang="{language}">{text(words)}</span>'


def in_three_languages(en: str, fi: str, sv: str) -> str:
    """The same in English, Finnish and Swedish, a line each; for a cell."""
    said = (text(en), spoken("fi", fi) if fi else "", spoken("sv", sv) if sv else "")
    return "<br>".join(filter(None, said)) or "–"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown. A sentence in place of one without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return "None."
    return "\n".join([f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}", *lines])


def page(title: str, *parts: str) -> str:
    """A page of a title and parts, which are paragraphs, tables or sections."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def with_languages(page: str) -> str:
    """The page, in whose tables the cells under `suomi` and `svenska` say which language they are in."""
    lines: list[str] = []
    columns: dict[int, str] = {}
    for line in page.splitlines():
        if not line.startswith("|"):
            columns = {}
            lines.append(line)
            continue
        cells = _CELL.split(line)
        if not columns:
            columns = {place: LANGUAGES[cell.strip()] for place, cell in enumerate(cells) if cell.strip() in LANGUAGES}
        elif not re.fullmatch(r"[|: -]+", line):
            for place, language in columns.items():
                if place < len(cells) and cells[place].strip() not in ("", "–"):
                    cells[place] = f' <span lang="{language}">{cells[place].strip()}</span> '
        lines.append("|".join(cells))
    return "\n".join(lines) + "\n"
