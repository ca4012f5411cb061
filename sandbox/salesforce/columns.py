"""What a query names: a field of its object, or one of the record that a reference points to (Account.Name)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sandbox.salesforce.errors import NAMES_HINT, ApiError
from sandbox.salesforce.fields import Field
from sandbox.salesforce.ids import sobject_of
from sandbox.salesforce.records import Records
from sandbox.salesforce.schema import no_such_column
from sandbox.salesforce.store import Row
from sandbox.salesforce.tokens import Token, malformed, pointed


@dataclass(frozen=True, slots=True)
class Column:
    """A field, how its value is got from a row of the query, and the reference of the row that leads to it, if any."""

    field: Field
    get: Callable[[Row], Any]
    reference: Field | None = None

    @property
    def path(self) -> tuple[str, str]:
        """What makes two columns the same: the relationship and the field."""
        return (self.reference.relationship or "" if self.reference else "", self.field.name)


class Names:
    """The columns that a query on one object may use, found by the names it gives them."""

    def __init__(self, text: str, sobject: str, records: Records) -> None:
        self.text, self.sobject, self.records = text, sobject, records

    def column(self, token: Token) -> Column:
        """The column a token names, perhaps behind the object's own name; INVALID_FIELD for an unknown one."""
        prefix, _, name = token.text.rpartition(".")
        if prefix and prefix.lower() != self.sobject.lower():
            return self._of_parent(token, prefix, name)
        field = self.records.schema.field(self.sobject, name)
        if field is None:
            raise self.refused(token, no_such_column(self.sobject, name))
        return Column(field, itemgetter(field.name))

    def refused(self, token: Token, message: str, code: str = "INVALID_FIELD") -> ApiError:
        """An error that points at the token."""
        return ApiError(code, pointed(self.text, token.at, message))

    def parent(self, row: Row, reference: Field) -> tuple[str, Row] | None:
        """The record that a reference of the row points to, with its object."""
        sobject = sobject_of(row[reference.name]) if row[reference.name] else None
        found = self.records.store.get(sobject, row[reference.name]) if sobject else None
        return (sobject, found) if sobject and found else None

    def _of_parent(self, token: Token, prefix: str, name: str) -> Column:
        if "." in prefix:
            raise malformed(
                self.text, token.at, f"unexpected token: '{token.text}'"
            )  # one step is enough here
        fields = self.records.schema.fields(self.sobject).values()
        reference = next(
            (one for one in fields if one.relationship and one.relationship.lower() == prefix.lower()), None
        )
        targets = [
            one for one in (reference.reference_to if reference else ()) if self.records.schema.knows(one)
        ]
        if reference is None or not targets:
            message = (
                f"Didn't understand relationship '{prefix}' in field path. If you are attempting to use a custom "
                f"relationship, be sure to append the '__r' after the custom relationship name. {NAMES_HINT}"
            )
            raise self.refused(token, message)
        # A reference to several objects has the fields that all of them have.
        found = [self.records.schema.field(one, name) for one in targets]
        field = found[0]
        if field is None or None in found:
            owner = targets[0] if len(targets) == 1 else "Name"
            raise self.refused(token, no_such_column(owner, name))

        def get(row: Row) -> Any:
            there = self.parent(row, reference)
            return there[1][field.name] if there else None

        return Column(field, get, reference)
