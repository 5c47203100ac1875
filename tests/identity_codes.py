"""Finding identity codes where none may be."""

import re
from collections.abc import Set

from stdnum.fi import hetu

# What a reader would recognise as an identity code, written with or without care; every place it may begin at.
CODE = re.compile(r"(?=([0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]))", re.IGNORECASE)

EVERY_TABLE = (
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
)


def codes_in(text: str, known: Set[str] = frozenset()) -> int:
    """How many identity codes a text holds; their values must not get into a test's output.

    The `known` ones are found wherever they stand; of others those count that are valid and stand apart, because long
    hexadecimal numbers, such as pseudonyms and checksums, hold valid codes by chance.
    """
    count = 0
    for found in CODE.finditer(text):
        code = found[1].upper()
        apart = not (
            text[max(found.start() - 1, 0) : found.start()].isalnum() or text[found.end(1) : found.end(1) + 1].isalnum()
        )
        count += code in known or (apart and bool(hetu.is_valid(code, allow_temporary=True)))
    return count
