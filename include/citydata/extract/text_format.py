"""Texts of the formats that files and REST answers come in: one parser a format, chosen by the contract."""

import importlib
from collections.abc import Iterator

from citydata.connector_options import TextFormat
from citydata.contract import Contract
from citydata.extract import Block

PARSERS = {"csv": "csv_text", "json": "json_text", "geojson": "geojson_text", "gml": "gml_text"}


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Turn a text into rows, numbered from `first_row`. Raises ContentError when it is not what the contract says."""
    parser = importlib.import_module(f"citydata.extract.{PARSERS[options.format]}")
    yield from parser.parse(contract, options, chunks, columns, first_row)
