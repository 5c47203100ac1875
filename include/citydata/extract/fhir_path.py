"""Paths into FHIR resources: the part of FHIRPath (http://hl7.org/fhirpath/) that a table of a few columns needs.

    id                                                         an element
    identifier.where(system = 'urn:oid:1.2.246.21' and use !~ 'old').value
    meta.security.where(code = 'TURVAKIELTO').exists()         true or false
    extension('https://…/municipality-code').value.ofType(Coding).code
    subject.getReferenceKey(Patient)                           the id that a reference names (SQL on FHIR)
    period.start.lowBoundary()  period.end.highBoundary()      first and last moment that a date of less precision means
    period.start.precision()  birthDate.yearOf()               digits as written (4, 6, 8, 14, 17); the year

A path is exact: what it does not know is an error when the contract is checked, and a resource that has several values
where a column takes one is an error of that resource.
"""

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

Values = list[Any]
Step = Callable[[Values], Values]
Kind = Literal["any", "boolean", "integer", "timestamp"]

ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""What a resource's id looks like (FHIR R4, data type id)."""
_REFERENCE = re.compile(rf"(?:.*/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>{ID.pattern})(?:/_history/{ID.pattern})?")
_URN = re.compile(rf"urn:(?:uuid|oid):(?P<id>{ID.pattern})")
# FHIR's dateTime, date and instant: a time has always a zone.
_MOMENT = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d))?)?)?"
)
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|'(?P<text>[^'\\]*)'|(?P<operator>!=|!~|=|~)|(?P<mark>[().]))\s*"
)


class PathError(ValueError):
    """A path that is not one, or that nobody can follow in any resource; says where and what is allowed."""


class ValueProblem(ValueError):
    """A resource in which the path does not lead to one value. `rule` is the rule that the resource breaks."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Path:
    """A compiled path. `kind` says of which logical type a column with it must be."""

    def __init__(self, text: str, steps: list[Step], kind: Kind) -> None:
        self.text, self.kind = text, kind
        self._steps = steps

    def value(self, resource: dict[str, Any]) -> str | None:
        """The one value in `resource` as text, numbers as they are written; None when there is none.

        Raises ValueProblem when there are several, when it is an element with others inside, or a reference to nothing.
        """
        values: Values = [resource]
        for step in self._steps:
            values = step(values)
        if not values:
            return None
        if len(values) > 1:
            raise ValueProblem("several_values")
        value = values[0]
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str):
            raise ValueProblem("nested_elements")
        return value


@functools.cache
def compiled(text: str, time_zone: str) -> Path:
    """Compile a path; dates without a time are days of `time_zone`. Raises PathError."""
    return _Compiler(text, ZoneInfo(time_zone)).path()


class _Compiler:
    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self.text, self.zone = text, zone
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if not found:
                raise PathError(f"“{text}”: “{text[at:]}” cannot be read")
            self.tokens.append((str(found.lastgroup), found[found.lastgroup or 0]))
            at = found.end()
        self.at = 0

    def path(self) -> Path:
        steps: list[Step] = []
        kind: Kind = "any"
        while True:
            step, kind = self._step()
            steps.append(step)
            if self.at == len(self.tokens):
                return Path(self.text, steps, kind)
            self._take("mark", ".")
            if kind != "any":
                raise PathError(
                    f"“{self.text}”: nothing can follow {'exists()' if kind == 'boolean' else 'this function'}"
                )

    def _take(self, kind: str, value: str | None = None) -> str:
        found = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")
        if found[0] != kind or (value is not None and found[1] != value):
            wanted = f"“{value}”" if value else {"name": "a name", "text": "a text in '…'"}.get(kind, kind)
            raise PathError(f"“{self.text}”: expected {wanted} instead of “{found[1] or 'its end'}”")
        self.at += 1
        return found[1]

    def _next(self, value: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] == ("mark", value)

    def _step(self) -> tuple[Step, Kind]:
        name = self._take("name")
        if self._next("("):
            self._take("mark", "(")
            made = self._function(name)
            self._take("mark", ")")
            return made
        if self._of_type():
            self.at += 3
            chosen = self._take("name")
            self._take("mark", ")")
            name += chosen[0].upper() + chosen[1:]  # JSON writes the type of a choice into the element's name
        return _element(name), "any"

    def _of_type(self) -> bool:
        return self.tokens[self.at : self.at + 3] == [("mark", "."), ("name", "ofType"), ("mark", "(")]

    def _function(self, name: str) -> tuple[Step, Kind]:
        simple: dict[str, tuple[Step, Kind]] = {
            "first": (lambda values: values[:1], "any"),
            "exists": (lambda values: [bool(values)], "boolean"),
            "lowBoundary": (_each(lambda value: _boundary(value, self.zone, last=False)), "timestamp"),
            "highBoundary": (_each(lambda value: _boundary(value, self.zone, last=True)), "timestamp"),
            "precision": (_each(_precision), "integer"),
            "yearOf": (_each(_year), "integer"),
        }
        if name in simple:
            return simple[name]
        if name == "where":
            return self._where(), "any"
        if name == "extension":
            wanted = self._take("text")
            found = _element("extension")
            return lambda values: [one for one in found(values) if _same(one, "url", wanted)], "any"
        if name == "getReferenceKey":
            return _reference_key(self._take("name")), "any"
        known = ", ".join(sorted([*simple, "where", "extension", "getReferenceKey", "ofType"]))
        raise PathError(f"“{self.text}”: unknown function {name}(); known: {known}")

    def _where(self) -> Step:
        """A condition on elements, of comparisons joined by `and`."""
        comparisons = [self._comparison()]
        while self.at < len(self.tokens) and self.tokens[self.at] == ("name", "and"):
            self.at += 1
            comparisons.append(self._comparison())
        return lambda values: [value for value in values if all(one(value) for one in comparisons)]

    def _comparison(self) -> Callable[[Any], bool]:
        names = [self._take("name")]
        while self._next("."):
            self._take("mark", ".")
            names.append(self._take("name"))
        operator, wanted = self._take("operator"), self._take("text")
        steps = [_element(name) for name in names]

        def compare(value: Any) -> bool:
            found = [value]
            for step in steps:
                found = step(found)
            # Of an element that is not there `=` and `!=` say nothing, which is not true; `~` and `!~` do.
            if operator in ("=", "!="):
                return bool(found) and (found == [wanted]) == (operator == "=")
            alike = len(found) == 1 and _folded(found[0]) == _folded(wanted)
            return alike == (operator == "~")

        return compare


def _folded(value: Any) -> Any:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value


def _same(element: Any, name: str, wanted: str) -> bool:
    return isinstance(element, dict) and element.get(name) == wanted


def _element(name: str) -> Step:
    """The children of this name of all values, in one list."""

    def step(values: Values) -> Values:
        found: Values = []
        for value in values:
            child = value.get(name) if isinstance(value, dict) else None
            if isinstance(child, list):
                found += [one for one in child if one is not None]
            elif child is not None:
                found.append(child)
        return found

    return step


def _each(function: Callable[[str], str]) -> Step:
    """A function of texts; what is none stays, and is refused by the column's format."""
    return lambda values: [function(value) if isinstance(value, str) else value for value in values]


def _reference_key(kind: str) -> Step:
    """The id of the resource of type `kind` that references name, relative, absolute or as a URN.

    A reference to another type, or into the resource itself, names none of these resources. Raises ValueProblem for what
    cannot be followed by an id: a search (`Patient?identifier=…`) or a mere word.
    """

    def key(reference: Any) -> str | None:
        text = reference.get("reference") if isinstance(reference, dict) else None
        if text is None:
            if not isinstance(reference, dict):
                raise ValueProblem("reference")
            return None  # only described by an identifier or a display
        if not isinstance(text, str):
            raise ValueProblem("reference")
        if text.startswith("#"):
            return None
        found = _URN.fullmatch(text)
        if found:
            return found["id"]
        found = _REFERENCE.fullmatch(text)
        if not found:
            raise ValueProblem("reference")
        return found["id"] if found["type"] == kind else None

    return lambda values: [one for one in map(key, values) if one is not None]


def reference_id(kind: str, url: str) -> str | None:
    """The id in a relative or absolute address of a resource of type `kind`; None for another type.

    Raises ValueProblem for an address that is not one of a single resource.
    """
    found: Values = _reference_key(kind)([{"reference": url}])
    return found[0] if found else None


def instant(text: str) -> str:
    """A FHIR instant in the one form that contracts describe (`yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX`); other texts as they are.

    Servers write none to nine decimals of a second; more than six are cut, because the database has no more.
    """
    found = _MOMENT.fullmatch(text)
    if not found or not found["clock"]:
        return text
    return f"{text[:19]}.{(found['fraction'] or '')[:6]:0<6}{found['zone']}"


def _boundary(text: str, zone: ZoneInfo, *, last: bool) -> str:
    """The first or last moment of a year, month or day in `zone`; a moment with a time is itself, a wrong text stays wrong.

    As FHIR R4 says of Period: an end of 2012-02-03 includes that whole day.
    """
    found = _MOMENT.fullmatch(text)
    if not found or found["clock"]:
        return instant(text)
    month, day = (int(found[part]) if found[part] else None for part in ("month", "day"))
    try:
        moment = datetime(int(found["year"]), month or 1, day or 1, tzinfo=zone)
        if last:
            if month is None:
                after = moment.replace(year=moment.year + 1)
            else:
                after = moment + timedelta(days=1) if day else (moment + timedelta(days=31)).replace(day=1)
            moment = (after.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone)
        return moment.isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        return text


def _precision(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    if not found:
        return text
    return str(sum(c.isdigit() for c in text[:19]) + min(len(found["fraction"] or ""), 3))


def _year(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    return found["year"] if found else text
