"""Finnish municipality codes (kuntanumero, kommunnummer), by Statistics Finland's classification."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from expectations.known_in_dataset import current

REGISTER = "statistics.municipalities"


class ColumnValuesMunicipalityCode(ColumnMapMetricProvider):
    """Rows whose value is the three-digit code of a municipality of the classification."""

    condition_metric_name = "column_values.municipality_code"
    condition_value_keys = ()

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], **_: Any) -> sa.ColumnElement[bool]:
        number = current(REGISTER, "municipality").c.municipality
        # The classification writes numbers without their zeros.
        return column.in_(sa.select(sa.func.lpad(sa.cast(number, sa.Text), 3, "0")).where(number.is_not(None)))


class ExpectColumnValuesToBeMunicipalityCodes(ColumnMapExpectation):
    """Expect codes of three digits that the classification of municipalities knows, of any year it is loaded for.

    The suite lists `statistics.municipalities: [municipality]` under `meta.references`.
    """

    map_metric = "column_values.municipality_code"
