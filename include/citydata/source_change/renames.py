"""Which new title is which missing column? Proposals with their reasons, from titles, places and the profile of values.

A pair is proposed only when each of the two is clearly the other's best: two columns that look alike are left to a person.
Values are compared, never told: what leaves this module are shares and counts.
"""

import difflib
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_SCORE = 0.6
LEAST_LEAD = 0.1  # before the next best of either side
LEAST_FIT = 0.95  # of the values are written as the contract says
LEAST_ALIKE = 0.5  # of titles, where no values speak for the pair
LEAST_ROWS = 3  # that must be compared before their values say anything
SURE_SHARE = 0.8  # of values that are the same, beyond which more say no more
MANY_VALUES = 5  # fewer different ones occur in many columns

TITLE, PLACE, FORM, VALUES, FEW_VALUES = 0.3, 0.1, 0.1, 0.5, 0.2


@dataclass(frozen=True)
class Match:
    """How far the values of a title are those that a column had: `share` of `compared`, by rows of the same key or by value."""

    share: float
    compared: int
    by: str
    telling: bool = True

    @property
    def strength(self) -> float:
        """From 0 to 1: some rows change between two deliveries, whoever's values they are."""
        return min(1.0, self.share / SURE_SHARE)

    @property
    def text(self) -> str:
        """In words, without a value."""
        if self.by == "key":
            return f"{self.share:.0%} of {self.compared} rows with the same key have the same value"
        return f"{self.share:.0%} of {self.compared} different values were there before"


@dataclass(frozen=True)
class Evidence:
    """What speaks for a title being a column's new one. Shares from 0 to 1; `fit` and `match` are None where nothing could be
    compared."""

    title: float
    same_place: bool
    fit: float | None
    match: Match | None

    @property
    def score(self) -> float:
        """From 0 to 1; 0 when it cannot be: values that the contract does not allow, or titles alike in nothing."""
        if self.fit is not None and self.fit < LEAST_FIT:
            return 0.0
        if self.match is None and self.title < LEAST_ALIKE:
            return 0.0
        parts = [(TITLE, self.title), (PLACE, float(self.same_place))]
        if self.fit is not None:
            parts.append((FORM, self.fit))
        if self.match is not None:
            parts.append((VALUES if self.match.telling else FEW_VALUES, self.match.strength))
        return sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)

    @property
    def by_values(self) -> bool:
        """Whether values speak for it, and not only titles and places, which two columns of the same kind may exchange."""
        return self.match is not None and self.match.telling

    @property
    def reason(self) -> str:
        """Why, in words."""
        words = [self.match.text] if self.match else ["no values to compare"]
        words.append(f"titles {self.title:.0%} alike")
        if self.same_place:
            words.append("same place")
        if self.fit is not None:
            words.append(f"{self.fit:.0%} written as the contract says")
        if not self.by_values:
            words.append("no evidence of values: --accept leaves it out, only --rename takes it")
        return "; ".join(words)


@dataclass(frozen=True)
class Rename:
    """A title that is proposed, or told by a person, to be a column's new one. `evidence` is None without a proposal."""

    column: str
    title: str
    evidence: Evidence | None = None


def propose(pairs: Mapping[tuple[str, str], Evidence]) -> list[Rename]:
    """The pairs (column, title) of which each is clearly the other's best; no column and no title comes twice."""
    scores = {pair: evidence.score for pair, evidence in pairs.items()}
    found = []
    for (column, title), score in scores.items():
        others = (
            other
            for pair, other in scores.items()
            if pair != (column, title) and (pair[0] == column or pair[1] == title)
        )
        if score >= LEAST_SCORE and score - max(others, default=0.0) >= LEAST_LEAD:
            found.append(Rename(column, title, pairs[column, title]))
    return found


def alike(title: str, names: Iterable[str]) -> float:
    """How far a title resembles one of the names that a column has, case, accents and punctuation aside."""
    return max(difflib.SequenceMatcher(None, _plain(title), _plain(name)).ratio() for name in names)


def _plain(title: str) -> str:
    letters = unicodedata.normalize("NFKD", title.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def by_key(before: Mapping[Hashable, Any], now: Mapping[Hashable, Any]) -> Match | None:
    """Compare a column's values by the key of their rows. None when too few rows have a value on either side."""
    both = [(before[key], value) for key, value in now.items() if key in before]
    said = [pair for pair in both if pair != (None, None)]
    if len(said) < LEAST_ROWS:
        return None
    different = {one for one, _ in said} | {other for _, other in said}
    # One value in all rows says little, whoever has it.
    return Match(sum(one == other for one, other in said) / len(said), len(said), "key", len(different) > 1)


def by_value(before: Iterable[Hashable], now: Sequence[Hashable]) -> Match | None:
    """Compare the different values of a column, where rows cannot be told. None when there are too few."""
    known, values = set(before) - {None}, set(now) - {None}
    if not known or len(values) < LEAST_ROWS:
        return None
    return Match(len(values & known) / len(values), len(values), "value", len(values) >= MANY_VALUES)
