"""SOSL: FIND {words} [IN scope FIELDS] [RETURNING Contact(Id, ... [WHERE] [ORDER BY] [LIMIT]), ...] [LIMIT n].

Words are sought whole, or by their beginning with a * at the end; all must be there unless OR stands between them.
Quotes, ? and words that are shut out are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from sandbox.salesforce import moments
from sandbox.salesforce.columns import Column, Names
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.filters import predicate, sort_rows
from sandbox.salesforce.objects import FIELDS
from sandbox.salesforce.query import shown
from sandbox.salesforce.records import Records
from sandbox.salesforce.soql import Count, Query, parse
from sandbox.salesforce.store import Row

SEARCHED = ("Account", "Contact", "Lead")
MOST = 2000
_SEARCH = re.compile(
    r"\s*FIND\s*\{(?P<words>[^{}]*)\}(?:\s*IN\s+(?P<scope>ALL|NAME|EMAIL|PHONE|SIDEBAR)\s+FIELDS)?"
    r"(?:\s+RETURNING\s+(?P<objects>.+?))?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_RETURNED = re.compile(r"\s*(\w+)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?\s*(?:,(?=\s*\w)|\Z)")
_WORD = re.compile(r"\w+\*?", re.ASCII)
_CLAUSE = re.compile(r"\s+(?:WHERE|ORDER\s+BY|LIMIT|OFFSET)\s", re.IGNORECASE)
_TYPES = {"phone": {"phone"}, "email": {"email"}}
_TEXT = {"string", "textarea", "phone", "email", "url", "picklist", "multipicklist"}
Matches = Callable[[Row], bool]


def search(records: Records, text: str, base: str, lag_seconds: float) -> dict[str, Any]:
    """The found records; what changed within `lag_seconds` is not indexed yet. MALFORMED_SEARCH otherwise."""
    match = _SEARCH.fullmatch(text)
    if match is None:
        raise _malformed(f"No search term found. The search term must be enclosed in braces: {text}")
    words, scope = _words(match["words"].strip()), (match["scope"] or "all").lower()
    until = moments.written(records.clock.now() - timedelta(seconds=lag_seconds)) if lag_seconds else "9"
    found: list[dict[str, Any]] = []
    for sobject, clause in _returned(records, match["objects"] or ""):
        query = parse(f"SELECT {clause}")
        names = Names(query.text, sobject, records)
        indexed = (
            row
            for row in records.store.tables[sobject].values()
            if not row["IsDeleted"] and row["SystemModstamp"] <= until
        )
        hits = [row for row in indexed if _holds(sobject, scope, words, row)]
        fields = [column.field for column in _columns(query, names)]
        found += [shown(sobject, row, fields, base) for row in _narrowed(hits, query, names)]
    return {"searchRecords": found[: int(match["limit"] or MOST)]}


def _words(term: str) -> list[list[str]]:
    """The term as alternatives, each of words that must all be there."""
    groups: list[list[str]] = [[]]
    for word in term.split():
        if word == "OR":
            groups.append([])
        elif word != "AND":
            if not _WORD.fullmatch(word):
                raise _malformed(f"a reserved character must be escaped, or is not understood here: {word}")
            if len(word.rstrip("*")) < 2:
                raise _malformed(f"search term must be longer than one character: {word}")
            groups[-1].append(word.lower())
    if not all(groups):
        raise _malformed(f"search term must be longer than one character: {term}")
    return groups


def _returned(records: Records, clause: str) -> list[tuple[str, str]]:
    """Each object with its part as the rest of a query; without any, the ids of all objects that are searched."""
    if not clause:
        return [(name, f"Id FROM {name}") for name in SEARCHED if records.schema.visible(name)]
    found, at = [], 0
    while at < len(clause):
        match = _RETURNED.match(clause, at)
        if match is None:
            raise _malformed(f"unexpected token: {clause[at:]}")
        name = next((known for known in SEARCHED if known.lower() == match[1].lower()), None)
        if name is None or not records.schema.visible(name):
            raise ApiError("INVALID_TYPE", f"sObject type '{match[1]}' is not supported.")
        inner = (match[2] or "Id").strip() or "Id"
        cut = narrowing.start() if (narrowing := _CLAUSE.search(inner)) else len(inner)
        found.append((name, f"{inner[:cut]} FROM {name}{inner[cut:]}"))
        at = match.end()
    return found


def _columns(query: Query, names: Names) -> list[Column]:
    columns = [names.column(entry) for entry in query.fields if not isinstance(entry, Count)]
    if len(columns) < len(query.fields) or any(column.reference for column in columns):
        raise _malformed("only fields of the object itself are understood here")
    return columns


def _narrowed(rows: list[Row], query: Query, names: Names) -> list[Row]:
    if query.where is not None:
        matches = predicate(query.where, names)
        rows = [row for row in rows if matches(row)]
    sort_rows(rows, query.order, names)
    return rows[query.offset :][: query.limit]


def _holds(sobject: str, scope: str, words: list[list[str]], row: Row) -> bool:
    there = {one for field in _fields(sobject, scope) for one in _indexed(field, row[field])}

    def found(word: str) -> bool:
        return any(one.startswith(word[:-1]) for one in there) if word.endswith("*") else word in there

    return any(all(found(word) for word in group) for group in words)


def _fields(sobject: str, scope: str) -> Iterable[str]:
    for field in FIELDS[sobject].values():
        types = _TYPES.get(scope, _TEXT)
        in_name = "Name" in field.name and field.type == "string"
        if field.type in types and (scope != "name" or in_name):
            yield field.name


def _indexed(field: str, value: Any) -> Iterable[str]:
    """The words of a text. Of a number also all its digits together, with and without a leading 1."""
    words = re.findall(r"\w+", str(value).lower()) if value else []
    yield from words
    digits = "".join(re.findall(r"\d", str(value))) if value and field.endswith(("Phone", "Fax")) else ""
    if digits:
        yield from (digits, digits.removeprefix("1"))


def _malformed(message: str) -> ApiError:
    return ApiError("MALFORMED_SEARCH", message)
