"""Every reason that a rule may give has a text in three languages, and no text is left over."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from citydata.governance import criteria, reasons
from citydata.governance.evidence import CRITERIA, Evidence

SOURCES = sorted(Path(criteria.__file__).parent.glob("*.py"))
CODE = re.compile(r"""["']((?:C\d+|any)\.[a-z_0-9]+)["']""")
# by_contract and the manual evidence of `criteria` put these together from a criterion and from a result.
COMPOSED = re.compile(r"""f["']\{criterion\}\.([a-z_]+)["']""")
PLACES = {"subject", "figure", "threshold", "looked_at", "run"}


def _used() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    found = {code for text in texts for code in CODE.findall(text)}
    return found | {"any.manual_pass", "any.manual_fail"}


def _row(reason: str) -> Evidence:
    moment = datetime(2026, 6, 15, tzinfo=UTC)
    criterion = reason.split(".", 1)[0]
    return Evidence(
        criterion=criterion if criterion in CRITERIA else "C1",
        result="fail",
        reason=reason,
        looked_at="LOOKED_AT",
        source="906/2019",
        observed_at=moment,
        expires_at=moment,
        subject="SUBJECT",
        figure=Decimal("7.50"),
        threshold=Decimal(10),
        run="RUN",
    )


@pytest.mark.parametrize("reason", sorted(_used()))
def test_every_reason_of_a_rule_says_something_in_three_languages(reason: str) -> None:
    texts = reasons.texts()[reason]
    assert list(texts) == ["fi", "sv", "en"]
    assert len({*texts.values()}) == 3
    # The three say the same: what one of them shows the others show too.
    assert len({frozenset(re.findall(r"\{(\w+)\}", text)) for text in texts.values()}) == 1
    for language, text in texts.items():
        said = reasons.text(_row(reason), language)
        assert said.endswith(".")
        assert "{" not in said
        assert ("{figure}" in text) == bool(re.search(r"\b7[.,]5\b", said))


def test_every_text_is_of_a_reason_that_a_rule_gives() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    composed = {f"{name}.{key}" for name in CRITERIA for key in COMPOSED.findall(sources)}
    assert set(reasons.texts()) - _used() - composed == set()


def test_texts_use_nothing_but_what_evidence_has() -> None:
    for reason, texts in reasons.texts().items():
        for text in texts.values():
            assert set(re.findall(r"\{(\w*)\}", text)) <= PLACES, reason
