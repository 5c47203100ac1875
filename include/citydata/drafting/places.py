"""Where the files of a dataset's draft stand."""

from dataclasses import dataclass
from pathlib import Path

from citydata import settings

KINDS = ("systems", "datasets", "art30", "changes")
"""Kinds of inventory entries that are drafted, each in a file of its own until the steward moves it."""


@dataclass(frozen=True)
class Places:
    """The files of one dataset."""

    system: str
    name: str

    @property
    def contract(self) -> Path:
        """The contract."""
        return settings.CONTRACTS / self.system / f"{self.name}.yaml"

    @property
    def suite(self) -> Path:
        """The suite of quality checks."""
        return settings.EXPECTATIONS / self.system / f"{self.name}.json"

    @property
    def suite_sample(self) -> Path:
        """The synthetic rows that the suite is tried on."""
        return self.suite.with_suffix(".sample.csv")

    @property
    def staging(self) -> Path:
        """The staging model."""
        models = settings.ROOT / "dbt_project" / "models" / "staging"
        return models / self.system / f"stg_{self.system}__{self.name}.sql"

    @property
    def assessment(self) -> Path:
        """The assessment of the change (906/2019 5 §), beside the contracts."""
        return assessments() / self.system / f"{self.name}.md"

    def inventory(self, kind: str) -> Path:
        """The drafted entry of a kind of the inventory."""
        return settings.INVENTORY / kind / f"{self.system}_{self.name}.yaml"

    def all(self) -> list[Path]:
        """Every file that a draft may have, the contract last: it is what makes the others a draft."""
        entries = [self.inventory(kind) for kind in KINDS]
        return [self.suite, self.suite_sample, self.staging, *entries, self.assessment, self.contract]


def assessments() -> Path:
    """The folder of change assessments."""
    return settings.CONTRACTS.parent / "change_assessments"


def shown(path: Path) -> str:
    """A path as people type it."""
    return str(path.relative_to(settings.ROOT)) if path.is_relative_to(settings.ROOT) else str(path)
