"""The one seam to libphonenumber: raw text as people type it in, an E.164 number or a reason out. Pure."""

from __future__ import annotations

import re

import phonenumbers

_DASHES = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u00a0": " ", "\u202f": " "}
)
LONGEST = 200
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class BadPhone(ValueError):
    """The text holds no usable phone number; `reason` is a code and the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def to_e164(raw: object, region: str = "US") -> str:
    """The E.164 number meant by `raw`, for example "+14155550100".

    `region` (ISO 3166, two letters) is assumed for numbers without a country code. Extensions and text around the
    number are dropped; of several numbers the first one counts; a leading `00` means `+`. Raises BadPhone("no_phone")
    for blanks and BadPhone("bad_phone") for text without a valid number (libphonenumber's `is_valid_number`).
    """
    text = _clean(raw)
    if not text:
        raise BadPhone("no_phone", "The phone number is blank.")
    number = _whole(text, region) or _first(text, region)
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


def _whole(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, None if text.startswith("+") else region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _first(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    """The first number within a longer text, like "415-555-0100 (mobile, after 5)"."""
    return next((match.number for match in phonenumbers.PhoneNumberMatcher(text[:LONGEST], region)), None)


def _clean(raw: object) -> str:
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    text = str(raw or "").translate(_DASHES).strip()
    if _E164.fullmatch(text):
        return text
    text = text.removeprefix("tel:").lstrip()
    return "+" + text[2:].lstrip() if text.startswith("00") else text
