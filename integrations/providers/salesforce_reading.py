"""Reading contacts and tasks of a Salesforce org: changes, ids, phone numbers, and the task of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from contacts.phone import BadPhone, to_e164
from integrations.providers import salesforce_queries as soql
from integrations.providers.base import Page, Record
from integrations.providers.errors import NeedsAttention, ProviderError, RateLimited, Transient
from integrations.providers.markers import holds_marker
from integrations.providers.salesforce_ids import is_id
from integrations.providers.salesforce_schema import record_of
from integrations.providers.setup import Setup

Row = Mapping[str, Any]
_TOO_MUCH = ("QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG", "OPERATION_TOO_LARGE")


class Org(Protocol):
    """An org that answers: every method raises ProviderError only."""

    setup: Setup

    def query(self, query: str, *, deleted: bool = False) -> Row:
        """The first page of a SOQL query; `deleted` asks queryAll."""
        ...

    def rows(self, queries: Iterable[str], *, deleted: bool = False) -> Iterator[Row]:
        """Every row of these queries."""
        ...

    def search(self, query: str) -> list[Row]:
        """The rows of a SOSL search."""
        ...

    def describe(self, name: str) -> Row:
        """The describe answer of one object."""
        ...

    def collection(
        self, method: str, path: str, rows: list[dict[str, Any]], *, once: bool = False
    ) -> list[Row]:
        """Write up to 200 rows; one answer each. `once`: a lost answer is OutcomeUnknown, not Transient."""
        ...

    def request_id(self) -> str:
        """Salesforce's id of the last request, "" where it gave none."""
        ...

    def server_time(self) -> datetime | None:
        """Salesforce's clock at the last answer."""
        ...


def changed_pages(org: Org, cursor: str, fields: Sequence[str], *, full: bool) -> Iterator[Page]:
    """Pages of 2,000 in the order of (SystemModstamp, Id); an incremental listing begins ten minutes early.

    A query that takes Salesforce too long, or finds too much, is asked again for half as many rows.
    """
    position = soql.Position.start(cursor, full=full)
    total = _count(org) if position == soql.Position(full=True) else None
    last, size = False, soql.PAGE
    while not last:
        try:
            answer = org.query(soql.page_query(fields, position, size), deleted=True)
        except Transient as error:
            if error.code not in _TOO_MUCH or size <= soql.SMALLEST_PAGE:
                raise
            size = max(soql.SMALLEST_PAGE, size // 2)
            continue
        rows = answer["records"]
        # A page may be shorter than asked for (Salesforce caps it at 200 rows when two long texts are selected).
        last = bool(answer["done"]) and len(rows) < size
        position = position.past(rows[-1]) if rows else position
        after = position.finished(org.server_time()) or cursor if last else position.cursor()
        records = [record_of(row, fields) for row in rows]
        yield Page(records=records, cursor=after, last=last, total=total)


def records_by_id(org: Org, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
    """Contacts by requested id through queryAll, which shows deleted ones and what they were merged into."""
    asked = {external_id[:15]: external_id for external_id in external_ids}
    rows = org.rows(soql.id_queries(external_ids, fields), deleted=True)
    return {asked[row["Id"][:15]]: record_of(row, fields) for row in rows if row["Id"][:15] in asked}


def records_by_phone(
    org: Org, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
) -> dict[str, list[Record]]:
    """By the usual spellings, then by SOSL for what is missing; every hit is normalised and compared here."""
    found: dict[str, dict[str, Record]] = {number: {} for number in numbers}
    names, every = [*dict.fromkeys((*fields, *phone_fields))], [*found]
    for chunk, query in soql.phone_queries(every, names, phone_fields):
        exact = org.rows([query])
        _collect(exact, names, phone_fields, found, org.setup.region)
        for number in [one for one in chunk if not found[one]]:
            loose = org.search(soql.phone_search(number, names))
            _collect(loose, names, phone_fields, found, org.setup.region)
    return {number: [*records.values()] for number, records in found.items() if records}


def task_of(org: Org, marker: str, contact_id: str) -> str | None:
    """The conversation's Task: by the key field if the org has one, else by the marker in its subject."""
    key_field = org.setup.options.get("activity_key_field", "")
    if key_field:
        rows = org.rows([soql.key_query(key_field, [marker])], deleted=True)
        return next((str(row["Id"]) for row in rows), None)
    if not is_id(contact_id):
        return None
    rows = org.rows([soql.task_query(marker, contact_id)], deleted=True)
    return next((str(row["Id"]) for row in rows if holds_marker(row["Subject"], marker)), None)


def _count(org: Org) -> int | None:
    try:
        return int(org.query("SELECT COUNT() FROM Contact", deleted=True)["totalSize"])
    except (NeedsAttention, RateLimited):
        raise
    except ProviderError:
        return None  # only the progress bar wants to know


def _collect(
    rows: Iterable[Row],
    fields: Sequence[str],
    phone_fields: Sequence[str],
    found: dict[str, dict[str, Record]],
    region: str,
) -> None:
    for row in rows:
        for name in phone_fields:
            with suppress(BadPhone):
                matches = found.get(to_e164(row.get(name), region))
                if matches is not None and not row.get("IsDeleted"):
                    matches.setdefault(row["Id"], record_of(row, fields))
