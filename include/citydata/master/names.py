"""The form in which names of organisations are compared."""

import re
import unicodedata

# Forms of enterprise in the Trade Register and the Register of Associations, in Finnish and Swedish.
LEGAL_FORMS = frozenset(
    {
        *("oy", "ab", "oyj", "abp", "ky", "kb", "ay", "öb", "tmi", "fa", "osk", "anl", "ry", "rf", "rs", "rp", "sr"),
        *("osakeyhtiö", "aktiebolag", "kommandiittiyhtiö", "kommanditbolag", "toiminimi", "firma"),
        *("osuuskunta", "andelslag", "ltd", "plc", "gmbh", "inc"),
    }
)

_PHRASES = re.compile(r"\b(rekisteröity yhdistys|registrerad förening|julkinen osakeyhtiö|publikt aktiebolag)\b")
_NOT_A_WORD = re.compile(r"[^\w&]+")


def match_name(name: str) -> str:
    """Lower case, without punctuation, spacing and legal form; the letters å, ä and ö stay what they are.

    A name that consists of legal forms only is kept, so that nothing is compared as empty.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _PHRASES.sub(" ", text)
    # “r.y.” and “o.y.” are the abbreviations with dots.
    text = re.sub(r"\b(\w)\.(\w)\.", r"\1\2", text)
    words = _NOT_A_WORD.sub(" ", text).split()
    return " ".join(word for word in words if word not in LEGAL_FORMS) or " ".join(words)
