"""Batches that have about as many rows as they should."""

from typing import Any

from great_expectations.compatibility import pydantic
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.expectations.expectation import BatchExpectation


class ExpectRowCountToBePlausible(BatchExpectation):
    """Expect at least `minimum` rows, and between `lowest_share` and `highest_share` of `reference_rows`.

    The audit gives the reference: for a snapshot the rows of the last published batch of the same scope, for an
    increment the current rows of the dataset. Without one (first load) only the minimum counts.
    """

    minimum: int = pydantic.Field(ge=1)
    lowest_share: float = pydantic.Field(default=0, ge=0)
    highest_share: float = pydantic.Field(gt=0)
    reference_rows: int | SuiteParameterDict | None = None

    metric_dependencies = ("table.row_count",)
    success_keys = ("minimum", "lowest_share", "highest_share", "reference_rows")

    def _validate(self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None) -> dict:
        rows = metrics["table.row_count"]
        lowest, highest = float(self.minimum), float("inf")
        if self.reference_rows:
            lowest = max(lowest, self.reference_rows * self.lowest_share)
            highest = max(self.minimum, self.reference_rows * self.highest_share)
        success = lowest <= rows <= highest
        return {
            "success": success,
            "result": {
                "element_count": rows,
                "unexpected_count": 0 if success else rows,
                "observed_value": rows,
                "threshold": highest if rows > highest else lowest,
            },
        }
