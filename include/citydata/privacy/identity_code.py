"""Personal identity codes (henkilötunnus, 661/2009 and the decree 128/2010): find, check, replace.

Outside the source stands a keyed HMAC-SHA-256. A plain hash could be reversed by trying the few million codes there are.
"""

import hashlib
import hmac
import re
from typing import Any

import psycopg
from stdnum.fi import hetu

from citydata import settings

# As they are written in texts: day, month, year, a sign for the century, an individual number and a check character.
PATTERN = r"[0-3]\d[01]\d\d\d[-+A-FU-Ya-fu-y]\d{3}[0-9A-FHJ-NPR-Ya-fhj-npr-y]"
# Without word boundaries: letters, digits and other codes stand right beside a code (`tunnus_010190-123A`).
_FOUND = re.compile(PATTERN)
MASK = "[henkilötunnus]"


def normalised(text: str) -> str:
    """A code as the register writes it."""
    return text.strip().upper()


def is_valid(code: str) -> bool:
    """Whether date and check character are right; temporary codes (individual number 900–999) are codes too."""
    return bool(hetu.is_valid(code, allow_temporary=True))


def mask(text: str, *, all_alike: bool = False) -> str:
    """Replace every valid identity code in `text`.

    What only looks like one stays, because it may be a voucher's number, unless `all_alike`: where codes are expected, one
    with a wrong check character is still somebody's.
    """
    return _FOUND.sub(lambda found: MASK if all_alike or is_valid(normalised(found[0])) else found[0], text)


class WrongKey(RuntimeError):
    """The key of pseudonyms is not the one that made those in the database."""


class Pseudonyms:
    """Replaces identity codes by pseudonyms under the current key.

    The key is `version:hex` in CITYDATA_PSEUDONYM_KEY and lives outside the database; the version stands in each pseudonym.
    """

    def __init__(self) -> None:
        setting = settings.required("CITYDATA_PSEUDONYM_KEY", "the key of pseudonyms, as version:hex")
        self._version, _, key = setting.partition(":")
        self._key = bytes.fromhex(key)
        if len(self._key) < 32:
            raise settings.SettingMissing("CITYDATA_PSEUDONYM_KEY must hold at least 32 bytes in hex after its version")

    def pseudonym(self, code: str) -> str:
        """`version:hex` of the normalised code."""
        return self.of_id(normalised(code))

    def of_id(self, text: str) -> str:
        """`version:hex` of a source's own id, in which letters of another case are other letters."""
        return f"{self._version}:{hmac.digest(self._key, text.encode(), hashlib.sha256).hex()}"

    def register(self, connection: psycopg.Connection[Any]) -> None:
        """Make sure that this version's key is the one that was used before.

        Raises WrongKey when it is another: the same person would get a second pseudonym, and every link would break.
        """
        fingerprint = hmac.digest(self._key, b"fingerprint", hashlib.sha256).hex()[:16]
        connection.execute(
            "INSERT INTO restricted.pseudonym_key (version, fingerprint) VALUES (%s, %s) ON CONFLICT (version) DO NOTHING",
            (self._version, fingerprint),
        )
        row = connection.execute(
            "SELECT fingerprint FROM restricted.pseudonym_key WHERE version = %s", (self._version,)
        ).fetchone()
        if row != (fingerprint,):
            raise WrongKey(
                f"CITYDATA_PSEUDONYM_KEY is not the key that was used as version {self._version}; restore that key from the"
                " backup of the secrets, or give a new key a new version"
            )
