"""Rows of a small synthetic town, and batches that publish them as the publish step would."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from citydata import contract, database, town

Row = dict[str, Any]
OBSERVED = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)

ACCOUNTS = [("4340", "Asiantuntijapalvelut"), ("4520", "Elintarvikkeet"), ("4600", "Muu materiaali")]
SUPPLIERS = [
    ("Esimerkki-Rakennus Oy", "9000011-3", "Porvoo"),
    ("Malli-Ohjelmisto Oy", "9000022-8", "Helsinki"),
    ("Koe-Siivous Oy", "9000033-2", "Lahti"),
    ("Koe-Siivous Oy", "9000044-7", "Turku"),
]


def _business_id(number: int) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(f"{number:07d}", (7, 9, 10, 5, 8, 4, 2), strict=True))
    check = 0 if total % 11 == 0 else 11 - total % 11
    return f"{number:07d}-{check}" if check < 10 else _business_id(number + 1)


SUPPLIERS = [(name, _business_id(int(code[:7])), municipality) for name, code, municipality in SUPPLIERS]


def invoice(**values: Any) -> Row:
    """An invoice line, with what the test says of it."""
    name, business_id, municipality = SUPPLIERS[0]
    return {
        "municipality_code": "638",
        "municipality_name": "Porvoo",
        "fiscal_year": 2026,
        "voucher_month": "2026-03",
        "voucher_number": "1000",
        "account": "4340",
        "account_name": "Asiantuntijapalvelut",
        "supplier_name": name,
        "supplier_business_id": business_id,
        "supplier_municipality": municipality,
        "board": "Kaupunginhallitus",
        "result_area": "Tietohallinto",
        "amount_net": Decimal("100.00"),
    } | values


def invoices(count: int = 300, seed: int = 7) -> list[Row]:
    """Invoice lines of two years; some equal ones, credits, lines without board, names without business id."""
    rng = random.Random(seed)  # noqa: S311  # synthetic rows
    rows = []
    for number in range(count):
        name, business_id, municipality = rng.choice(SUPPLIERS)
        account, account_name = rng.choice(ACCOUNTS)
        year = rng.choice((2025, 2026))
        rows.append(
            invoice(
                fiscal_year=year,
                voucher_month=f"{year}-{rng.randint(1, 10):02d}",
                voucher_number=str(1000 + number // 3),
                account=account,
                account_name=account_name,
                supplier_name=name.upper() if number % 11 == 0 else name,
                supplier_business_id=None if number % 13 == 0 else business_id,
                supplier_municipality=municipality,
                board=None if number % 17 == 0 else "Kaupunginhallitus",
                result_area=None if number % 17 == 0 else "Tietohallinto",
                amount_net=Decimal(rng.randint(-5_000, 90_000)) / 100,
            )
        )
    return [*rows, rows[0], rows[0]]


def finance() -> dict[str, list[Row]]:
    """The four datasets of finance."""
    return {
        "finance.accounts": [{"account": account, "name": name} for account, name in ACCOUNTS[:2]],
        "finance.suppliers": [{"name": n, "business_id": b, "municipality": m} for n, b, m in SUPPLIERS],
        "finance.organisation_units": [
            {"level": "toimielin", "name": "Kaupunginhallitus"},
            {"level": "toimielin", "name": "\u2013"},
            {"level": "tulosalue", "name": "Tietohallinto"},
        ],
        "finance.purchase_invoices": invoices(),
    }


def hr(people: int = 120, seed: int = 11) -> dict[str, list[Row]]:
    """The three datasets of the HR system; person number 2 is a second number of person 1."""
    rng = random.Random(seed)  # noqa: S311  # synthetic rows
    units = [
        ("1410", "Tietohallinto", "Dataförvaltningen", "concern"),
        ("2210", "Keskustan koulu", "Centrumskolan", "education"),
        ("3430", "Siivouspalvelut", "Städtjänster", "urban"),
    ]
    persons, employments, absences = [], [], []
    for number in range(1, people + 1):
        persons.append(
            {
                "person_number": f"P{number:04d}",
                "identity_code": f"k1:{1 if number == 2 else number:064x}",
                "identity_code_valid": number != 5,
                "family_name": f"Malli{number}",
                "given_name": "Maija",
                "birth_year": rng.randint(1960, 2004),
                "gender": rng.choice(("1", "2")),
                "language": rng.choice(("fi", "sv")),
                "email": f"p{number}@example.org",
                "non_disclosure": number == 9,
                "updated_at": OBSERVED - timedelta(days=number),
            }
        )
        unit_code, name_fi, name_sv, sector = units[0] if number <= 6 else rng.choice(units[1:])
        start = date(2024, 1, 1) + timedelta(days=rng.randint(0, 500))
        employments.append(
            {
                "employment_number": f"E{number:04d}",
                "person_number": f"P{number:04d}",
                "unit_code": unit_code,
                "unit_name_fi": name_fi,
                "unit_name_sv": name_sv,
                "sector": sector,
                "cost_centre": f"{unit_code}0",
                "job_title_fi": "asiantuntija",
                "job_title_sv": None,
                "pricing_code": "01ASI040",
                "agreement": "KVTES",
                "employment_type": rng.choice(("permanent", "fixed_term")),
                "working_time_share": Decimal(rng.choice(("100.00", "80.00", "50.00"))),
                "start_date": start,
                "end_date": None if number % 4 else start + timedelta(days=400),
                "updated_at": OBSERVED,
            }
        )
        for count in range(rng.randint(0, 5)):
            first = start + timedelta(days=rng.randint(0, 380))
            kind = rng.choice(("sick", "sick", "annual_leave", "unpaid"))
            absences.append(
                {
                    "absence_number": f"A{number:04d}{count}",
                    "employment_number": f"E{number:04d}",
                    "absence_type": kind,
                    "cause_code": "J06" if kind == "sick" else None,
                    "start_date": first,
                    "end_date": first + timedelta(days=rng.randint(0, 20)),
                    "paid_share": Decimal("0.00" if kind == "unpaid" else "100.00"),
                    "updated_at": OBSERVED,
                }
            )
    return {"hr.people": persons, "hr.employments": employments, "hr.absences": absences}


def indicators() -> dict[str, list[Row]]:
    """Sotkanet's datasets: two indicators of the town, a peer and the country; a value of a region that is not listed."""
    here = town.load()
    named = [
        (294, "KUNTA", here.municipality_code, here.name_fi, here.name_sv),
        (30186, "KUNTA", here.peer_municipalities[0].lstrip("0"), "Verrokki", None),
        (658, "MAA", "358", "Koko maa", "Hela landet"),
    ]
    regions = [
        {"region": region, "category": category, "code": code, "title_fi": fi, "title_sv": sv, "title_en": fi}
        | {"member_of": "[]", "uri": None}
        for region, category, code, fi, sv in named
    ]
    described = [
        (127, "Väestö 31.12.", '["male", "female", "total"]', "LKM", 0),
        (181, "Työttömät, % työvoimasta", "[]", "PROS", 1),
    ]
    organisation = {f"organisation_{language}": None for language in ("fi", "sv", "en")}
    listed = [
        {"indicator": number, "title_fi": title, "title_sv": title, "title_en": title, "sexes": sexes, **organisation}
        | {"data_updated": date(2026, 5, 28), "first_year": 2000, "last_year": 2025, "unit_code": unit}
        | {"unit_fi": unit, "unit_sv": unit, "unit_en": unit, "decimals": decimals}
        for number, title, sexes, unit, decimals in described
    ]
    values = [
        {"indicator": 127, "region": region, "year": year, "gender": gender, "value": Decimal(1000 * region + year)}
        | {"absolute_value": None}
        for region in (294, 30186, 658)
        for year in range(2000, 2026)
        for gender in ("male", "female", "total")
    ]
    values += [
        {"indicator": 181, "region": region, "year": 2025, "gender": "total", "value": value, "absolute_value": cases}
        for region, value, cases in (
            (294, Decimal("9.1"), Decimal(2210)),
            (30186, None, None),
            (658, Decimal("10.4"), Decimal(281000)),
            (99999, Decimal("7.0"), None),
        )
    ]
    return {
        "social_health.regions": regions,
        "social_health.indicators": listed,
        "social_health.indicator_values": values,
    }


def care(people: int = 80, seed: int = 13) -> dict[str, list[Row]]:
    """Patients and encounters of the months around the change of the organiser; about every tenth is a stay of two parts.

    Patient number 2 is a second id of patient 1, and patient 9 is under non-disclosure.
    """
    rng = random.Random(seed)  # noqa: S311  # synthetic rows
    patients: list[Row] = []
    encounters: list[Row] = []
    for number in range(1, people + 1):
        home = rng.choice((town.load().municipality_code, town.load().municipality_code, "091", None))
        patients.append(
            {
                "patient_id": f"k1:{number + 10_000:064x}",
                "identity_code": f"k1:{1 if number == 2 else number:064x}",
                "identity_code_valid": True,
                "birth_year": rng.randint(1935, 2022),
                "municipality_code": None if number == 9 else home,
                "non_disclosure": number == 9,
                "last_updated": OBSERVED - timedelta(days=number),
            }
        )
        for _ in range(rng.randint(1, 12)):
            start = datetime(2022, 10, 1, 8, tzinfo=UTC) + timedelta(hours=rng.randrange(24 * 180))
            stay = rng.random() < 0.1
            whole = _encounter(
                len(encounters), patients[-1], "IMP" if stay else rng.choice(("AMB", "AMB", "AMB", "VR", "HH")), start
            )
            encounters.append(whole)
            for part in range(2 * stay):
                later = start + timedelta(days=part)
                encounters.append(
                    _encounter(len(encounters), patients[-1], "IMP", later) | {"part_of": whole["encounter_id"]}
                )
    encounters[3]["status"] = "cancelled"
    here = [patient for patient in patients if patient["municipality_code"] == town.load().municipality_code]
    for month in range(4, 10):  # later, one small cell a month: it must not be told by the month's total
        start = datetime(2023, month, 5, 8, tzinfo=UTC)
        for patient in patients[:60]:
            encounters.append(_encounter(len(encounters), patient, "AMB", start))
        for patient in here[: 1 + month % 4]:
            encounters.append(_encounter(len(encounters), patient, "VR", start))
    return {"social_health.patients": patients, "social_health.encounters": encounters}


def _encounter(number: int, patient: Row, class_code: str, start: datetime) -> Row:
    return {
        "encounter_id": f"k1:{number + 20_000:064x}",
        "patient_id": patient["patient_id"],
        "status": "finished",
        "class_code": class_code,
        "start_at": start,
        "start_precision": 14,
        "end_at": start + timedelta(minutes=30),
        "part_of": None,
        "provider_oid": "1.2.246.10.90000113.10.1310",
        "last_updated": OBSERVED,
    }


def publish(dataset: str, rows: Iterable[Row], connection: psycopg.Connection[Any] | None = None) -> int:
    """Publish `rows` as a snapshot of the whole dataset: opens what is new, closes what is gone. Returns the batch."""
    if connection is None:
        with database.connect_admin() as own:
            return publish(dataset, rows, own)
    entry = contract.load(dataset)
    names = list(entry.table_columns)
    wanted: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        content = tuple(row[name] for name in names)
        occurrence = 1
        while (content, occurrence) in wanted:
            occurrence += 1
        wanted[content, occurrence] = row
    batch = connection.execute(
        "INSERT INTO ops.batch (dataset, mode, state, contract_version, contract_hash, observed_at, published_at)"
        " VALUES (%s, %s, 'published', %s, %s, %s, now()) RETURNING batch_id",
        (dataset, entry.mode, entry.version, entry.hash, OBSERVED),
    ).fetchone()
    assert batch
    keyless = entry.platform.keyless
    table = sql.Identifier("raw", entry.raw_name)
    select = sql.SQL("SELECT ctid::text, {}{} FROM {} WHERE _closed_by IS NULL").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", _occurrence" if keyless else ", 1"), table
    )
    current = {(tuple(row[1:-1]), row[-1]): row[0] for row in connection.execute(select)}
    for identity in current.keys() - wanted.keys():
        connection.execute(
            sql.SQL("UPDATE {} SET _closed_by = %s WHERE ctid = %s::tid").format(table), (batch[0], current[identity])
        )
    extra = ["_opened_by", "_observed_at"] + (["_occurrence"] if keyless else [])
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                table,
                sql.SQL(", ").join(map(sql.Identifier, [*names, *extra])),
                sql.SQL(", ").join([sql.Placeholder()] * (len(names) + len(extra))),
            ),
            [
                (*content, batch[0], OBSERVED, *([occurrence] if keyless else []))
                for content, occurrence in wanted
                if (content, occurrence) not in current
            ],
        )
    return int(batch[0])


def publish_all(datasets: Mapping[str, Iterable[Row]]) -> None:
    """Publish several datasets, each as one batch."""
    with database.connect_admin() as connection:
        for dataset, rows in datasets.items():
            publish(dataset, rows, connection)
