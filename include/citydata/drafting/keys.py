"""Columns that may be the key of a dataset: single ones first, then small combinations."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

MOST_COLUMNS = 12
_KEY_TITLE = re.compile(
    r"tunnus|tunniste|koodi|numero|nro|\bid\b|_id\b|kod\b|code|number|nummer|avain|nyckel|key", re.IGNORECASE
)


@dataclass(frozen=True)
class Candidate:
    """One column, or the smallest combination, whose values no two rows of the sample share; `named` says that titles speak for it."""

    columns: tuple[int, ...]
    named: bool


def candidates(arrays: Sequence[pa.Array], titles: Sequence[str], usable: Sequence[bool]) -> list[Candidate]:
    """Key candidates, the likeliest first; empty when there are none of up to three columns, or less than two rows.

    `usable` says which columns may be keys at all: no geometry, no free text, no fraction.
    """
    rows = len(arrays[0]) if arrays else 0
    if rows < 2:
        return []
    full = [index for index, array in enumerate(arrays) if usable[index] and not array.null_count]
    codes = {index: arrays[index].dictionary_encode() for index in full}
    single = [index for index in full if len(codes[index].dictionary) == rows]
    found = [Candidate((index,), bool(_KEY_TITLE.search(titles[index]))) for index in single]
    if not found:
        rest = sorted(full, key=lambda index: -len(codes[index].dictionary))[:MOST_COLUMNS]
        numbers = {index: codes[index].indices.to_pylist() for index in rest}
        for size in (2, 3):
            for group in itertools.combinations(sorted(rest), size):
                if len(set(zip(*(numbers[index] for index in group), strict=True))) == rows:
                    found.append(Candidate(group, any(_KEY_TITLE.search(titles[index]) for index in group)))
            if found:
                break
    return sorted(found, key=lambda one: (not one.named, one.columns))
