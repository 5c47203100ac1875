"""The one place that writes results of checks: structural rules, suites and dbt tests in one table."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from decimal import Decimal
from typing import Any

import psycopg

# Codes of ISO/IEC 25012 and of the Finnish public sector's quality criteria, in the order in which they are shown.
DIMENSIONS = (
    "correctness",
    "precision",
    "currentness",
    "consistency",
    "uniqueness",
    "coverage",
    "completeness",
    "understandability",
    "compliance",
    "traceability",
    "machine_readability",
    "punctuality",
)
SEVERITIES = ("critical", "warning", "quarantine")
OUTCOMES = ("pass", "fail", "error")
SOURCES = ("structure", "suite", "dbt")


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check said about one batch or build: a row of `quality.check_result`.

    `evaluated` counts the elements judged, `unexpected` those that broke the rule. `observed` and `threshold` are
    counts, shares or days, never a value of the data.
    """

    source: str
    check_id: str
    dimension: str
    severity: str
    description: str
    outcome: str
    dataset: str | None = None
    batch_id: int | None = None
    build_id: int | None = None
    evaluated: int | None = None
    unexpected: int | None = None
    observed: Decimal | float | int | None = None
    threshold: Decimal | float | int | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        for value, allowed in (
            (self.source, SOURCES),
            (self.dimension, DIMENSIONS),
            (self.severity, SEVERITIES),
            (self.outcome, OUTCOMES),
        ):
            if value not in allowed:
                raise ValueError(
                    f"check {self.check_id} of {self.dataset}: “{value}” is not one of {', '.join(allowed)}"
                )


_COLUMNS = [field.name for field in fields(CheckResult)]


def record(connection: psycopg.Connection[Any], results: Iterable[CheckResult]) -> int:
    """Write results in the caller's transaction and return how many.

    A pass over no elements is not written: nothing was looked at, so nothing was shown to be right.
    """
    rows = [astuple(result) for result in results if result.outcome != "pass" or result.evaluated != 0]
    if rows:
        placeholders = ", ".join(["%s"] * len(_COLUMNS))
        statement = f"INSERT INTO quality.check_result ({', '.join(_COLUMNS)}) VALUES ({placeholders})"
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)
    return len(rows)
