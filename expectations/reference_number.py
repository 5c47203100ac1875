"""Finnish bank reference numbers (viitenumero, referensnummer), Finance Finland's standard of 2010."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)


def valid(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """SQL that is true for 4 to 20 digits (blanks between groups allowed) with the right check digit.

    The digits before the check digit are weighted 7, 3, 1 from the right; the check digit completes the sum to ten.
    """
    digits = sa.func.replace(column, " ", "")
    place = (
        sa.func.unnest(sa.func.string_to_array(sa.func.reverse(digits), None))
        .table_valued("digit", with_ordinality="place")
        .render_derived()
    )
    # The check digit itself stands first in the reversed number and has weight 1; then 7, 3, 1, 7, 3, 1 …
    weight = sa.case((place.c.place == 1, 1), (place.c.place % 3 == 2, 7), (place.c.place % 3 == 0, 3), else_=1)
    total = sa.select(sa.func.sum(sa.cast(place.c.digit, sa.Integer) * weight)).scalar_subquery()
    return sa.case((digits.regexp_match("^[0-9]{4,20}$"), total % 10 == 0), else_=sa.false())


class ColumnValuesValidReferenceNumber(ColumnMapMetricProvider):
    """Rows whose value is a reference number with the right check digit."""

    condition_metric_name = "column_values.valid_reference_number"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], **_: Any) -> sa.ColumnElement[bool]:
        return valid(column)


class ExpectColumnValuesToBeValidReferenceNumber(ColumnMapExpectation):
    """Expect bank reference numbers with the right check digit."""

    map_metric = "column_values.valid_reference_number"
