"""A wrong key is noticed before it makes strangers of everybody."""

import secrets
from pathlib import Path

import pytest

from citydata import database
from citydata.privacy import identity_code


def register() -> None:
    with database.connect("loader", autocommit=True) as connection:
        identity_code.Pseudonyms().register(connection)


def test_the_same_key_is_accepted_again(platform: Path) -> None:
    register()
    register()


def test_another_key_under_the_same_version_is_refused(platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k1:{secrets.token_hex(32)}")
    with pytest.raises(identity_code.WrongKey, match="version k1"):
        register()


def test_a_new_key_has_a_new_version(platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k2:{secrets.token_hex(32)}")
    register()
