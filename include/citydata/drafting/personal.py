"""Guesses whether a column holds personal data, by its title and by its texts. A guess is for a person to confirm or refuse."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from citydata.privacy import identity_code


@dataclass(frozen=True)
class Guess:
    """What kind of personal data a column may hold (None: perhaps some), how it is classified until then, and why."""

    kind: str | None
    classification: str
    reason: str


SECRET = ("identity_code", "health", "care", "protection")
# Words of titles, in Finnish, Swedish and English; the first that is found counts.
TITLES: tuple[tuple[str, str], ...] = (
    ("identity_code", (
        r"henkilötunnus|henkilotunnus|\bhetu|personbeteckning|personnummer|identity.?code|social.?security|"
        r"\bssn\b"
    )),
    ("protection", r"turvakielto|spärrmark|sparrmark|non.?disclosure"),
    ("health", r"diagnoos|diagnos|sairau|sjukdom|illness|oire|terveydent|hälsotillst|lääkit|medicin|allerg|vamma\b"),
    ("care", r"potila|patient|hoito|vård|asiakkuu|klient|toimeentulo|lastensuoj|barnskydd|kotihoi|hemvård"),
    ("birth", r"syntym|\bsynt|född|fodel|födel|birth|\bikä\b|\bika\b|\bålder|\bage\b"),
    ("contact", (
        r"sähköp|sahkop|e-?mail|e-?post\b|puhelin|\bpuh\b|\bgsm\b|matkapuh|telefon|phone|mobil|kotiosoite|"
        r"hemadress|home.?address"
    )),
    ("name", (
        r"sukunimi|etunimi|henkilön.?nimi|kutsumanimi|efternamn|förnamn|fornamn|family.?name|given.?name|"
        r"first.?name|last.?name|surname"
    )),
    ("name", (
        r"hakija|huoltaja|vuokraaja|yhteyshenkilö|omistaja|ilmoittaja|vastuuhenkilö|sökande|vårdnadshavare|"
        r"ägare|applicant|guardian|owner|tenant|kontaktperson|contact.?person"
    )),
    ("employment", (
        r"virkanimike|tehtävänimike|palkka|henkilöstö|työntekij|tjänstebeteckning|\blön|anställ|salary|"
        r"job.?title|employee|sukupuoli|\bkön\b|gender|\bsex\b|äidinkieli|aidinkieli|modersmål|kansalaisuu|"
        r"medborgarskap|nationality"
    )),
    ("pseudonym", (
        r"asiakasn|asiakastun|henkilön?numero|kundn|customer.?(id|no|num)|person.?(id|no|num)|client.?(id|no)|"
        r"kävijä|kortin?.?numero|card.?num"
    )),
    ("free_text", (
        r"huom|lisätie|lisatie|selite|selvitys|kommentti|viesti|perustelu|vapaa|remark|\bnote|comment|message|"
        r"anmärk|tilläggs|fritext|meddelande|free.?text|palaute|feedback"
    )),
)  # fmt: skip
IN_DOUBT = (
    r"nimi\b|namn\b|\bname\b|osoite|adress|address"
    r"|tekijä|käyttäjä|user|anv[äa]ndare|\bkuvaus|beskrivning|description|teksti\b|\btext\b"
)
_MAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
_PHONE = r"^\s*(\+358|0)[ -]?(4\d|50)[ \d-]{5,12}$"
_TWO_NAMES = r"^\s*[A-ZÅÄÖ][a-zåäöé]+([- ][A-ZÅÄÖ][a-zåäöé]+){1,3}\s*$"
LONG_TEXT = 60


def guess(title: str, texts: pa.Array, kind: str) -> Guess | None:
    """What may be personal in a column with this title, these texts and this logical type; None when nothing looks so."""
    values = pc.drop_null(texts)
    if found := _by_content(values, kind):
        return found
    for personal, words in TITLES:
        if re.search(words, title, re.IGNORECASE):
            return Guess(personal, _class(personal), "by its title")
    if kind != "string" or not len(values):
        return None
    if re.search(IN_DOUBT, title, re.IGNORECASE):
        return Guess(None, "confidential", "by its title it may name or describe people")
    return None


def _by_content(values: pa.Array, kind: str) -> Guess | None:
    if not len(values):
        return None
    codes = _matching(values, identity_code.PATTERN)
    if codes:
        whole = _matching(values, rf"^\s*{identity_code.PATTERN}\s*$")
        if whole * 2 >= len(values):
            return Guess("identity_code", "secret", f"{whole} of {len(values)} values look like identity codes")
        return Guess("free_text", "secret", f"{codes} of {len(values)} values hold what looks like an identity code")
    if kind != "string":
        return None
    for personal, expression, what in (("contact", _MAIL, "e-mail addresses"), ("contact", _PHONE, "mobile numbers")):
        if found := _matching(values, expression):
            return Guess(personal, "confidential", f"{found} of {len(values)} values look like {what}")
    spaced = pc.count_substring(values, " ")
    if pc.mean(pc.utf8_length(values)).as_py() > LONG_TEXT and pc.mean(spaced).as_py() > 5:
        return Guess("free_text", "confidential", "long texts: whoever writes freely may write about people")
    names = _matching(values, _TWO_NAMES)
    if names * 2 > len(values):
        return Guess(None, "confidential", f"{names} of {len(values)} values are written as names of people are")
    return None


def _matching(values: pa.Array, expression: str) -> int:
    return int(pc.sum(pc.match_substring_regex(values, expression)).as_py() or 0)


def _class(personal: str) -> str:
    return "secret" if personal in SECRET else "confidential"
