"""The source systems of a synthetic Porvoo.

Everything is a function of a seed, a scale and a day. Day 0 is `DAY_ZERO`; each later day adds what a real day brings:
new, changed, corrected, deleted, late and broken rows. Scale 1 has about 1,500 employees, 400 suppliers and 12,000
invoice lines a year. Companies have business ids from the unassigned nines, people identity codes with an individual
number in 900 to 999, which is never given to anybody.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

DAY_ZERO = date(2026, 11, 2)
"""A fixed Monday: a simulated day must not depend on when it is run."""


def date_of(day: int) -> date:
    """The calendar date of a simulated day; ValueError when the day is negative."""
    if day < 0:
        raise ValueError(f"simulated days start at 0, not {day}")
    return DAY_ZERO + timedelta(days=day)


def random_for(seed: int, *purpose: object) -> random.Random:
    """A generator of its own for each purpose, so that one purpose drawing more numbers does not move another."""
    return random.Random("/".join(map(str, (seed, *purpose))))


def scaled(count: float, scale: float, minimum: int = 1) -> int:
    """`count` at this scale, but never so few that a kind of change would be missing from a small town."""
    if scale <= 0:
        raise ValueError(f"scale must be above 0, not {scale}")
    return max(minimum, round(count * scale))


@dataclass(frozen=True)
class Town:
    """Which synthetic town answers, on which day. `recorded` are answers by dataset that are served in place of synthetic ones."""

    seed: int = 1
    scale: float = 1.0
    day: int = 0
    recorded: dict[str, Path] = field(default_factory=dict)


SERVICES = {"sotkanet": "/sotkanet/rest/1.1", "fhir": "/fhir", "wfs": "/wfs", "ogcapi": "/ogcapi"}
"""Services that answer over HTTP, by the name of the connection that reads them, and their paths on the server."""

TownNow = Callable[[], Town]
"""Asked at each request, so that a day can pass while a source runs."""
