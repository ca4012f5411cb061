"""Records of one object type: live, archived and merged away, found by id or by a unique value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.hubspot.schema import Schema
from sandbox.hubspot.stamps import iso

Derive = Callable[["Record"], dict[str, str | None]]


@dataclass(slots=True)
class Record:
    """One CRM record; stamps in epoch milliseconds, property values as strings, unset ones absent."""

    id: int
    kind: str
    created: int
    modified: int
    properties: dict[str, str] = field(default_factory=dict)
    archived: int | None = None
    past: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    versions: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    def as_of(self, cutoff: int) -> Record | None:
        """What the search index held at `cutoff`, or None when it did not know the record yet."""
        if self.modified <= cutoff:
            return self
        for modified, properties in reversed(self.versions):
            if modified <= cutoff:
                return Record(self.id, self.kind, self.created, modified, properties)
        return None

    def history(self, name: str) -> list[tuple[int, str]]:
        """The values of one property with their stamps, newest first."""
        known = self.past.get(name)
        if known is None:
            known = [(self.created, self.properties[name])] if name in self.properties else []
        return known[::-1]


class Table:
    """All records of one object type. Ids rise, so insertion order is id order."""

    def __init__(
        self, kind: str, type_id: str, schema: Schema, first_id: int, derive: Derive | None = None
    ) -> None:
        self.kind, self.type_id, self.schema, self.derive = kind, type_id, schema, derive
        self.singular = kind.removesuffix("s")
        self.is_contact = kind == "contacts"
        self.created_name = "createdate" if self.is_contact else "hs_createdate"
        self.modified_name = "lastmodifieddate" if self.is_contact else "hs_lastmodifieddate"
        self.live: dict[int, Record] = {}
        self.archived: dict[int, Record] = {}
        self.aliases: dict[int, int] = {}
        self.unique: dict[str, dict[str, int]] = {"email": {}} if self.is_contact else {}
        self.next_id = first_id
        self.keep_versions = False

    @property
    def defaults(self) -> tuple[str, ...]:
        """The properties that an answer holds when none are asked for."""
        named = ("email", "firstname", "lastname") if self.is_contact else ()
        return (*self.basics, *named)

    @property
    def basics(self) -> tuple[str, str, str]:
        """The properties that every answer holds."""
        return (self.created_name, "hs_object_id", self.modified_name)

    def current(self, identifier: int) -> int:
        """The id that a merged-away id now means."""
        while identifier in self.aliases:
            identifier = self.aliases[identifier]
        return identifier

    def get(self, identifier: int) -> Record | None:
        """A live record; the id of a merged-away one finds the record it became."""
        return self.live.get(self.current(identifier))

    def holder(self, name: str, value: str) -> int | None:
        """The id of the live record that holds a unique value, compared without case."""
        return self.unique.get(name, {}).get(value.lower())

    def insert(self, values: dict[str, str], now: int) -> Record:
        """A new record with checked values."""
        record = Record(self.next_id, self.kind, now, now)
        self.next_id += 1
        self.live[record.id] = record
        record.properties["hs_object_id"] = str(record.id)
        record.properties[self.created_name] = iso(now)
        self._write(record, values)
        self.touch(record, now)
        return record

    def edit(self, record: Record, values: dict[str, str], now: int) -> None:
        """Change checked values; an empty string clears. The modified stamp moves even if nothing differs."""
        self.touch(record, now)
        for name, value in values.items():
            old = record.properties.get(name, "")
            if old != value:
                record.past.setdefault(name, [(record.created, old)] if old else []).append((now, value))
        self._write(record, values)

    def touch(self, record: Record, now: int) -> None:
        """Move the modified stamp, keeping the old version for a lagging search index."""
        if self.keep_versions:
            record.versions = [*record.versions[-20:], (record.modified, dict(record.properties))]
        record.modified = now
        record.properties[self.modified_name] = iso(now)

    def archive(self, record: Record, now: int) -> None:
        """Move a record to the recycle bin; its unique values become free."""
        self._release(record)
        del self.live[record.id]
        record.archived = now
        self.archived[record.id] = record

    def absorb(self, record: Record, into: Record) -> None:
        """Forget a record whose id, and whose unique values, now mean another one."""
        self.live.pop(record.id, None)
        self.aliases[record.id] = into.id
        for index in self.unique.values():
            for value in [value for value, holder in index.items() if holder == record.id]:
                index[value] = into.id

    def purge(self, record: Record) -> None:
        """Remove every trace of a record."""
        self._release(record)
        self.live.pop(record.id, None)
        self.archived.pop(record.id, None)

    def _write(self, record: Record, values: dict[str, str]) -> None:
        for name, value in values.items():
            index = self.unique.get(name)
            if index is not None:
                self._reindex(index, record, record.properties.get(name, ""), value)
            if value == "":
                record.properties.pop(name, None)
            else:
                record.properties[name] = value
        self.refresh(record)

    def refresh(self, record: Record) -> None:
        """Recompute the derived properties."""
        for name, value in (self.derive(record) if self.derive else {}).items():
            if value is None:
                record.properties.pop(name, None)
            else:
                record.properties[name] = value

    @staticmethod
    def _reindex(index: dict[str, int], record: Record, old: str, new: str) -> None:
        if old and index.get(old.lower()) == record.id:
            del index[old.lower()]
        if new:
            index[new.lower()] = record.id

    def _release(self, record: Record) -> None:
        for index in self.unique.values():
            for value in [value for value, holder in index.items() if holder == record.id]:
                del index[value]
