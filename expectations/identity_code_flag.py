"""Whether personal identity codes (HETU) were valid, which is known only from the flag that landing leaves.

The code itself never reaches the database: landing checks it (form, date, check character) and keeps a pseudonym and
the flag `<column>_valid`.
"""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)


class ColumnValuesValidIdentityCode(ColumnMapMetricProvider):
    """Rows whose flag says that the identity code was valid."""

    condition_metric_name = "column_values.valid_identity_code"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[bool], **_: Any) -> sa.ColumnElement[bool]:
        return column.is_(sa.true())


class ExpectIdentityCodesToBeValid(ColumnMapExpectation):
    """Expect the flag of an identity code column to say that the code was valid."""

    map_metric = "column_values.valid_identity_code"
