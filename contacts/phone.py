"""The one seam to libphonenumber: raw text as people type it in, an E.164 number or a reason out. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers

_DASHES = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u00a0": " ", "\u202f": " "}
)
LONGEST = 200
_E164 = re.compile(r"\+[1-9]\d{6,14}")
# Between numbers of one field. A slash may also stand within one: "030/231250".
_BETWEEN = re.compile(r"[,;|&\n\r]+|\b(?:or|and|oder|und|ou|et)\b", re.IGNORECASE)
# "00" before a country code, at the start or after a word. "0011" is how Australians dial out, and no code begins with 11.
_ZEROS = re.compile(r"(^|:|[^\W\d_][.:)]*)\s*[(+]*00[\s.)-]*(?=[1-9])(?!11)")
# What a telephone would dial after a pause: "415-555-0100p123".
_PAUSE = re.compile(r"(?<=\d)\s?[pw]+\s?\d+#?$", re.IGNORECASE)


class BadPhone(ValueError):
    """The text holds no usable phone number; `reason` is a code and the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def to_e164(raw: object, region: str = "US") -> str:
    """The E.164 number meant by `raw`, for example "+14155550100".

    `region` (ISO 3166, two letters) is assumed for numbers without a country code. Extensions and text around the number
    are dropped; of several numbers the first usable one counts; `00` and, where people dial so, `011` mean `+`. Raises
    BadPhone("no_phone") for blanks and BadPhone("bad_phone") for text without a valid number. Source of the rule:
    libphonenumber's `is_valid_number`.
    """
    text = _clean(raw)
    if not text:
        raise BadPhone("no_phone", "The phone number is blank.")
    number = next(_numbers(text, region), None)
    if number is None:
        raise BadPhone(
            "bad_phone",
            "This is not a valid phone number. Write it with its country code, like +14155550100.",
        )
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def same_number(first: object, second: object, region: str = "US") -> bool:
    """Whether two spellings mean one number; unusable text equals nothing."""
    try:
        return to_e164(first, region) == to_e164(second, region)
    except BadPhone:
        return False


def is_region(region: str) -> bool:
    """Whether `region` is a country code that libphonenumber knows."""
    return region in phonenumbers.SUPPORTED_REGIONS


def for_people(number: str) -> str:
    """The number as its country writes it internationally, "+1 415-555-0100"; unparseable text comes back as it is."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL))


def one_slip_away(text: str, region: str = "US") -> set[str]:
    """Every number in E.164's form, valid or not, that one slip could have turned into the digits of `text`.

    A slip is a digit wrong, missing or too many, or two exchanged. Without a country code, the region's is tried as well.
    """
    digits = re.sub(r"\D", "", text)
    international = text.strip().startswith("+") or digits.startswith("00")
    digits = digits.lstrip("0")[:15]
    home = "" if international else str(phonenumbers.country_code_for_region(region))
    slips = {digits, *_slips(digits)}
    return {f"+{code}{slip}" for slip in slips for code in {"", home}}


def _slips(digits: str) -> Iterator[str]:
    for at in range(len(digits) + 1):
        before, after = digits[:at], digits[at:]
        yield from (f"{before}{digit}{after}" for digit in "0123456789")
        if after:
            yield f"{before}{after[1:]}"
            yield from (f"{before}{digit}{after[1:]}" for digit in "0123456789")
        if len(after) > 1:
            yield f"{before}{after[1]}{after[0]}{after[2:]}"


def _numbers(text: str, region: str) -> Iterator[phonenumbers.PhoneNumber]:
    """The valid numbers of a text, in its order; the text as a whole is tried last."""
    if _E164.fullmatch(text):
        yield from _whole(text, region)
        return
    for part in _BETWEEN.split(text[:LONGEST]):
        piece = _ZEROS.sub(r"\1+", part.strip())
        if "/" in piece:
            yield from _whole(piece.partition("/")[0], region)
        yield from _whole(piece, region)
        yield from (match.number for match in phonenumbers.PhoneNumberMatcher(piece, region))
    yield from _whole(text, region)


def _whole(text: str, region: str) -> list[phonenumbers.PhoneNumber]:
    """The one number that the text is, if it is one."""
    try:
        number = phonenumbers.parse(text, None if text.startswith("+") else region)
    except phonenumbers.NumberParseException:
        return []
    return [number] if phonenumbers.is_valid_number(number) else []


def _clean(raw: object) -> str:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    text = str(raw or "")
    if text.isascii():
        plain = text.strip()
    else:
        # Full-width digits and signs become plain ones; marks that nobody sees go.
        plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
        plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf").strip()
    if _E164.fullmatch(plain):
        return plain
    return _PAUSE.sub("", re.sub(r"^tel:\s*", "", plain, flags=re.IGNORECASE))
