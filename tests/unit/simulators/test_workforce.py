import re
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import pytest
from stdnum.fi import hetu

from simulators import DAY_ZERO, workforce
from simulators.identifiers import business_id, identity_code, with_wrong_check_character
from simulators.workforce import LATE_BY, Workforce, workforce_of

SEED = 7
SCALE = 0.1


def of(day: int, scale: float = SCALE) -> Workforce:
    return workforce_of(SEED, scale, day)


def test_the_same_day_has_the_same_rows_and_another_seed_has_others() -> None:
    first = workforce_of(3, 0.05, 3)
    workforce._opening.cache_clear()
    assert workforce_of(3, 0.05, 3) == first
    assert workforce_of(4, 0.05, 3).people != first.people


@pytest.mark.parametrize("day", [0, 3, 5])
def test_identity_codes_are_valid_and_belong_to_nobody(day: int) -> None:
    made = of(day, scale=1.0)
    wrong = {
        number
        for number, person in made.people.items()
        if not hetu.is_valid(person.identity_code, allow_temporary=True)
    }
    assert wrong == made.wrong_identity_codes
    assert len(wrong) == (2 if day < 5 else 1), "day 5 corrects one"
    codes = [person.identity_code for person in made.people.values()]
    assert all(re.fullmatch(r"\d{6}[-+A-Y]9\d\d[0-9A-Y]", code) for code in codes)
    assert len(set(codes)) == len(codes)
    assert {code[6] for code in codes} >= {"-", "A", "Y", "B"}, "signs of the reform of 2023 among them"
    for person in made.people.values():
        assert person.birth_year % 100 == int(person.identity_code[4:6])
        assert person.gender in (None, "2" if int(person.identity_code[9]) % 2 == 0 else "1")


def test_a_real_persons_number_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="900 to 999"):
        identity_code(date(1970, 1, 1), 123, "-")
    code = identity_code(date(2000, 2, 29), 902, "B")
    assert hetu.is_valid(code, allow_temporary=True)
    assert not hetu.is_valid(with_wrong_check_character(code), allow_temporary=True)
    assert business_id(1061512) == "1061512-1"


def test_the_town_is_staffed_like_one() -> None:
    made = of(0, scale=1.0)
    current = [
        row for row in made.employments.values()
        if row.start_date <= DAY_ZERO and (row.end_date is None or row.end_date >= DAY_ZERO)
    ]  # fmt: skip
    assert 1400 < len({row.person_number for row in current}) < 1600
    assert 0.7 < sum(row.employment_type == "permanent" for row in current) / len(current) < 0.8
    assert 0.12 < sum(row.working_time_share < 100 for row in current) / len(current) < 0.3
    assert {row.employment_type for row in current} == {"permanent", "fixed_term", "hourly"}
    assert {row.agreement for row in made.employments.values()} == {"KVTES", "OVTES", "TS", "LS", "SOTE"}
    health = [row for row in made.employments.values() if row.sector == "social_health"]
    assert health
    assert {row.end_date for row in health} == {date(2022, 12, 31)}
    twice = [number for number, count in Counter(row.person_number for row in current).items() if count == 2]
    assert len(twice) >= 2
    assert all(sum(row.working_time_share for row in current if row.person_number == number) <= 100 for number in twice)
    assert sum(person.non_disclosure for person in made.people.values()) >= 3
    assert {person.language for person in made.people.values()} == {"fi", "sv", "other"}


def test_consecutive_employments_are_numbered_in_their_order() -> None:
    rows: dict[str, list[tuple[str, date, date | None]]] = {}
    for row in of(0, scale=1.0).employments.values():
        rows.setdefault(row.person_number, []).append((row.employment_number, row.start_date, row.end_date))
    consecutive = [sorted(terms) for terms in rows.values() if len({start for _, start, _ in terms}) > 1]
    assert len(consecutive) > 100
    for terms in consecutive:
        for (_, _, end), (_, start, _) in pairwise(terms):
            assert end is not None
            assert end < start


def test_absences_are_as_common_as_in_a_municipality() -> None:
    made = of(0, scale=1.0)
    years = sum(
        ((min(row.end_date or DAY_ZERO, DAY_ZERO) - max(row.start_date, date(2022, 1, 1))).days + 1) / 365.25
        for row in made.employments.values()
        if (row.end_date or DAY_ZERO) >= date(2022, 1, 1)
    )
    sick = [row for row in made.absences.values() if row.absence_type == "sick"]
    days = sum((min(row.end_date or DAY_ZERO, DAY_ZERO) - row.start_date).days + 1 for row in sick)
    assert 14 < days / years < 18, "KT: about 16 calendar days a person-year"
    kinds = Counter(row.absence_type for row in made.absences.values())
    assert kinds.keys() == {"sick", "annual_leave", "parental", "unpaid", "study"}
    assert any(row.end_date is None for row in made.absences.values())
    assert all(re.fullmatch(r"[A-Z]\d\d(\.\d)?", row.cause_code) for row in sick if row.cause_code)
    assert all(row.cause_code is None for row in made.absences.values() if row.absence_type != "sick")


@pytest.mark.parametrize("day", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.02, 1.0])
def test_each_day_brings_every_documented_kind_of_change(day: int, scale: float) -> None:
    before, after = of(day - 1, scale), of(day, scale)
    assert after.people.keys() - before.people.keys(), "a new hire"
    stayed = [
        (before.employments[key], after.employments[key])
        for key in before.employments.keys() & after.employments.keys()
    ]
    assert [new for old, new in stayed if old.end_date is None and new.end_date], "an end"
    assert [new for old, new in stayed if old.working_time_share != new.working_time_share], "a changed working time"
    people = [(before.people[key], after.people[key]) for key in before.people.keys() & after.people.keys()]
    assert [new for old, new in people if old.family_name != new.family_name], "a changed name"
    assert before.absences.keys() - after.absences.keys(), "a deleted absence"
    assert after.absences.keys() - before.absences.keys(), "a new absence"
    absences = [(before.absences[key], after.absences[key]) for key in before.absences.keys() & after.absences.keys()]
    assert [new for old, new in absences if old != new], "a corrected absence"
    assert bool(before.employments.keys() - after.employments.keys()) == (day in (2, 3)), "a deleted employment"
    assert bool(before.people.keys() - after.people.keys()) == (day == 3), "a deleted person"
    inverted = [row for row in after.absences.values() if row.end_date and row.end_date < row.start_date]
    assert len(inverted) == (day < 3), "an absence broken from the start, repaired on day 3"


@pytest.mark.parametrize("table", ["employments", "absences"])
@pytest.mark.parametrize("day", [1, 2, 8])
def test_a_late_commit_lies_minutes_before_the_newest_of_the_day_before(table: str, day: int) -> None:
    before, after = getattr(of(day - 1), table), getattr(of(day), table)
    newest = max(row.updated_at for row in before.values())
    late = [row for key, row in after.items() if before.get(key) != row and row.updated_at < newest]
    assert [newest - row.updated_at for row in late] == [LATE_BY]


def test_changed_rows_are_stamped_and_untouched_rows_are_not() -> None:
    for day in range(1, 6):
        before, after = of(day - 1), of(day)
        for table in ("people", "employments", "absences"):
            old, new = getattr(before, table), getattr(after, table)
            today = DAY_ZERO + timedelta(days=day)
            for key, row in new.items():
                if old.get(key) != row:
                    assert row.updated_at.date() >= today - timedelta(days=1)
                    assert key not in old or row.updated_at != old[key].updated_at


def test_absences_belong_to_employments_and_employments_to_people() -> None:
    for day in (0, 6):
        made = of(day)
        assert {row.person_number for row in made.employments.values()} <= made.people.keys()
        assert {row.employment_number for row in made.absences.values()} <= made.employments.keys()


@pytest.mark.parametrize(("scale", "wrong"), [(0.02, 0), (0.1, 1), (1.0, 2)])
def test_day_0_can_be_released_at_any_scale(scale: float, wrong: int) -> None:
    made = of(0, scale)
    assert len(made.wrong_identity_codes) == wrong
    assert wrong < 0.01 * len(made.people)


@pytest.mark.parametrize("scale", [0.02, 1.0])
def test_an_increment_has_no_broken_rows(scale: float) -> None:
    for day in range(1, 11):
        before, after = of(day - 1, scale), of(day, scale)
        changed = [row for key, row in after.absences.items() if before.absences.get(key) != row]
        assert all(row.end_date is None or row.end_date >= row.start_date for row in changed)
        people = {key for key, row in after.people.items() if before.people.get(key) != row}
        assert not people & after.wrong_identity_codes
