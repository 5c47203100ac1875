"""How delimited text is written: the settings under which the platform's own parser refuses least of it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from citydata.connector_options import FilesConnector, TextFormat
from citydata.drafting import sample
from citydata.drafting.sample import DraftError, Sample
from citydata.extract import ContentError, csv_text

DELIMITERS = (";", ",", "\t", "|")
# Bytes whose characters differ between ISO 8859-1 and ISO 8859-15.
_EURO = bytes((0xA4, 0xA6, 0xA8, 0xB4, 0xB8, 0xBC, 0xBD, 0xBE))


@dataclass(frozen=True)
class _Reading:
    options: dict[str, Any]
    titles: list[str]
    found: Sample

    @property
    def rank(self) -> tuple[float, int, bool]:
        """Least refused first, then most columns, then the plainer settings."""
        refused = sum(self.found.refused.values())
        share = refused / (refused + self.found.rows or 1)
        return round(share, 3), -len(self.titles), bool(self.options.get("newlines_in_values"))


def read(text: bytes, connector: dict[str, Any], *, whole: bool) -> Sample:
    """Read the sample of a delimited text; `connector` says where it is, and gets what is found out.

    Raises DraftError for a text that is no delimited one, without a line of titles, or with titles that repeat.
    """
    if not whole:
        text = text[: text.rfind(b"\n") + 1]
    encoding, undecided = _encoding(text)
    readings = []
    for delimiter in DELIMITERS:
        for quote, newlines in (('"', False), ('"', True), ("'", False), ("", False)):
            if (quote and quote.encode() not in text and quote != '"') or (newlines and b'"' not in text):
                continue
            options: dict[str, Any] = {"format": "csv", "encoding": encoding, "delimiter": delimiter}
            options |= {"quote": quote} if quote != '"' else {}
            options |= {"newlines_in_values": True} if newlines else {}
            if reading := _try(text, connector | options):
                readings.append(reading)
    if not readings:
        raise DraftError("it is no delimited text with a line of titles (tried ; , tab and |)")
    best = min(readings, key=lambda one: one.rank)
    _check_titles(best.titles)
    notes = (
        [f"one column only: is it delimited by something else than {best.options['delimiter']!r}?"]
        if len(best.titles) == 1
        else []
    )
    connector = best.options | ({"encoding": None} if undecided else {})
    return Sample(connector, best.found.fields, best.found.refused, whole and best.found.whole, tuple(notes), undecided)


def _encoding(text: bytes) -> tuple[str, dict[str, str]]:
    """The encoding that reads it, and the question where two read it differently."""
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DraftError("it is UTF-16, which files are not read in; ask for UTF-8")
    try:
        text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.end == len(text):
            return "utf-8", {}
    else:
        return "utf-8", {}
    if any(0x80 <= byte <= 0x9F for byte in set(text)):
        return "cp1252", {}
    if set(text) & set(_EURO):
        return "iso-8859-15", {
            "encoding": "iso-8859-1 or iso-8859-15: the signs in which they differ (€ among them) occur; ask whoever keeps the source"
        }
    return "iso-8859-1", {}


def _try(text: bytes, options: dict[str, Any]) -> _Reading | None:
    """Read the first lines; None when these settings cannot be those of the text."""
    chosen = TextFormat.model_validate({k: v for k, v in options.items() if k in TextFormat.model_fields})
    head = text.removeprefix(csv_text.BYTE_ORDER_MARK)
    first = head.partition(b"\n")[0].rstrip(b"\r").decode(chosen.encoding, "replace")
    if chosen.delimiter not in first and any(other in first for other in DELIMITERS):
        return None
    try:
        titles = csv_text.split_titles(first, chosen)
    except csv.Error:
        return None
    if not titles or len(set(titles)) < len(titles) or not all(titles):
        return _Reading(options, titles, Sample({}, ())) if titles and chosen.delimiter in first else None
    contract = sample.provisional(options, titles)
    assert isinstance(contract.platform.connector, FilesConnector | TextFormat)
    try:
        fields, refused, whole = sample.taken(
            contract, csv_text.parse(contract, contract.platform.connector, iter([text]), titles)
        )
    except ContentError:
        return None
    return _Reading(options, titles, Sample(options, fields, refused, whole))


def _check_titles(titles: Sequence[str]) -> None:
    if not all(titles):
        raise DraftError(
            f"column {[*map(bool, titles)].index(False) + 1} has no title; ask for a file with a title for each column"
        )
    if len(set(titles)) < len(titles):
        raise DraftError("a title occurs twice; ask for a file in which each column has its own")
    sample.check_titles(titles)
