"""Guesses of personal data: by title in three languages, by content, and always on the safe side."""

import pyarrow as pa
import pytest

from citydata.drafting import personal

CODE = "010190-900R"  # a temporary code, of nobody


def guessed(title: str, *texts: str, kind: str = "string") -> tuple[str | None, str] | None:
    found = personal.guess(title, pa.array(texts or ["x"], pa.string()), kind)
    return found and (found.kind, found.classification)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Henkilötunnus", "identity_code"), ("personbeteckning", "identity_code"), ("identity code", "identity_code"),
        ("Sukunimi", "name"), ("förnamn", "name"), ("last name", "name"), ("Huoltajan nimi", "name"),
        ("Syntymäaika", "birth"), ("födelsedatum", "birth"), ("birth date", "birth"), ("ikä", "birth"),
        ("Puhelin", "contact"), ("e-post", "contact"), ("E-mail", "contact"), ("Sähköposti", "contact"),
        ("Huomautukset", "free_text"), ("anmärkning", "free_text"), ("comment", "free_text"), ("Lisätietoja", "free_text"),
        ("Diagnoosi", "health"), ("sjukdom", "health"), ("potilas", "care"), ("Turvakielto", "protection"),
        ("asiakasnumero", "pseudonym"), ("Virkanimike", "employment"), ("kön", "employment"),
    ],
)  # fmt: skip
def test_titles(title: str, kind: str) -> None:
    found = guessed(title)
    assert found is not None
    assert found[0] == kind
    assert found[1] == ("secret" if kind in personal.SECRET else "confidential")


@pytest.mark.parametrize("title", ["Nimi", "namn", "name", "Osoite", "address", "Kuvaus"])
def test_a_doubt_is_confidential_and_names_no_kind(title: str) -> None:
    assert guessed(title) == (None, "confidential")


@pytest.mark.parametrize("title", ["Pinta-ala", "Laji", "Tarkastettu", "Vuosi", "Tilin numero", "Määrä"])
def test_nothing_is_guessed_of_what_looks_like_nothing(title: str) -> None:
    assert guessed(title, "abc") is None


def test_content_speaks_where_the_title_does_not() -> None:
    assert guessed("x", CODE, CODE.lower()) == ("identity_code", "secret")
    assert guessed("x", "ei mitään", "ei", "ei", f"soitti {CODE} takaisin") == ("free_text", "secret")
    assert guessed("x", "a", "matti.meikalainen@example.org") == ("contact", "confidential")
    assert guessed("x", "040 1234567") == ("contact", "confidential")
    assert guessed("x", "Matti Meikäläinen", "Maija Meikäläinen", "-") == (None, "confidential")
    assert guessed("x", *["tähän on kirjoitettu pitkästi siitä mitä asiakkaan luona tänään tapahtui ja miksi"] * 3) == (
        "free_text", "confidential",
    )  # fmt: skip


def test_a_reason_holds_no_value() -> None:
    found = personal.guess("x", pa.array([CODE], pa.string()), "string")
    assert found is not None
    assert CODE not in found.reason
