"""Values that exist in another dataset."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)


def current(dataset: str, *columns: str) -> sa.TableClause:
    """The rows of `dataset` that are valid now.

    The audit makes this temporary table from raw and from batches that wait to be published, because datasets of one
    run arrive together. The suite lists what it needs under `meta.references`.
    """
    return sa.table("current_" + dataset.replace(".", "__"), *(sa.column(name) for name in columns))


class ColumnValuesKnownInDataset(ColumnMapMetricProvider):
    """Rows whose value occurs in a column of another dataset."""

    condition_metric_name = "column_values.known_in_dataset"
    condition_value_keys = ("dataset", "reference_column")

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls, column: sa.ColumnElement[str], dataset: str, reference_column: str, **_: Any
    ) -> sa.ColumnElement[bool]:
        known = current(dataset, reference_column).c[reference_column]
        return column.in_(sa.select(known).where(known.is_not(None)))


class ExpectColumnValuesToBeKnownInDataset(ColumnMapExpectation):
    """Expect values that exist in `reference_column` of `dataset`."""

    dataset: str
    reference_column: str

    map_metric = "column_values.known_in_dataset"
    success_keys = ("mostly", "dataset", "reference_column")
