"""The drafted contract as text: what was seen is filled in and says so, what nobody could see is empty and says who decides."""

import json
from collections.abc import Iterator
from typing import Any

from citydata import town
from citydata.drafting.answers import DECIDES, Dataset
from citydata.drafting.proposal import Proposal, ProposedColumn
from citydata.drafting.sample import Sample
from citydata.schedule import longest_interval

ALLOWANCE_HOURS = 6
"""How much later than its schedule a batch may be before it is late, until somebody promises otherwise."""
PUBLIC = "julkinen"


def quoted(value: Any) -> str:
    """A value as YAML writes it on one line. JSON is YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {quoted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def pair(key: str, value: Any, comment: str | None = None) -> str:
    """`key: value`, or the empty key with who decides it."""
    if value in (None, ""):
        return f"{key}:" + (f"  # {comment}" if comment else "")
    return f"{key}: {quoted(value)}"


def setting(name: str, value: Any, comment: str | None = None) -> str:
    """An entry of `customProperties`; its comment is written only where it is empty."""
    name = quoted(name) if name in ("true", "false") else name
    text = f"- {{property: {name}, value: {quoted(value)}}}"
    return f"{text}  # {comment}" if value in (None, "") and comment else text


def art30_id(dataset: Dataset) -> str:
    """The id of the drafted record of processing activities."""
    return dataset.answers.art30 or f"ART30-{dataset.system}-{dataset.name}".upper().replace("_", "-")


def render(dataset: Dataset, found: Sample, proposal: Proposal, pool: str | None, process: str | None) -> str:
    """The contract. `pool` and `process` are the names of tietovaranto and process that the inventory has for the answers."""
    said = dataset.answers
    seen = f"{dataset.rows} rows, {'all there are' if dataset.whole else 'the first ones'}"
    lines = [
        f"# Drafted by ./citydata new from a sample ({seen}).",
        "# While `status` is draft nothing is loaded; `./citydata check` names what is empty.",
        *(f"# Seen: {note}." for note in found.notes),
        *(f"# Refused in the sample: {count} rows, {rule}." for rule, count in sorted(found.refused.items())),
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {dataset.id}",
        pair("name", said.name_fi, DECIDES["name_fi"]),
        "version: 1.0.0",
        "status: draft",
        pair("domain", said.domain, DECIDES["domain"]),
        "description:",
        f"  {pair('purpose', said.description_fi, DECIDES['description_fi'])}",
        f"  {pair('usage', said.purpose, DECIDES['purpose'])}",
        "team:",
        "  members:",
        f"    - {{username: {said.owner or ''}, role: owner}}" + ("" if said.owner else f"  # {DECIDES['owner']}"),
        f"    - {{username: {said.steward or ''}, role: steward}}"
        + ("" if said.steward else f"  # {DECIDES['steward']}"),
        "support:",
        f"  - {{channel: data-owners, url: {quoted(f'mailto:{said.contact}' if said.contact else None)}}}"
        + ("" if said.contact else f"  # {DECIDES['contact']}"),
        "schema:",
        f"  - name: {dataset.name}",
        f"    physicalName: {quoted(found.connector.get('table') or found.connector.get('type_name') or dataset.name)}",
        "    properties:",
    ]
    position = 0
    for column in proposal.columns:
        position += column.key
        lines += [f"      {line}" for line in _column(column, said.publicity, position, proposal.key_from_source)]
    hours = round(longest_interval(said.schedule).total_seconds() / 3600) + ALLOWANCE_HOURS if said.schedule else None
    lines += [
        "slaProperties:",
        f"  - {{property: latency, value: {quoted(hours)}, unit: h}}"
        + (
            "" if hours else "  # the data platform team: how many hours old the data may be; follows from the schedule"
        ),
        "customProperties:",
        *(f"  {line}" for line in _platform(dataset, found, proposal, pool, process)),
    ]
    return "\n".join(lines) + "\n"


def _column(column: ProposedColumn, publicity: str | None, position: int, key_from_source: bool) -> Iterator[str]:
    shape = column.profile
    yield f"- name: {column.name}"
    yield from (f"  # {note}" for note in shape.notes)
    if column.title != column.name:
        yield f"  physicalName: {quoted(column.title)}"
    yield f"  logicalType: {shape.type}"
    if shape.options:
        comment = f"  # {shape.undecided['format']}" if "format" in shape.undecided else ""
        yield f"  logicalTypeOptions: {quoted(shape.options)}{comment}"
    if column.key:
        yield "  primaryKey: true" + (
            "" if key_from_source else "  # proposed: no two rows of the sample have the same"
        )
        yield f"  primaryKeyPosition: {position}"
    if column.required:
        yield "  required: true" + ("" if column.key else f"  # proposed: none of {shape.rows} rows lacks it")
    yield _classification(column, publicity)
    yield "  description:  # the steward: what it means, in Finnish"
    yield "  customProperties:"
    if not town.left_empty("description_sv"):
        yield "    " + setting("description_sv", None, "the steward: what it means, in Swedish")
    yield "    " + setting("description_en", None, "the steward: what it means, in English")
    for name, value in shape.settings.items():
        yield "    " + setting(name, value, shape.undecided.get(name))
    if column.geometry:
        comment = "" if column.geometry["within"] and column.geometry["types"] else (
            "  # no geometry of the sample lies in the country: is srs or axes of the connector missing?"
        )  # fmt: skip
        yield f"    - {{property: geometry, value: {quoted(column.geometry)}}}{comment}"
    if column.guess and column.guess.kind:
        yield f"    # Proposed, {column.guess.reason}: remove the line when it is no data about people."
        yield "    " + setting("personalData", column.guess.kind)


def _classification(column: ProposedColumn, publicity: str | None) -> str:
    if column.guess:
        return f"  classification: {column.guess.classification}  # proposed, {column.guess.reason}"
    if publicity == PUBLIC:
        return "  classification: public"
    return f"  classification: confidential  # proposed: {'not all of it is public' if publicity else 'nobody said that it is public'}"


def _platform(
    dataset: Dataset, found: Sample, proposal: Proposal, pool: str | None, process: str | None
) -> Iterator[str]:
    said = dataset.answers
    if said.description_sv or not town.left_empty("description_sv"):
        yield setting("description_sv", said.description_sv, DECIDES["description_sv"])
    yield setting("description_en", said.description_en, DECIDES["description_en"])
    yield "- property: connector"
    yield "  value:"
    if "complete" in found.connector:
        yield "    # complete: a file is taken when FILE.done lies beside it; or manifest, or settled (unchanged for settle_seconds)"
    for key, value in found.connector.items():
        yield f"    {pair(key, value, found.undecided.get(key))}" if value != "" else f'    {key}: ""'
    yield "# Proposed: each batch holds everything, and what it lacks is closed. A source that tells what changed is an increment."
    yield setting("mode", "snapshot")
    if proposal.other_keys:
        yield f"# Other columns that no two rows share: {'; '.join(' and '.join(group) for group in proposal.other_keys)}."
    if not proposal.key:
        yield setting(
            "keyless", None,
            "whoever keeps the source: is there a key (then primaryKey: true at its columns, and no such line), or none (true)?",
        )  # fmt: skip
    yield setting("schedule", said.schedule, DECIDES["schedule"])
    if proposal.personal:
        yield setting("encryptedArchive", True)
    yield setting("fi.tietovaranto", pool, DECIDES["tietovaranto"])
    yield setting("fi.tehtavaluokka", said.task_class, DECIDES["task_class"])
    yield setting("fi.toimintaprosessi", process, DECIDES["process"])
    yield setting("fi.julkisuusluokka", said.publicity, DECIDES["publicity"])
    if said.publicity != PUBLIC or said.secrecy_ground:
        yield setting(
            "fi.salassapitoperuste",
            said.secrecy_ground,
            f"{DECIDES['secrecy_ground']}; remove the line when it is public",
        )
    yield setting("fi.sailytysaika", said.retention, DECIDES["retention"])
    yield setting("fi.sailytysperuste", said.retention_ground, DECIDES["retention_ground"])
    yield setting("fi.sailytyksenAlku", said.retention_starts, DECIDES["retention_starts"])
    yield setting("fi.sailytyksenJalkeen", said.retention_then, DECIDES["retention_then"])
    if proposal.personal:
        yield setting("fi.art30Id", art30_id(dataset))
    if any(column.personal in ("health", "care") for column in proposal.columns):
        yield setting(
            "fi.dpiaId", None, "the data protection officer: the impact assessment that GDPR Art. 35 asks for"
        )
