"""The drafted suite: rules that hold for every row of the sample, each with a canary, on rows that are made up.

A rule is proposed only when the sample keeps it. No value of the sample is in it: thresholds are general ones. Dimensions
for which nothing can be proposed are left to a person; `missing` names them.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from citydata import formats, town
from citydata.drafting.answers import Dataset
from citydata.drafting.profile import cast_column
from citydata.drafting.proposal import Proposal, ProposedColumn

DIMENSIONS = ("correctness", "precision", "currentness", "consistency", "uniqueness", "coverage", "completeness")
OBSERVED_ON = date(2026, 3, 2)
ROWS = 5
RECENT_DAYS = 400
_PLACEHOLDER = date(1900, 1, 1)
_BEGINS = re.compile(r"alku|start|begin|från|alkaa|valid_from", re.IGNORECASE)
_ENDS = re.compile(r"loppu|päätt|paatt|end|slut|till|valid_to", re.IGNORECASE)


class _Suite:
    """A suite that grows rule by rule. `rows` are the made-up rows, as PostgreSQL reads them."""

    def __init__(self, dataset: Dataset, proposal: Proposal, today: date) -> None:
        self.dataset, self.proposal, self.today = dataset, proposal, today
        self.columns = [column for column in proposal.columns if column.personal != "health"]
        self.checks: list[dict[str, Any]] = []
        self.rows = [{column.name: _made_up(column, row) for column in proposal.columns} for row in range(ROWS)]
        for column in proposal.columns:
            if column.personal == "identity_code":
                for row in self.rows:
                    row[f"{column.name}_valid"] = "true"
        self.values = {column.name: _cast(column) for column in proposal.columns if not column.geometry}

    def add(
        self, name: str, dimension: str, words: tuple[str, str, str], canary: dict[str, Any], rule: str | None = None,
        *, when: str | None = None, type: str = "expect_rows_to_satisfy", severity: str = "warning", **arguments: Any,
    ) -> None:  # fmt: skip
        """Add a check; `words` are its description in English, Finnish and Swedish."""
        given = {"rule": rule, "when": when, **arguments}
        meta = {"id": f"{self.dataset.id}.{name}", "dimension": dimension, "severity": severity}
        meta |= {"description": words[0], "description_fi": words[1], "description_sv": words[2], "canary": canary}  # type: ignore[dict-item]
        kwargs = {key: value for key, value in given.items() if value is not None}
        self.checks.append({"type": type, "kwargs": kwargs, "meta": meta})

    def of_type(self, *types: str, personal: bool = False) -> list[ProposedColumn]:
        """Columns of these logical types; those of personal data only when asked for."""
        return [
            column
            for column in self.columns
            if column.profile.type in types and not column.geometry and not column.profile.undecided
            and (personal or not column.personal) and column.profile.distinct
        ]  # fmt: skip

    @property
    def texts(self) -> list[ProposedColumn]:
        """Columns of words: texts that are no codes and no key."""
        return [one for one in self.of_type("string") if "pattern" not in one.profile.options and not one.key]


def render(dataset: Dataset, proposal: Proposal, today: date) -> tuple[str, str, list[str]]:
    """The suite as JSON, its sample as CSV, and the dimensions that no rule could be proposed for."""
    suite = _Suite(dataset, proposal, today)
    for propose in (_correctness, _precision, _currentness, _consistency, _uniqueness, _completeness):
        propose(suite)
    suite.add(
        "rows_plausible", "coverage",
        ("There are at least half and at most three times as many rows as in the last batch.",
         "Rivejä on vähintään puolet ja enintään kolme kertaa niin paljon kuin edellisessä erässä.",
         "Raderna är minst hälften och högst tre gånger så många som i den senaste satsen."),
        {"parameters": {"reference_rows": 1000}}, type="expect_row_count_to_be_plausible", severity="critical",
        minimum=1, lowest_share=0.5, highest_share=3, reference_rows={"$PARAMETER": "reference_rows"},
    )  # fmt: skip
    document = {
        "name": dataset.id,
        "meta": {
            "references": {},
            "sample_parameters": {"observed_on": OBSERVED_ON.isoformat(), "reference_rows": ROWS},
        },
        "expectations": suite.checks,
    }
    there = {check["meta"]["dimension"] for check in suite.checks}
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return text, _csv(suite.rows), [dimension for dimension in DIMENSIONS if dimension not in there]


def _csv(rows: list[dict[str, str | None]]) -> str:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


# -- rules -----------------------------------------------------------------------------------------------------------


def _correctness(suite: _Suite) -> None:
    for column in suite.of_type("date", "timestamp", personal=True):
        days = [_day(value) for value in suite.values[column.name].drop_null().to_pylist()]
        if days and max(days) <= suite.today:
            suite.add(
                f"{column.name}_not_ahead", "correctness",
                (f"{column.name} is not after the day on which the row was read.",
                 f"{column.name} ei ole lukupäivän jälkeen.", f"{column.name} är inte efter dagen då raden lästes."),
                {"row": 1, "set": {column.name: "2062-01-01"}}, f"{column.name} < cast(:observed_on as date) + 1",
                when=f"{column.name} is not null", parameters={"observed_on": {"$PARAMETER": "observed_on"}},
            )  # fmt: skip
    for column in suite.of_type("integer", "number"):
        if not column.profile.negative:
            suite.add(
                f"{column.name}_not_negative", "correctness",
                (f"{column.name} is not negative.", f"{column.name} ei ole negatiivinen.", f"{column.name} är inte negativ."),
                {"row": 1, "set": {column.name: "-1"}}, f"{column.name} >= 0", when=f"{column.name} is not null",
            )  # fmt: skip
    if not any(check["meta"]["dimension"] == "correctness" for check in suite.checks):
        for column in suite.texts[:1]:
            suite.add(
                f"{column.name}_one_line", "correctness",
                (f"{column.name} is one line without control characters.", f"{column.name} on yksi rivi ilman ohjausmerkkejä.",
                 f"{column.name} är en rad utan styrtecken."),
                {"row": 1, "set": {column.name: "a\tb"}}, f"{column.name} !~ '[[:cntrl:]]'", when=f"{column.name} is not null",
            ) if _all(column, pc.invert(pc.match_substring_regex(column.texts, r"[\x00-\x1f\x7f]"))) else None  # fmt: skip


def _precision(suite: _Suite) -> None:
    for column in suite.texts:
        if _all(column, pc.greater_equal(pc.utf8_length(pc.utf8_trim_whitespace(column.texts)), 2)):
            suite.add(
                f"{column.name}_says_something", "precision",
                (f"{column.name} is at least two letters long.", f"{column.name} on vähintään kaksi kirjainta pitkä.",
                 f"{column.name} är minst två bokstäver långt."),
                {"row": 1, "set": {column.name: "x"}}, f"length(btrim({column.name})) >= 2", when=f"{column.name} is not null",
            )  # fmt: skip
            return
    for column in suite.of_type("date", "timestamp", personal=True):
        days = [_day(value) for value in suite.values[column.name].drop_null().to_pylist()]
        if _PLACEHOLDER not in days:
            suite.add(
                f"{column.name}_no_placeholder", "precision",
                (f"{column.name} is a real day, not 1 January 1900.", f"{column.name} on todellinen päivä eikä 1.1.1900.",
                 f"{column.name} är en verklig dag och inte 1.1.1900."),
                {"row": 1, "set": {column.name: "1900-01-01"}}, f"cast({column.name} as date) <> date '1900-01-01'",
                when=f"{column.name} is not null",
            )  # fmt: skip
            return


def _currentness(suite: _Suite) -> None:
    for column in suite.of_type("timestamp", "date"):
        days = [_day(value) for value in suite.values[column.name].drop_null().to_pylist()]
        if days and suite.today - timedelta(days=RECENT_DAYS) <= max(days) <= suite.today:
            suite.add(
                f"newest_{column.name}_recent", "currentness",
                (f"The newest {column.name} is at most {RECENT_DAYS} days old.",
                 f"Uusin {column.name} on enintään {RECENT_DAYS} päivää vanha.",
                 f"Det nyaste {column.name} är högst {RECENT_DAYS} dagar gammalt."),
                {"row": "all", "set": {column.name: "2020-01-01"}}, type="expect_newest_to_be_recent",
                newest=column.name, within_days=RECENT_DAYS, observed_on={"$PARAMETER": "observed_on"},
            )  # fmt: skip
            return


def _consistency(suite: _Suite) -> None:
    days = suite.of_type("date", "timestamp")
    for begin in days:
        for end in days:
            if begin is end or not (_BEGINS.search(begin.title) and _ENDS.search(end.title)):
                continue
            right = pc.less_equal(suite.values[begin.name], suite.values[end.name])
            if pc.all(pc.fill_null(right, True)).as_py():
                suite.add(
                    f"{begin.name}_before_{end.name}", "consistency",
                    (f"{end.name} is not before {begin.name}.", f"{end.name} ei ole ennen kuin {begin.name}.",
                     f"{end.name} är inte före {begin.name}."),
                    {"row": 1, "set": {begin.name: "2026-03-01", end.name: "1999-01-01"}}, f"{begin.name} <= {end.name}",
                    when=f"{begin.name} is not null and {end.name} is not null",
                )  # fmt: skip
                return
    for group, value in _dependencies(suite):
        suite.add(
            f"one_{value.name}_per_{group.name}", "consistency",
            (f"Rows with the same {group.name} have the same {value.name}.", f"Samalla {group.name}-arvolla on sama {value.name}.",
             f"Rader med samma {group.name} har samma {value.name}."),
            {"row": 1, "set": {group.name: suite.rows[1][group.name], value.name: _other(value)}},
            type="expect_one_value_per_group", column=group.name, value_column=value.name,
        )  # fmt: skip
        return


def _dependencies(suite: _Suite) -> Iterator[tuple[ProposedColumn, ProposedColumn]]:
    """Columns of which one depends on the other in the sample, with enough repeated groups to show it."""
    groups = [one for one in suite.of_type("string", "integer") if 2 <= one.profile.distinct < one.profile.rows / 2]
    for group in groups:
        for value in groups:
            if group is value or value.profile.distinct > group.profile.distinct:
                continue
            pairs = {
                pair for pair in zip(group.texts.to_pylist(), value.texts.to_pylist(), strict=True) if None not in pair
            }
            if len(pairs) == len({first for first, _ in pairs}) and len({second for _, second in pairs}) > 1:
                yield group, value


def _uniqueness(suite: _Suite) -> None:
    if not suite.proposal.key:
        return
    key = suite.proposal.key[0]
    rest = [one for one in suite.of_type("string", "integer", "number", "date") if not one.key]
    for column in suite.texts:
        if column.profile.complete and column.profile.distinct == column.profile.rows:
            suite.add(
                f"{column.name}_of_one_row", "uniqueness",
                (f"Two rows do not have the same {column.name}.", f"Kahdella rivillä ei ole sama {column.name}.",
                 f"Två rader har inte samma {column.name}."),
                {"row": 2, "set": {column.name: suite.rows[0][column.name]}},
                f"{column.name} not in (select other.{column.name} from {{batch}} as other"
                f" where other.{column.name} is not null group by 1 having count(*) > 1)",
                when=f"{column.name} is not null",
            )  # fmt: skip
            return
    together = list(zip(*(one.texts.to_pylist() for one in rest), strict=True))
    if rest and len(set(together)) == len(together):
        names = ", ".join(f"{{0}}{one.name}" for one in rest)
        suite.add(
            "rows_differ_beside_their_key", "uniqueness",
            (f"Two rows that differ in {key} differ in something else too.", f"Rivit, joilla on eri {key}, eroavat muutenkin.",
             f"Rader med olika {key} skiljer sig också annars."),
            {"row": 2, "set": {one.name: suite.rows[0][one.name] for one in rest}},
            f"concat_ws('|', {names.format('')}) not in"
            f" (select concat_ws('|', {names.format('other.')}) from {{batch}} as other group by 1 having count(*) > 1)",
        )  # fmt: skip


def _completeness(suite: _Suite) -> None:
    for column in suite.texts:
        if _all(column, pc.match_substring_regex(column.texts, r"[\p{L}\p{N}]")):
            suite.add(
                f"{column.name}_no_placeholder", "completeness",
                (f"{column.name} holds a letter or a digit, not a dash.", f"{column.name} sisältää kirjaimen tai numeron eikä viivaa.",
                 f"{column.name} innehåller en bokstav eller siffra och inte ett streck."),
                {"row": 1, "set": {column.name: "-"}}, f"{column.name} ~ '[[:alnum:]]'", when=f"{column.name} is not null",
            )  # fmt: skip
            return
    others = [one.name for one in suite.columns if not one.key]
    if others:
        suite.add(
            "something_beside_the_key", "completeness",
            ("A row says something beside its key.", "Rivillä on muutakin kuin avain.", "Raden innehåller annat än sin nyckel."),
            {"row": 1, "set": dict.fromkeys(others)}, f"num_nonnulls({', '.join(others)}) > 0",
        )  # fmt: skip


# -- values ----------------------------------------------------------------------------------------------------------


def _all(column: ProposedColumn, right: pa.Array) -> bool:
    """Whether a condition holds for every text of the sample that is there."""
    return bool(pc.all(pc.fill_null(right, True)).as_py())


def _cast(column: ProposedColumn) -> pa.Array:
    """The sample's texts as the contract reads them; all null where it does not say how yet."""
    if column.profile.undecided or column.profile.type == "string":
        return column.texts
    return formats.caster(cast_column(column.profile), town.load().time_zone)(column.texts).values


def _day(value: Any) -> date:
    return value.date() if hasattr(value, "date") else value


def _other(column: ProposedColumn) -> str:
    return {"integer": "987", "number": "987"}.get(column.profile.type, "Muu"[: _longest(column)])


def _longest(column: ProposedColumn) -> int:
    return int(column.profile.options.get("maxLength") or 60)


def _made_up(column: ProposedColumn, row: int) -> str | None:
    """A value of the right shape for a row of the suite's sample."""
    shape = column.profile
    if column.geometry:
        return "\\x0101000000" + f"{row:02x}" + "00000000001641" + "0000000000745941" if column.required else None
    if column.personal in ("identity_code", "pseudonym"):
        return f"k1:{row:064x}"
    if shape.type in ("integer", "number"):
        return str(10 + row)
    if shape.type == "boolean":
        return ("true", "false")[row % 2]
    day = OBSERVED_ON - timedelta(days=10 + (0 if _ENDS.search(column.title) else 10) + row)
    if shape.type == "date":
        return day.isoformat()
    if shape.type == "timestamp":
        return f"{day.isoformat()} 10:11:1{row}+00"
    if pattern := shape.options.get("pattern"):
        digits = int(re.search(r"\d+", pattern[4:])[0])  # type: ignore[index]
        return f"{row + 1:0{digits}d}"[-digits:]
    return f"Esimerkki {row + 1}"[-_longest(column) :] if _longest(column) >= 4 else f"{row + 1}"
