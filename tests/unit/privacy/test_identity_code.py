"""Identity codes are recognised, masked and replaced by a keyed pseudonym."""

import secrets
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata import settings
from citydata.privacy import identity_code
from simulators import identifiers

BIRTHS = st.dates(date(1900, 1, 1), date(2029, 12, 31))
CODES = st.builds(
    lambda birth, individual, sign: identifiers.identity_code(birth, individual, identifiers.CENTURY_SIGNS[birth.year // 100][sign]),
    BIRTHS, st.integers(900, 999), st.integers(0, 5),
)  # fmt: skip


@given(
    CODES.filter(identity_code.is_valid),
    st.text("0123456789-+ abA_äö.;", max_size=8),
    st.text("0123456789-+ abA_äö.;", max_size=8),
)
def test_a_code_is_masked_whatever_stands_beside_it(code: str, before: str, after: str) -> None:
    assert code not in identity_code.mask(before + code + after) or identity_code.mask(before + code) != before + code
    assert identity_code.mask(f"{before} {code} {after}").count(identity_code.MASK) >= 1
    assert code not in identity_code.mask(f"{before} {code.lower()} {code}{code} {after}")


@given(CODES.filter(identity_code.is_valid))
def test_one_wrong_check_character_is_not_valid(code: str) -> None:
    mistyped = identifiers.with_wrong_check_character(code)
    assert not identity_code.is_valid(mistyped)
    assert identity_code.mask(mistyped) == mistyped
    assert identity_code.mask(mistyped, all_alike=True) == identity_code.MASK


@pytest.mark.parametrize(
    "text", ["310290-900A", "010190-900", "2026-0001", "FI1234567890", "0101901-900P", "PO-010190"]
)
def test_what_is_no_code_stays(text: str) -> None:
    assert identity_code.mask(text) == text


def test_a_pseudonym_depends_on_the_code_and_the_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k7:{secrets.token_hex(32)}")
    first = identity_code.Pseudonyms()
    pseudonym = first.pseudonym("010190-900P")
    assert pseudonym == first.pseudonym(" 010190-900p ") == identity_code.Pseudonyms().pseudonym("010190-900P")
    assert pseudonym.startswith("k7:")
    assert first.pseudonym("010190-9011") != pseudonym
    assert first.of_id("Ab-1") != first.of_id("ab-1"), "ids of a source are told apart by case"
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k7:{secrets.token_hex(32)}")
    assert identity_code.Pseudonyms().pseudonym("010190-900P") != pseudonym


@pytest.mark.parametrize("key", ["k1:00ff", f"k1:{'00' * 31}", ""])
def test_a_short_or_missing_key_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", key)
    with pytest.raises(settings.SettingMissing, match="CITYDATA_PSEUDONYM_KEY"):
        identity_code.Pseudonyms()
