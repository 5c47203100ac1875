"""Texts of the formats that files and REST answers come in: one parser a format, chosen by the contract."""

import importlib
from collections.abc import Iterator
from types import ModuleType

from citydata.connector_options import TextFormat
from citydata.contract import Contract
from citydata.extract import Block

PARSERS = {
    "csv": "csv_text",
    "json": "json_text",
    "ndjson": "ndjson_text",
    "geojson": "geojson_text",
    "gml": "gml_text",
}


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Turn a text into rows, numbered from `first_row`. Raises ContentError when it is not what the contract says."""
    yield from _parser(options).parse(contract, options, chunks, columns, first_row)


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """The titles of a text as its source has them now. Raises ContentError when it is no text of the contract's format."""
    found: list[str] = _parser(options).titles_of(contract, options, chunks)
    return found


def _parser(options: TextFormat) -> ModuleType:
    return importlib.import_module(f"citydata.extract.{PARSERS[options.format]}")
