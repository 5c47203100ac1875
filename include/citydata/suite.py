"""Quality suites: reading the Great Expectations files of `expectations/` and running them on a table.

Great Expectations passes silently where it should not: it drops expectations of unknown type, and an empty suite, an
empty table and an all-null column pass. Reading refuses what could pass without looking; running counts what was
judged, and a check that judged nothing has not passed.

Importing this module imports Great Expectations, which takes seconds: import it inside the step.
"""

import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from great_expectations.exceptions import GreatExpectationsError
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
from great_expectations.expectations.expectation import (
    BatchExpectation,
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
    QueryExpectation,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validation_graph import ValidationGraph
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.pool import StaticPool

import expectations
from citydata import contract, database, settings, town
from citydata.quality import DIMENSIONS, SEVERITIES

# It logs failed statements with their values. What went wrong is in the verdict, cleaned.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL + 1)

# Every suite looks at its dataset from each of these sides (governance criterion C8). The other dimensions are about
# the description and the delivery, which contract and pipeline check.
REQUIRED_DIMENSIONS = (
    "correctness",
    "precision",
    "currentness",
    "consistency",
    "uniqueness",
    "coverage",
    "completeness",
)
LANGUAGES = ("description", "description_fi", "description_sv")
META = {"id", "dimension", "severity", *LANGUAGES, "canary", "when_nothing_to_judge"}
CANARY = {"row", "set", "parameters", "keep_rows"}
# A rule that half of the rows may break is no rule.
MOSTLY_FLOOR = 0.5

# A list of values that does not fit into memory is searched from its start for every row.
WORK_MEM = "256MB"
# Rules that compare rows of the batch with each other name its table without the schema.
SEARCH_PATH = "public,landing"

WHOLE_TABLE = {"batch_id": None, "table": None, "row_condition": None, "condition_parser": None}
UNCOUNTED = (ColumnPairMapExpectation, MulticolumnMapExpectation, QueryExpectation, UnexpectedRowsExpectation)
COUNTS_ONLY = {"result_format": "BOOLEAN_ONLY"}
OBSERVED = {"result_format": "BASIC", "partial_unexpected_count": 0}


class SuiteError(ValueError):
    """A suite that must not be run. The text names file, check, what is wrong and what is allowed."""


@dataclass(frozen=True)
class Check:
    """One expectation of a suite with what our register needs to know about it."""

    id: str
    dimension: str
    severity: str
    description: str
    canary: dict[str, Any]
    skip_when_nothing_to_judge: bool
    type: str
    kwargs: dict[str, Any]

    def expectation(self, parameters: dict[str, Any]) -> Expectation:
        """The Great Expectations object, with `$PARAMETER` references replaced."""
        return ExpectationConfiguration(type=self.type, kwargs=_replaced(self.kwargs, parameters)).to_domain_obj()


@dataclass(frozen=True)
class Suite:
    """The checks of one dataset."""

    dataset: str
    path: Path
    checks: tuple[Check, ...]
    references: dict[str, list[str]]  # dataset: columns that checks compare with
    sample_parameters: dict[str, Any]

    @property
    def sample(self) -> Path:
        """The small file of synthetic rows that passes every check."""
        return self.path.with_suffix(".sample.csv")


@dataclass(frozen=True)
class Verdict:
    """What a check said. `outcome` is pass, fail, error, or skip where the suite allows that no row is judged."""

    check: Check
    outcome: str
    evaluated: int = 0
    unexpected: int = 0
    observed: float | None = None
    threshold: float | None = None
    error: str | None = None
    # SQL condition that is true for exactly the rows that the expectation counted as unexpected.
    condition: str | None = field(default=None, repr=False)


def load(dataset: str) -> Suite:
    """Read and check the suite of `dataset`.

    Raises SuiteError for a missing file, no checks, an unknown expectation type or argument, and for checks without
    identity, dimension, severity, description in three languages or canary.
    """
    path = settings.EXPECTATIONS.joinpath(*dataset.split(".", 1)).with_suffix(".json")
    if not path.is_file():
        raise SuiteError(f"{path}: no suite for {dataset}; write one, a dataset without checks is never published")
    return read(path, dataset)


def read(path: Path, dataset: str) -> Suite:
    """Read one suite file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SuiteError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if document.get("name") != dataset:
        raise SuiteError(f"{path}: `name` must be {dataset}")
    entries = document.get("expectations")
    if not entries:
        raise SuiteError(f"{path}: the suite has no expectations; an empty suite would pass whatever comes")
    meta = document.get("meta", {})
    suite = Suite(
        dataset=dataset,
        path=path,
        checks=tuple(_check(path, dataset, entry) for entry in entries),
        references=meta.get("references", {}),
        sample_parameters=meta.get("sample_parameters", {}),
    )
    ids = [check.id for check in suite.checks]
    for name in {name for name in ids if ids.count(name) > 1}:
        raise SuiteError(f"{path}: the id {name} is used twice; history is kept by it")
    for dimension in REQUIRED_DIMENSIONS:
        if dimension not in {check.dimension for check in suite.checks}:
            raise SuiteError(
                f"{path}: no check for the dimension {dimension}; needed: {', '.join(REQUIRED_DIMENSIONS)}"
            )
    _check_columns(suite)
    for check in suite.checks:
        for reference in _references(check.kwargs):
            if reference not in suite.references:
                raise SuiteError(
                    f"{path}: {check.id}: compares with {reference}, which `meta.references` does not list"
                )
        try:
            check.expectation(suite.sample_parameters)
        except (ValueError, TypeError, GreatExpectationsError) as error:
            raise SuiteError(f"{path}: {check.id}: arguments of {check.type}: {error}") from error
    return suite


def _check(path: Path, dataset: str, entry: dict[str, Any]) -> Check:
    meta = entry.get("meta") or {}
    name = meta.get("id")
    if not name or not name.startswith(f"{dataset}."):
        raise SuiteError(
            f"{path}: an expectation of type {entry.get('type')} has no `meta.id` that begins with {dataset}."
        )
    where = f"{path}: {name}"
    if unknown := meta.keys() - META:
        raise SuiteError(f"{where}: unknown key {sorted(unknown)[0]} in `meta`; allowed: {', '.join(sorted(META))}")
    for key, allowed in (("dimension", DIMENSIONS), ("severity", SEVERITIES)):
        if meta.get(key) not in allowed:
            raise SuiteError(f"{where}: `meta.{key}` must be one of {', '.join(allowed)}")
    for key in ("description", *(f"description_{language}" for language in town.load().languages)):
        if not str(meta.get(key) or "").strip():
            raise SuiteError(f"{where}: `meta.{key}` is missing: the rule in words")
    canary = meta.get("canary")
    if not isinstance(canary, dict) or not canary or canary.keys() - CANARY:
        raise SuiteError(
            f"{where}: `meta.canary` must say what makes the check fail, with keys of {', '.join(sorted(CANARY))}"
        )
    if meta.get("when_nothing_to_judge", "fail") not in ("fail", "skip"):
        raise SuiteError(f"{where}: `meta.when_nothing_to_judge` must be fail or skip")
    kwargs = entry.get("kwargs") or {}
    mostly = kwargs.get("mostly", 1)
    if not isinstance(mostly, int | float) or not MOSTLY_FLOOR <= mostly <= 1:
        raise SuiteError(
            f"{where}: `mostly` must be a number from {MOSTLY_FLOOR} to 1, otherwise the check cannot fail in earnest"
        )
    if kwargs.get("row_condition"):
        raise SuiteError(f"{where}: `row_condition` costs a scan of its own; use `when` of expect_rows_to_satisfy")
    kind = _implementation(where, str(entry.get("type")))
    if meta["severity"] == "quarantine" and (
        mostly != 1 or not issubclass(kind, ColumnMapExpectation | expectations.ExpectRowsToSatisfy)
    ):
        raise SuiteError(f"{where}: severity quarantine needs a rule about single rows and no `mostly`")
    return Check(
        id=name,
        dimension=meta["dimension"],
        severity=meta["severity"],
        description=meta["description"],
        canary=canary,
        skip_when_nothing_to_judge=meta.get("when_nothing_to_judge") == "skip",
        type=entry["type"],
        kwargs=kwargs,
    )


def _check_columns(suite: Suite) -> None:
    """Refuse columns that the contracts do not have; those inside SQL are found by the canaries."""
    own = contract.load(suite.dataset).table_columns
    for check in suite.checks:
        named = {value for key, value in check.kwargs.items() if key == "column" or key.endswith("_column")}
        other = check.kwargs.get("reference_column")
        for column in named - own.keys() - {other}:
            raise SuiteError(f"{suite.path}: {check.id}: {suite.dataset} has no column {column}; see its contract")
    for reference, columns in suite.references.items():
        for column in set(columns) - contract.load(reference).table_columns.keys():
            raise SuiteError(f"{suite.path}: `meta.references`: {reference} has no column {column}; see its contract")


def _references(kwargs: dict[str, Any]) -> set[str]:
    """Datasets that a check compares with."""
    text = f"{kwargs.get('rule', '')} {kwargs.get('when', '')}"
    named = {f"{system}.{name}" for system, name in re.findall(r"\bcurrent_([a-z0-9]+(?:_[a-z0-9]+)*)__(\w+)", text)}
    return named | ({kwargs["dataset"]} if kwargs.get("dataset") else set())


def _implementation(where: str, kind: str) -> type[Expectation]:
    try:
        implementation = get_expectation_impl(kind)
    except GreatExpectationsError as error:
        raise SuiteError(
            f"{where}: unknown expectation type {kind}; own types are imported by expectations/__init__.py"
        ) from error
    # How many rows these judged cannot be told from what they compute in the common scan.
    if issubclass(implementation, UNCOUNTED):
        raise SuiteError(f"{where}: {kind} is not used here; write the rule with expect_rows_to_satisfy")
    if not issubclass(implementation, ColumnMapExpectation | BatchExpectation):
        raise SuiteError(f"{where}: {kind} is about neither rows nor a batch")
    return implementation


def _replaced(value: Any, parameters: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$PARAMETER"}:
            name = value["$PARAMETER"]
            if name not in parameters:
                raise ValueError(f"unknown parameter {name}; there are: {', '.join(sorted(parameters))}")
            return parameters[name]
        return {key: _replaced(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, parameters) for item in value]
    return value


class Runner:
    """Runs checks on tables over a connection of its own, whose temporary tables the checks can see.

    The connection closes with the runner: Great Expectations closes what it was given when it is collected.
    """

    def __init__(self) -> None:
        # Each query stands for itself: a lock kept until a commit would block landing the batch again.
        self.connection = database.connect(
            "loader", autocommit=True, options=f"-c work_mem={WORK_MEM} -c search_path={SEARCH_PATH}"
        )
        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: self.connection, poolclass=StaticPool)
        self._engine = SqlAlchemyExecutionEngine(engine=engine, create_temp_table=False)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def run(
        self, checks: tuple[Check, ...], table: str, parameters: dict[str, Any], schema: str | None = None
    ) -> list[Verdict]:
        """Judge the rows of a table: one scan for all checks.

        An error of one check would take the common query with it: then each is run by itself, so that the error is
        stored where it belongs.
        """
        data = SqlAlchemyBatchData(
            execution_engine=self._engine, table_name=table, schema_name=schema, create_temp_table=False
        )
        self._engine.load_batch_data(f"{schema}.{table}", data)
        try:
            return self._judge(checks, table, parameters)
        except Exception as error:
            if len(checks) == 1:
                return [Verdict(checks[0], "error", error=_cleaned(error))]
            return [verdict for check in checks for verdict in self.run((check,), table, parameters, schema)]

    def _judge(self, checks: tuple[Check, ...], table: str, parameters: dict[str, Any]) -> list[Verdict]:
        whole = ValidationGraph(execution_engine=self._engine)
        rows = MetricConfiguration(metric_name="table.row_count", metric_domain_kwargs=dict(WHOLE_TABLE))
        whole.build_metric_dependency_graph(metric_configuration=rows)
        prepared = []
        for check in checks:
            expectation = check.expectation(parameters)
            # Of the expectations about rows, only the counts: every other format asks for examples, with a query each.
            result_format = COUNTS_ONLY if isinstance(expectation, ColumnMapExpectation) else OBSERVED
            needed = expectation.get_validation_dependencies(
                self._engine, {"result_format": result_format}
            ).metric_configurations
            own = ValidationGraph(execution_engine=self._engine)
            for metric in needed.values():
                own.build_metric_dependency_graph(metric_configuration=metric)
            for edge in own.edges:
                whole.add(edge)
            prepared.append((check, expectation, result_format, needed, own))
        metrics = self._resolve(whole)
        verdicts = []
        for check, expectation, result_format, needed, own in prepared:
            result = expectation.metrics_validate(metrics, {"result_format": result_format}, self._engine)
            values = {name: metrics[metric.id] for name, metric in needed.items()}
            judged = _judged(expectation, bool(result.success), metrics[rows.id], values, result.result or {})
            verdicts.append(
                _verdict(check, bool(result.success), judged, self._broken(expectation, own, metrics, table))
            )
        return verdicts

    def _resolve(self, graph: ValidationGraph) -> dict[Any, Any]:
        """Compute all metrics; aggregates wait until everything else is known, so that one scan gets them all.

        Great Expectations' own loop sends a query for each depth of the graph.
        """
        dependencies: dict[Any, set[Any]] = {}
        nodes: dict[Any, MetricConfiguration] = {}
        aggregates = set()
        for edge in graph.edges:
            nodes[edge.left.id] = edge.left
            needed = dependencies.setdefault(edge.left.id, set())
            if edge.right is not None:
                needed.add(edge.right.id)
                # Conditions ask for the number of rows first; counting alone is cheap.
                if edge.right.metric_name.endswith(".aggregate_fn") and edge.left.metric_name != "table.row_count":
                    aggregates.add(edge.left.id)
        metrics: dict[Any, Any] = {}
        while left := dependencies.keys() - metrics.keys():
            ready = {name for name in left if dependencies[name] <= metrics.keys()}
            chosen = (ready - aggregates) or ready
            metrics.update(self._engine.resolve_metrics([nodes[name] for name in chosen], metrics))
        return metrics

    def _broken(
        self, expectation: Expectation, graph: ValidationGraph, metrics: dict[Any, Any], table: str
    ) -> str | None:
        """The condition by which the expectation counted, as SQL text."""
        if isinstance(expectation, ColumnMapExpectation):
            name = f"{expectation.map_metric}.condition"
            metric = next(
                node
                for edge in graph.edges
                for node in (edge.left, edge.right)
                if node is not None and node.metric_name == name
            )
            condition = metrics[metric.id][0]
        elif isinstance(expectation, expectations.ExpectRowsToSatisfy):
            condition = expectations.row_rule.broken(expectation.rule, expectation.when, expectation.parameters, table)
        else:
            return None
        compiled = condition.compile(dialect=psycopg_dialect(), compile_kwargs={"literal_binds": True})
        return str(compiled).replace("%%", "%")


@dataclass(frozen=True)
class _Judged:
    evaluated: int
    unexpected: int
    observed: float | None
    threshold: float | None


def _judged(
    expectation: Expectation, success: bool, rows: int, values: dict[str, Any], result: dict[str, Any]
) -> _Judged:
    """How many elements were judged and how many broke the rule, from what the expectation itself counted."""
    if isinstance(expectation, ColumnMapExpectation):
        missing = (
            0
            if expectation.map_metric == "column_values.nonnull"
            else values["column_values.nonnull.unexpected_count"] or 0
        )
        evaluated, unexpected = rows - missing, values[f"{expectation.map_metric}.unexpected_count"] or 0
    elif "element_count" in result:
        evaluated, unexpected = result["element_count"], result["unexpected_count"]
    else:  # Great Expectations' own kinds about a batch as a whole; what they observed may be values of the data
        return _Judged(rows, 0 if success else rows, None, None)
    mostly = getattr(expectation, "mostly", None)
    if mostly is None:
        return _Judged(evaluated, unexpected, result.get("observed_value"), result.get("threshold"))
    return _Judged(evaluated, unexpected, unexpected / evaluated if evaluated else None, round(1 - mostly, 6))


def _verdict(check: Check, success: bool, judged: _Judged, condition: str | None) -> Verdict:
    outcome = "pass" if success else "fail"
    if not judged.evaluated:
        outcome = "skip" if check.skip_when_nothing_to_judge else "fail"
    return Verdict(
        check, outcome, judged.evaluated, judged.unexpected, judged.observed, judged.threshold, condition=condition
    )


def _cleaned(error: BaseException) -> str:
    """The text of the database's own error without values, or only the kind of another one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, psycopg.Error):
            return database.cleaned(cause)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
