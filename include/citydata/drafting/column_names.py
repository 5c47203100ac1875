"""Names of columns from the titles of a source."""

import re
import unicodedata
from collections.abc import Iterable

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

MOST = 40


def column_names(titles: Iterable[str]) -> list[str]:
    """A name for each title, in their order: lower-case letters, digits and _, no word of SQL, each once."""
    names: list[str] = []
    for title in titles:
        name = _name(title)
        number = 2
        while name in names:
            name = f"{_name(title)[: MOST - 3]}_{number}"
            number += 1
        names.append(name)
    return names


def _name(title: str) -> str:
    words = re.sub(r"(?<=[a-zåäö\d])(?=[A-ZÅÄÖ])", "_", title)
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:MOST].strip("_")
    if not name or not name[0].isalpha():
        name = f"column_{name}".strip("_")[:MOST]
    return f"{name}_value" if name in RESERVED_WORDS else name
