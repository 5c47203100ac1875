"""Permanent building ids (VTJ-PRT, pysyvä rakennustunnus, beständig byggnadsbeteckning)."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

CHECK_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def valid(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """SQL that is true for nine digits and their check character: the digits modulo 31, as a place in the alphabet."""
    digits = sa.cast(sa.func.left(column, 9), sa.Integer)
    check = sa.func.substr(CHECK_CHARACTERS, digits % 31 + 1, 1)
    return sa.case((column.regexp_match("^[0-9]{9}[0-9A-Y]$"), sa.func.right(column, 1) == check), else_=sa.false())


class ColumnValuesValidPermanentBuildingId(ColumnMapMetricProvider):
    """Rows whose value is a permanent building id with the right check character."""

    condition_metric_name = "column_values.valid_permanent_building_id"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], **_: Any) -> sa.ColumnElement[bool]:
        return valid(column)


class ExpectColumnValuesToBeValidPermanentBuildingId(ColumnMapExpectation):
    """Expect permanent building ids whose check character is right, for example 103515074X."""

    map_metric = "column_values.valid_permanent_building_id"
