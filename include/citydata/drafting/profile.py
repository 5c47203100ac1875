"""What the texts of a column look like: type, format, length, empty values. What the texts leave open is said, not guessed.

A profile holds formats and counts, never a value; the words for true, false and nothing are the only texts it keeps, and only
those of a fixed list.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from citydata import formats, town
from citydata.contract import INTEGER_TYPES, Column, ColumnSettings

NOTHING = frozenset(
    (
        *("", "-", "–", "--", ".", "..", "...", "?", "NULL", "null", "None", "NaN", "nan", "N/A", "n/a", "NA", "#N/A"),
        *("ei tietoa", "ei tiedossa", "puuttuu", "saknas", "okänd", "unknown"),
    )
)
"""Texts that stand for no value where the other texts of the column have a type."""
TRUTH = (
    ("true", "false"),
    ("t", "f"),
    ("kyllä", "ei"),
    ("k", "e"),
    ("ja", "nej"),
    ("j", "n"),
    ("yes", "no"),
    ("y", "n"),
    ("on", "ei"),
)
SPACES = (" ", "\u00a0", "\u202f")
LENGTHS = (10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
EARLIEST, LATEST = 1000, 2999
_CODE = re.compile(
    r"tunnus|tunniste|koodi|numero\b|nro\b|\bnr\b|kod\b|kode\b|code|number\b|\bid\b|_id\b|indeksi|luokka|puhelin|telefon|phone",
    re.IGNORECASE,
)
_DATE_TITLE = re.compile(r"pvm|päivä|paiva|datum|date|dag\b|alku|loppu|start|end\b", re.IGNORECASE)


@dataclass(frozen=True)
class Profile:
    """How a column is written. `undecided` has, for a key of the contract, what the sample does not tell."""

    type: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    empty: int = 0
    distinct: int = 0
    longest: int = 0
    notes: tuple[str, ...] = ()
    undecided: dict[str, str] = field(default_factory=dict)
    negative: bool = False

    @property
    def complete(self) -> bool:
        """Whether no row of the sample lacks a value."""
        return bool(self.rows) and not self.empty


def profile(texts: pa.Array, title: str) -> Profile:
    """Profile the texts of a column. What it proposes reads every text of the sample, where nothing is undecided."""
    distinct = pc.drop_null(pc.unique(texts)).to_pylist()
    values = [text for text in distinct if text not in NOTHING]
    missing = sorted(text for text in distinct if text in NOTHING)
    found = _typed(values, title) if values else None
    if found is None or (missing and not _reads(found, values)):
        found, values = _text(distinct, title), distinct
        missing = [""] if "" in distinct else []
    elif not _reads(found, values):
        found = _text(distinct, title)
    if missing:
        found = replace(found, settings={**found.settings, "nulls": missing})
    empty = (
        texts.null_count + pc.sum(pc.is_in(texts, pa.array(missing, pa.string()))).as_py()
        if missing
        else texts.null_count
    )
    kept = [text for text in distinct if text not in missing]
    if not kept:
        found = replace(found, notes=(*found.notes, "no row of the sample has a value: ask the source what it holds"))
    return replace(
        found, rows=len(texts), empty=empty, distinct=len(kept), longest=max((len(text) for text in kept), default=0)
    )


def _typed(values: Sequence[str], title: str) -> Profile | None:
    for look in (_boolean, _timestamp, _date, _integer, _number):
        if (found := look(values, title)) is not None:
            return found
    return None


def _reads(found: Profile, values: Sequence[str]) -> bool:
    """Whether the platform's own caster reads all texts as proposed."""
    if found.undecided or found.type == "string":
        return True
    cast = formats.caster(cast_column(found), town.load().time_zone)
    return not cast(pa.array(values, pa.string())).broken


def cast_column(found: Profile) -> Column:
    """A column that is written as the profile says, for the platform's caster."""
    own = ColumnSettings(description_sv="", description_en="", **found.settings)
    kinds = {
        "date": "date",
        "timestamp": "timestamptz",
        "boolean": "boolean",
        "number": f"numeric({own.precision},{own.scale})",
    }
    kind = kinds.get(found.type) or INTEGER_TYPES[found.options.get("format", "i32")]
    return Column(
        name="x", source_name="x", type=found.type, pg_type=kind, required=False, key=False, classification="internal",
        personal_data=None, volatile=False, description_fi="", description_sv="", description_en="",
        options=found.options, settings=own,
    )  # fmt: skip


# -- truth -----------------------------------------------------------------------------------------------------------


def _boolean(values: Sequence[str], title: str) -> Profile | None:
    words = {text.casefold() for text in values}
    if not any(words <= set(pair) for pair in TRUTH) or len(values) > 2 * len(words):
        return None
    pair = next(pair for pair in TRUTH if words <= set(pair))
    spelt = next(iter(values))
    like: Callable[[str], str] = str.upper if spelt.isupper() else str.title if spelt.istitle() else str.lower
    true = sorted({text for text in values if text.casefold() == pair[0]} | {like(pair[0])})
    false = sorted({text for text in values if text.casefold() == pair[1]} | {like(pair[1])})
    return Profile("boolean", settings={"true": true, "false": false})


# -- dates and moments -----------------------------------------------------------------------------------------------

_DAY = {
    "iso": re.compile(r"(?P<a>\d{4})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<c>\d{1,2})"),
    "year_last": re.compile(r"(?P<a>\d{1,2})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<c>\d{4})"),
    "compact": re.compile(r"(?P<a>\d{4})(?P<b>\d{2})(?P<c>\d{2})"),
}


@dataclass(frozen=True)
class _Days:
    """How days are written; `other` is a second pattern that fits all texts as well."""

    pattern: str
    other: str | None = None


def _days(texts: Collection[str]) -> _Days | None:
    for kind, expression in _DAY.items():
        found = [expression.fullmatch(text) for text in texts]
        matches = [match for match in found if match]
        if len(matches) < len(found):
            continue
        signs = {match["s"] for match in matches} if kind != "compact" else {""}
        if len(signs) != 1:
            return None
        [sign] = signs
        parts = [part for match in matches for part in (match["a"], match["b"], match["c"]) if len(part) < 4]
        # Without a zero before a digit both fit, and d.M also reads what dd.MM would.
        padded = all(len(part) == 2 for part in parts) and any(part[0] == "0" for part in parts)
        day, month = ("dd", "MM") if padded or kind == "compact" else ("d", "M")
        if kind != "year_last":
            right = all(_exists(int(m["a"]), int(m["b"]), int(m["c"])) for m in matches)
            return _Days(sign.join(("yyyy", month, day))) if right else None
        orders = {
            sign.join((day, month, "yyyy")): all(_exists(int(m["c"]), int(m["b"]), int(m["a"])) for m in matches),
            sign.join((month, day, "yyyy")): all(_exists(int(m["c"]), int(m["a"]), int(m["b"])) for m in matches),
        }
        right_ones = [pattern for pattern, right in orders.items() if right]
        return _Days(right_ones[0], *right_ones[1:]) if right_ones else None
    return None


def _exists(year: int, month: int, day: int) -> bool:
    try:
        return EARLIEST <= date(year, month, day).year <= LATEST
    except ValueError:
        return False


def _undecided(days: _Days, clock: str = "") -> dict[str, str]:
    if days.other is None:
        return {}
    return {
        "format": f"{days.pattern}{clock} or {days.other}{clock}: no value of the sample tells which; ask whoever keeps the source"
    }


def _date(values: Sequence[str], title: str) -> Profile | None:
    days = _days(values)
    if days is None or (days.pattern == "yyyyMMdd" and not _DATE_TITLE.search(title)):
        return None
    undecided = _undecided(days)
    return Profile("date", options={"format": None if undecided else days.pattern}, undecided=undecided)


_CLOCK = re.compile(
    r"(?P<day>[\d./-]{8,10})(?P<between>[T ])(?P<hm>\d{2}:\d{2})(?P<s>:\d{2})?(?P<f>\.\d{1,9})?(?P<zone>Z|[+-]\d{2}:\d{2})?"
)


def _timestamp(values: Sequence[str], title: str) -> Profile | None:
    matches = [match for text in values if (match := _CLOCK.fullmatch(text))]
    if len(matches) < len(values):
        return None
    days = _days({match["day"] for match in matches})
    shapes = {(m["between"], bool(m["s"]), len(m["f"] or ""), bool(m["zone"])) for m in matches}
    if days is None or len(shapes) != 1:
        return None
    [(between, seconds, fraction, zone)] = shapes
    if fraction not in (0, 4, 7):
        return None
    clock = ("'T'" if between == "T" else " ") + "HH:mm" + (":ss" if seconds else "")
    clock += {0: "", 4: ".SSS", 7: ".SSSSSS"}[fraction] + ("XXX" if zone else "")
    undecided = _undecided(days, clock)
    options: dict[str, Any] = {"format": None if undecided else days.pattern + clock}
    if zone:
        options["timezone"] = True
        return Profile("timestamp", options, undecided=undecided)
    note = f"written without a zone: read as {town.load().time_zone}; of the hour that autumn doubles the rows are refused (doubledHour)"
    return Profile("timestamp", options, undecided=undecided, notes=(note,))


# -- numbers ---------------------------------------------------------------------------------------------------------

_DIGITS = re.compile(r"-?\d{1,18}")
_ZEROS = re.compile(r"-?\d{1,15}(?P<sign>[.,])0{1,2}")


def _integer(values: Sequence[str], title: str) -> Profile | None:
    if _leading_zero(values) or _names_something(values, title):
        return None
    plain = [text for text in values if _DIGITS.fullmatch(text)]
    with_zeros = [match for text in values if (match := _ZEROS.fullmatch(text))]
    signs = {match["sign"] for match in with_zeros}
    if len(plain) + len(with_zeros) < len(values) or len(signs) > 1:
        return None
    numbers = [int(re.split("[.,]", text)[0]) for text in values]
    options = {"format": "i32" if max(map(abs, numbers)) < 1 << 31 else "i64"}
    negative = min(numbers) < 0
    notes: tuple[str, ...] = ()
    if set(values) <= {"0", "1"}:
        notes = ('only 0 and 1: perhaps no and yes; then logicalType boolean with true: ["1"] and false: ["0"]',)
    if (days := _days(values)) and days.pattern == "yyyyMMdd":
        notes = ("every value would also be a day written as yyyyMMdd; then logicalType date with that format",)
    if signs:
        return Profile(
            "integer", options, {"number": {"decimal": signs.pop(), "zeros": True}}, negative=negative,
            notes=("written with a fraction of zeros; if it can be another, logicalType number",),
        )  # fmt: skip
    return Profile("integer", options, notes=notes, negative=negative)


def _names_something(values: Sequence[str], title: str) -> bool:
    """Whether these are digits under the title of a code, which nobody adds up."""
    return bool(_CODE.search(title)) and all(text.isdigit() for text in values)


def _leading_zero(values: Sequence[str]) -> bool:
    return any(re.match(r"-?0\d", text) for text in values)


def _number(values: Sequence[str], title: str) -> Profile | None:
    if _leading_zero(values) or _names_something(values, title):
        return None
    if not all(re.fullmatch(r"-?\d[\d.,' \u00a0\u202f]*", text) for text in values):
        return None
    thousands = sorted({sign for text in values for sign in (*SPACES, "'") if sign in text})
    points = sorted({sign for text in values for sign in ".," if sign in text})
    readings = [(sign, [*thousands, *(other for other in points if other != sign)]) for sign in points] or [
        (".", thousands)
    ]
    if len(points) == 1 and not thousands:
        other = "," if points == ["."] else "."
        readings.append((other, points))
    right = [(sign, groups) for sign, groups in readings if _grammatical(values, sign, groups)]
    if not right:
        return None
    sign, groups = right[0]
    scale = max((len(text.partition(sign)[2]) for text in values), default=0)
    whole = max(len(re.sub(r"\D", "", text.partition(sign)[0])) for text in values)
    negative = any(text.startswith("-") for text in values)
    if len(right) > 1:
        said = f"“{points[0]}” is a decimal sign or groups thousands: no value of the sample tells which; ask whoever keeps the source"
        return Profile(
            "number", settings={"number": None, "scale": scale}, undecided={"number": said}, negative=negative
        )
    if whole + scale > 38 or scale > 18:
        return None
    number = {"decimal": sign} | ({"thousands": groups} if groups else {})
    precision = min(38, max(14, whole + scale + 2))
    return Profile("number", settings={"number": number, "precision": precision, "scale": scale}, negative=negative)


def _grammatical(values: Sequence[str], decimal: str, thousands: Sequence[str]) -> bool:
    grouped = "|".join(rf"\d{{1,3}}(?:{re.escape(one)}\d{{3}})+" for one in thousands)
    whole = rf"(?:\d+|{grouped})" if grouped else r"\d+"
    expression = re.compile(rf"-?{whole}(?:{re.escape(decimal)}\d+)?")
    return all(expression.fullmatch(text) for text in values)


# -- texts -----------------------------------------------------------------------------------------------------------


def _text(values: Sequence[str], title: str) -> Profile:
    kept = [text for text in values if text]
    notes: tuple[str, ...] = ()
    if any(text != text.strip() for text in kept):
        notes = ("some values begin or end with a blank; staging trims them",)
    longest = max((len(text) for text in kept), default=0)
    if kept and all(text.isascii() and text.isdigit() for text in kept):
        lengths = sorted({len(text) for text in kept})
        if len(lengths) <= 3 and lengths[-1] <= 20:
            many = str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]},{lengths[-1]}"
            return Profile(
                "string",
                {"pattern": f"^\\d{{{many}}}$"},
                notes=(*notes, "digits that name something: a text, so that zeros before it stay"),
            )
    options = {"maxLength": next(most for most in LENGTHS if most >= 2 * longest)} if 2 * longest <= LENGTHS[-1] else {}
    return Profile("string", options, notes=notes)
