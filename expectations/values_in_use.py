"""Registers that hold everything other datasets refer to."""

from typing import Any

import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from expectations.known_in_dataset import current


def _once(count: sa.Select[Any]) -> sa.ColumnElement[int]:
    """The count as an aggregate over the batch, for the common query of all checks; an empty batch gives 0."""
    return sa.func.coalesce(sa.func.max(count.scalar_subquery()), 0)


class ValuesInUse(TableMetricProvider):
    """How many different values the other dataset uses."""

    metric_name = "table.values_in_use"
    value_keys = ("dataset", "reference_column")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls, execution_engine: Any, metric_domain_kwargs: dict, metric_value_kwargs: dict, **_: Any
    ) -> tuple:
        used = current(metric_value_kwargs["dataset"], metric_value_kwargs["reference_column"]).c[
            metric_value_kwargs["reference_column"]
        ]
        return _once(sa.select(sa.func.count(used.distinct()))), metric_domain_kwargs, {}


class ValuesMissing(TableMetricProvider):
    """How many of them the batch does not hold."""

    metric_name = "table.values_missing"
    value_keys = ("dataset", "reference_column", "column")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls, execution_engine: Any, metric_domain_kwargs: dict, metric_value_kwargs: dict, **_: Any
    ) -> tuple:
        used = current(metric_value_kwargs["dataset"], metric_value_kwargs["reference_column"]).c[
            metric_value_kwargs["reference_column"]
        ]
        # An alias: without it the inner query would take the batch of the outer one.
        batch = execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs).alias("register")
        held: sa.ColumnElement[Any] = sa.column(metric_value_kwargs["column"], _selectable=batch)
        present = sa.select(held).select_from(batch).where(held.is_not(None))
        missing = sa.select(sa.func.count(used.distinct())).where(used.is_not(None), used.not_in(present))
        return _once(missing), metric_domain_kwargs, {}


class ExpectValuesInUseToBePresent(BatchExpectation):
    """Expect every value of `reference_column` of `dataset` (or the share `mostly`) to be in `column` of the batch."""

    column: str
    dataset: str
    reference_column: str
    mostly: float = pydantic.Field(default=1.0, ge=0, le=1)

    metric_dependencies = ("table.values_in_use", "table.values_missing")
    success_keys = ("column", "dataset", "reference_column", "mostly")

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        used, missing = metrics["table.values_in_use"], metrics["table.values_missing"]
        return {
            "success": missing <= used * (1 - self.mostly) + 1e-9,
            "result": {"element_count": used, "unexpected_count": missing},
        }
