"""Columns that depend on another one: one voucher has one fiscal year."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from expectations.known_in_dataset import current


class ColumnValuesOneValuePerGroup(ColumnMapMetricProvider):
    """Rows whose group has one value of `value_column` only."""

    condition_metric_name = "column_values.one_value_per_group"
    condition_value_keys = ("value_column", "dataset")

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls, column: sa.ColumnElement[Any], value_column: str, dataset: str | None = None, **kwargs: Any
    ) -> sa.ColumnElement[bool]:
        group: sa.ColumnElement[Any] = sa.column(column.name)
        value: sa.ColumnElement[Any] = sa.column(value_column)
        rows = current(dataset) if dataset else kwargs["_table"]
        split = (
            sa.select(group)
            .select_from(rows)
            .where(group.is_not(None))
            .group_by(group)
            .having(sa.func.min(value) != sa.func.max(value))
        )
        return column.not_in(split)


class ExpectOneValuePerGroup(ColumnMapExpectation):
    """Expect all rows with the same value of `column` to have the same `value_column`.

    With `dataset`, the rows compared are all current ones of that dataset (and what waits to be published) instead of
    the batch alone: an increment shows only what changed.
    """

    value_column: str
    dataset: str | None = None

    map_metric = "column_values.one_value_per_group"
    success_keys = ("mostly", "value_column", "dataset")
