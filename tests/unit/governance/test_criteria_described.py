"""C1 and C2: what counts as a description, a place in the task classification, a system in use and an interface."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata import town
from citydata.governance import criteria
from citydata.governance.criteria import description, start_of, system
from citydata.governance.inventory import Interface, System
from citydata.governance.method import CURRENT
from tests.unit.governance import cases

FI = "Kenelle kaupunki on maksanut ja mistä kunnasta toimittaja on."


def _failures(**changes: Any) -> set[tuple[str, str]]:
    subject = cases.dataset(**changes)
    rows = description.judge(subject, cases.case(subject))
    return {(row.reason, row.subject) for row in rows if row.result != "pass"}


@pytest.mark.parametrize("subject", [cases.dataset(), cases.unloaded()], ids=lambda entry: entry.id)
def test_a_described_dataset_passes_in_both_languages_with_its_task_class_and_process(subject: Any) -> None:
    case = cases.case(subject)
    rows = description.judge(subject, case)
    assert all(row.counts(case.now) for row in rows)
    assert {(row.reason, row.subject) for row in rows} == {
        *(("C1.described", language) for language in ("fi", "sv")),
        *(("C1.named", language) for language in ("fi", "sv")),
        ("C1.task_class", subject.task_class),
        ("C1.process", subject.process),
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"description_fi": None}, ("C1.no_description", "fi")),
        ({"description_sv": ""}, ("C1.no_description", "sv")),
        ({"description_sv": " … –"}, ("C1.no_description", "sv")),
        ({"description_fi": "Toimittajat ja näiden kunnat"}, None),
        ({"description_fi": "Toimittajat ja kunnat"}, ("C1.too_few_words", "fi")),
        ({"description_fi": "Toimittajat toimittajat toimittajat toimittajat"}, ("C1.too_few_words", "fi")),
        ({"name_fi": FI.upper().removesuffix(".")}, ("C1.same_as_name", "fi")),
        ({"name_sv": FI}, ("C1.same_as_name", "fi")),
        ({"description_sv": FI.replace(" ", "  ")}, ("C1.same_in_another_language", "sv")),
        ({"description_fi": cases.unloaded().description_fi}, ("C1.same_as_another_dataset", "fi")),
        ({"description_sv": f"– {cases.unloaded().description_sv}"}, ("C1.same_as_another_dataset", "sv")),
        ({"name_sv": " "}, ("C1.no_name", "sv")),
        ({"name_fi": "TODO"}, ("C1.no_name", "fi")),
        ({"task_class": None}, ("C1.no_task_class", "")),
        ({"task_class": "02.09"}, ("C1.unknown_task_class", "02.09")),
        ({"process": None}, ("C1.no_process", "")),
        ({"process": "keksitty"}, ("C1.unknown_process", "keksitty")),
        ({"process": "paatoksenteko"}, ("C1.process_of_another_task", "paatoksenteko")),
        ({"task_class": "02.05"}, ("C1.process_of_another_task", "ostoista_maksuun")),
    ],
)
def test_each_gap_in_a_description_has_a_reason_of_its_own(
    changes: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    found = _failures(**changes)
    assert found == set() if expected is None else expected in found


def test_a_process_may_be_of_a_class_above_or_below_the_dataset_s() -> None:
    assert {("C1.process_of_another_task", "ostoista_maksuun")} == _failures(task_class="02.05")
    for code in ("02", "02.02", "02.02.02"):
        assert _failures(task_class=code) == set()


def test_another_dataset_with_the_same_text_is_named() -> None:
    subject = cases.dataset(description_fi=cases.unloaded().description_fi)
    (row,) = [row for row in description.judge(subject, cases.case(subject)) if row.result == "fail"]
    assert row.looked_at.endswith(cases.UNLOADED)


@pytest.mark.parametrize(
    "text",
    [
        *("TBD", "todo: kuvaus", "Lorem ipsum dolor sit amet", "xxxx", "Täydennetään", "täydennetään myöhemmin", "???"),
        *("Kuvaus puuttuu tästä aineistosta vielä", "Rekisteri. Täydennetään ensi vuonna kun ehditään.", "KUVAUS  TULOSSA"),
        *("Beskrivning saknas", "Beskrivningen kompletteras senare", "Kompletteras av ägaren i höst", "Saknas tills vidare."),
        *("To be completed by the owner", "No description available yet", "Description missing", "n/a"),
    ],
)  # fmt: skip
def test_placeholders_are_known_in_three_languages(text: str) -> None:
    assert description.is_placeholder(text)
    # What has no letter at all is no description either.
    assert _failures(description_fi=text) == {
        ("C1.placeholder_text" if any(map(str.isalpha, text)) else "C1.no_description", "fi")
    }


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Rekisteriä täydennetään kuukausittain asiakkaan ilmoituksesta.",
            "Metodologian todolliset tiedot ja arviot.",
        ),
        *("Registret kompletteras varje månad efter anmälan.", "Beskrivningar av byggnader med ritningar.", FI),
        "Henkilöt, joilta osoite puuttuu, ja syy siihen.",
    ],
)
def test_texts_that_only_look_like_placeholders_are_descriptions(text: str) -> None:
    assert not description.is_placeholder(text)


@given(st.text(max_size=60), st.sampled_from(["", "TBD ", "Todo: "]))
def test_no_text_breaks_the_rule_and_a_marked_one_never_passes(text: str, mark: str) -> None:
    failures = _failures(description_fi=mark + text)
    if mark:
        assert ("C1.placeholder_text", "fi") in failures


def test_a_town_of_one_language_needs_that_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(town.load(), languages=("sv",))
    monkeypatch.setattr(town, "load", lambda: one)
    assert _failures(description_fi=None, name_fi="") == set()
    assert _failures(description_sv=None) == {("C1.no_description", "sv")}


def test_a_longer_minimum_is_the_method_s_to_set() -> None:
    subject = cases.dataset(description_fi="Toimittajat ja näiden kunnat")
    case = cases.case(subject, method=replace(CURRENT, description_words=5))
    (row,) = [row for row in description.judge(subject, case) if row.result != "pass"]
    assert (row.reason, row.figure, row.threshold) == ("C1.too_few_words", 4, 5)


# -- systems ---------------------------------------------------------------------------------------------------------


def _judged(subject: Any, **entries: Any) -> list[tuple[str, str, str]]:
    return cases.results(system.judge(subject, cases.with_inventory(cases.case(subject), **entries)))


def test_a_system_in_use_with_an_interface_passes() -> None:
    assert _judged(cases.dataset()) == [("pass", "C2.in_use", "erp"), ("pass", "C2.interface", "erp_files")]


def _erp(**changes: Any) -> dict[str, System]:
    return {"erp": cases.inventory().systems["erp"].model_copy(update=changes)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"valid_to": cases.TODAY}, "C2.out_of_use"),
        ({"valid_to": date(2026, 6, 16)}, "C2.in_use"),
        ({"valid_from": date(2026, 6, 16)}, "C2.not_yet_in_use"),
        ({"valid_from": cases.TODAY}, "C2.in_use"),
    ],
)
def test_a_system_counts_from_its_first_day_until_the_one_it_goes(changes: dict[str, date], reason: str) -> None:
    assert _judged(cases.dataset(), systems=_erp(**changes))[0][1] == reason


def test_the_day_is_the_town_s() -> None:
    case = cases.with_inventory(cases.case(), systems=_erp(valid_to=date(2026, 6, 16)))
    last = replace(case, now=start_of(date(2026, 6, 16)))
    assert last.now.date() == date(2026, 6, 15)
    assert system.judge(cases.dataset(), last)[0].reason == "C2.out_of_use"


def test_a_system_outside_the_portfolio_fails() -> None:
    assert _judged(cases.dataset(system="excel"))[0] == ("fail", "C2.unknown_system", "excel")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], ("fail", "C2.no_interface", "")),
        (["unheard_of"], ("fail", "C2.unknown_interface", "unheard_of")),
        (["without_method"], ("fail", "C2.no_method", "without_method")),
        (["without_method", "erp_files"], ("pass", "C2.interface", "erp_files")),
    ],
)
def test_one_interface_with_a_transfer_method_is_enough_and_less_is_not(
    named: list[str], expected: tuple[str, str, str]
) -> None:
    without = Interface(id="without_method", system="erp", name_fi="Näkymä", name_sv="Vy", direction="out")
    assert _judged(cases.dataset(interfaces=named), interfaces={"without_method": without})[1] == expected


# -- what holds for every criterion that is read from the register -----------------------------------------------------


@pytest.mark.parametrize("criterion", ["C1", "C2", "C4", "C5", "C6"])
@pytest.mark.parametrize("subject", [cases.dataset(), cases.unloaded()], ids=lambda entry: entry.id)
def test_what_the_register_says_holds_until_the_next_measurement(criterion: str, subject: Any) -> None:
    case = cases.case(subject)
    for row in criteria.rule(criterion)(subject, case):
        assert row.counts(case.now)
        assert row.expires_at == case.now + case.method.measurement
        assert not row.counts(row.expires_at)


@pytest.mark.parametrize("criterion", ["C1", "C2", "C3", "C4", "C5", "C6", "C10"])
@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"expires_on": cases.TODAY}, False),
        ({"approver": cases.OWNER}, False),
        ({"approver": cases.OTHER}, False),
        ({"approved_on": cases.TODAY + timedelta(days=1)}, False),
    ],
    ids=["approved", "expired", "by the owner", "by nobody who may", "from tomorrow"],
)
def test_a_waiver_holds_when_an_officer_approved_it_until_it_expires(
    criterion: str, changes: dict[str, Any], counts: bool
) -> None:
    case = cases.with_inventory(cases.case(), not_applicable=(cases.waiver(criterion, **changes),))
    (row,) = [row for row in criteria.judge(cases.dataset(), case) if row.criterion == criterion]
    assert row.counts(case.now) is counts
