"""Rules over several columns of one row, written as SQL conditions."""

from typing import Any

import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider


def condition(text: str, parameters: dict[str, Any] | None, batch: str) -> sa.ColumnElement[bool]:
    """The SQL condition `text`, its parameters (`:name`) bound as values and `{batch}` replaced by the table's name."""
    used = {name: value for name, value in (parameters or {}).items() if f":{name}" in text}
    return sa.text(f"({text.replace('{batch}', batch)})").bindparams(**used)  # type: ignore[return-value]


def broken(rule: str, when: str | None, parameters: dict[str, Any] | None, batch: str) -> sa.ColumnElement[bool]:
    """Rows that the rule judges and that do not satisfy it; a rule that is NULL for a row is not satisfied."""
    unsatisfied = sa.func.coalesce(condition(rule, parameters, batch), sa.false()).is_(sa.false())
    return sa.and_(condition(when, parameters, batch), unsatisfied) if when else unsatisfied


def _count(rows: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((rows, 1), else_=0)), 0)


def _batch(execution_engine: Any, metric_domain_kwargs: dict) -> str:
    return str(execution_engine.get_domain_records(domain_kwargs=metric_domain_kwargs).name)


class RowsJudged(TableMetricProvider):
    """How many rows a rule applies to."""

    metric_name = "table.rows_judged"
    value_keys = ("when", "parameters")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls, execution_engine: Any, metric_domain_kwargs: dict, metric_value_kwargs: dict, **_: Any
    ) -> tuple:
        when, parameters = metric_value_kwargs["when"], metric_value_kwargs["parameters"]
        rows = condition(when, parameters, _batch(execution_engine, metric_domain_kwargs)) if when else sa.true()
        return _count(rows), metric_domain_kwargs, {}


class RowsBroken(TableMetricProvider):
    """How many of them do not satisfy it."""

    metric_name = "table.rows_broken"
    value_keys = ("rule", "when", "parameters")

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls, execution_engine: Any, metric_domain_kwargs: dict, metric_value_kwargs: dict, **_: Any
    ) -> tuple:
        rows = broken(**metric_value_kwargs, batch=_batch(execution_engine, metric_domain_kwargs))
        return _count(rows), metric_domain_kwargs, {}


class ExpectRowsToSatisfy(BatchExpectation):
    """Expect every row (or the share `mostly`) for which the SQL condition `when` holds to satisfy `rule`, another one.

    Both may use the columns of the row (`{batch}.column` inside a subquery), the other rows of the batch
    (`from {batch} as b`), the tables `current_<system>__<dataset>` of `meta.references`, and `:name` parameters.
    """

    rule: str
    when: str | None = None
    mostly: float = pydantic.Field(default=1.0, ge=0, le=1)
    parameters: dict[str, Any] | None = None

    metric_dependencies = ("table.rows_judged", "table.rows_broken")
    success_keys = ("rule", "when", "mostly", "parameters")

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        judged, unsatisfied = metrics["table.rows_judged"], metrics["table.rows_broken"]
        return {
            "success": unsatisfied <= judged * (1 - self.mostly) + 1e-9,
            "result": {"element_count": judged, "unexpected_count": unsatisfied},
        }
