"""Finnish business identity codes (Y-tunnus, FO-nummer)."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

WEIGHTS = (7, 9, 10, 5, 8, 4, 2)


def valid(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """SQL that is true for a business id with the right check digit: the weighted sum with it divides by 11."""
    # ascii('0') is 48: subtracted once for all digits instead of for each.
    digits = [sa.func.ascii(sa.func.substr(column, place)) for place in (1, 2, 3, 4, 5, 6, 7, 9)]
    weights = (*WEIGHTS, 1)
    total = sum((digit * weight for digit, weight in zip(digits, weights, strict=True)), sa.literal(-48 * sum(weights)))
    return sa.case((column.regexp_match("^[0-9]{7}-[0-9]$"), total % 11 == 0), else_=sa.false())


class ColumnValuesValidBusinessId(ColumnMapMetricProvider):
    """Rows whose value is a business id with the right check digit."""

    condition_metric_name = "column_values.valid_business_id"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], **_: Any) -> sa.ColumnElement[bool]:
        return valid(column)


class ExpectColumnValuesToBeValidBusinessId(ColumnMapExpectation):
    """Expect business ids in the form 1234567-8 whose check digit is right."""

    map_metric = "column_values.valid_business_id"
