"""Batches whose newest content is recent."""

from typing import Any

import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider


class DaysSinceNewest(TableMetricProvider):
    """Days from the newest date of the batch to the day of observation."""

    metric_name = "table.days_since_newest"
    value_keys = ("newest", "observed_on")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls, execution_engine: Any, metric_domain_kwargs: dict, metric_value_kwargs: dict, **_: Any
    ) -> tuple:
        newest = sa.cast(sa.func.max(sa.text(f"({metric_value_kwargs['newest']})")), sa.Date)
        return sa.cast(metric_value_kwargs["observed_on"], sa.Date) - newest, metric_domain_kwargs, {}


class ExpectNewestToBeRecent(BatchExpectation):
    """Expect the greatest `newest` (an SQL expression) to be at most `within_days` days before `observed_on`.

    The day of observation, not today's date: a batch that is replayed gets the same verdict.
    """

    newest: str
    within_days: int = pydantic.Field(ge=0)
    observed_on: Any

    metric_dependencies = ("table.days_since_newest", "table.row_count")
    success_keys = ("newest", "within_days", "observed_on")

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        days, rows = metrics["table.days_since_newest"], metrics["table.row_count"]
        success = days is not None and days <= self.within_days
        return {
            "success": success,
            "result": {
                "element_count": rows,
                "unexpected_count": 0 if success else rows,
                "observed_value": days,
                "threshold": self.within_days,
            },
        }
