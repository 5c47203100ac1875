"""The texts of reason codes in the three languages: `reasons/<criterion>.yaml`."""

import functools
from pathlib import Path

import yaml

from citydata.governance.evidence import Evidence

LANGUAGES = ("fi", "sv", "en")
DIRECTORY = Path(__file__).parent / "reasons"


@functools.cache
def texts() -> dict[str, dict[str, str]]:
    """Code: language: text. Texts may use {subject}, {figure}, {threshold}, {looked_at} and {run}."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(DIRECTORY.glob("*.yaml")):
        for code, by_language in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader).items():
            found[f"{path.stem}.{code}"] = by_language
    return found


def text(row: Evidence, language: str) -> str:
    """What a row of evidence says, in a sentence."""
    return texts()[row.reason][language].format(
        subject=row.subject,
        figure=_plain(row.figure),
        threshold=_plain(row.threshold),
        looked_at=row.looked_at,
        run=row.run,
    )


def _plain(number: object) -> str:
    return "–" if number is None else f"{number:f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{number:f}"
