"""Read and check contracts; everything else about a dataset is derived from them.

A contract is an Open Data Contract Standard 3.1 document (https://bitol-io.github.io/open-data-contract-standard/v3.1.0/).
What the standard has no key for stands under `customProperties` and is checked by the models of this module, which
allow no unknown key. `problems()` also validates against the standard's own JSON schema; that is for CI, not for the night.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from croniter import croniter  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, ValidationError, model_validator

from citydata import settings, town
from citydata.connector_options import FhirConnector, FilesConnector, OgcConnector, RestConnector, SqlConnector, Strict

IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


class ContractError(ValueError):
    """A contract that cannot be used. The text names file, line, key and what is allowed."""


class Described(Strict):
    """Descriptions beside the Finnish one. The Swedish one may be left out where Swedish is no official language of the town."""

    description_sv: str | None = None
    description_en: str

    @model_validator(mode="after")
    def described_in_official_languages(self) -> "Described":
        """Swedish where the town has it."""
        if self.description_sv is None and town.official("sv"):
            raise ValueError("description_sv is missing; Swedish is an official language of the town")
        return self


class NumberFormat(Strict):
    """How the source writes numbers. Nothing else is accepted."""

    decimal: Literal[".", ","] = "."
    thousands: list[Literal[" ", "\u00a0", "\u202f", ".", ",", "'"]] = Field(default=[])
    zeros: bool = False  # integers may have a fraction of zeros: 2026.0


class Scope(Strict):
    """What a batch covers: everything, or the key values that occur in it.

    `period` says that the one column's values are periods of time, by which a backfill can ask for them: `year` is an integer.
    """

    type: Literal["everything", "keys"] = "everything"
    columns: list[str] = Field(default=[])
    period: Literal["year"] | None = None


class Watermark(Strict):
    """The column that says when the source changed a row, and how far back each reading looks again."""

    column: str
    overlap_minutes: int = Field(default=60, ge=0)


class KeySweep(Strict):
    """How often all keys are read to see what was deleted: with the first load after so many hours."""

    every_hours: float = Field(gt=0)


class Agreement(Strict):
    """On what ground somebody else's personal data is processed for them (GDPR Art. 28), until when."""

    party: str
    id: str
    until: date


class Controller(Strict):
    """Who answers for the personal data (GDPR Art. 4 (7)); `until` is the last day, `ground` why it ended."""

    name: str
    until: date | None = None
    ground: str | None = None
    agreement: Agreement | None = None


class PlatformSettings(Described):
    """`customProperties` of a contract: what the platform must know to load the dataset."""

    connector: FilesConnector | SqlConnector | RestConnector | FhirConnector | OgcConnector = Field(
        discriminator="type"
    )
    mode: Literal["snapshot", "increment"]
    scope: Scope = Scope()
    keyless: bool = False
    deletes: Literal["none", "key_sweep", "tombstone"] = "none"
    keySweep: KeySweep | None = None
    watermark: Watermark | None = None
    schedule: str
    controller: Controller | None = None
    encryptedArchive: bool = False
    maxQuarantinedShare: float = Field(default=0.01, ge=0, le=1)
    quarantinedRowsTolerated: int = Field(default=0, ge=0)
    maxClosedShare: float = Field(default=0.05, ge=0, le=1)
    fi: dict[str, str | None]

    @model_validator(mode="after")
    def consistent(self) -> "PlatformSettings":
        """Settings that only make sense together."""
        if self.mode == "increment" and self.watermark is None:
            raise ValueError("mode increment needs `watermark`")
        if self.deletes == "key_sweep" and self.keySweep is None:
            raise ValueError("deletes key_sweep needs `keySweep: {every_hours: …}`")
        if self.keyless and self.mode != "snapshot":
            raise ValueError("keyless datasets are compared by content and must be snapshots")
        parts = self.connector.parts if isinstance(self.connector, RestConnector) else None
        if parts and (self.mode != "snapshot" or self.scope.type != "keys" or len(self.scope.columns) != 1):
            raise ValueError("connector.parts is for snapshots whose scope is one key: {type: keys, columns: […]}")
        if self.deletes == "tombstone" and (self.mode != "increment" or self.connector.type != "fhir"):
            raise ValueError("deletes tombstone is for increments of a source that tells what was deleted: fhir")
        if self.controller and self.controller.until and not self.controller.ground:
            raise ValueError("controller: `until` needs `ground`, the law or decision that ended it")
        return self


FI_KEYS = {
    "tietovaranto", "tehtavaluokka", "toimintaprosessi", "julkisuusluokka", "salassapitoperuste",
    "sailytysaika", "sailytysperuste", "sailytyksenAlku", "sailytyksenJalkeen", "art30Id", "dpiaId",
}  # fmt: skip


class Geometry(Strict):
    """A column of geometries: kept as WKB in ETRS-TM35FIN (EPSG:3067). `within` are bounds of town.yaml."""

    types: list[Literal["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"]]
    within: Literal["town", "country"]


VERSION = r"^\d+\.\d+\.\d+$"


def version_parts(version: str) -> tuple[int, ...]:
    """Major, minor and patch as numbers, to compare versions. Raises ValueError for what is none."""
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


class ColumnSettings(Described):
    """`customProperties` of a column."""

    formerNames: list[str] = Field(default=[])  # titles that the source had for it before, as older archives still have
    addedIn: str | None = Field(default=None, pattern=VERSION)  # archives of earlier versions may lack it
    removedIn: str | None = Field(default=None, pattern=VERSION)  # it is sent no more; its older rows stay
    number: NumberFormat = NumberFormat()
    precision: int = Field(default=14, gt=0, le=38)
    scale: int = Field(default=2, ge=0, le=18)
    nulls: list[str] = Field(default=[])
    true: list[str] = Field(default=["true", "t", "1"])
    false: list[str] = Field(default=["false", "f", "0"])
    doubledHour: Literal["earliest", "latest", "refuse"] = "refuse"
    geometry: Geometry | None = None
    suppressedBy: str | None = None
    personalData: (
        Literal[
            "identity_code", "pseudonym", "name", "birth", "contact", "free_text", "employment", "protection",
            "care",  # that somebody was a patient or client, when and where
            "health",  # why
        ]
        | None
    ) = None  # fmt: skip
    volatile: bool = False


LOGICAL_TYPES = ("string", "integer", "number", "date", "timestamp", "boolean")
INTEGER_TYPES = {"i16": "smallint", "i32": "integer", "i64": "bigint"}
CLASSES = ("public", "internal", "confidential", "secret")


def three_languages(fi: str, sv: str | None, en: str) -> str:
    """The convention of all descriptions in the database; Swedish is left out where there is none."""
    return " | ".join(f"{language}: {text}" for language, text in (("fi", fi), ("sv", sv), ("en", en)) if text)


@dataclass(frozen=True)
class Column:
    """One column of a dataset as the contract declares it."""

    name: str
    source_name: str
    type: str
    pg_type: str
    required: bool
    key: bool
    classification: str
    personal_data: str | None
    volatile: bool
    description_fi: str
    description_sv: str | None
    description_en: str
    options: dict[str, Any]
    settings: ColumnSettings
    may_lack: bool = False
    """Whether what is read may be without the column: it came later, or is sent no more."""

    @property
    def description(self) -> str:
        """The description in the three languages, as comments in the database have it."""
        return three_languages(self.description_fi, self.description_sv, self.description_en)

    @property
    def titles(self) -> tuple[str, ...]:
        """What the source calls it, and then what it called it before."""
        return (self.source_name, *self.settings.formerNames)

    @property
    def identity_code(self) -> bool:
        """Whether the column holds a personal identity code, of which only a pseudonym is kept."""
        return self.personal_data == "identity_code"

    @property
    def pseudonymous(self) -> bool:
        """Whether only a keyed pseudonym of the value is kept: of an identity code, or of a source's own id of a person."""
        return self.personal_data in ("identity_code", "pseudonym")


@dataclass(frozen=True)
class Contract:
    """A dataset's contract."""

    path: Path
    system: str
    name: str
    title: str
    version: str
    status: str
    sector: str
    hash: str
    columns: tuple[Column, ...]
    platform: PlatformSettings
    description_fi: str
    owner: str
    steward: str
    owner_email: str
    sla_hours: float
    document: dict[str, Any]

    @property
    def dataset(self) -> str:
        """`system.name`."""
        return f"{self.system}.{self.name}"

    @functools.cached_property
    def key(self) -> list[str]:
        """Names of the key columns in order; empty for a keyless dataset."""
        return [column.name for column in self.columns if column.key]

    @property
    def description(self) -> str:
        """The description in the three languages, as comments in the database have it."""
        return three_languages(self.description_fi, self.platform.description_sv, self.platform.description_en)

    def of_archive(self, version: str) -> "Contract":
        """The contract to read an archive by that was made under `version`: columns that are newer may be missing there."""

        def newer(column: Column) -> bool:
            added = column.settings.addedIn
            return added is not None and version_parts(added) > version_parts(version)

        columns = (replace(column, may_lack=column.may_lack or newer(column)) for column in self.columns)
        return replace(self, columns=tuple(columns))

    @property
    def raw_name(self) -> str:
        """Name of the versioned table in schema raw."""
        return f"{self.system}__{self.name}"

    @property
    def raw_table(self) -> str:
        """Schema and name of the versioned table."""
        return f"raw.{self.raw_name}"

    @functools.cached_property
    def table_columns(self) -> dict[str, str]:
        """Physical columns of landing and raw and their PostgreSQL types: the contract's, with a flag for each identity code."""
        table: dict[str, str] = {}
        for column in self.columns:
            table[column.name] = column.pg_type
            if column.identity_code:
                table[f"{column.name}_valid"] = "boolean"
        return table

    @functools.cached_property
    def compared_columns(self) -> list[str]:
        """Columns whose change makes a new version: all but the volatile ones."""
        volatile = {column.name for column in self.columns if column.volatile}
        return [name for name in self.table_columns if name not in volatile]

    @property
    def mode(self) -> str:
        """snapshot or increment."""
        return self.platform.mode

    @property
    def scope(self) -> Scope:
        """What a batch covers."""
        return self.platform.scope

    @property
    def deletes(self) -> str:
        """How deletions are seen."""
        return self.platform.deletes

    @property
    def watermark(self) -> Watermark | None:
        """The change column, for increments."""
        return self.platform.watermark

    @property
    def schedule(self) -> str:
        """Cron expression of the extraction, in the town's time zone."""
        return self.platform.schedule

    def too_many_quarantined(self, quarantined: int, extracted: int) -> str | None:
        """Why a batch with so many refused rows is held; None when it is not.

        A share says little about an increment of three rows, so a contract may tolerate a number of rows in any case.
        """
        if quarantined <= max(self.platform.maxQuarantinedShare * extracted, self.platform.quarantinedRowsTolerated):
            return None
        return (
            f"{quarantined} of {extracted} rows are in quarantine, more than"
            f" {self.platform.maxQuarantinedShare:.1%} (maxQuarantinedShare)"
        )

    def controller_over(self, today: date) -> str | None:
        """Why the dataset may not be read any more; None when it may.

        Personal data is read by its controller, or by agreement with the one who is controller now.
        """
        controller = self.platform.controller
        if controller is None or controller.until is None or today <= controller.until or not self.personal:
            return None
        agreement = controller.agreement
        if agreement and today <= agreement.until:
            return None
        ended = f"{controller.name} was controller until {controller.until} ({controller.ground})"
        if agreement:
            return f"{ended}, and the agreement {agreement.id} with {agreement.party} ended on {agreement.until}"
        return f"{ended}, and there is no agreement with whoever is controller now"

    @property
    def max_closed_share(self) -> float:
        """Share of current rows that one batch may close before it is held."""
        return self.platform.maxClosedShare

    @property
    def personal(self) -> bool:
        """Whether any column holds personal data."""
        return any(column.personal_data for column in self.columns)


def load_all() -> dict[str, Contract]:
    """Every contract by dataset id.

    Raises ContractError naming all contracts that cannot be used; `load_each` goes on past them.
    """
    contracts, errors = load_each()
    if errors:
        raise ContractError("\n".join(str(error) for error in errors))
    return contracts


@functools.cache
def load_each() -> tuple[dict[str, Contract], list[ContractError]]:
    """Read every contract, once a process; a broken one is an error in the second list and does not hinder the others.

    Drafts are left out: nothing is loaded, granted or built of them. `drafts` has them.
    """
    contracts: dict[str, Contract] = {}
    errors: list[ContractError] = []
    for path in sorted(settings.CONTRACTS.glob("*/*.yaml")):
        if is_draft(path):
            continue
        try:
            contract = read(path)
        except ContractError as error:
            errors.append(error)
        else:
            contracts[contract.dataset] = contract
    return contracts, errors


def connections() -> set[str]:
    """Names of the source systems that the contracts read over a connection."""
    connectors = (entry.platform.connector for entry in load_each()[0].values())
    return {connector.connection for connector in connectors if not isinstance(connector, FilesConnector)}


def load(dataset: str) -> Contract:
    """Return the contract of `dataset`."""
    contracts, errors = load_each()
    if dataset in contracts:
        return contracts[dataset]
    for error in errors:
        if str(error).startswith(f"{_shown(settings.CONTRACTS / dataset.replace('.', '/', 1))}.yaml"):
            raise error
    if draft := drafts().get(dataset):
        raise ContractError(
            f"{dataset} is a draft and is not loaded; {len(draft.gaps)} things to do, the first:\n{draft.gaps[0]}\n"
            "`./citydata check` names all of them"
        )
    raise ContractError(f"no contract for “{dataset}”; there are: {', '.join(sorted(contracts)) or 'none'}")


@dataclass(frozen=True)
class Draft:
    """A contract that a person has not finished. `gaps` are what is left to do, each with file and line; never empty."""

    path: Path
    gaps: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """`system.name`."""
        return f"{self.path.parent.name}.{self.path.stem}"


_DRAFT = re.compile(r"^status:[ \t]*([\"']?)draft\1[ \t]*(#.*)?$", re.MULTILINE)


def is_draft(path: Path) -> bool:
    """Whether the contract in a file says `status: draft`. The document is not parsed: that costs, and it may be unfinished."""
    return bool(_DRAFT.search(path.read_text(encoding="utf-8", errors="replace")))


def drafts() -> dict[str, Draft]:
    """Contracts that are drafts, by dataset id, with what a person has still to do in each."""
    found = [Draft(path, _gaps(path)) for path in sorted(settings.CONTRACTS.glob("*/*.yaml")) if is_draft(path)]
    return {draft.dataset: draft for draft in found}


def _gaps(path: Path) -> tuple[str, ...]:
    try:
        reader = _reader(path)
        if gaps := tuple(map(str, reader.gaps())):
            return gaps
        reader.contract()
    except ContractError as error:
        return (str(error),)
    return (str(reader.error(("status",), "nothing is empty any more: `status: active` loads it")),)


def read(path: Path) -> Contract:
    """Read one contract file. Raises ContractError naming file, line, key and what is allowed."""
    return _reader(path).contract()


def parse(path: Path, text: str) -> Contract:
    """The contract that `text` would be in the file `path`, which need not exist. Raises ContractError as `read` does."""
    return _reader(path, text).contract()


def _reader(path: Path, text: str | None = None) -> "_Reader":
    text = path.read_text(encoding="utf-8") if text is None else text
    try:
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ContractError(f"{_shown(path)}:{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(document, dict):
        raise ContractError(f"{_shown(path)}:1: a contract is a mapping of keys")
    return _Reader(path, text, document)


def _shown(path: Path) -> str:
    return str(path.relative_to(settings.ROOT)) if path.is_relative_to(settings.ROOT) else str(path)


class _Reader:
    """Turns one document into a Contract and knows where in the file each complaint belongs."""

    def __init__(self, path: Path, text: str, document: dict[str, Any]) -> None:
        self.path, self.text, self.document = path, text, document

    def contract(self) -> Contract:
        document = self.document
        system, name = self.path.parent.name, self.path.stem
        for part in (system, name):
            if not IDENTIFIER.match(part) or "__" in part:
                raise self.error(
                    (),
                    f"folder and file name are the dataset's id: “{part}” is not lower-case letters, digits and single _",
                )
        if self.need(("id",)) != f"{system}.{name}":
            raise self.error(("id",), f"must be the folder and the file name: {system}.{name}")
        if document.get("apiVersion") not in ("v3.1.0",):
            raise self.error(("apiVersion",), "must be v3.1.0")
        for gap in self.gaps():
            raise gap
        for dotted in ("name", "version", "status", "domain"):
            self.need((dotted,))
        schema = self.need(("schema",))
        if not isinstance(schema, list) or len(schema) != 1:
            raise self.error(("schema",), "exactly one table a contract")
        platform = self.model(PlatformSettings, document, ("customProperties",))
        unknown = set(platform.fi) - FI_KEYS
        if unknown:
            first = f"fi.{sorted(unknown)[0]}"
            place = [entry.get("property") for entry in document["customProperties"]].index(first)
            raise self.error(
                ("customProperties", place),
                f"{first} is unknown; allowed: {', '.join('fi.' + key for key in sorted(FI_KEYS))}",
            )
        properties = self.need(("schema", 0, "properties"))
        columns = tuple(self.column(index, entry) for index, entry in enumerate(properties))
        contract = Contract(
            path=self.path,
            system=system,
            name=name,
            title=document["name"],
            version=str(document["version"]),
            status=document["status"],
            sector=document["domain"],
            hash=hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest(),
            columns=columns,
            platform=platform,
            description_fi=self.need(("description", "purpose")),
            owner=self.member("owner"),
            steward=self.member("steward"),
            owner_email=self.need(("support", 0, "url")),
            sla_hours=self.latency(),
            document=document,
        )
        self.check_references(contract)
        if not _is_cron(contract.schedule):
            raise self.error(
                ("customProperties",),
                f"schedule “{contract.schedule}” is not a cron expression; five fields: 30 4 * * *",
            )
        return contract

    def column(self, index: int, entry: dict[str, Any]) -> Column:
        at = ("schema", 0, "properties", index)
        name = entry.get("name")
        if not isinstance(name, str) or not IDENTIFIER.match(name):
            raise self.error((*at, "name"), "a column name is lower-case letters, digits and _")
        logical = entry.get("logicalType")
        if logical not in LOGICAL_TYPES:
            raise self.error((*at, "logicalType"), f"“{logical}” of column {name}; allowed: {', '.join(LOGICAL_TYPES)}")
        if entry.get("classification") not in CLASSES:
            raise self.error((*at, "classification"), f"column {name} needs one of: {', '.join(CLASSES)}")
        own = self.model(ColumnSettings, entry, (*at, "customProperties"))
        options = entry.get("logicalTypeOptions") or {}
        if logical in ("date", "timestamp") and not options.get("format"):
            raise self.error(
                at,
                f"column {name}: `logicalTypeOptions.format` says how the source writes the {logical}, for example yyyy-MM-dd",
            )
        pg_type = {
            "string": "bytea" if own.geometry else "text",
            "integer": INTEGER_TYPES.get(options.get("format", "i32"), ""),
            "number": f"numeric({own.precision},{own.scale})",
            "date": "date",
            "timestamp": "timestamptz",
            "boolean": "boolean",
        }[logical]
        if own.geometry and (logical != "string" or entry.get("primaryKey") or own.personalData):
            raise self.error(at, f"column {name}: a geometry is a string that is neither a key nor personal data")
        if not pg_type:
            raise self.error(
                (*at, "logicalTypeOptions", "format"), f"column {name}; allowed: {', '.join(INTEGER_TYPES)}"
            )
        if not entry.get("description"):
            raise self.error((*at, "description"), f"column {name} needs a description in Finnish")
        return Column(
            name=name,
            source_name=entry.get("physicalName", name),
            type=logical,
            pg_type=pg_type,
            required=bool(entry.get("required")) or bool(entry.get("primaryKey")),
            key=bool(entry.get("primaryKey")),
            classification=entry["classification"],
            personal_data=own.personalData,
            volatile=own.volatile,
            description_fi=entry["description"],
            description_sv=own.description_sv,
            description_en=own.description_en,
            options=options,
            settings=own,
            may_lack=own.removedIn is not None,
        )

    def check_references(self, contract: Contract) -> None:
        """Column names that settings mention exist, and a dataset has a key or says that it has none."""
        names = {column.name for column in contract.columns}
        platform = contract.platform
        mentioned = [("scope", column) for column in platform.scope.columns]
        if platform.watermark:
            mentioned.append(("watermark", platform.watermark.column))
        unpivot = getattr(platform.connector, "unpivot", None)
        mentioned += [("unpivot", column) for column in unpivot.columns] if unpivot else []
        mentioned += [("suppressedBy", c.settings.suppressedBy) for c in contract.columns if c.settings.suppressedBy]
        for setting, column in mentioned:
            if column not in names:
                raise self.error(
                    ("customProperties",), f"{setting} names the column “{column}”; allowed: {', '.join(sorted(names))}"
                )
        if platform.scope.period and [c.type for c in contract.columns if c.name in platform.scope.columns] != [
            "integer"
        ]:
            raise self.error(
                ("customProperties",), "scope.period year needs one column, an integer: {columns: [fiscal_year]}"
            )
        if isinstance(platform.connector, RestConnector) and platform.connector.parts:
            part = next(c for c in contract.columns if c.name == platform.scope.columns[0])
            wanted = {"integer": int, "string": str}.get(part.type)
            if any(type(value) is not wanted for value in platform.connector.parts.values):
                raise self.error(
                    ("customProperties",),
                    f"connector.parts.values are of the type of the scope's column {part.name}, an integer or a string",
                )
        if isinstance(platform.connector, FhirConnector):
            self.check_paths(contract)
        if bool(contract.key) == platform.keyless:
            raise self.error(
                ("schema", 0), "either mark the key columns with primaryKey: true or set keyless: true, not both"
            )
        for kept in contract.columns:
            by = next((c for c in contract.columns if c.name == kept.settings.suppressedBy), None)
            if by and (by.type != "boolean" or not by.required or kept.required):
                raise self.error(
                    ("schema", 0, "properties"),
                    f"{kept.name} is suppressedBy {by.name}: that must be a required boolean, and {kept.name} not required",
                )
        if platform.keyless and any(column.volatile for column in contract.columns):
            raise self.error(("schema", 0), "a keyless dataset is compared by content and cannot have volatile columns")
        if len(names) != len(contract.columns):
            raise self.error(("schema", 0, "properties"), "a column name occurs twice")
        self.check_history(contract)

    def check_history(self, contract: Contract) -> None:
        """A title has meant one column always, and what was added or removed on the way was never required."""
        of: dict[str, str] = {column.source_name: column.name for column in contract.columns}
        for index, column in enumerate(contract.columns):
            at = ("schema", 0, "properties", index, "customProperties")
            for title in column.settings.formerNames:
                if title in of:
                    raise self.error(
                        at,
                        f"column {column.name}: formerNames has “{title}”, which is a title of {of[title]}; in an archive it"
                        " could not be told which is meant: that is a new major version of the contract beside the old one",
                    )
                of[title] = column.name
            own = column.settings
            if own.formerNames and isinstance(contract.platform.connector, FhirConnector):
                raise self.error(at, f"column {column.name}: elements of FHIR have no former names")
            if (own.addedIn or own.removedIn) and column.required:
                raise self.error(
                    at, f"column {column.name}: what was not always there (addedIn, removedIn) is not required"
                )

    def check_paths(self, contract: Contract) -> None:
        """Columns of a FHIR dataset lead into the resource, and deletions, which tell ids only, can find its rows."""
        from citydata.extract import fhir_path  # noqa: PLC0415 - the package of connectors reads contracts itself

        for index, column in enumerate(contract.columns):
            at = ("schema", 0, "properties", index, "physicalName")
            try:
                kind = fhir_path.compiled(column.source_name, "UTC").kind
            except fhir_path.PathError as error:
                raise self.error(at, f"column {column.name}: {error}") from None
            if kind not in ("any", column.type):
                raise self.error(
                    at, f"column {column.name}: “{column.source_name}” gives a value of logicalType {kind}"
                )
        keys = [column.source_name for column in contract.columns if column.key]
        if keys != ["id"] or len(contract.columns) == 1:
            raise self.error(("schema", 0), "a FHIR dataset has one key, whose physicalName is id, and other columns")

    def model(self, model: type[BaseModel], owner: dict[str, Any], at: tuple[str | int, ...]) -> Any:
        """Check the `customProperties` of `owner` with `model`; `fi.x` keys are gathered under `fi`."""
        values: dict[str, Any] = {}
        places: dict[str, int] = {}
        for index, entry in enumerate(owner.get("customProperties") or []):
            key = entry.get("property")
            if key in places:
                raise self.error((*at, index), f"{key} is given twice")
            places[key] = index
            if str(key).startswith("fi."):
                values.setdefault("fi", {})[key.removeprefix("fi.")] = entry.get("value")
            else:
                values[key] = entry.get("value")
        try:
            return model.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = [str(part) for part in first["loc"]]
            place = places.get(where[0]) if where else None
            allowed = f"; allowed here: {', '.join(model.model_fields)}" if first["type"] == "extra_forbidden" else ""
            path = (*at, place) if place is not None else at
            raise self.error(path, f"{'.'.join(where) or 'customProperties'}: {first['msg']}{allowed}") from error

    def member(self, role: str) -> str:
        for member in self.need(("team", "members")):
            if member.get("role") == role:
                return str(member.get("username"))
        raise self.error(("team", "members"), f"needs a member with role {role}")

    def latency(self) -> float:
        for index, entry in enumerate(self.document.get("slaProperties") or []):
            if entry.get("property") == "latency":
                unit = {"h": 1.0, "d": 24.0}.get(entry.get("unit"))
                if unit is None:
                    raise self.error(("slaProperties", index), "latency is in unit h or d")
                return float(entry["value"]) * unit
        raise self.error(("slaProperties",), "needs {property: latency, value: …, unit: h}: how old the data may be")

    def need(self, path: tuple[str | int, ...]) -> Any:
        value: Any = self.document
        for depth, part in enumerate(path):
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                raise self.error(path[:depth], f"`{'.'.join(str(p) for p in path)}` is missing") from None
        if value in (None, ""):
            raise self.error(path, f"`{'.'.join(str(p) for p in path)}` is empty")
        return value

    def gaps(self) -> Iterator[ContractError]:
        """Everything that stands there and is empty, with the comment that says who decides it."""
        lines = self.text.splitlines()
        for path in _empty(self.document):
            comment = re.search(r"\s#\s*(.+)$", lines[self.line(path) - 1])
            yield self.error(path, f"{self.called(path)} is empty" + (f"; {comment[1]}" if comment else ""))

    def called(self, path: tuple[str | int, ...]) -> str:
        """What a person calls the node at `path`: the key, or the property that it is the value of, and the column."""
        nodes = [self.document]
        for part in path:
            nodes.append(nodes[-1][part])  # type: ignore[index]
        name = str(nodes[-2].get("property", path[-1]) if path[-1] == "value" else path[-1])
        column = nodes[4].get("name") if path[:3] == ("schema", 0, "properties") and len(path) > 4 else None
        return f"`{name}` of column {column}" if column else f"`{name}`"

    def error(self, path: tuple[str | int, ...], message: str) -> ContractError:
        return ContractError(
            f"{_shown(self.path)}:{self.line(path)}: {'.'.join(str(p) for p in path) or 'contract'}: {message}"
        )

    def line(self, path: tuple[str | int, ...]) -> int:
        """Line of the node at `path`, or of the deepest node on the way that exists."""
        node = yaml.compose(self.text, Loader=yaml.CSafeLoader)
        line = 1
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == part), None)
                if found is None:
                    break
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                break
        return line


def _empty(node: Any, path: tuple[str | int, ...] = (), *, texts: bool = True) -> Iterator[tuple[str | int, ...]]:
    """Paths of the values that are empty. Inside a setting of several parts empty `texts` are values: a file may have no quotes."""
    if isinstance(node, dict):
        parts = "property" in node and isinstance(node.get("value"), dict | list)
        for key, value in node.items():
            yield from _empty(value, (*path, key), texts=texts and not parts)
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _empty(item, (*path, index), texts=texts)
    elif node is None or (node == "" and texts):
        yield path


@functools.cache
def _is_cron(text: str) -> bool:
    return len(text.split()) == 5 and croniter.is_valid(text)


def problems(contract: Contract) -> list[str]:
    """What the standard's own JSON schema says against a contract, each with file, line and key. Empty when valid."""
    import jsonschema  # noqa: PLC0415 - only CI pays for it

    schema = json.loads(resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    reader = _Reader(contract.path, contract.path.read_text(encoding="utf-8"), contract.document)
    validator = jsonschema.Draft201909Validator(schema)
    document = json.loads(json.dumps(contract.document, default=str))
    errors = list(validator.iter_errors(document))
    found = []
    for error in errors:
        path = tuple(error.absolute_path)
        if error.validator == "unevaluatedProperties":
            # Said also of every object around another error, and of what `additionalProperties` names better.
            inside = (other for other in errors if len(other.absolute_path) > len(path))
            if "additionalProperties" in error.schema or any(
                tuple(other.absolute_path)[: len(path)] == path for other in inside
            ):
                continue
        if error.validator == "additionalProperties":
            allowed = ", ".join(sorted(error.schema["properties"]))
            found += [
                str(reader.error((*path, key), f"unknown key; allowed: {allowed}"))
                for key in error.instance
                if key not in error.schema["properties"]
            ]
        else:
            found.append(str(reader.error(path, error.message[:300])))
    return list(dict.fromkeys(found))
