"""Ledger accounts that exist in the chart of accounts (tilikartta)."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from expectations.known_in_dataset import current

CHART = "finance.accounts"


class ColumnValuesInChartOfAccounts(ColumnMapMetricProvider):
    """Rows whose account is in the chart; with `name_column`, under the same name."""

    condition_metric_name = "column_values.in_chart_of_accounts"
    condition_value_keys = ("name_column",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls, column: sa.ColumnElement[str], name_column: str | None = None, **_: Any
    ) -> sa.ColumnElement[bool]:
        chart = current(CHART, "account", "name")
        if name_column is None:
            return column.in_(sa.select(chart.c.account))
        return sa.tuple_(column, sa.column(name_column)).in_(sa.select(chart.c.account, chart.c.name))


class ExpectColumnValuesToBeInChartOfAccounts(ColumnMapExpectation):
    """Expect accounts that exist in the chart of accounts; with `name_column`, under their name in the chart."""

    name_column: str | None = None

    map_metric = "column_values.in_chart_of_accounts"
    success_keys = ("mostly", "name_column")
