"""Finnish postal codes (postinumero, postnummer)."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

PLACEHOLDER = "00000"


class ColumnValuesPostalCode(ColumnMapMetricProvider):
    """Rows whose value is written as a postal code, or is one of the `totals` that stand among them."""

    condition_metric_name = "column_values.postal_code"
    condition_value_keys = ("totals",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls, column: sa.ColumnElement[str], totals: list[str] | None = None, **_: Any
    ) -> sa.ColumnElement[bool]:
        written = sa.and_(column.regexp_match("^[0-9]{5}$"), column != PLACEHOLDER)
        return sa.or_(written, column.in_(totals)) if totals else written


class ExpectColumnValuesToBePostalCodes(ColumnMapExpectation):
    """Expect postal codes of five digits that are not all zeros; `totals` are codes for sums that stand among them."""

    totals: list[str] | None = None

    map_metric = "column_values.postal_code"
    success_keys = ("mostly", "totals")
