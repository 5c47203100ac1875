"""What is hidden in marts about people cannot be worked out from what is not: tried with linear programming."""

import calendar
import datetime as dt
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from citydata import database, town, transform
from tests.integration.transform import raw_rows
from tests.integration.transform.test_build import rows

THRESHOLD = town.load().suppression_threshold


@dataclass(frozen=True)
class Cell:
    """A cell as a reader sees it: people and days (or another amount) are None when hidden.

    `employees` are all who could be in it.
    """

    sector: str
    employees: int
    people: int | None
    days: int | None


def bounds(
    length: int, cells: list[Cell], total: Cell, *, people_add_up: bool
) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """What an attacker can say of each hidden cell: least and most people, least and most days.

    They know the published cells and total, how many are employed, and that whoever was ill was so for at least a day
    and at most the whole month of `length` days. Where people count in several cells, the total is the least of their sum.
    """
    hidden = [cell for cell in cells if cell.people is None]
    count = len(hidden)
    at_most, limits = [], []
    for index in range(count):
        for row in ((1, -1), (-length, 1)):  # people <= days <= people × length of the month
            line = np.zeros(2 * count)
            line[index], line[count + index] = row
            at_most.append(line)
            limits.append(0)
    equal, sums = [], []
    if total.people is not None and total.days is not None:
        for offset, value, name in ((0, total.people, "people"), (count, total.days, "days")):
            line = np.zeros(2 * count)
            line[offset : offset + count] = 1
            left = value - sum(getattr(cell, name) or 0 for cell in cells)
            if name == "days" or people_add_up:
                equal.append(line)
                sums.append(left)
            else:
                at_most.append(-line)
                limits.append(-left)
    ranges = [(0, cell.employees) for cell in hidden] + [(0, cell.employees * length) for cell in hidden]

    def extreme(index: int, sign: int) -> float:
        goal = np.zeros(2 * count)
        goal[index] = sign
        found = linprog(
            goal, A_ub=at_most, b_ub=limits, A_eq=equal or None, b_eq=sums or None, bounds=ranges, method="highs"
        )
        assert found.status == 0
        return sign * found.fun

    return {
        cell.sector: (
            (extreme(index, 1), extreme(index, -1)),
            (extreme(count + index, 1), extreme(count + index, -1)),
        )
        for index, cell in enumerate(hidden)
    }


def recovered(
    months: dict[dt.date, tuple[list[Cell], Cell]],
    truth: dict[tuple[dt.date, str], tuple[int, int]],
    *,
    people_add_up: bool = True,
) -> list[str]:
    """Hidden cells of fewer people than the threshold of which an attacker can say too much."""
    found = []
    for month, (cells, total) in months.items():
        length = calendar.monthrange(month.year, month.month)[1]
        known = bounds(length, cells, total, people_add_up=people_add_up)
        for sector, ((least, most), (fewest, longest)) in known.items():
            people, days = truth[month, sector]
            narrow = most - least < THRESHOLD - 1
            # The attacker must not know the days of a few people better than to 15 per cent.
            close = longest < 1.15 * days and fewest > 0.85 * days
            if 0 < people < THRESHOLD and (narrow or close):
                found.append(f"{month} {sector}")
    return found


@pytest.fixture
def ill(warehouse: Path) -> dict[tuple[dt.date, str], tuple[int, int]]:
    """Many months with few people on sick leave in each sector; the true figures by month and sector."""
    rng = random.Random(5)  # noqa: S311  # synthetic rows
    people = raw_rows.hr(people=90, seed=3)
    people["hr.absences"] = []
    for employment in people["hr.employments"]:
        employment |= {"start_date": dt.date(2019, 1, 1), "end_date": None}
        for count in range(rng.choice((0, 0, 1, 3, 6))):
            first = dt.date(2020, 1, 1) + dt.timedelta(days=rng.randint(0, 2000))
            people["hr.absences"].append(
                {
                    "absence_number": f"{employment['employment_number']}-{count}",
                    "employment_number": employment["employment_number"],
                    "absence_type": "sick",
                    "cause_code": "J06",
                    "start_date": first,
                    "end_date": first + dt.timedelta(days=rng.choice((0, 1, 2, 4, 30))),
                    "paid_share": 100,
                    "updated_at": raw_rows.OBSERVED,
                }
            )
    raw_rows.publish_all(people)
    assert transform.build().failures == {}
    with database.connect("transformer") as connection:
        true_rows = connection.execute(
            "SELECT month_start, sector_code, count(*), sum(sick_leave_days)"
            " FROM build_warehouse.int_sick_leave_employee_month GROUP BY 1, 2"
        ).fetchall()
    return {(month, sector): (count, days) for month, sector, count, days in true_rows}


def test_small_cells_are_hidden_and_cannot_be_worked_out(ill: dict[tuple[dt.date, str], tuple[int, int]]) -> None:
    months: dict[dt.date, tuple[list[Cell], Cell]] = {}
    plain: dict[dt.date, tuple[list[Cell], Cell]] = {}
    published = rows(
        "SELECT month_start, sector_code, employees, sick_leave_employees, sick_leave_days FROM build_mart_hr.sick_leave"
    )
    for month in {row[0] for row in published}:
        cells = [Cell(*row[1:]) for row in published if row[0] == month and row[1] != "all"]
        [total] = [Cell(*row[1:]) for row in published if row[0] == month and row[1] == "all"]
        months[month] = (cells, total)
        # The same month if only the small cells had been hidden.
        figures = {cell.sector: ill.get((month, cell.sector), (0, 0)) for cell in cells}
        plain[month] = (
            [
                Cell(
                    c.sector,
                    c.employees,
                    *((None, None) if 0 < figures[c.sector][0] < THRESHOLD else figures[c.sector]),
                )
                for c in cells
            ],
            Cell("all", total.employees, sum(f[0] for f in figures.values()), sum(f[1] for f in figures.values())),
        )
    hidden = [(month, cell) for month, (cells, _) in months.items() for cell in cells if cell.people is None]
    assert len(hidden) > 20
    assert any(total.people is not None and any(c.people is None for c in cells) for cells, total in months.values())
    assert len(recovered(plain, ill)) > 5  # the attack works where nothing but the small cells is hidden
    assert recovered(months, ill) == []
    shown = rows("SELECT month_start, sector_code, sick_leave_employees, sick_leave_days FROM build_mart_hr.sick_leave")
    for month, sector, people, days in shown:
        assert people is None or people == 0 or people >= THRESHOLD
        if sector != "all" and people is not None:
            assert (people, days) == ill.get((month, sector), (0, 0))
    assert rows("SELECT DISTINCT suppression_reason FROM build_mart_hr.sick_leave WHERE is_suppressed") == [
        ("disclosure_control",)
    ]


def test_small_cells_of_encounters_cannot_be_worked_out_either(warehouse: Path) -> None:
    """A patient counts in every class; the released warehouse has months of 80 patients in up to twelve cells."""
    with database.connect("transformer") as connection:
        truth = {
            (month, f"{class_code} {residence}"): (people, encounters)
            for month, class_code, residence, people, encounters in connection.execute(
                "SELECT month_start, class_code, residence, count(*), sum(encounters)"
                " FROM build_warehouse.int_encounter_patient_month GROUP BY 1, 2, 3"
            )
        }
    published = rows(
        "SELECT month_start, class_code || ' ' || residence, 80, patients, encounters"
        " FROM build_mart_social_health.encounter_volume"
    )
    months: dict[dt.date, tuple[list[Cell], Cell]] = {}
    plain: dict[dt.date, tuple[list[Cell], Cell]] = {}
    for month in {row[0] for row in published}:
        cells = [Cell(*row[1:]) for row in published if row[0] == month and row[1] != "all all"]
        [total] = [Cell(*row[1:]) for row in published if row[0] == month and row[1] == "all all"]
        months[month] = (cells, total)
        figures = {cell.sector: truth[month, cell.sector] for cell in cells}
        small = [
            Cell(name, 80, *((None, None) if people < THRESHOLD else (people, encounters)))
            for name, (people, encounters) in figures.items()
        ]
        plain[month] = (small, total)
        for cell in cells:
            assert cell.people is None or (cell.people, cell.days) == figures[cell.sector]
            assert cell.people is None or cell.people >= THRESHOLD
    assert sum(cell.people is None for cells, _ in months.values() for cell in cells) > 20
    assert len(recovered(plain, truth, people_add_up=False)) > 1  # the attack works where only small cells are hidden
    assert recovered(months, truth, people_add_up=False) == []
