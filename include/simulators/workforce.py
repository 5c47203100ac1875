"""The people, employments and absences in the HR system of the synthetic town, day by day.

What a day does after day 0 (each kind happens every day unless said otherwise):
- new hires, employments that get an end, changed working time, a changed family name;
- new absences, corrected absences, an absence deleted; on even days an employment deleted, on every third day a person
  who had been registered twice deleted with the employment;
- a late commit in employments and in absences: a row whose `updated_at` lies seven minutes before the newest row of
  the day before;
- day 3 corrects an absence that ends before it starts, day 5 an identity code with a wrong check character. Both are
  there from day 0: one broken row among the few of a later day would be enough to hold the whole increment.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from simulators import DAY_ZERO, date_of, random_for, scaled
from simulators.identifiers import (
    TEMPORARY_INDIVIDUAL_NUMBERS,
    century_sign,
    identity_code,
    with_wrong_check_character,
)
from simulators.names import FAMILY_NAMES, GIVEN_NAMES
from simulators.town import UNITS, Unit

HISTORY_FROM = date(2022, 1, 1)
"""Absences are kept from here on."""
SOCIAL_HEALTH_UNTIL = date(2022, 12, 31)
"""The wellbeing services county became the employer on 1 January 2023."""
NEWEST_OF_DAY = time(13, 30, tzinfo=UTC)
LATE_BY = timedelta(minutes=7)
MIGRATED_AT = datetime(2023, 1, 2, 0, 15, tzinfo=UTC)
"""Rows moved from the former HR system share one `updated_at`."""
WRONG_IDENTITY_CODES = 2
FAULTY_SHARE = 0.005
"""At most this share of the people has a wrong identity code."""


class Person(NamedTuple):
    person_number: str
    identity_code: str
    family_name: str
    given_name: str
    birth_year: int
    gender: str | None
    language: str
    email: str | None
    non_disclosure: bool
    updated_at: datetime


class Employment(NamedTuple):
    employment_number: str
    person_number: str
    unit_code: str
    unit_name_fi: str
    unit_name_sv: str
    sector: str
    cost_centre: str
    job_title_fi: str
    job_title_sv: str
    pricing_code: str
    agreement: str
    employment_type: str
    working_time_share: Decimal
    start_date: date
    end_date: date | None
    updated_at: datetime


class Absence(NamedTuple):
    absence_number: str
    employment_number: str
    absence_type: str
    cause_code: str | None
    start_date: date
    end_date: date | None
    paid_share: Decimal
    updated_at: datetime


class Job(NamedTuple):
    title_fi: str
    title_sv: str
    pricing_code: str
    agreement: str
    sector: str
    units: tuple[str, ...]
    """The beginnings of the codes of the units that have this job."""
    weight: int


JOBS: tuple[Job, ...] = (
    Job("Hallintosihteeri", "Förvaltningssekreterare", "01TOI060", "KVTES", "concern", ("1",), 14),
    Job("Asiantuntija", "Sakkunnig", "01ASI040", "KVTES", "concern", ("11", "12", "14", "15"), 22),
    Job("Taloussuunnittelija", "Ekonomiplanerare", "01ASI040", "KVTES", "concern", ("13",), 8),
    Job("ICT-tukihenkilö", "IT-stödperson", "01ICT060", "KVTES", "concern", ("14",), 9),
    Job("Palvelupäällikkö", "Servicechef", "99999999", "KVTES", "concern", ("1",), 5),
    Job("Varhaiskasvatuksen opettaja", "Lärare inom småbarnspedagogik", "45000060", "OVTES", "education", ("21",), 52),
    Job("Varhaiskasvatuksen lastenhoitaja", "Barnskötare", "05VKA054", "KVTES", "education", ("21",), 70),
    Job("Perhepäivähoitaja", "Familjedagvårdare", "05PHO020", "KVTES", "education", ("2150",), 12),
    Job("Luokanopettaja", "Klasslärare", "40304028", "OVTES", "education", ("22", "23"), 62),
    Job("Erityisopettaja", "Speciallärare", "40304031", "OVTES", "education", ("22", "23"), 20),
    Job("Lehtori, perusopetus", "Lektor, grundläggande utbildning", "40304026", "OVTES", "education", ("22", "23"), 40),
    Job("Lehtori, lukio", "Lektor, gymnasiet", "40404013", "OVTES", "education", ("24",), 22),
    Job("Koulunkäynnin ohjaaja", "Skolgångshandledare", "05KOU060", "KVTES", "education", ("22", "23"), 45),
    Job("Kirjastovirkailija", "Bibliotekarie", "02KIR060", "KVTES", "education", ("25",), 14),
    Job("Nuorisotyöntekijä", "Ungdomsarbetare", "02NUO060", "KVTES", "education", ("28",), 10),
    Job("Uinninvalvoja", "Simövervakare", "02LII060", "KVTES", "education", ("27",), 10),
    Job("Tuntiopettaja", "Timlärare", "41304000", "OVTES", "education", ("26",), 14),
    Job("Ruokapalvelutyöntekijä", "Kostservicearbetare", "06RUO060", "KVTES", "urban", ("341", "342"), 42),
    Job("Siivooja", "Städare", "08SII070", "KVTES", "urban", ("343",), 36),
    Job("Kaavoitusarkkitehti", "Planläggningsarkitekt", "50101012", "TS", "urban", ("31", "30"), 10),
    Job("Kunnossapitoinsinööri", "Underhållsingenjör", "50101014", "TS", "urban", ("32", "33"), 14),
    Job("Paikkatietoasiantuntija", "Geodatasakkunnig", "50101016", "TS", "urban", ("35", "36"), 12),
    Job("Puistotyöntekijä", "Parkarbetare", "52000001", "LS", "urban", ("322",), 12),
    Job("Kiinteistönhoitaja", "Fastighetsskötare", "52000002", "LS", "urban", ("33", "32"), 18),
    Job("Sairaanhoitaja", "Sjukskötare", "03HOI030", "SOTE", "social_health", ("41", "42"), 40),
    Job("Lähihoitaja", "Närvårdare", "03HOI040", "SOTE", "social_health", ("42",), 60),
    Job("Sosiaalityöntekijä", "Socialarbetare", "04SOS030", "SOTE", "social_health", ("43",), 18),
)
_UNITS_OF_JOB = {job: [unit for unit in UNITS if unit.code.startswith(job.units)] for job in JOBS}

_CAUSES = ("J06.9", "J20.9", "A09", "M54.5", "M75.1", "F32.1", "F43.2", "G43.9", "K08.8", "R51", "S83.5", "Z73.0")
_CAUSE_WEIGHTS = (34, 6, 10, 14, 5, 6, 8, 6, 3, 4, 3, 1)
_PART_TIME = (
    Decimal("50.00"),
    Decimal("60.00"),
    Decimal("66.67"),
    Decimal("78.43"),
    Decimal("80.00"),
    Decimal("90.00"),
)
_PART_TIME_WEIGHTS = (22, 18, 8, 12, 34, 6)
_FULL = Decimal("100.00")


@dataclass(slots=True)
class Workforce:
    """The three tables of the HR system by key, as they are at the end of a simulated day."""

    people: dict[str, Person] = field(default_factory=dict)
    employments: dict[str, Employment] = field(default_factory=dict)
    absences: dict[str, Absence] = field(default_factory=dict)
    identities: set[tuple[date, int]] = field(default_factory=set)
    wrong_identity_codes: set[str] = field(default_factory=set)
    """Person numbers whose identity code has a wrong check character on purpose."""
    mistakes: list[str] = field(default_factory=list)
    """Employments registered by mistake: nothing happens in them until they are deleted."""
    next_person: int = 100_001
    next_absence: int = 1

    def copy(self) -> Workforce:
        return replace(
            self,
            people=dict(self.people),
            employments=dict(self.employments),
            absences=dict(self.absences),
            identities=set(self.identities),
            wrong_identity_codes=set(self.wrong_identity_codes),
            mistakes=list(self.mistakes),
        )


class _Office:
    """Registers people, employments and absences the way an HR office does, with a generator of its own."""

    def __init__(self, workforce: Workforce, rng: random.Random, day: int) -> None:
        self.workforce = workforce
        self.rng = rng
        self.day = day
        self.today = date_of(day)

    def moment(self, earliest: date = HISTORY_FROM) -> datetime:
        """When a row was last changed: on day 0 some time before, later in the office hours of the day."""
        if self.day:
            return datetime.combine(self.today, time(5), UTC) + timedelta(seconds=self.rng.randrange(8 * 3600))
        if self.rng.random() < 0.3 and earliest <= MIGRATED_AT.date():
            return MIGRATED_AT
        start = datetime.combine(max(earliest, MIGRATED_AT.date()), time(6), UTC)
        end = datetime.combine(DAY_ZERO, time(3), UTC)
        microseconds = max(1, int((end - start).total_seconds() * 1_000_000))
        return min(start + timedelta(microseconds=self.rng.randrange(microseconds)), end)

    def register(self, oldest: int, youngest: int) -> Person:
        rng, workforce = self.rng, self.workforce
        number = f"{workforce.next_person}"
        workforce.next_person += 1
        gender = "2" if rng.random() < 0.78 else "1"
        language = rng.choices(("fi", "sv", "other"), (62, 32, 6))[0]
        given = rng.choice(GIVEN_NAMES[language, gender])
        family = rng.choice(FAMILY_NAMES[language])
        while True:
            birth = date(rng.randint(oldest, youngest), 1, 1) + timedelta(days=rng.randrange(365))
            # Even individual numbers are women's, odd ones men's.
            individual = rng.choice(TEMPORARY_INDIVIDUAL_NUMBERS[gender == "1" :: 2])
            if (birth, individual) not in workforce.identities:
                break
        workforce.identities.add((birth, individual))
        non_disclosure = rng.random() < 0.004
        person = Person(
            number, identity_code(birth, individual, century_sign(birth, rng)), family, given, birth.year,
            None if rng.random() < 0.01 else gender, language,
            None if non_disclosure or rng.random() < 0.08 else _email(given, family, number), non_disclosure,
            self.moment(),
        )  # fmt: skip
        workforce.people[number] = person
        return person

    def employ(
        self,
        person: Person,
        job: Job,
        *,
        start: date,
        end: date | None,
        kind: str,
        share: Decimal,
        unit: Unit | None = None,
    ) -> Employment:
        unit = unit or self.rng.choice(_UNITS_OF_JOB[job])
        taken = 1
        while (number := f"{person.person_number}-{taken:02d}") in self.workforce.employments:
            taken += 1
        employment = Employment(
            number, person.person_number, unit.code, unit.name_fi, unit.name_sv, unit.sector, unit.cost_centre,
            job.title_fi, job.title_sv, job.pricing_code, job.agreement, kind, share, start, end, self.moment(start),
        )  # fmt: skip
        self.workforce.employments[number] = employment
        return employment

    def absent(
        self, employment: Employment, kind: str, start: date, end: date | None, updated_at: datetime | None = None
    ) -> Absence:
        number = f"{self.workforce.next_absence:08d}"
        self.workforce.next_absence += 1
        cause = self.rng.choices(_CAUSES, _CAUSE_WEIGHTS)[0] if kind == "sick" and self.rng.random() < 0.97 else None
        long = kind == "sick" and end is not None and (end - start).days > 60
        paid = {"annual_leave": _FULL, "parental": Decimal("0.00"), "unpaid": Decimal("0.00"), "study": Decimal("0.00")}
        absence = Absence(
            number, employment.employment_number, kind, cause, start, end,
            Decimal("66.67") if long else paid.get(kind, _FULL), updated_at or self.moment(start),
        )  # fmt: skip
        self.workforce.absences[number] = absence
        return absence

    def share(self) -> Decimal:
        return _FULL if self.rng.random() < 0.79 else self.rng.choices(_PART_TIME, _PART_TIME_WEIGHTS)[0]

    def job(self, sector_is_social_health: bool = False) -> Job:
        jobs = [job for job in JOBS if (job.sector == "social_health") == sector_is_social_health]
        return self.rng.choices(jobs, [job.weight for job in jobs])[0]


def _email(given: str, family: str, number: str) -> str:
    plain = f"{given}.{family}".lower().translate(str.maketrans("äåöü", "aaou"))
    return f"{plain}{number[-2:]}@porvoo.example"


def _day_between(rng: random.Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange(max(1, (last - first).days + 1)))


def _employ_today(office: _Office) -> list[Employment]:
    """One person who works for the town on day 0, with the fixed-term employments that went before."""
    rng = office.rng
    person = office.register(1959, 2004)
    job = office.job()
    adult = date(person.birth_year + 20, 6, 1)
    draw = rng.random()
    kind = "permanent" if draw < 0.75 else "fixed_term" if draw < 0.96 else "hourly"
    earliest = max(adult, date(1988, 1, 1))
    if kind == "permanent":
        start = _day_between(rng, earliest, date(2026, 9, 30))
        end = date(DAY_ZERO.year, 12, 31) if rng.random() < 0.006 else None
    else:
        start = _day_between(rng, max(earliest, date(2025, 8, 1)), date(2026, 10, 20))
        end = None if kind == "hourly" else _day_between(rng, DAY_ZERO + timedelta(days=5), date(2027, 7, 31))
    unit = rng.choice(_UNITS_OF_JOB[job])
    terms: list[tuple[date, date]] = []
    before = start
    for _ in range(rng.choices((0, 1, 2, 4), (66, 18, 11, 5))[0]):
        # Consecutive fixed terms: the next begins the day after, or after a summer.
        last = before - timedelta(days=rng.choice((1, 1, 1, 3, 65)))
        first = last - timedelta(days=rng.randint(60, 360))
        if first < earliest:
            break
        terms.append((first, last))
        before = first
    made = [
        office.employ(person, job, start=first, end=last, kind="fixed_term", share=office.share(), unit=unit)
        for first, last in reversed(terms)
    ]
    made.append(office.employ(person, job, start=start, end=end, kind=kind, share=office.share(), unit=unit))
    return made


def _employ_twice(office: _Office) -> list[Employment]:
    """One person with two part-time employments at the same time, in two units."""
    person = office.register(1965, 1998)
    start = _day_between(office.rng, date(2021, 1, 1), date(2026, 8, 1))
    jobs = [job for job in JOBS if job.title_fi in ("Koulunkäynnin ohjaaja", "Ruokapalvelutyöntekijä")]
    shares = office.rng.choice(((Decimal("50.00"), Decimal("50.00")), (Decimal("60.00"), Decimal("40.00"))))
    return [
        office.employ(person, job, start=start, end=None, kind="permanent", share=share)
        for job, share in zip(jobs, shares, strict=True)
    ]


def _employ_formerly(office: _Office, *, social_health: bool) -> list[Employment]:
    """One person who has left, at the latest when social and health care left the town."""
    rng = office.rng
    person = office.register(1955, 2000)
    job = office.job(social_health)
    end = SOCIAL_HEALTH_UNTIL if social_health else _day_between(rng, HISTORY_FROM, DAY_ZERO - timedelta(days=20))
    earliest = date(person.birth_year + 20, 6, 1)
    kind = "permanent" if rng.random() < 0.6 else "fixed_term"
    start = max(earliest, end - timedelta(days=rng.randint(300, 9000) if kind == "permanent" else rng.randint(30, 400)))
    return [office.employ(person, job, start=start, end=end, kind=kind, share=office.share())]


# Spells of sick leave: (share, shortest, longest) in calendar days. With 3.5 begun a year they come to about 16 days.
_SICK_SPELLS = ((70, 1, 3), (20, 4, 10), (8, 11, 30), (2, 31, 120))
_SICK_SPELLS_A_YEAR = 3.5


def _sick_days(rng: random.Random) -> int:
    _, shortest, longest = rng.choices(_SICK_SPELLS, [share for share, _, _ in _SICK_SPELLS])[0]
    return rng.randint(shortest, longest)


def _absences_of(office: _Office, employment: Employment) -> None:
    """Annual, family, study and unpaid leave first, sick leave where there is room: absences do not overlap."""
    rng = office.rng
    first = max(employment.start_date, HISTORY_FROM)
    last = min(employment.end_date or DAY_ZERO, DAY_ZERO)
    if last < first:
        return
    spells: list[tuple[date, date, str]] = []

    def add(start: date, days: int, kind: str) -> None:
        end = start + timedelta(days=days - 1)
        if first <= start <= last and all(end < other or start > other_end for other, other_end, _ in spells):
            spells.append((start, end, kind))

    birth_year = office.workforce.people[employment.person_number].birth_year
    for year in range(first.year, last.year + 1):
        if 25 <= year - birth_year <= 40 and rng.random() < 0.045:
            add(_day_between(rng, date(year, 1, 1), date(year, 12, 31)), rng.randint(40, 330), "parental")
        if rng.random() < 0.012:
            add(date(year, 8, 15), rng.randint(60, 280), "study")
        if rng.random() < 0.02:
            add(_day_between(rng, date(year, 1, 1), date(year, 12, 1)), rng.randint(5, 60), "unpaid")
        if employment.agreement != "OVTES":  # teachers have no annual leave
            add(date(year, 6, 1) + timedelta(days=7 * rng.randint(0, 8)), 28, "annual_leave")
            add(date(year, 2, 15) + timedelta(days=7 * rng.randint(0, 3)), 7, "annual_leave")
    day = first
    while True:
        day += timedelta(days=1 + int(rng.expovariate(_SICK_SPELLS_A_YEAR / 365)))
        if day > last:
            break
        days = _sick_days(rng)
        add(day, days, "sick")
        day += timedelta(days=days)
    for start, end, kind in sorted(spells):
        ends = min(end, employment.end_date) if employment.end_date else end
        # Leave that goes on is open when nobody knows the end yet.
        office.absent(employment, kind, start, None if ends > DAY_ZERO and kind in ("sick", "parental") else ends)


@lru_cache(maxsize=4)
def _opening(seed: int, scale: float) -> Workforce:
    workforce = Workforce()
    office = _Office(workforce, random_for(seed, "workforce"), 0)
    employments: list[Employment] = []
    for _ in range(scaled(1500, scale, minimum=24)):
        employments += _employ_today(office)
    for _ in range(scaled(6, scale, minimum=2)):
        employments += _employ_twice(office)
    for _ in range(scaled(260, scale, minimum=4)):
        employments += _employ_formerly(office, social_health=False)
    for _ in range(scaled(300, scale, minimum=6)):
        employments += _employ_formerly(office, social_health=True)
    for employment in employments:
        _absences_of(office, employment)
    office.absent(employments[0], "unpaid", date(2026, 10, 20), date(2026, 10, 19))
    _register_by_mistake(office)
    _register_by_mistake(office)
    numbers = list(workforce.people)
    # In a small town two people would already be more than a release tolerates.
    for number in numbers[5 : 5 + min(WRONG_IDENTITY_CODES, int(len(numbers) * FAULTY_SHARE))]:
        person = workforce.people[number]
        workforce.people[number] = person._replace(identity_code=with_wrong_check_character(person.identity_code))
        workforce.wrong_identity_codes.add(number)
    for number in numbers[10:13]:
        workforce.people[number] = workforce.people[number]._replace(non_disclosure=True, email=None)
    _stamp_newest(workforce, 0, {"people": [numbers[0]], "employments": list(workforce.employments)[:1],
                                 "absences": list(workforce.absences)[:1]})  # fmt: skip
    return workforce


def _stamp_newest(workforce: Workforce, day: int, changed: dict[str, list[str]]) -> None:
    """Give the last change of the day in each table the moment that late commits are measured from."""
    newest = datetime.combine(date_of(day), NEWEST_OF_DAY)
    for table, keys in changed.items():
        rows: dict[str, Any] = getattr(workforce, table)
        rows[keys[-1]] = rows[keys[-1]]._replace(updated_at=newest)


def _change(workforce: Workforce, seed: int, scale: float, day: int) -> None:
    office = _Office(workforce, random_for(seed, "workforce", day), day)
    rng, today = office.rng, office.today
    late = datetime.combine(date_of(day - 1), NEWEST_OF_DAY) - LATE_BY
    people, employments, absences = workforce.people, workforce.employments, workforce.absences
    changed: dict[str, list[str]] = {"people": [], "employments": [], "absences": []}

    running = [
        row for row in employments.values()
        if row.end_date is None and row.start_date < today and row.employment_number not in workforce.mistakes
    ]  # fmt: skip
    leaving, shortening, moving, *absent_today = rng.sample(
        running, min(len(running), 5 + scaled(28, scale, minimum=3))
    )
    _change_employments(office, leaving, shortening, changed)
    employments[moving.employment_number] = moving._replace(cost_centre=f"{moving.unit_code}9", updated_at=late)

    for _ in range(scaled(2, scale)):
        person = office.register(1965, 2005)
        changed["people"].append(person.person_number)
        hired = office.employ(person, office.job(), start=today - timedelta(days=rng.randint(0, 1)), end=None,
                              kind="permanent" if rng.random() < 0.5 else "hourly", share=office.share())  # fmt: skip
        changed["employments"].append(hired.employment_number)
    married = people[
        rng.choice([row for row in running if row.person_number not in workforce.wrong_identity_codes]).person_number
    ]
    family = rng.choice([name for name in FAMILY_NAMES["fi"] + FAMILY_NAMES["sv"] if name != married.family_name])
    people[married.person_number] = married._replace(
        family_name=family, email=married.email and _email(married.given_name, family, married.person_number),
        updated_at=office.moment(),
    )  # fmt: skip
    changed["people"].append(married.person_number)

    recent = [
        row for row in absences.values() if row.absence_type == "sick" and row.start_date > today - timedelta(days=400)
    ]
    erased, *corrected = rng.sample(recent, min(len(recent), 1 + scaled(5, scale)))
    del absences[erased.absence_number]
    for row in corrected:
        end = (row.end_date or today) + timedelta(days=rng.randint(1, 4))
        absences[row.absence_number] = row._replace(end_date=end, updated_at=office.moment())
        changed["absences"].append(row.absence_number)
    for employment in absent_today[1:]:
        start = today - timedelta(days=rng.randint(0, 3))
        end_known = None if rng.random() < 0.3 else start + timedelta(days=_sick_days(rng) - 1)
        changed["absences"].append(office.absent(employment, "sick", start, end_known).absence_number)
    office.absent(absent_today[0], "sick", today - timedelta(days=2), today, updated_at=late)
    _delete_mistakes(office)
    mistaken = _register_by_mistake(office)
    changed["people"].append(mistaken.person_number)
    changed["employments"].append(mistaken.employment_number)
    _repair(office, changed)
    _stamp_newest(workforce, day, changed)


def _change_employments(
    office: _Office, leaving: Employment, shortening: Employment, changed: dict[str, list[str]]
) -> None:
    employments, rng = office.workforce.employments, office.rng
    end = office.today + timedelta(days=rng.randint(0, 30))
    employments[leaving.employment_number] = leaving._replace(end_date=end, updated_at=office.moment())
    share = rng.choice([share for share in (*_PART_TIME, _FULL) if share != shortening.working_time_share])
    employments[shortening.employment_number] = shortening._replace(
        working_time_share=share, updated_at=office.moment()
    )
    changed["employments"] += [leaving.employment_number, shortening.employment_number]


def _register_by_mistake(office: _Office) -> Employment:
    person = office.register(1965, 2000)
    row = office.employ(person, office.job(), start=office.today, end=None, kind="hourly", share=office.share())
    office.workforce.mistakes.append(row.employment_number)
    return row


def _delete_mistakes(office: _Office) -> None:
    """Registrations made by mistake on an earlier day disappear without a trace, as real HR systems allow."""
    workforce = office.workforce
    if office.day % 2 == 0:
        del workforce.employments[workforce.mistakes.pop(0)]
    if office.day % 3 == 0:
        row = workforce.employments.pop(workforce.mistakes.pop(0))
        del workforce.people[row.person_number]


def _repair(office: _Office, changed: dict[str, list[str]]) -> None:
    absences, people = office.workforce.absences, office.workforce.people
    if office.day == 3:
        broken = next(row for row in absences.values() if row.end_date and row.end_date < row.start_date)
        absences[broken.absence_number] = broken._replace(end_date=broken.start_date, updated_at=office.moment())
        changed["absences"].append(broken.absence_number)
    if office.day == 5 and (wrong := sorted(office.workforce.wrong_identity_codes & people.keys())):
        person = people[wrong[0]]
        code = person.identity_code
        repaired = next(
            code[:-1] + character for character in "0123456789ABCDEFHJKLMNPRSTUVWXY"
            if with_wrong_check_character(code[:-1] + character) == code
        )  # fmt: skip
        people[person.person_number] = person._replace(identity_code=repaired, updated_at=office.moment())
        office.workforce.wrong_identity_codes.discard(person.person_number)
        changed["people"].append(person.person_number)


def workforce_of(seed: int, scale: float, day: int) -> Workforce:
    """The HR system's tables at the end of a simulated day, replayed from day 0."""
    date_of(day)
    workforce = _opening(seed, scale).copy()
    for simulated in range(1, day + 1):
        _change(workforce, seed, scale, simulated)
    return workforce
