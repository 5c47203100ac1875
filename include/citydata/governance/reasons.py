"""The texts of reason codes in the three languages: `reasons/<criterion>.yaml`."""

import functools
from decimal import Decimal
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
        figure=_plain(row.figure, language),
        threshold=_plain(row.threshold, language),
        looked_at=row.looked_at,
        run=row.run,
    )


def _plain(number: Decimal | None, language: str) -> str:
    """A number without needless zeros, with a decimal comma in Finnish and Swedish."""
    if number is None:
        return "–"
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if language == "en" else text.replace(".", ",")
