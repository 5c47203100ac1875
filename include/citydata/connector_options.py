"""What the `connector` of a contract may say: a model for each protocol, with nothing unknown allowed."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """A part of a contract: no key beyond the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JsonRecords(Strict):
    """Where the records of a JSON document are: a path of keys, and constants that the path stands for.

    A column's source name may lead into objects, with dots: `title.fi`. `left_out` are fields that are known and not taken,
    with what is below them; a field that is neither a column nor left out is a change of the source.
    """

    path: list[str] = []
    value: str | None = None  # items are scalars; this is the field they become
    constants: dict[str, str] = {}
    left_out: list[str] = []


class Unpivot(Strict):
    """Columns of delimited text that are values of one column: those whose title matches `titles`, a pattern with one group.

    Each line becomes one row for each of them: the group is the value of the column `name`, the field that of `value`.
    """

    titles: str
    name: str
    value: str

    @property
    def columns(self) -> tuple[str, str]:
        """The contract's columns that stand in no title."""
        return self.name, self.value

    @model_validator(mode="after")
    def usable(self) -> "Unpivot":
        """A pattern that compiles and says what to take from the title."""
        try:
            groups = re.compile(self.titles).groups
        except re.error as error:
            raise ValueError(f"`titles` is not a pattern: {error}") from None
        if groups != 1:
            raise ValueError("`titles` needs exactly one group, which is the value of the column `name`")
        return self


class TextFormat(Strict):
    """How a text of the source is read: delimited lines, a JSON document or lines of JSON, or features with a geometry."""

    format: Literal["csv", "json", "ndjson", "geojson", "gml"] = "csv"
    encoding: Literal["utf-8", "iso-8859-1", "iso-8859-15", "cp1252"] = "utf-8"
    delimiter: str = ";"
    quote: Literal['"', "'", ""] = '"'
    newlines_in_values: bool = False
    # unquoted: titles hold delimiters, so the first line must be the source names in the contract's order, to the letter
    header: Literal["fields", "unquoted"] = "fields"
    unpivot: Unpivot | None = None
    max_line_bytes: int = Field(default=1 << 20, gt=0, le=1 << 26)
    records: list[JsonRecords] = []
    feature: str | None = None  # gml: local name of the element that is one row
    srs: str | None = Field(default=None, pattern=r"^EPSG:\d{4,5}$")  # of coordinates that come without one
    # by_srs: two coordinates stand in the order that the name of their reference system means; some sources write another
    axes: Literal["by_srs", "east_north", "north_east"] = "by_srs"

    @model_validator(mode="after")
    def rows_named(self) -> "TextFormat":
        """GML is read feature by feature."""
        if self.format == "gml" and not self.feature:
            raise ValueError("format gml needs `feature`, the local name of the element that is one row")
        return self


class FilesConnector(TextFormat):
    """Files that a source drops into a directory."""

    type: Literal["files"]
    directory: str
    pattern: str
    compression: Literal["none", "gzip"] = "none"
    complete: Literal["done_file", "manifest", "settled"] = "done_file"
    settle_seconds: int = Field(default=300, ge=0)


class SqlConnector(Strict):
    """A table of a database that is read over SQLAlchemy."""

    type: Literal["sql"]
    connection: str
    table: str
    batch_rows: int = Field(default=20_000, gt=0, le=1_000_000)


class HttpOptions(Strict):
    """A source that is asked over HTTP. Its address is that of the Airflow connection `connection`."""

    connection: str = Field(pattern="^[a-z][a-z0-9_]*$")
    requests_per_second: float = Field(default=5, gt=0)  # of all tasks together
    timeout_seconds: float = Field(default=60, gt=0)
    attempts: int = Field(default=5, gt=0)
    max_bytes: int = Field(default=1 << 30, gt=0)  # of one answer


class RestValues(Strict):
    """Values of a parameter that a catalogue entry names: a list at `each`, or the whole numbers from `first` to `last`.

    All are paths of keys in the entry. Where the list is empty, the values are `otherwise`.
    """

    each: list[str] = []
    otherwise: list[str] = []
    first: list[str] = []
    last: list[str] = []

    @model_validator(mode="after")
    def one_way(self) -> "RestValues":
        """A list or a range."""
        if bool(self.each) == bool(self.first) or bool(self.first) != bool(self.last):
            raise ValueError("give `each`, or `first` and `last`")
        return self


class RestCatalogue(Strict):
    """A list in which the source says what parts there are; all but `path` are paths of keys.

    `key` leads to what names a part, `version` to what changes whenever the part does, `parameters` to the values of
    further parameters of its request.
    """

    path: str
    records: list[str] = []
    key: list[str]
    version: list[str]
    parameters: dict[str, RestValues] = {}


class RestParts(Strict):
    """A dataset that is asked for part by part: `parameter` names the part, whose value is that of the scope's column."""

    parameter: str
    values: list[int | str] = Field(min_length=1)
    catalogue: RestCatalogue | None = None

    @model_validator(mode="after")
    def distinct(self) -> "RestParts":
        """Each part once."""
        if len(set(self.values)) < len(self.values):
            raise ValueError("`values` names a part twice")
        return self


class RestPaging(Strict):
    """How the pages of an answer follow each other.

    link: the next address is at `next`, a path of keys in the document, or without it in the header Link (RFC 8288).
    page, offset: `parameter` counts the pages from `first`, or the rows before the page; the last page is empty, or all
    rows that the answer declares have come.
    """

    type: Literal["link", "page", "offset"]
    next: list[str] = []
    parameter: str | None = None
    first: int = 1
    most_pages: int = Field(default=10_000, gt=0)

    @model_validator(mode="after")
    def complete(self) -> "RestPaging":
        """Counting needs a parameter, following links none."""
        if (self.type == "link") == (self.parameter is not None):
            raise ValueError("`parameter` is for pages and offsets, which need it")
        return self


class RestConnector(TextFormat, HttpOptions):
    """A service that is asked with GET: one request, one a part, or page by page.

    `total` is the path of keys to the number of rows that an answer declares, `most_rows` how many the source ever puts
    into one answer: a last page with so many is perhaps cut off.
    """

    type: Literal["rest"]
    path: str
    parameters: dict[str, str | list[str]] = {}
    parts: RestParts | None = None
    paging: RestPaging | None = None
    total: list[str] = []
    most_rows: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def countable(self) -> "RestConnector":
        """Rows are counted in documents."""
        if (self.paging or self.total or self.most_rows) and self.format not in ("json", "geojson"):
            raise ValueError("paging, total and most_rows are for the formats json and geojson")
        return self


class FhirConnector(HttpOptions):
    """Resources of one type from a FHIR R4 server's bulk export (https://hl7.org/fhir/uv/bulkdata/).

    Columns' source names are paths in the resource (`citydata.extract.fhir_path`). `export` is the operation below the
    server's address. With a `client_id` the server is asked for tokens (SMART Backend Services), signed by the private key
    `CITYDATA_SOURCE_<CONNECTION>_KEY`, whose public half the server knows, as `key_id` if it knows several. Resources are
    lines of any length: a longer one than `max_line_bytes` is refused.
    """

    type: Literal["fhir"]
    resource: str = Field(pattern="^[A-Z][A-Za-z]+$")
    export: str = Field(default="$export", pattern=r"^((Patient|Group/[A-Za-z0-9.-]{1,64})/)?\$export$")
    client_id: str | None = None
    key_id: str | None = None
    partial_manifests: bool = False  # the server may give out files before the export is complete
    poll_seconds: float = Field(default=10, gt=0)  # between questions whether it is ready, when the server does not say
    deadline_minutes: float = Field(default=120, gt=0)
    max_line_bytes: int = Field(default=1 << 22, gt=0, le=1 << 26)


class OgcConnector(HttpOptions):
    """Features of one type from a WFS, or of one collection from an OGC API Features server.

    `type_name` is the WFS type with its prefix or the collection's id; `feature` the element's local name where it is not
    that of the type. `page_size` reads a WFS page by page in the order of `sort_by`; without it everything is asked for at once.
    `srs` is the reference system that is asked for, `axes` the order of two coordinates where a source breaks the rule.
    `filter` is CQL, which the server must understand.
    """

    type: Literal["ogc"]
    protocol: Literal["wfs", "features"]
    version: Literal["1.0.0", "1.1.0", "2.0.0"] = "2.0.0"
    type_name: str
    feature: str | None = None
    page_size: int | None = Field(default=None, gt=0, le=50_000)
    sort_by: str | None = None
    srs: str | None = Field(default=None, pattern=r"^EPSG:\d{4,5}$")
    axes: Literal["by_srs", "east_north", "north_east"] = "by_srs"
    filter: str | None = None
    max_feature_bytes: int = Field(default=1 << 20, gt=0, le=1 << 26)

    @model_validator(mode="after")
    def answerable(self) -> "OgcConnector":
        """Pages that do not overlap, and coordinates of which it is known which is which."""
        if self.protocol == "wfs" and self.page_size and not self.sort_by:
            raise ValueError(
                "page_size needs `sort_by`, a unique field: the order of a WFS may change from page to page"
            )
        if self.protocol == "wfs" and self.page_size and self.version == "1.0.0":
            raise ValueError("version 1.0.0 has no pages: leave page_size out")
        if self.protocol == "features" and (
            self.srs not in (None, "EPSG:3067") or self.axes != "by_srs" or self.sort_by
        ):
            raise ValueError(
                "ask an OGC API for EPSG:3067 or longitude and latitude (no srs): of other systems servers disagree which"
                " coordinate comes first; axes and sort_by are for a WFS"
            )
        return self
