"""Record ids: 15 case-sensitive characters, with three more that make them safe where case is lost."""

from __future__ import annotations

import re

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
POD = "5g0"
PREFIXES = {
    "Account": "001",
    "Contact": "003",
    "User": "005",
    "Organization": "00D",
    "Lead": "00Q",
    "RecordType": "012",
    "Task": "00T",
    "TaskStatus": "01J",
}
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?\Z")


def checksum(id15: str) -> str:
    """The three characters that tell which of the fifteen are upper case."""
    chunks = (id15[i : i + 5] for i in (0, 5, 10))
    return "".join(
        SUFFIX[sum(1 << i for i, letter in enumerate(chunk) if "A" <= letter <= "Z")] for chunk in chunks
    )


def canonical(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None when malformed or its suffix does not fit."""
    if not _ID.match(text):
        return None
    full = text[:15] + checksum(text[:15])
    return full if text in (text[:15], full) else None


def record_id(sobject: str, number: int) -> str:
    """The id of the `number`th record of an object; ids rise with their numbers."""
    tail = ""
    for _ in range(9):
        number, digit = divmod(number, 62)
        tail = DIGITS[digit] + tail
    id15 = PREFIXES[sobject] + POD + tail
    return id15 + checksum(id15)


def sobject_of(id18: str) -> str | None:
    """The object whose prefix the id carries."""
    return next((name for name, prefix in PREFIXES.items() if id18.startswith(prefix)), None)
