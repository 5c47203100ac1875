"""What is proposed of a dataset: its columns with their names, types, key and personal data, from a sample."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from citydata import geometry
from citydata.drafting import keys, personal, profile
from citydata.drafting.column_names import column_names
from citydata.drafting.documents import SHAPES
from citydata.drafting.personal import Guess
from citydata.drafting.profile import Profile
from citydata.drafting.sample import Field, Sample


@dataclass(frozen=True)
class ProposedColumn:
    """A column of the draft. `texts` are the sample's and go no further than the rules that are tried on them."""

    name: str
    title: str
    profile: Profile
    guess: Guess | None
    required: bool
    key: bool
    geometry: dict[str, Any] | None = None
    texts: pa.Array = field(default_factory=lambda: pa.array([], pa.string()), repr=False, compare=False)

    @property
    def personal(self) -> str | None:
        """The kind of personal data that is proposed."""
        return self.guess.kind if self.guess else None


@dataclass(frozen=True)
class Proposal:
    """The columns of a dataset, and other combinations of them that may be its key (empty: there is none in sight)."""

    columns: tuple[ProposedColumn, ...]
    other_keys: tuple[tuple[str, ...], ...] = ()
    key_from_source: bool = False

    @property
    def key(self) -> list[str]:
        """Names of the proposed key columns."""
        return [column.name for column in self.columns if column.key]

    @property
    def personal(self) -> bool:
        """Whether personal data is guessed in any column."""
        return any(column.personal for column in self.columns)


def propose(found: Sample) -> Proposal:
    """Columns of the sample with everything that can be seen of them."""
    names = column_names("geometry" if one.geometry else one.title for one in found.fields)
    profiles = [_profile(one) for one in found.fields]
    guesses = [
        None if one.geometry else personal.guess(_spaced(one.title), one.texts, shape.type)
        for one, shape in zip(found.fields, profiles, strict=True)
    ]
    key, others, from_source = _key(found.fields, profiles, guesses)
    columns = tuple(
        ProposedColumn(
            name=name,
            title=one.title,
            profile=shape,
            guess=guess,
            required=index in key or (shape.complete if one.known.required is None else one.known.required),
            key=index in key,
            geometry=_geometry(one.texts) if one.geometry else None,
            texts=one.texts,
        )
        for index, (name, one, shape, guess) in enumerate(zip(names, found.fields, profiles, guesses, strict=True))
    )
    return Proposal(columns, tuple(tuple(names[index] for index in group) for group in others), from_source)


def _spaced(title: str) -> str:
    """A title with its words apart, so that they are found in codes such as `birth_date` and `birthDate`."""
    return re.sub(r"[_./-]+", " ", re.sub(r"(?<=[a-zåäö\d])(?=[A-ZÅÄÖ])", " ", title))


def _profile(one: Field) -> Profile:
    if one.geometry:
        rows = len(one.texts)
        return Profile("string", rows=rows, empty=one.texts.null_count, distinct=rows)
    seen = profile.profile(one.texts, _spaced(one.title))
    if one.known.type is None or seen.undecided:
        return seen
    options = one.known.options
    if one.known.type == "timestamp" and seen.type == "timestamp":
        options = seen.options
    return Profile(
        one.known.type, options, one.known.settings, seen.rows, seen.empty, seen.distinct, seen.longest, seen.notes,
        negative=seen.negative,
    )  # fmt: skip


def _key(
    fields: tuple[Field, ...], profiles: list[Profile], guesses: list[Guess | None]
) -> tuple[set[int], list[tuple[int, ...]], bool]:
    """Columns of the proposed key, the other candidates, and whether the source itself says so."""
    known = {index for index, one in enumerate(fields) if one.known.key}
    if known:
        return known, [], True
    usable = [
        not one.geometry and shape.type in ("string", "integer", "date") and shape.longest <= 60
        and not (guess and guess.kind in ("name", "contact", "free_text"))
        for one, shape, guess in zip(fields, profiles, guesses, strict=True)
    ]  # fmt: skip
    found = keys.candidates([one.texts for one in fields], [_spaced(one.title) for one in fields], usable)
    return (set(found[0].columns) if found else set()), [one.columns for one in found[1:6]], False


def _geometry(texts: pa.Array) -> dict[str, Any]:
    """Types of the geometries, and the closest bounds that hold all valid ones; `within` is None when none hold any."""
    kinds = (
        pc.drop_null(pc.struct_field(pc.extract_regex(texts, r"^SRID=\d+;(?P<kind>[A-Z]+)"), "kind"))
        .unique()
        .to_pylist()
    )
    types = [shape for shape in SHAPES if shape.upper() in kinds]
    if not types:
        return {"types": None, "within": None}
    given = len(texts) - texts.null_count
    for bounds in ("town", "country"):
        values, _ = geometry.national(texts, types, bounds)
        inside = len(values) - values.null_count
        if inside == given or (bounds == "country" and inside):
            return {"types": types, "within": bounds}
    return {"types": types, "within": None}
