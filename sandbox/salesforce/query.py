"""Running a query: pages with locators, counts, and the record form all reads share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.columns import Column, Names
from sandbox.salesforce.errors import NAMES_HINT, ApiError
from sandbox.salesforce.fields import Field
from sandbox.salesforce.filters import predicate, sort_rows
from sandbox.salesforce.ids import DIGITS
from sandbox.salesforce.objects import FIELDS
from sandbox.salesforce.records import Records
from sandbox.salesforce.soql import Count, Query, parse
from sandbox.salesforce.store import Row
from sandbox.salesforce.tokens import Token, malformed, pointed

SMALLEST, LARGEST = 200, 2000


@dataclass(slots=True)
class Cursor:
    """The rest of a query: what was found, and until when (epoch seconds) it is kept."""

    sobject: str
    names: Names
    columns: list[Column]
    ids: list[str]
    ends: float


class Queries:
    """SOQL over the org's records."""

    def __init__(self, records: Records, settings: dict[str, Any]) -> None:
        self._records, self._settings = records, settings
        self._cursors: dict[str, Cursor] = {}

    def run(self, text: str, base: str, *, everything: bool, options: str | None) -> dict[str, Any]:
        """The first page of a query; `everything` (queryAll) includes deleted and archived records.

        `options` is the Sforce-Query-Options header; a batch size outside 200..2000 is brought inside.
        """
        query = parse(text)
        sobject = self._sobject(query)
        names = Names(query.text, sobject, self._records)
        columns = _selected(query, names)
        rows = self._rows(query, sobject, names, everything=everything)
        if any(isinstance(entry, Count) for entry in query.fields):
            return _counted(query, rows, names)
        cursor = Cursor(
            sobject,
            names,
            columns,
            [row["Id"] for row in rows],
            self._now() + self._settings["locator_seconds"],
        )
        return self._page(cursor, None, 0, base, options)

    def more(self, locator: str, base: str, options: str | None) -> dict[str, Any]:
        """A further page, by `0r8…-2000`; INVALID_QUERY_LOCATOR when it is unknown or too old."""
        match = re.fullmatch(r"(0r8\w{15})-(\d+)", locator)
        cursor = self._cursors.get(match[1]) if match else None
        if match is None or cursor is None or cursor.ends < self._now() or int(match[2]) >= len(cursor.ids):
            raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, match[1], int(match[2]), base, options)

    def _page(
        self, cursor: Cursor, locator: str | None, start: int, base: str, options: str | None
    ) -> dict[str, Any]:
        size = batch_size(options)
        if sum(column.field.long_text for column in cursor.columns) >= 2:
            size = min(size, SMALLEST)
        end = start + size
        rows = (self._records.store.get(cursor.sobject, id18) for id18 in cursor.ids[start:end])
        page: dict[str, Any] = {"totalSize": len(cursor.ids), "done": end >= len(cursor.ids)}
        if not page["done"]:
            locator = locator or self._keep(cursor)
            page["nextRecordsUrl"] = f"{base}/query/{locator}-{end}"
        page["records"] = [_record(cursor, row, base) for row in rows if row is not None]
        return page

    def _keep(self, cursor: Cursor) -> str:
        self._cursors = {key: kept for key, kept in self._cursors.items() if kept.ends >= self._now()}
        number = int(self._now() * 1000)
        locator = "0r8" + "".join(DIGITS[number // 62**power % 62] for power in range(14, -1, -1))
        self._cursors[locator] = cursor
        return locator

    def _now(self) -> float:
        return self._records.clock.now().timestamp()

    def _sobject(self, query: Query) -> str:
        name = query.sobject.text
        found = next((known for known in FIELDS if known.lower() == name.lower()), None)
        if found is None or not self._records.schema.visible(found):
            message = (
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, "
                f"be sure to append the '__c' after the entity name. {NAMES_HINT}"
            )
            raise ApiError("INVALID_TYPE", pointed(query.text, query.sobject.at, message))
        return found

    def _rows(self, query: Query, sobject: str, names: Names, *, everything: bool) -> list[Row]:
        if sobject == "Task":
            self._records.archive()
        if query.offset > 2000:
            raise ApiError(
                "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is 2000, found {query.offset}"
            )
        matches = predicate(query.where, names) if query.where else None
        rows = [
            row
            for row in self._records.store.tables[sobject].values()
            if (everything or not (row["IsDeleted"] or row.get("IsArchived")))
            and (matches is None or matches(row))
        ]
        sort_rows(rows, query.order, names)
        return rows[query.offset :][: query.limit]


def batch_size(options: str | None) -> int:
    """The page size a Sforce-Query-Options header asks for, within the vendor's bounds."""
    match = re.search(r"batchSize\s*=\s*(\d+)", options or "", re.IGNORECASE)
    return min(max(int(match[1]), SMALLEST), LARGEST) if match else LARGEST


def shown(sobject: str, row: Row, fields: list[Field], base: str) -> dict[str, Any]:
    """A record as answers show it."""
    record: dict[str, Any] = {
        "attributes": {"type": sobject, "url": f"{base}/sobjects/{sobject}/{row['Id']}"}
    }
    for field in fields:
        record[field.name] = row[field.name]
    return record


def _record(cursor: Cursor, row: Row, base: str) -> dict[str, Any]:
    """A row with its columns; fields of another record stand in an object of their own."""
    record = shown(cursor.sobject, row, [], base)
    for column in cursor.columns:
        if column.reference is None:
            record[column.field.name] = row[column.field.name]
            continue
        name = str(column.reference.relationship)
        there = cursor.names.parent(row, column.reference)
        if there is None:
            record[name] = None
        else:
            held = record.setdefault(name, shown(*there, [], base))
            held[column.field.name] = there[1][column.field.name]
    return record


def _selected(query: Query, names: Names) -> list[Column]:
    columns: list[Column] = []
    for entry in query.fields:
        if isinstance(entry, Count):
            _check_count(query, entry, names)
            continue
        column = names.column(entry)
        if column.path in [one.path for one in columns]:
            raise ApiError("INVALID_FIELD", f"duplicate field selected: {column.field.name}")
        columns.append(column)
    return columns


def _check_count(query: Query, count: Count, names: Names) -> None:
    other = next((entry for entry in query.fields if not isinstance(entry, Count)), None)
    if other is not None:
        raise malformed(query.text, other.at, f"Field must be grouped or aggregated: {other.text}")
    if count.field is None and len(query.fields) > 1:
        raise malformed(query.text, query.sobject.at, "unexpected token: 'COUNT'")
    if count.field is not None:
        names.column(count.field)


def _counted(query: Query, rows: list[Row], names: Names) -> dict[str, Any]:
    if query.fields == (Count(None, None),):
        return {"totalSize": len(rows), "done": True, "records": []}
    record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
    for number, entry in enumerate(entry for entry in query.fields if isinstance(entry, Count)):
        column = names.column(entry.field or Token("name", "Id", 0))
        record[entry.alias or f"expr{number}"] = sum(column.get(row) is not None for row in rows)
    return {"totalSize": 1, "done": True, "records": [record]}
