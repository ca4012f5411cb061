"""The phone properties that HubSpot derives: national digits for search, and the international form."""

from __future__ import annotations

import re

_EXTENSION = re.compile(r"\s*(ext\.?|x|extension)\s*\d+\s*$", re.IGNORECASE)
_EXIT_CODES = ("011", "00")
_COUNTRIES = ("44", "49", "33", "34", "39", "31", "61", "353", "84", "234", "52", "91")


def national(text: str) -> str:
    """The digits that phone search looks at, without the country code when that is plain.

    An unparsable number keeps its digits less leading zeros: "+1 555-1234" is "15551234", "00004" is "4".
    """
    country, rest = split(text)
    digits = re.sub(r"\D", "", _EXTENSION.sub("", text))
    return rest if country else digits.lstrip("0")


def international(text: str) -> str | None:
    """The number as +country and digits, or None when it is not plainly a number."""
    country, rest = split(text)
    return f"+{country}{rest}" if country else None


def split(text: str) -> tuple[str, str]:
    """Country code and national digits; both empty when the text is not plainly a phone number."""
    plain = _EXTENSION.sub("", text.strip())
    digits = re.sub(r"\D", "", plain)
    dialled = next(
        (code for code in _EXIT_CODES if not plain.startswith("+") and digits.startswith(code)), ""
    )
    abroad = plain.startswith("+") or bool(dialled)
    digits = digits.removeprefix(dialled)
    if len(digits) == 11 and digits.startswith("1"):
        return ("1", digits[1:]) if digits[1] not in "01" else ("", "")
    if len(digits) == 10 and not abroad and digits[0] not in "01":
        return "1", digits
    country = next((code for code in _COUNTRIES if abroad and digits.startswith(code)), "")
    return (country, digits.removeprefix(country)) if country and 9 <= len(digits) <= 15 else ("", "")
