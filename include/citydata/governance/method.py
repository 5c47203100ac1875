"""The method by which the share is measured: every threshold and period, in one version.

A change of any of these is a new version. Snapshots keep the version they were made with.
"""

from dataclasses import dataclass, field
from datetime import timedelta


def _dimensions() -> dict[str, frozenset[str]]:
    always = {
        *("correctness", "precision", "currentness", "consistency", "uniqueness", "coverage", "completeness"),
        "punctuality",
    }
    return {kind: frozenset(always) for kind in ("register", "event", "statistic", "geographic", "document")}


@dataclass(frozen=True)
class Method:
    """Periods are how long a piece of evidence holds; what nobody has looked at within them counts as failed."""

    version: str = "2026.1"
    # C1: fewer words than this describe nothing.
    description_words: int = 4
    # C3: how long the answer of the HR register holds.
    people: timedelta = timedelta(days=90)
    # C7, C10 and manual evidence.
    access_review: timedelta = timedelta(days=365)
    attestation: timedelta = timedelta(days=365)
    manual_evidence: timedelta = timedelta(days=365)
    # C8: which dimensions (codes of `citydata.quality`) each kind of dataset is looked at from; not chosen by owners.
    dimensions: dict[str, frozenset[str]] = field(default_factory=_dimensions)
    # C8: how long the proof holds that a check can fail, and how long the last evaluation of a check counts.
    canaries: timedelta = timedelta(days=31)
    checks: timedelta = timedelta(days=35)
    # C9: how long a critical failure may wait for a person.
    critical_failure: timedelta = timedelta(days=3)
    # C14: how long a run of the job that enforces retention counts.
    retention: timedelta = timedelta(days=35)
    # Everything else that is read at each measurement holds until the next daily one, with a day's grace.
    measurement: timedelta = timedelta(days=2)
    # Units are told apart by so many levels of the task class; finer codes make no new unit.
    task_class_levels: int = 3
    # Shares of a view with fewer datasets are shown as counts.
    fewest_for_a_share: int = 5


CURRENT = Method()
