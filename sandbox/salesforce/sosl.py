"""SOSL as phone look-ups need it: FIND {digits} IN PHONE FIELDS RETURNING Contact(Id, ...) [LIMIT n]."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from sandbox.salesforce import moments
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.fields import Field
from sandbox.salesforce.filters import Names
from sandbox.salesforce.objects import FIELDS
from sandbox.salesforce.query import shown
from sandbox.salesforce.records import Records
from sandbox.salesforce.store import Row
from sandbox.salesforce.tokens import Token

_SEARCH = re.compile(
    r"\s*FIND\s*\{([^{}]*)\}\s*IN\s+PHONE\s+FIELDS\s+RETURNING\s+(.+?)(?:\s+LIMIT\s+(\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_RETURNED = re.compile(r"\s*(\w+)\s*(?:\(([\w\s,]*)\))?\s*(?:,|\Z)")


def search(records: Records, text: str, base: str, lag_seconds: float) -> dict[str, Any]:
    """The found records; what changed within `lag_seconds` is not indexed yet. MALFORMED_SEARCH otherwise."""
    match = _SEARCH.fullmatch(text)
    if match is None:
        raise _malformed(f"No search term found. The search term must be enclosed in braces: {text}")
    term = match[1].strip()
    if not re.fullmatch(r"\d{2,}", term):
        raise _malformed(f"search term must be longer than one character: {term}")
    until = moments.written(records.clock.now() - timedelta(seconds=lag_seconds)) if lag_seconds else "9"
    found: list[dict[str, Any]] = []
    for sobject, fields in _returned(records, text, match[2]):
        rows = (
            row
            for row in records.store.tables[sobject].values()
            if not row["IsDeleted"] and row["SystemModstamp"] <= until
        )
        found += [shown(sobject, row, fields, base) for row in rows if _has_number(sobject, row, term)]
    return {"searchRecords": found[: int(match[3] or 2000)]}


def _returned(records: Records, text: str, clause: str) -> list[tuple[str, list[Field]]]:
    found, at = [], 0
    while at < len(clause):
        match = _RETURNED.match(clause, at)
        if match is None:
            raise _malformed(f"unexpected token: {clause[at:]}")
        found.append(_fields(records, text, match[1], match[2]))
        at = match.end()
    return found


def _fields(records: Records, text: str, name: str, listed: str | None) -> tuple[str, list[Field]]:
    sobject = next((known for known in ("Account", "Contact", "Lead") if known.lower() == name.lower()), None)
    if sobject is None or not records.schema.visible(sobject):
        raise ApiError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
    names = Names(text, sobject, records.schema.fields(sobject))
    wanted = [word.strip() for word in (listed or "Id").split(",")]
    return sobject, [names.field(Token("name", word, max(text.find(word), 0))) for word in wanted]


def _has_number(sobject: str, row: Row, term: str) -> bool:
    """A number matches as a whole: its digits, without a leading 1 if it has one, or one word of it."""
    for field in FIELDS[sobject].values():
        if field.type == "phone" and row[field.name]:
            words = re.findall(r"\d+", row[field.name])
            digits = "".join(words)
            if term in (digits, digits.removeprefix("1"), *words):
                return True
    return False


def _malformed(message: str) -> ApiError:
    return ApiError("MALFORMED_SEARCH", message)
