"""Reading contacts and logged activities of a HubSpot portal: listings, changes, ids, phone numbers, markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from contacts.phone import BadPhone, to_e164
from contacts.values import FieldType
from integrations.providers.base import ActivityKind, Record
from integrations.providers.errors import RecordGone
from integrations.providers.hubspot_activities import CALLS, COMMUNICATIONS, NOTES, ObjectKind, is_about
from integrations.providers.hubspot_errors import row_error
from integrations.providers.hubspot_schema import names_with, record_of
from integrations.providers.setup import Setup
from integrations.providers.spellings import national_digits

BATCH = 100
LONGEST_ADDRESS = 6_000
SEARCHABLE_PHONES = ("hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One parsed answer, and HubSpot's clock when it was given."""

    document: Row
    server_time: datetime | None = None

    @property
    def results(self) -> list[Row]:
        """The objects of a list, search or batch answer."""
        return list(self.document.get("results") or ())

    @property
    def after(self) -> str:
        """Where the next page starts, "" on the last one."""
        return str(((self.document.get("paging") or {}).get("next") or {}).get("after") or "")


class Portal(Protocol):
    """A portal that answers: every method raises ProviderError only."""

    setup: Setup

    def types(self, names: Sequence[str], *, live: bool = False) -> dict[str, FieldType]:
        """The types of these properties; ConfigError names one that does not exist."""
        ...

    def listing(self, names: Sequence[str], after: str, *, archived: bool) -> Answer:
        """One page of the list endpoint."""
        ...

    def search(self, body: dict[str, Any]) -> Answer:
        """One page of a contact search."""
        ...

    def batch(
        self, path: str, action: str, body: dict[str, Any], *, archived: bool = False, once: bool = False
    ) -> Answer:
        """A batch call on contacts, calls, communications or notes; `action` is read, create, update or upsert."""
        ...

    def ensure_unique_property(self, name: str) -> None:
        """Make sure that contacts have this unique property."""
        ...

    def associations(self, contact_id: str, path: str, after: str) -> Answer:
        """One page of a contact's associated objects."""
        ...


def records_by_id(portal: Portal, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
    """Contacts by requested id. An id that was merged away answers as deleted, with the winner's id."""
    types = portal.types(fields)
    wanted = [one for one in dict.fromkeys(external_ids) if one.isdecimal()]
    found = _batch_read(portal, wanted, types, archived=False)
    missing = [one for one in wanted if one not in found]
    return found | (_batch_read(portal, missing, types, archived=True) if missing else {})


def _batch_read(
    portal: Portal, ids: list[str], types: Mapping[str, FieldType], *, archived: bool
) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(ids), BATCH):
        chunk = ids[start : start + BATCH]
        rows = objects(portal, "contacts", chunk, names_with([*types]), archived=archived)
        _look_for_absent(portal, rows, types)
        records = [record_of(row, types, deleted=archived) for row in rows]
        found |= _by_asked_id(records, chunk)
        strange = any(one.external_id not in chunk and not {*one.merged_ids} & {*chunk} for one in records)
        if strange and len(chunk) > 1:
            # A record that does not tell what it absorbed: asked alone, each id leads to what it has become.
            for one in [one for one in chunk if one not in found]:
                found |= _batch_read(portal, [one], types, archived=archived)
    return found


def _by_asked_id(records: Sequence[Record], asked: list[str]) -> dict[str, Record]:
    """The answers by the ids that were asked for; whatever answers to a single id is what that has become."""
    found = {record.external_id: record for record in records if record.external_id in asked}
    for record in records:
        for loser in asked if len(asked) == 1 else record.merged_ids:
            if loser in asked and loser not in found:
                found[loser] = _merged_away(loser, record)
    return found


def _look_for_absent(portal: Portal, rows: Sequence[Row], types: Mapping[str, FieldType]) -> None:
    """Raise ConfigError for a property that was taken away since the schema was cached: HubSpot leaves it out of its answers,
    and it would be read as blank. Not being named is also how some blanks look, so only the live schema tells.
    """
    named = {name for row in rows for name in row.get("properties") or ()}
    if rows and any(name not in named for name in types):
        portal.types([*types], live=True)


def _merged_away(loser: str, winner: Record) -> Record:
    return Record(loser, {}, modified=winner.modified, deleted=True, merged_into=winner.external_id)


def objects(
    portal: Portal, path: str, ids: Sequence[str], names: Sequence[str], *, archived: bool = False
) -> list[Row]:
    """Up to 100 objects by id; ids that do not exist are left out. Raises for any other error of a row."""
    body = {
        "inputs": [{"id": one} for one in ids],
        "properties": list(names),
        "propertiesWithHistory": list[str](),
    }
    answer = portal.batch(path, "read", body, archived=archived)
    for entry in answer.document.get("errors") or ():
        error = row_error(entry)
        if not isinstance(error, RecordGone):
            raise error
    return answer.results


def records_by_phone(
    portal: Portal, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
) -> dict[str, list[Record]]:
    """One search per number (HubSpot has five groups of filters); every hit is normalised and compared here."""
    types = portal.types([*dict.fromkeys((*fields, *phone_fields))])
    found: dict[str, list[Record]] = {}
    for number in dict.fromkeys(numbers):
        answer = portal.search(_phone_search(number, names_with([*types]), phone_fields))
        _look_for_absent(portal, answer.results, types)
        records = [record_of(row, types) for row in answer.results]
        hits = [
            record for record in records if _has_number(record, number, phone_fields, portal.setup.region)
        ]
        if hits:
            found[number] = hits
    return found


def _phone_search(number: str, names: list[str], phone_fields: Sequence[str]) -> dict[str, Any]:
    digits = national_digits(number)
    filters = [("EQ", SEARCHABLE_PHONES[0], digits)]
    filters += [("CONTAINS_TOKEN", name, f"*{digits}") for name in SEARCHABLE_PHONES]
    filters += [("EQ", name, number) for name in phone_fields[:2]]
    groups = [
        {"filters": [{"propertyName": name, "operator": operator, "value": value}]}
        for operator, name, value in filters
    ]
    return {"filterGroups": groups, "sorts": [], "properties": names, "limit": 200, "after": "0"}


def _has_number(record: Record, number: str, phone_fields: Sequence[str], region: str) -> bool:
    for name in phone_fields:
        with suppress(BadPhone):
            if to_e164(record.values.get(name), region) == number:
                return True
    return False


def activity_of(portal: Portal, marker: str, contact_id: str, kind: ActivityKind) -> str | None:
    """The conversation's object among those associated with the contact: search would lag behind the write."""
    kinds = {
        ActivityKind.CALL: (CALLS,),
        ActivityKind.SMS: (COMMUNICATIONS,),
        ActivityKind.WHATSAPP: (COMMUNICATIONS,),
        ActivityKind.CHAT: (COMMUNICATIONS, NOTES),
    }
    if not contact_id.isdecimal():
        return None
    for one in kinds[kind]:
        try:
            found = _marked(portal, marker, contact_id, one)
        except RecordGone:
            return None
        if found is not None:
            return found
    return None


def _marked(portal: Portal, marker: str, contact_id: str, kind: ObjectKind) -> str | None:
    ids = sorted(_associated(portal, contact_id, kind.path), key=int, reverse=True)  # the newest first
    for start in range(0, len(ids), BATCH):
        for row in objects(portal, kind.path, ids[start : start + BATCH], kind.texts):
            if is_about(row.get("properties") or {}, marker):
                return str(row["id"])
    return None


def _associated(portal: Portal, contact_id: str, path: str) -> Iterator[str]:
    after = ""
    while True:
        answer = portal.associations(contact_id, path, after)
        yield from (str(row["toObjectId"]) for row in answer.results)
        after = answer.after
        if not after:
            return
