"""How one phone number is written in the wild, for CRMs that only find what they are asked for literally. Pure."""

from __future__ import annotations

import re

from contacts.phone import for_people


def national_digits(number: str) -> str:
    """The digits of an E.164 number without its country code."""
    _, _, rest = for_people(number).partition(" ")
    return re.sub(r"\D", "", rest or number)


def spellings(number: str) -> set[str]:
    """How people and systems usually write an E.164 number; about a dozen texts, all for the same number."""
    international = for_people(number)
    country, _, rest = international.partition(" ")
    digits = national_digits(number)
    plain = number.removeprefix("+")
    found = {number, plain, f"00{plain}", international, international.replace("-", " ")}
    found |= {rest, digits, rest.replace("-", " "), rest.replace("-", ".")}
    if country == "+1" and len(digits) == 10:
        area, middle, line = digits[:3], digits[3:6], digits[6:]
        found |= {f"({area}) {middle}-{line}", f"1-{area}-{middle}-{line}", f"+1 ({area}) {middle}-{line}"}
    else:
        found |= {f"0{digits}", f"0{rest}"}
    return {one for one in found if one}
