"""The patients and encounters of social and health care in the synthetic town, day by day, as FHIR R4 resources.

Until 2022 the town ran it, since 1 January 2023 the wellbeing services county, whose patients come from other towns too.
Resources carry what real ones do and what the platform must leave behind: names, addresses, displays, narrative, reasons.

What a day does after day 0, each kind every day unless said otherwise:
- new patients and encounters, some of them parts of a stay; encounters that end; a corrected class and a corrected start;
- a changed home municipality; non-disclosure given to one and, on odd days, taken from another;
- encounters deleted, on every third day a patient without encounters; on even days what was deleted the day before comes back;
- day 2 corrects an encounter that ends before it starts, day 4 an identity code with a wrong check character.
"""

from __future__ import annotations

import random
import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from simulators import DAY_ZERO, date_of, random_for, scaled
from simulators.identifiers import (
    TEMPORARY_INDIVIDUAL_NUMBERS,
    century_sign,
    identity_code,
    with_wrong_check_character,
)
from simulators.names import FAMILY_NAMES, GIVEN_NAMES
from simulators.town import MUNICIPALITY_CODE, MUNICIPALITY_NAME

Resource = dict[str, Any]

HISTORY_FROM = date(2021, 1, 1)
COUNTY_FROM = date(2023, 1, 1)
"""The wellbeing services county became the organiser (616/2021)."""
NEWEST_OF_DAY = time(13, 30, tzinfo=UTC)
"""The server's clock of a day: every change of the day came before."""
OPENED_AT = datetime.combine(DAY_ZERO, NEWEST_OF_DAY)
HELSINKI = ZoneInfo("Europe/Helsinki")
ABSOLUTE = "https://fhir.hyvinvointialue.example/r4"
"""How some references are written: an absolute address, which is not that of the server that sends them."""

PROFILES = "https://hl7.fi/fhir/finnish-base-profiles"
IDENTITY_CODES = "urn:oid:1.2.246.21"
TOWN_ORGANISATION = "1.2.246.10.10615121.10"
COUNTY_ORGANISATION = "1.2.246.10.90000113.10"
_SERVICES = ((0, "Terveysasema"), (1, "Vuodeosasto"), (2, "Kotisairaala"), (3, "Päivystys"))
_OTHER_MUNICIPALITIES = (
    ("753", "Sipoo"), ("434", "Loviisa"), ("018", "Askola"), ("611", "Pornainen"), ("504", "Myrskylä"),
    ("407", "Lapinjärvi"), ("616", "Pukkila"), ("091", "Helsinki"),
)  # fmt: skip
# (v3-ActCode, display, service, shortest and longest in minutes, weight)
_CLASSES = (
    ("AMB", "ambulatory", 0, 10, 60, 62), ("VR", "virtual", 0, 5, 30, 16), ("EMER", "emergency", 3, 30, 600, 8),
    ("HH", "home health", 2, 20, 60, 8), ("SS", "short stay", 1, 120, 600, 2), ("OBSENC", "observation encounter", 3, 120, 1200, 2),
)  # fmt: skip
_REASONS = ("Kuume", "Yskä", "Selkäkipu", "Haavan hoito", "Verenpaineen seuranta", "Rokotus", "Magsmärta", "Kontroll")


class Version(NamedTuple):
    """A state of a resource on the server; `resource` is None when it was deleted."""

    number: int
    updated_at: datetime
    resource: Resource | None


@dataclass(slots=True)
class Records:
    """All that a server ever held, by type and id, oldest version first."""

    resources: dict[str, dict[str, tuple[Version, ...]]] = field(
        default_factory=lambda: {"Patient": {}, "Encounter": {}}
    )
    identities: set[tuple[date, int]] = field(default_factory=set)
    at: datetime = OPENED_AT
    """The server's clock."""

    def copy(self) -> Records:
        return Records({kind: dict(one) for kind, one in self.resources.items()}, set(self.identities), self.at)

    def current(self, kind: str) -> dict[str, Resource]:
        """The resources of a type that are not deleted, by id."""
        newest = ((key, versions[-1].resource) for key, versions in self.resources[kind].items())
        return {key: resource for key, resource in newest if resource is not None}


def instant(moment: datetime, *, milliseconds: bool = True) -> str:
    """A FHIR instant; servers write milliseconds or leave them out."""
    return moment.isoformat(timespec="milliseconds" if milliseconds else "seconds").replace("+00:00", "Z")


class _Server:
    """Takes in resources as the systems of the care providers send them, with a generator of its own."""

    def __init__(self, records: Records, rng: random.Random, day: int) -> None:
        self.records, self.rng, self.day = records, rng, day
        self.today = date_of(day)
        self.touched: set[str] = set()

    def moment(self, earliest: datetime | None = None) -> datetime:
        """When something was written: on day 0 some time after `earliest`, later in the office hours of the day."""
        if self.day:
            return datetime.combine(self.today, time(5, tzinfo=UTC)) + timedelta(
                milliseconds=self.rng.randrange(8 * 3_600_000)
            )
        end = datetime.combine(DAY_ZERO, time(3, tzinfo=UTC))
        start = min(earliest or end, end - timedelta(minutes=1))
        return start + timedelta(milliseconds=self.rng.randrange(int((end - start).total_seconds() * 1000)))

    def put(self, resource: Resource, at: datetime | None = None) -> None:
        """Store a new version."""
        kind, key = resource["resourceType"], resource["id"]
        before = self.records.resources[kind].get(key, ())
        at = at or self.moment()
        if before:
            at = max(at, before[-1].updated_at + timedelta(seconds=1))
        number = len(before) + 1
        meta = {**resource.get("meta", {}), "versionId": str(number),
                "lastUpdated": instant(at, milliseconds=self.rng.random() < 0.9)}  # fmt: skip
        at = datetime.fromisoformat(meta["lastUpdated"])
        self.records.resources[kind][key] = (*before, Version(number, at, {**resource, "meta": meta}))
        self.touched.add(key)

    def delete(self, kind: str, key: str) -> None:
        before = self.records.resources[kind][key]
        self.records.resources[kind][key] = (*before, Version(len(before) + 1, self.moment(), None))
        self.touched.add(key)

    def identifier(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    # -- patients --------------------------------------------------------------------------------------------------

    def register(self, *, county: bool) -> Resource:
        """A patient. Most live in the town, fewer since the county's other towns came along."""
        rng = self.rng
        language = rng.choices(("fi", "sv", "other"), (62, 32, 6))[0]
        gender = rng.choice(("1", "2"))
        while True:
            birth = date(rng.randint(1932, 2024), 1, 1) + timedelta(days=rng.randrange(365))
            individual = rng.choice(TEMPORARY_INDIVIDUAL_NUMBERS[gender == "1" :: 2])
            if (birth, individual) not in self.records.identities:
                break
        self.records.identities.add((birth, individual))
        code, name = (MUNICIPALITY_CODE, MUNICIPALITY_NAME)
        if rng.random() < (0.45 if county else 0.06):
            code, name = rng.choice(_OTHER_MUNICIPALITIES)
        given, family = rng.choice(GIVEN_NAMES[language, gender]), rng.choice(FAMILY_NAMES[language])
        patient: Resource = {
            "resourceType": "Patient",
            "id": self.identifier(),
            "meta": {"profile": [f"{PROFILES}/StructureDefinition/fi-base-patient"]},
            "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{given} {family}</div>'},
            "identifier": self._identifiers(birth, individual),
            "name": [{"use": "official", "family": family, "given": [given]}],
            "telecom": [{"system": "phone", "value": f"+358 40 {rng.randrange(10**7):07d}", "use": "mobile"}],
            "gender": {"1": "male", "2": "female"}[gender],
            "birthDate": self._birth_date(birth),
            "address": [{"use": "home", "line": [f"Esimerkkikatu {rng.randint(1, 99)}"], "city": name}],
        }
        if rng.random() > 0.01:
            patient["extension"] = [
                {
                    "url": f"{PROFILES}/StructureDefinition/municipality-code",
                    "valueCoding": {"system": "urn:oid:1.2.246.537.6.21", "code": code, "display": name},
                }
            ]
        if rng.random() < 0.006:
            protect(patient)
        return patient

    def _birth_date(self, birth: date) -> str:
        draw = self.rng.random()
        return f"{birth:%Y}" if draw < 0.01 else f"{birth:%Y-%m}" if draw < 0.02 else birth.isoformat()

    def _identifiers(self, birth: date, individual: int) -> list[Resource]:
        """The identity code; instead of it a temporary identifier under the organisation's OID, or before it an old one."""
        rng = self.rng
        code = identity_code(birth, individual, century_sign(birth, rng))
        kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NNFIN"}]}
        if rng.random() < 0.03:
            return [
                {"use": "temp", "system": f"urn:oid:{COUNTY_ORGANISATION}.22", "value": f"{birth:%d%m%y}-T{individual}"}
            ]
        official = {"use": "official", "type": kind, "system": IDENTITY_CODES, "value": code}
        if rng.random() < 0.01:
            before = identity_code(
                birth, TEMPORARY_INDIVIDUAL_NUMBERS[(individual + 1) % 100], "A" if birth.year >= 2000 else "-"
            )
            return [{**official, "use": "old", "value": before}, official]
        return [official]

    # -- encounters ------------------------------------------------------------------------------------------------

    def encounter(
        self, patient: Resource, start: datetime, code: str, minutes: int | None, *, part_of: str | None = None
    ) -> Resource:
        """An encounter of `code` (v3-ActCode) that lasts `minutes`; None goes on."""
        rng = self.rng
        key = self.identifier()
        county = start.date() >= COUNTY_FROM
        service, name = _SERVICES[next((one[2] for one in _CLASSES if one[0] == code), 1)]
        organisation = COUNTY_ORGANISATION if county else TOWN_ORGANISATION
        event = f"{organisation}.14.{start.year}.{rng.randrange(10**6)}"  # palvelutapahtuma
        given, family = patient["name"][0]["given"][0], patient["name"][0]["family"]
        subject: Resource = {"reference": self._reference("Patient", patient["id"]), "display": f"{family} {given}"}
        if rng.random() < 0.2 and patient["identifier"][-1]["system"] == IDENTITY_CODES:
            subject["identifier"] = {"system": IDENTITY_CODES, "value": patient["identifier"][-1]["value"]}
        encounter: Resource = {
            "resourceType": "Encounter",
            "id": key,
            "identifier": [
                {"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:oid:{event}"}
            ],
            "status": "in-progress" if minutes is None else "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code},
            "subject": subject,
            "period": {"start": self._moment(start)},
            "reasonCode": [{"text": rng.choice(_REASONS)}],
            "serviceProvider": {"reference": f"Organization/{organisation}.{1310 + service}", "display": name},
        }  # fmt: skip
        if minutes is not None:
            encounter["period"]["end"] = self._moment(start + timedelta(minutes=minutes))
        if part_of:
            encounter["partOf"] = {"reference": self._reference("Encounter", part_of)}
        return encounter

    def _reference(self, kind: str, key: str) -> str:
        draw = self.rng.random()
        if draw < 0.8:
            return f"{kind}/{key}"
        if draw < 0.9:
            return f"urn:uuid:{key}"
        return f"{ABSOLUTE}/{kind}/{key}" + ("/_history/1" if draw < 0.92 else "")

    def _moment(self, moment: datetime) -> str:
        """A dateTime as systems write it: local or UTC, with milliseconds or without, seldom a day or a month only."""
        draw = self.rng.random()
        if draw < 0.006 and moment.year < 2023:
            return moment.astimezone(HELSINKI).strftime("%Y-%m" if draw < 0.002 else "%Y-%m-%d")
        zone = HELSINKI if draw < 0.8 else UTC
        return instant(moment.astimezone(zone), milliseconds=draw > 0.7)

    def visit(self, patient: Resource, first: date, last: date) -> list[Resource]:
        """One visit, or a stay with its parts."""
        rng = self.rng
        day = first + timedelta(days=rng.randrange((last - first).days + 1))
        start = datetime.combine(day, time(rng.randint(5, 16), rng.choice((0, 3, 15, 30, 45)), tzinfo=UTC))
        if rng.random() < 0.06:
            return self.stay(patient, start)
        code, _, _, shortest, longest, _ = rng.choices(_CLASSES, [one[-1] for one in _CLASSES])[0]
        made = self.encounter(patient, start, code, rng.randint(shortest, longest))
        draw = rng.random()
        if draw < 0.02:
            made["status"] = "cancelled"
            del made["period"]["end"]
        elif draw < 0.03:
            made["status"] = "planned"
            made["period"] = {"start": self._moment(start + timedelta(days=400))}
        elif draw < 0.035:
            made["status"] = "entered-in-error"
        return [made]

    def stay(self, patient: Resource, start: datetime) -> list[Resource]:
        """A stay in hospital and the periods on its wards, one of them with a procedure of its own: only leaves are counted."""
        rng = self.rng
        days = [rng.randint(1, 8) for _ in range(rng.choice((1, 2, 2, 3)))]
        whole = sum(days) * 1440
        over = start + timedelta(minutes=whole) <= datetime.combine(self.today, time(5, tzinfo=UTC))
        root = self.encounter(patient, start, "IMP", whole if over else None)
        made, moved = [root], start
        for index, length in enumerate(days):
            ends = over or index < len(days) - 1
            ward = self.encounter(patient, moved, "IMP", length * 1440 if ends else None, part_of=root["id"])
            made.append(ward)
            if rng.random() < 0.2:
                made.append(self.encounter(patient, moved + timedelta(hours=4), "OBSENC", 90, part_of=ward["id"]))
            moved += timedelta(days=length)
            if moved.date() > self.today:
                break
        return made


def protect(patient: Resource) -> None:
    """Put a patient under non-disclosure. The address and the municipality stay: careless systems send them all the same."""
    label = {"system": f"{PROFILES}/CodeSystem/fi-base-security-label-cs", "code": "TURVAKIELTO"}
    patient["meta"] = {**patient["meta"], "security": [label]}


def protected(patient: Resource) -> bool:
    """Whether a patient is under non-disclosure."""
    return any(label["code"] == "TURVAKIELTO" for label in patient["meta"].get("security", []))


def referred(reference: str) -> str:
    """The id that a reference of this server names, in whichever of its forms."""
    return reference.removesuffix("/_history/1").rpartition("/")[2].rpartition(":")[2]


def _ended(encounter: Resource) -> datetime:
    period = encounter["period"]
    text = period.get("end") or period["start"]
    return datetime.fromisoformat(text) if len(text) > 10 else datetime(int(text[:4]), 12, 31, tzinfo=UTC)


@lru_cache(maxsize=4)
def _opening(seed: int, scale: float) -> Records:
    records = Records()
    server = _Server(records, random_for(seed, "care"), 0)
    rng = server.rng
    last_of_town = COUNTY_FROM - timedelta(days=1)
    for number in range(scaled(1200, scale, minimum=30)):
        county = number % 3 == 0
        patient = server.register(county=county)
        if number == 4:
            wrong_code = with_wrong_check_character(identity_code(date(1990, 2, 3), 999, "-"))
            patient["identifier"] = [{"use": "official", "system": IDENTITY_CODES, "value": wrong_code}]
        if number in (7, 8, 9):
            protect(patient)
        server.put(patient, server.moment(datetime.combine(HISTORY_FROM, time(6, tzinfo=UTC))))
        for _ in range(rng.randint(1, 9)):
            first, last = (
                (COUNTY_FROM, DAY_ZERO - timedelta(days=1))
                if county or rng.random() < 0.6
                else (HISTORY_FROM, last_of_town)
            )
            for encounter in server.visit(patient, first, last):
                server.put(
                    encounter, server.moment(min(_ended(encounter), datetime.combine(DAY_ZERO, time(2, tzinfo=UTC))))
                )
    # Two that are wrong from the beginning: one is corrected on day 2, of the other nobody knows.
    whole = [one for one in records.current("Encounter").values() if len(one["period"].get("end", "")) > 10]
    wrong, unknown = rng.sample([one for one in whole if len(one["period"]["start"]) > 10], 2)
    wrong = deepcopy(wrong)
    wrong["period"]["start"], wrong["period"]["end"] = wrong["period"]["end"], wrong["period"]["start"]
    server.put(wrong)
    server.put({**unknown, "class": {"system": "urn:oid:1.2.246.537.6.0000", "code": "KÄYNTI"}})
    return records


def _change(records: Records, seed: int, scale: float, day: int) -> None:
    server = _Server(records, random_for(seed, "care", day), day)
    rng, today = server.rng, server.today
    patients, encounters = records.current("Patient"), records.current("Encounter")
    _correct(server, encounters)
    _come_back(server)

    untouched = [
        key for key in encounters if key not in server.touched and len(encounters[key]["period"]["start"]) > 10
    ]
    parents = {referred(one["partOf"]["reference"]) for one in encounters.values() if "partOf" in one}
    leaves = [key for key in untouched if key not in parents and encounters[key]["status"] == "finished"]
    chosen = rng.sample(leaves, 2 + scaled(3, scale))
    reclassed, moved, *deleted = chosen
    other = rng.choice([one[0] for one in _CLASSES if one[0] != encounters[reclassed]["class"]["code"]])
    server.put({**encounters[reclassed], "class": {**encounters[reclassed]["class"], "code": other}})
    period = encounters[moved]["period"]
    earlier = datetime.fromisoformat(period["start"]) - timedelta(minutes=rng.randint(5, 50))
    server.put({**encounters[moved], "period": {**period, "start": instant(earlier)}})
    for key in deleted:
        server.delete("Encounter", key)
    for key in untouched:
        open_one = encounters[key]
        if key not in server.touched and open_one["status"] == "in-progress" and rng.random() < 0.4:
            end = datetime.combine(today, time(4, rng.randrange(60), tzinfo=UTC))
            if datetime.fromisoformat(open_one["period"]["start"]) < end:
                server.put({**open_one, "status": "finished", "period": {**open_one["period"], "end": instant(end)}})

    new = [server.register(county=True) for _ in range(scaled(4, scale, minimum=2))]
    for patient in [*new, server.register(county=True)]:  # the last one by mistake: nobody comes
        server.put(patient)
    for patient in [*new, *rng.sample(list(patients.values()), scaled(14, scale, minimum=3))]:
        for encounter in server.visit(patient, today - timedelta(days=2), today - timedelta(days=1)):
            server.put(encounter)
    _change_patients(server, patients, encounters)
    records.at = datetime.combine(today, NEWEST_OF_DAY)


def _correct(server: _Server, encounters: dict[str, Resource]) -> None:
    """What was wrong from the beginning and is found out."""
    if server.day == 2:
        wrong = next(
            one for one in encounters.values()
            if len(one["period"]["start"]) > 10 and len(one["period"].get("end", "")) > 10
            and datetime.fromisoformat(one["period"]["start"]) > datetime.fromisoformat(one["period"]["end"])
        )  # fmt: skip
        period = {"start": wrong["period"]["end"], "end": wrong["period"]["start"]}
        server.put({**wrong, "period": period})
    if server.day == 4:
        right = identity_code(date(1990, 2, 3), 999, "-")
        wrong_code = with_wrong_check_character(right)
        patient = next(
            one for one in server.records.current("Patient").values() if one["identifier"][0]["value"] == wrong_code
        )
        server.put({**patient, "identifier": [{**patient["identifier"][0], "value": right}]})


def _come_back(server: _Server) -> None:
    """On even days an encounter that was deleted the day before is created again under its id."""
    if server.day % 2:
        return
    yesterday = datetime.combine(date_of(server.day - 1), time(0, tzinfo=UTC))
    for versions in server.records.resources["Encounter"].values():
        if versions[-1].resource is None and versions[-1].updated_at > yesterday:
            before = versions[-2].resource
            assert before  # what was deleted had been there
            server.put(before)
            return


def _change_patients(server: _Server, patients: dict[str, Resource], encounters: dict[str, Resource]) -> None:
    rng = server.rng
    movable = [key for key, one in patients.items() if "extension" in one and key not in server.touched]
    moving, sheltered, unsheltered = rng.sample([key for key in movable if not protected(patients[key])], 3)
    patient = deepcopy(patients[moving])
    here = patient["extension"][0]["valueCoding"]
    code, name = (MUNICIPALITY_CODE, MUNICIPALITY_NAME)
    if here["code"] == MUNICIPALITY_CODE:
        code, name = rng.choice(_OTHER_MUNICIPALITIES)
    here.update(code=code, display=name)
    server.put(patient)
    patient = deepcopy(patients[sheltered])
    protect(patient)
    server.put(patient)
    if server.day % 2 and (hidden := [key for key in movable if protected(patients[key])]):
        patient = deepcopy(patients[rng.choice(hidden)])
        del patient["meta"]["security"]
        server.put(patient)
    if server.day % 3 == 0:
        seen = {referred(one["subject"]["reference"]) for one in encounters.values()}
        server.delete("Patient", next(key for key in patients if key not in seen and key not in server.touched))
    server.put({**patients[unsheltered], "telecom": [{"system": "email", "value": "nimi@esimerkki.example"}]})


def records_of(seed: int, scale: float, day: int) -> Records:
    """What the server held at the end of a simulated day, replayed from day 0."""
    date_of(day)
    return _records_of(seed, scale, day)


@lru_cache(maxsize=8)
def _records_of(seed: int, scale: float, day: int) -> Records:
    if day == 0:
        return _opening(seed, scale)
    records = _records_of(seed, scale, day - 1).copy()
    _change(records, seed, scale, day)
    return records
