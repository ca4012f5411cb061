"""Record ids of Salesforce: 15 characters whose case counts, and three more that say which of them are capitals. Pure.

Queries give 18 characters, messages of errors 15; one record must have one name here.
"""

from __future__ import annotations

import re

CONTACT, TASK = "003", "00T"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(text: str) -> str:
    """The 18 characters of an id; a text that is none is returned as it is."""
    if len(text) != 15 or not _ID.fullmatch(text):
        return text
    chunks = (text[start : start + 5] for start in (0, 5, 10))
    return text + "".join(
        _SUFFIX[sum(1 << place for place, letter in enumerate(chunk) if letter.isupper())] for chunk in chunks
    )


def is_id(text: str) -> bool:
    """Whether Salesforce would take `text` for an id: one that is none fails a whole query."""
    return _ID.fullmatch(text) is not None and long_id(text[:15]) == long_id(text)
