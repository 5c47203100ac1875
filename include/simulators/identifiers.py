"""Check digits of the identifiers that synthetic companies and people carry."""

from __future__ import annotations

import random
from datetime import date

BUSINESS_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2)
IDENTITY_CODE_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
TEMPORARY_INDIVIDUAL_NUMBERS = range(900, 1000)
# The signs that stand beside "-" and "A" since the reform of 2023 (decree 690/2022).
CENTURY_SIGNS = {19: "-YXWVU", 20: "ABCDEF"}


def business_id(number: int) -> str | None:
    """The Y-tunnus of a seven-digit number, None for numbers whose remainder is 1: those are never given out."""
    digits = f"{number:07d}"
    remainder = sum(weight * int(digit) for weight, digit in zip(BUSINESS_ID_WEIGHTS, digits, strict=True)) % 11
    if remainder == 1:
        return None
    return f"{digits}-{0 if remainder == 0 else 11 - remainder}"


def check_character(birth: date, individual: int) -> str:
    """The last character of an identity code: DDMMYYNNN modulo 31."""
    return IDENTITY_CODE_CHARACTERS[int(f"{birth:%d%m%y}{individual:03d}") % 31]


def identity_code(birth: date, individual: int, sign: str) -> str:
    """An identity code; ValueError when the individual number could belong to a living person."""
    if individual not in TEMPORARY_INDIVIDUAL_NUMBERS:
        raise ValueError("synthetic people have individual numbers 900 to 999 only")
    return f"{birth:%d%m%y}{sign}{individual:03d}{check_character(birth, individual)}"


def with_wrong_check_character(code: str) -> str:
    """The same code as somebody mistyped it."""
    position = IDENTITY_CODE_CHARACTERS.index(code[-1])
    return code[:-1] + IDENTITY_CODE_CHARACTERS[(position + 1) % len(IDENTITY_CODE_CHARACTERS)]


def century_sign(birth: date, rng: random.Random) -> str:
    """Mostly the old sign of the century, now and then one of the reform."""
    signs = CENTURY_SIGNS[birth.year // 100]
    return signs[0] if rng.random() < 0.94 else rng.choice(signs[1:])


def permanent_building_id(number: int) -> str:
    """The VTJ-PRT of a nine-digit number: the number and its check character, modulo 31 like that of an identity code."""
    return f"{number:09d}{IDENTITY_CODE_CHARACTERS[number % 31]}"


def property_id(municipality: int, area: int, group: int, unit: int) -> str:
    """A property's id (kiinteistötunnus) as registers keep it: 14 digits without hyphens."""
    return f"{municipality:03d}{area:03d}{group:04d}{unit:04d}"
