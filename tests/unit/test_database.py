"""Texts of errors keep what is ours and lose what is the data's."""

import pytest

from citydata import database


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('relation "raw.hr__people" does not exist', 'relation "raw.hr__people" does not exist'),
        ('invalid input syntax for type date: "31.2.1985"', "invalid input syntax for type date"),
        ('value "Testi Henkilö" is too long', "value “…” is too long"),
        ('value "010190-999X" is taken\nDETAIL: Key (code)=(010190-999X)', "value “…” is taken"),
    ],
)
def test_values_are_cleaned_out(text: str, cleaned: str) -> None:
    assert database.cleaned(ValueError(text)) == cleaned


def test_an_error_without_a_text_has_its_class() -> None:
    assert database.cleaned(KeyError()) == "KeyError"
