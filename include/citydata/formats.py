"""Match texts against a contract's formats and cast them, whole columns at a time.

Nothing is guessed: a text is exactly what the contract describes, or it is refused. Patterns run before casts, because
casts are generous (`today`, `NaN`, `1_000`, a third decimal).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from citydata.contract import Column

# Parts of the JDK's DateTimeFormatter patterns, which ODCS uses, and what they look like in a text.
TOKENS = {
    "yyyy": r"(?P<year>\d{4})",
    "MM": r"(?P<month>\d{2})",
    "dd": r"(?P<day>\d{2})",
    "M": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "HH": r"(?P<hour>\d{2})",
    "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})",
    "SSSSSS": r"(?P<fraction>\d{6})",
    "SSS": r"(?P<fraction>\d{3})",
    "XXX": r"(?P<zone>Z|[+-]\d{2}:\d{2})",
}
_TOKEN = re.compile("|".join(sorted(TOKENS, key=len, reverse=True)) + r"|'([^']*)'|([^A-Za-z'])|(.)")


def pattern(format_text: str) -> str:
    """The regular expression of a date or timestamp pattern. Raises ValueError for a letter that it does not know."""
    parts = ["^"]
    for found in _TOKEN.finditer(format_text):
        quoted, plain, unknown = found.groups()
        if unknown is not None:
            raise ValueError(f"“{unknown}” in the format “{format_text}” is not supported; known: {', '.join(TOKENS)}")
        parts.append(TOKENS.get(found[0]) or re.escape(quoted if quoted is not None else plain))
    return "".join(parts) + "$"


@dataclass
class Cast:
    """A cast column (null where refused or empty) and, for each rule that rows broke, a mask of these rows."""

    values: pa.Array
    broken: dict[str, pa.Array] = field(default_factory=dict)


def rules(column: Column) -> list[str]:
    """The structural rules of a column, whether or not any row breaks them."""
    found = ["required"] if column.required else []
    if column.settings.geometry:
        found += ["geometry", "bounds"]
    elif column.type != "string":
        found.append("format")
    else:
        found += ["pattern"] if "pattern" in column.options else []
        found += ["length"] if {"minLength", "maxLength"} & column.options.keys() else []
    return found


def caster(column: Column, time_zone: str) -> Callable[[pa.Array], Cast]:
    """How to cast a column of the contract from text. `time_zone` is that of timestamps written without one."""
    nulls = pa.array(column.settings.nulls, pa.string()) if column.settings.nulls else None
    cast = {
        "string": _geometry if column.settings.geometry else _string,
        "integer": _integer,
        "number": _number,
        "date": _date,
        "timestamp": lambda one: _timestamp(one, time_zone),
        "boolean": _boolean,
    }[column.type](column)

    def whole(texts: pa.Array) -> Cast:
        if nulls is not None:
            texts = pc.if_else(pc.is_in(texts, nulls), pa.scalar(None, pa.string()), texts)
        done = cast(texts)
        if column.required and texts.null_count:
            done.broken["required"] = pc.is_null(texts)
        return done

    return whole


def _refused(texts: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Texts without those that are not `right`, and the mask of the refused ones; None when all are right."""
    wrong = pc.and_(pc.is_valid(texts), pc.invert(pc.fill_null(right, False)))
    if not pc.any(wrong).as_py():
        return texts, None
    return pc.if_else(wrong, pa.scalar(None, texts.type), texts), wrong


def _string(column: Column) -> Callable[[pa.Array], Cast]:
    expression = column.options.get("pattern")
    least, most = column.options.get("minLength"), column.options.get("maxLength")

    def cast(texts: pa.Array) -> Cast:
        broken = {}
        if expression is not None:
            texts, wrong = _refused(texts, pc.match_substring_regex(texts, f"^(?:{expression})$"))
            if wrong is not None:
                broken["pattern"] = wrong
        if least is not None or most is not None:
            length = pc.utf8_length(texts)
            right = pc.greater_equal(length, least or 0)
            if most is not None:
                right = pc.and_(right, pc.less_equal(length, most))
            texts, wrong = _refused(texts, right)
            if wrong is not None:
                broken["length"] = wrong
        return Cast(texts, broken)

    return cast


def _geometry(column: Column) -> Callable[[pa.Array], Cast]:
    wanted = column.settings.geometry
    assert wanted

    def cast(texts: pa.Array) -> Cast:
        from citydata import geometry  # noqa: PLC0415 - PROJ and GEOS are for the datasets that have geometries

        values, wrong = geometry.national(texts, wanted.types, wanted.within)
        return Cast(values, {rule: mask for rule, mask in wrong.items() if mask.true_count})

    return cast


def _matched(texts: pa.Array, expression: str) -> tuple[pa.Array, dict[str, pa.Array]]:
    texts, wrong = _refused(texts, pc.match_substring_regex(texts, expression))
    return texts, {} if wrong is None else {"format": wrong}


def _merged(broken: dict[str, pa.Array], wrong: pa.Array | None) -> dict[str, pa.Array]:
    if wrong is None:
        return broken
    return {**broken, "format": pc.or_(broken["format"], wrong) if "format" in broken else wrong}


def _in_range(column: Column, values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    right = pc.is_valid(values)
    for name, compare in (("minimum", pc.greater_equal), ("maximum", pc.less_equal)):
        if name in column.options:
            right = pc.and_(right, compare(values, pa.scalar(column.options[name])))
    return _refused(values, right)


INTEGERS = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}


def _integer(column: Column) -> Callable[[pa.Array], Cast]:
    target = INTEGERS[column.pg_type]
    zeros = rf"{re.escape(column.settings.number.decimal)}0+" if column.settings.number.zeros else ""
    expression = rf"^-?\d{{1,19}}(?:{zeros})?$"

    def cast(texts: pa.Array) -> Cast:
        texts, broken = _matched(texts, expression)
        if zeros:
            texts = pc.replace_substring_regex(texts, f"{zeros}$", "")
        values, wrong = _cast_each(texts, target)
        values, outside = _in_range(column, values)
        return Cast(values, _merged(_merged(broken, wrong), outside))

    return cast


def _number(column: Column) -> Callable[[pa.Array], Cast]:
    own = column.settings
    thousands = "".join(own.number.thousands)
    whole, decimal = own.precision - own.scale, re.escape(own.number.decimal)
    fraction = rf"(?:{decimal}\d{{1,{own.scale}}})?" if own.scale else ""
    plain = rf"\d{{1,{whole}}}"
    if thousands:
        separator = "[" + re.escape(thousands) + "]"
        # One kind of separator in one number: RE2 has no back-references, so each kind is an alternative.
        grouped = "|".join(rf"\d{{1,3}}(?:{re.escape(one)}\d{{3}})+" for one in own.number.thousands)
        plain = f"(?:{plain}|{grouped})"
    expression = f"^-?{plain}{fraction}$"
    target = pa.decimal128(own.precision, own.scale)

    def cast(texts: pa.Array) -> Cast:
        texts, broken = _matched(texts, expression)
        if thousands:
            grouped_rows = pc.match_substring_regex(texts, separator)
            if pc.any(grouped_rows).as_py():
                texts = pc.replace_substring_regex(texts, separator, "")
                # Grouping may write more digits than the column holds.
                texts, wrong = _refused(texts, pc.match_substring_regex(texts, rf"^-?\d{{1,{whole}}}(?:\D|$)"))
                broken = _merged(broken, wrong)
        if own.number.decimal != ".":
            texts = pc.replace_substring(texts, own.number.decimal, ".")
        values, wrong = _in_range(column, pc.cast(texts, target))
        return Cast(values, _merged(broken, wrong))

    return cast


def _by_distinct(texts: pa.Array, cast: Callable[[pa.Array], Cast]) -> Cast:
    """Cast each distinct text once: dates repeat, and their casts are the dearest."""
    encoded = texts.dictionary_encode()
    done = cast(encoded.dictionary)
    broken = {name: pc.fill_null(pc.take(mask, encoded.indices), False) for name, mask in done.broken.items()}
    return Cast(pc.take(done.values, encoded.indices), broken)


def _date(column: Column) -> Callable[[pa.Array], Cast]:
    expression = pattern(column.options["format"])

    def cast(texts: pa.Array) -> Cast:
        texts, broken = _matched(texts, expression)
        iso = _iso_date(pc.extract_regex(texts, expression))
        values, wrong = _cast_each(iso, pa.date32())
        values, outside = _refused(values, _plausible(values))
        return Cast(values, _merged(_merged(broken, wrong), outside))

    return lambda texts: _by_distinct(texts, cast)


def _plausible(values: pa.Array) -> pa.Array:
    return pc.greater_equal(pc.cast(values, pa.int32()), -719162)  # the year 1; PostgreSQL's text has no year 0


def _iso_date(parts: pa.Array) -> pa.Array:
    year, month, day = (pc.struct_field(parts, name) for name in ("year", "month", "day"))
    return pc.binary_join_element_wise(
        year, pc.utf8_lpad(month, width=2, padding="0"), pc.utf8_lpad(day, width=2, padding="0"), "-"
    )


def _cast_each(texts: pa.Array, target: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    return _converted(texts, lambda values: pc.cast(values, target))


def _converted(values: pa.Array, convert: Callable[[Any], Any]) -> tuple[pa.Array, pa.Array | None]:
    """Convert, refusing one by one the values that cannot be: 31 February stops the conversion of the whole column."""
    try:
        return convert(values), None
    except pa.ArrowInvalid:
        right = []
        for value in values:
            try:
                convert(value)
            except pa.ArrowInvalid:
                right.append(False)
            else:
                right.append(True)
        kept, wrong = _refused(values, pa.array(right))
        return convert(kept), wrong


def _timestamp(column: Column, time_zone: str) -> Callable[[pa.Array], Cast]:
    expression = pattern(column.options["format"])
    zone = column.options.get("defaultTimezone") or time_zone
    has_zone = "(?P<zone>" in expression
    doubled = {"refuse": "raise"}.get(column.settings.doubledHour, column.settings.doubledHour)

    def cast(texts: pa.Array) -> Cast:
        texts, broken = _matched(texts, expression)
        parts = pc.extract_regex(texts, expression)
        names = {parts.type.field(index).name for index in range(parts.type.num_fields)}
        clock = [pc.struct_field(parts, name) if name in names else "00" for name in ("hour", "minute", "second")]
        iso = pc.binary_join_element_wise(_iso_date(parts), pc.binary_join_element_wise(*clock, ":"), "T")
        if "fraction" in names:
            iso = pc.binary_join_element_wise(iso, pc.struct_field(parts, "fraction"), ".")
        if has_zone:
            iso = pc.binary_join_element_wise(iso, pc.struct_field(parts, "zone"), "")
            values, wrong = _cast_each(iso, pa.timestamp("us", "UTC"))
            return Cast(values, _merged(broken, wrong))
        local, wrong = _cast_each(iso, pa.timestamp("us"))
        broken = _merged(broken, wrong)
        # The hour that the clock skips in spring does not exist; the one it doubles in autumn is the contract's choice.
        values, wrong = _assumed(local, zone, doubled)
        return Cast(pc.cast(values, pa.timestamp("us", "UTC")), _merged(broken, wrong))

    return lambda texts: _by_distinct(texts, cast)


def _assumed(local: pa.Array, zone: str, doubled: str) -> tuple[pa.Array, pa.Array | None]:
    return _converted(local, lambda times: pc.assume_timezone(times, zone, ambiguous=doubled, nonexistent="raise"))


def _boolean(column: Column) -> Callable[[pa.Array], Cast]:
    yes, no = (pa.array(texts, pa.string()) for texts in (column.settings.true, column.settings.false))

    def cast(texts: pa.Array) -> Cast:
        true = pc.is_in(texts, yes)
        texts, wrong = _refused(texts, pc.or_(true, pc.is_in(texts, no)))
        values = pc.if_else(pc.is_valid(texts), true, pa.scalar(None, pa.bool_()))
        return Cast(values, {} if wrong is None else {"format": wrong})

    return cast
