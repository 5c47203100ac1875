"""Paths into FHIR resources: what they find, what they refuse, and what is not a path."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata.extract.fhir_path import Path, PathError, ValueProblem, compiled, instant, reference_id

ZONE = "Europe/Helsinki"
RESOURCE: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "a-1",
    "meta": {"security": [{"system": "s", "code": "TURVAKIELTO"}, {"code": "R"}]},
    "class": {"code": "AMB"},
    "active": False,
    "identifier": [
        {"use": "old", "system": "urn:oid:1", "value": "1"},
        {"system": "urn:oid:1", "value": "2"},
        {"use": "Official", "system": "urn:oid:2", "value": "3"},
        None,
    ],
    "extension": [{"url": "u", "valueCoding": {"code": "638"}}, {"url": "v", "valueString": "x"}],
    "period": {"start": "2022-02-28T15:03:00+02:00", "end": "2022-03-27"},
    "name": [{"given": ["Aino", "Oona"]}, {"given": ["Aino"]}],
}


def value(path: str, resource: dict[str, Any] | None = None) -> str | None:
    return compiled(path, ZONE).value(resource or RESOURCE)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("id", "a-1"),
        ("class.code", "AMB"),
        ("active", "false"),
        ("language", None),
        ("period.start.id", None),
        ("identifier.where(system = 'urn:oid:1' and use !~ 'old').value", "2"),
        ("identifier.where(system='urn:oid:1' and use='old').value", "1"),
        ("identifier.where(use ~ 'official').value", "3"),
        ("identifier.where(system = 'urn:oid:1' and use != 'old').value", None),  # of no use, != says nothing
        ("identifier.first().value", "1"),
        ("name.first().given.first()", "Aino"),
        ("meta.security.where(code = 'TURVAKIELTO').exists()", "true"),
        ("meta.security.where(code = 'turvakielto').exists()", "false"),
        ("meta.tag.exists()", "false"),
        ("extension('u').value.ofType(Coding).code", "638"),
        ("extension('v').value.ofType(string)", "x"),
        ("extension('w').value.ofType(Coding).code", None),
        ("period.start.precision()", "14"),
        ("period.end.precision()", "8"),
        ("period.end.yearOf()", "2022"),
        (" period . start . yearOf( ) ", "2022"),
    ],
)  # fmt: skip
def test_a_path_finds_one_value(path: str, found: str | None) -> None:
    assert value(path) == found


@pytest.mark.parametrize(
    ("written", "low", "high", "digits"),
    [
        ("2022", "2022-01-01T00:00:00.000000+02:00", "2022-12-31T23:59:59.999999+02:00", "4"),
        ("2022-03", "2022-03-01T00:00:00.000000+02:00", "2022-03-31T23:59:59.999999+03:00", "6"),
        ("2024-02", "2024-02-01T00:00:00.000000+02:00", "2024-02-29T23:59:59.999999+02:00", "6"),
        ("2021-12", "2021-12-01T00:00:00.000000+02:00", "2021-12-31T23:59:59.999999+02:00", "6"),
        ("2022-03-27", "2022-03-27T00:00:00.000000+02:00", "2022-03-27T23:59:59.999999+03:00", "8"),
        ("2022-03-27T08:00:00Z", "2022-03-27T08:00:00.000000Z", "2022-03-27T08:00:00.000000Z", "14"),
        ("2022-03-27T08:00:00.5+03:00", "2022-03-27T08:00:00.500000+03:00", "2022-03-27T08:00:00.500000+03:00", "15"),
        ("2022-03-27T08:00:00.1234567Z", "2022-03-27T08:00:00.123456Z", "2022-03-27T08:00:00.123456Z", "17"),
        # What is no FHIR date stays as it is, and the column's format refuses it.
        ("2022-02-30", "2022-02-30", "2022-02-30", "8"),
        ("27.3.2022", "27.3.2022", "27.3.2022", "27.3.2022"),
        ("2022-03-27T08:00:00", "2022-03-27T08:00:00", "2022-03-27T08:00:00", "2022-03-27T08:00:00"),
        ("9999", "9999-01-01T00:00:00.000000+02:00", "9999", "4"),
        ("0000", "0000", "0000", "4"),
        ("", "", "", ""),
    ],
)  # fmt: skip
def test_a_date_of_less_precision_is_all_the_time_it_means(written: str, low: str, high: str, digits: str) -> None:
    resource = {"when": written}
    assert value("when.lowBoundary()", resource) == low
    assert value("when.highBoundary()", resource) == high
    assert value("when.precision()", resource) == digits


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("Patient/a.1-B", "a.1-B"),
        ("Patient/a.1-B/_history/3", "a.1-B"),
        ("https://x.example/r4/Patient/a.1-B", "a.1-B"),
        ("https://x.example/r4/Patient/a.1-B/_history/3", "a.1-B"),
        ("urn:uuid:8666cd40-7af9-48c6-a1a6-86a161195542", "8666cd40-7af9-48c6-a1a6-86a161195542"),
        ("urn:oid:1.2.246.10.1", "1.2.246.10.1"),
        ("Group/a", None),
        ("https://x.example/r4/RelatedPerson/a", None),
        ("#p", None),
    ],
)
def test_references_in_all_their_forms_name_the_same_id(reference: str, key: str | None) -> None:
    path = compiled("subject.getReferenceKey(Patient)", ZONE)
    assert path.value({"subject": {"reference": reference, "display": "Mäkelä"}}) == key
    assert path.value({"subject": {"display": "Mäkelä"}}) is None
    assert path.value({}) is None


@pytest.mark.parametrize("reference", ["", "a-1", "Patient/", "Patient?identifier=x|y", "Patient/a b", "urn:uuid:", 7])
def test_a_reference_to_nothing_is_refused(reference: Any) -> None:
    with pytest.raises(ValueProblem) as problem:
        value("subject.getReferenceKey(Patient)", {"subject": {"reference": reference}})
    assert problem.value.rule == "reference"
    with pytest.raises(ValueProblem):
        value("subject.getReferenceKey(Patient)", {"subject": "Patient/a"})


def test_addresses_of_deletions_are_references() -> None:
    assert reference_id("Patient", "Patient/a") == "a"
    assert reference_id("Patient", "Encounter/a") is None
    with pytest.raises(ValueProblem):
        reference_id("Patient", "Patient?_id=a")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("identifier.value", "several_values"),
        ("name.given", "several_values"),
        ("period", "nested_elements"),
        ("class", "nested_elements"),
    ],
)
def test_what_is_not_one_value_is_refused(path: str, rule: str) -> None:
    with pytest.raises(ValueProblem) as problem:
        value(path)
    assert problem.value.rule == rule


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "expected a name instead of “its end”"),
        ("period.", "expected a name instead of “its end”"),
        ("period..start", "expected a name instead of “.”"),
        ("period start", "expected “.” instead of “start”"),
        ("identifier[system=x].value", "“[system=x].value” cannot be read"),
        ("code.upper()", "unknown function upper(); known: exists, extension, first"),
        ("identifier.where().value", "expected a name instead of “)”"),
        ("identifier.where(system = x).value", "expected a text in '…' instead of “x”"),
        ("identifier.where(system = 'x' or use = 'y').value", "expected “)” instead of “or”"),
        ("identifier.where(system 'x').value", "expected operator instead of “x”"),
        ("identifier.where(system = 'x).value", "cannot be read"),
        ("extension(u).value", "expected a text in '…' instead of “u”"),
        ("value.ofType()", "expected a name instead of “)”"),
        ("security.exists().code", "nothing can follow exists()"),
        ("period.start.precision().x", "nothing can follow"),
        ("subject.getReferenceKey()", "expected a name instead of “)”"),
    ],
)
def test_what_is_not_a_path_is_an_error_that_says_why(path: str, message: str) -> None:
    with pytest.raises(PathError) as error:
        compiled(path, ZONE)
    assert f"“{path}”: " in str(error.value)
    assert message in str(error.value)


RULES = ("several_values", "nested_elements", "reference")


def outcome(path: Path, resource: dict[str, Any]) -> str:
    """The kind of what a path gives, or the rule by which it refuses the resource."""
    try:
        found = path.value(resource)
    except ValueProblem as problem:
        return problem.rule
    return "none" if found is None else "value" if isinstance(found, str) else type(found).__name__


@settings(deadline=None)
@given(st.text(alphabet="ab.()'=!~ TFirstwheandxofypUR", max_size=30))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        path = compiled(text, ZONE)
    except PathError:
        return
    assert outcome(path, RESOURCE) in ("value", "none", *RULES)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.sampled_from(["Patient/1", "2022-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "a", "reference", "url", "code", "valueX"]), inner, max_size=3)
    ),
    max_leaves=12,
)
PATHS = [
    "id", "a.code", "a.where(code = 'x').id.exists()", "a.first().id", "extension('x').value.ofType(X)",
    "a.getReferenceKey(Patient)", "a.lowBoundary()", "a.highBoundary()", "a.precision()", "a.yearOf()",
]  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "a", "extension"]), JSON, max_size=3), st.sampled_from(PATHS))
def test_whatever_stands_in_a_resource_a_path_gives_a_text_or_a_rule(resource: dict[str, Any], path: str) -> None:
    assert outcome(compiled(path, ZONE), resource) in ("value", "none", *RULES)


@settings(deadline=None)
@given(st.datetimes(), st.integers(0, 9), st.sampled_from(["Z", "+02:00", "-11:30"]))
def test_instants_have_one_form_whatever_the_server_writes(moment: Any, decimals: int, zone: str) -> None:
    fraction = f"{moment.microsecond:06d}000"[:decimals]
    written = f"{moment:%H:%M:%S}" + (f".{fraction}" if fraction else "") + zone
    day = f"{moment.year:04d}-{moment:%m-%d}"
    expected = f"{fraction[:6]:0<6}"
    assert instant(f"{day}T{written}") == f"{day}T{moment:%H:%M:%S}.{expected}{zone}"
