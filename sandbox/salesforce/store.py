"""The records: rows are replaced, never changed in place, so that a failed call can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.salesforce.fields import Field
from sandbox.salesforce.ids import PREFIXES, record_id
from sandbox.salesforce.objects import FIELDS

Row = dict[str, Any]
UNIQUE = {
    name: [field for field in fields.values() if field.may("u") and field.may("X")]
    for name, fields in FIELDS.items()
}
LOOKUPS = {
    name: [field for field in fields.values() if field.may("X") or (field.may("L") and field.type == "email")]
    for name, fields in FIELDS.items()
}


class Taken(Exception):
    """Another live record holds the value of a unique field."""

    def __init__(self, field: Field, record_id: str) -> None:
        super().__init__(field.name)
        self.field, self.record_id = field, record_id


class Store:
    """One table per object, by 18-character id in order of creation, with an index of each external id."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in PREFIXES}
        self._numbers = dict.fromkeys(PREFIXES, 1000)
        self._index: dict[tuple[str, str], dict[str, dict[str, None]]] = {
            (name, field.name): {} for name, fields in LOOKUPS.items() for field in fields
        }
        self._undo: list[tuple[str, str, Row | None]] | None = None

    def new_id(self, sobject: str) -> str:
        """The next id of an object; never given twice, not even after a rollback."""
        self._numbers[sobject] += 1
        return record_id(sobject, self._numbers[sobject])

    def get(self, sobject: str, id18: str) -> Row | None:
        """A record, deleted ones included."""
        return self.tables[sobject].get(id18)

    def put(self, sobject: str, row: Row) -> None:
        """Insert or replace a record; raises Taken, before any change, when another holds a unique value."""
        for field in UNIQUE[sobject]:
            holders = self.holders(sobject, field, row[field.name]) if not row["IsDeleted"] else []
            if other := next((holder for holder in holders if holder != row["Id"]), None):
                raise Taken(field, other)
        old = self.tables[sobject].get(row["Id"])
        if self._undo is not None:
            self._undo.append((sobject, row["Id"], old))
        self._replace(sobject, row["Id"], old, row)

    def holders(self, sobject: str, field: Field, value: Any) -> list[str]:
        """Ids of the live records with this external id; text compares without case."""
        return [] if value is None else list(self._index[sobject, field.name].get(str(value).lower(), ()))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Take back every put of the block when it raises; an inner block belongs to the outer one too."""
        outer, self._undo = self._undo, []
        try:
            yield
        except BaseException:
            for sobject, id18, old in reversed(self._undo):
                self._replace(sobject, id18, self.tables[sobject].get(id18), old)
            self._undo = outer
            raise
        if outer is not None:
            outer.extend(self._undo)
        self._undo = outer

    def _replace(self, sobject: str, id18: str, old: Row | None, new: Row | None) -> None:
        for field in LOOKUPS[sobject]:
            index = self._index[sobject, field.name]
            if old is not None and old[field.name] is not None:
                index.get(str(old[field.name]).lower(), {}).pop(id18, None)
            if new is not None and new[field.name] is not None and not new["IsDeleted"]:
                index.setdefault(str(new[field.name]).lower(), {})[id18] = None
        if new is None:
            self.tables[sobject].pop(id18, None)
        else:
            self.tables[sobject][id18] = new


def blank_row(sobject: str) -> Row:
    """A record with every field at its default: checkboxes unchecked, all else empty."""
    row: Row = {f.name: False if f.type == "boolean" else f.default for f in FIELDS[sobject].values()}
    row.setdefault("IsDeleted", False)
    return row
