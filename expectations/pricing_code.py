"""Pricing codes of the municipal collective agreements (hinnoittelutunnus, lönesättningskod)."""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

# KVTES: 01ASI040. OVTES: 4 50 01 04 0, written with or without blanks. Others have eight characters.
SHAPES = {"KVTES": "^[0-9]{2}[A-ZÅÄÖ]{3}[0-9]{2}[0-9A-Z]$", "OVTES": "^[0-9]{8}$"}
OTHER_SHAPE = "^[0-9A-ZÅÄÖ]{8}$"


class ColumnValuesPricingCode(ColumnMapMetricProvider):
    """Rows whose pricing code has the shape of their collective agreement."""

    condition_metric_name = "column_values.pricing_code"
    condition_value_keys = ("agreement_column",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: sa.ColumnElement[str], agreement_column: str, **_: Any) -> sa.ColumnElement[bool]:
        code = sa.func.replace(column, " ", "")
        agreement: sa.ColumnElement[str] = sa.column(agreement_column)
        shapes = [(agreement == name, code.regexp_match(shape)) for name, shape in SHAPES.items()]
        return sa.case(*shapes, else_=code.regexp_match(OTHER_SHAPE))


class ExpectColumnValuesToBePricingCodes(ColumnMapExpectation):
    """Expect pricing codes in the shape of the collective agreement that `agreement_column` names."""

    agreement_column: str

    map_metric = "column_values.pricing_code"
    success_keys = ("mostly", "agreement_column")
