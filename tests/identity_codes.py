"""Finding identity codes where none may be."""

import re

from stdnum.fi import hetu

# What a reader would recognise as an identity code, written with or without care.
CODE = re.compile(r"[0-3]\d[01]\d{3}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", re.IGNORECASE)

EVERY_TABLE = (
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
)


def codes_in(text: str) -> int:
    """How many valid identity codes a text holds; their values must not get into a test's output."""
    return sum(bool(hetu.is_valid(found[0].upper(), allow_temporary=True)) for found in CODE.finditer(text))
