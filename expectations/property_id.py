"""Property ids (kiinteistötunnus, fastighetsbeteckning) of the cadastre."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

# Municipality, area, group and unit as registers keep them, and as people write them: zeros dropped, an unseparated parcel
# (määräala) after it. No municipality has the number 0.
STORED = r"(?!000)[0-9]{14}(M[0-9]{1,4})?"
WRITTEN = r"(?!0+-)[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,4}-[0-9]{1,4}(-M[0-9]{1,4})?"


class ColumnValuesValidPropertyId(ColumnMapMetricProvider):
    """Rows whose value is a property id in one of its two forms."""

    condition_metric_name = "column_values.valid_property_id"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], **_: Any) -> sa.ColumnElement[bool]:
        return column.regexp_match(f"^({STORED}|{WRITTEN})$")


class ExpectColumnValuesToBeValidPropertyIds(ColumnMapExpectation):
    """Expect property ids: 14 digits (09100100230004), or written as 91-1-23-4."""

    map_metric = "column_values.valid_property_id"
