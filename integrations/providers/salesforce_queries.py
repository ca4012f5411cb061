"""The questions we ask Salesforce, in SOQL and SOSL, and the cursor of a listing. Pure.

Changes are read by the keyset (SystemModstamp, Id), 2,000 a page: bulk jobs give thousands of rows one stamp, and a
keyset has no locator that could expire. All times are Salesforce's own; our clock plays no part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from integrations.providers.errors import ConfigError, ProviderError
from integrations.providers.salesforce_ids import is_id
from integrations.providers.salesforce_schema import moment
from integrations.providers.spellings import national_digits, spellings

PAGE, SMALLEST_PAGE = 2000, 100
OVERLAP = timedelta(minutes=10)
LONGEST_QUERY = (
    14_000  # Salesforce accepts 16,384 bytes of address; path and spelling of the host are in there too
)
MOST_IDS = 500
ALWAYS = ("Id", "SystemModstamp", "IsDeleted", "MasterRecordId")
_NAME = re.compile(r"[A-Za-z]\w{0,79}")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing stands: rows up to (`at`, `after`) are read. `full`: it began at the very first row."""

    at: str = ""
    after: str = ""
    full: bool = False

    @classmethod
    def start(cls, cursor: str, *, full: bool) -> Position:
        """Where to read from: the middle of a listing, or some minutes before the end of the last one, or the beginning."""
        if not cursor:
            return cls(full=True)
        try:
            kept = json.loads(cursor)
            if "at" in kept and (kept["full"] or not full):
                return cls(str(kept["at"]), str(kept["after"]), bool(kept["full"]))
            return (
                cls(full=True) if full or "at" in kept else cls(at=literal(moment(kept["since"]) - OVERLAP))
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(
                "The stored cursor cannot be read. Start a full sync.", code="bad_cursor"
            ) from error

    def past(self, row: Mapping[str, Any]) -> Position:
        """The position after `row`."""
        return replace(self, at=literal(moment(row["SystemModstamp"])), after=row["Id"])

    def cursor(self) -> str:
        """The cursor of a page in the middle."""
        return json.dumps({"at": self.at, "after": self.after, "full": self.full})

    def finished(self, server_time: datetime | None) -> str:
        """The cursor after the last page: the newest stamp seen, or Salesforce's own time if that is later."""
        times = [moment(self.at)] if self.at else []
        times += [server_time] if server_time else []
        return json.dumps({"since": literal(max(times))}) if times else ""


def literal(when: datetime) -> str:
    """A SOQL datetime: whole seconds where they are whole, milliseconds otherwise."""
    text = when.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{when.microsecond // 1000:03d}Z" if when.microsecond else f"{text}Z"


def page_query(fields: Sequence[str], position: Position, size: int = PAGE) -> str:
    """One page of contacts after `position`, deleted ones too (ask queryAll). Raises ConfigError if no address holds it."""
    where, at = "", position.at
    if position.after:
        where = f" WHERE SystemModstamp >= {at} AND (SystemModstamp > {at} OR Id > {text(position.after)})"
    elif at:
        where = f" WHERE SystemModstamp >= {at}"
    query = f"SELECT {columns(fields)} FROM Contact{where} ORDER BY SystemModstamp, Id LIMIT {size}"  # noqa: S608 - columns() checks
    if len(quote_plus(query)) > LONGEST_QUERY:
        raise _too_long()
    return query


def id_queries(ids: Iterable[str], fields: Sequence[str]) -> Iterator[str]:
    """Queries for these ids, each short enough for an address; texts that are no ids are left out.

    Raises ConfigError if no address holds one of them.
    """
    head = f"SELECT {columns(fields)} FROM Contact WHERE Id IN "  # noqa: S608 - columns() checks
    wanted = list(dict.fromkeys(one for one in ids if is_id(one)))
    size = min(MOST_IDS, (LONGEST_QUERY - len(quote_plus(head))) // 27)
    if size < 1:
        raise _too_long()
    for start in range(0, len(wanted), size):
        yield head + _in(wanted[start : start + size])


def records_query(name: str, ids: Sequence[str]) -> str:
    """Those of the ids that are records of the object; of users, the active ones."""
    active = " AND IsActive = true" if name == "User" else ""
    return f"SELECT Id FROM {name} WHERE Id IN {_in(ids)}{active}"  # noqa: S608 - text() quotes


def phone_queries(
    numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
) -> Iterator[tuple[list[str], str]]:
    """Queries for some of the numbers each, short enough for an address: a number has a dozen spellings a field.

    Raises ConfigError if no address holds one of them.
    """
    waiting = [list(numbers)] if numbers else []
    while waiting:
        chunk = waiting.pop()
        query = phone_query(chunk, fields, phone_fields)
        if len(quote_plus(query)) > LONGEST_QUERY:
            if len(chunk) == 1:
                raise _too_long()
            waiting += [chunk[len(chunk) // 2 :], chunk[: len(chunk) // 2]]
        else:
            yield chunk, query


def _too_long() -> ConfigError:
    return ConfigError("Too many fields are mapped for one Salesforce query.", code="QUERY_TOO_COMPLICATED")


def phone_query(numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]) -> str:
    """Live contacts whose phone fields hold one of the usual spellings of the numbers."""
    spelled = _in(sorted({one for number in numbers for one in spellings(number)}))
    columns(phone_fields)
    where = " OR ".join(f"{name} IN {spelled}" for name in phone_fields)
    return f"SELECT {columns(fields)} FROM Contact WHERE {where}"  # noqa: S608 - columns() checks


def phone_search(number: str, fields: Sequence[str]) -> str:
    """The same by SOSL, which knows more spellings but may lag behind writes. Digits only: nothing to escape."""
    return f"FIND {{{national_digits(number)}}} IN PHONE FIELDS RETURNING Contact({columns(fields)})"


def task_query(marker: str, contact_id: str) -> str:
    """A contact's tasks whose subject seems to hold the marker (ask queryAll: query lacks archived tasks)."""
    where = f"WhoId = {text(contact_id)} AND Subject LIKE {text(f'%{marker}%')} AND IsDeleted = false"
    return f"SELECT Id, Subject FROM Task WHERE {where}"  # noqa: S608 - text() quotes


def key_query(field: str, markers: Sequence[str]) -> str:
    """The tasks whose external-id field holds one of the markers."""
    columns((field,))
    return f"SELECT Id, {field} FROM Task WHERE {field} IN {_in(markers)} AND IsDeleted = false"  # noqa: S608


def columns(fields: Sequence[str]) -> str:
    """A checked field list with what every row needs. Raises ConfigError for a text that is no field name."""
    for name in fields:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"This is no Salesforce field: {name[:80]}.", field=name)
    return ", ".join(dict.fromkeys((*ALWAYS, *fields)))


def text(value: str) -> str:
    """A SOQL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _in(values: Iterable[str]) -> str:
    return "(" + ",".join(text(value) for value in values) + ")"
