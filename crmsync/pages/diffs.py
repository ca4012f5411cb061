"""Rows of what would change or did: record, field, old and new value and why, from whatever worked them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from contacts.models import field_specs
from contacts.values import FieldSpec, Value
from integrations.connections import open_provider
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from sync.preview import DiffRow

_ENDS = {
    "unlink": "the link ends, the contact stays",
    "archive": "the contact is archived",
    "delete": "the contact is deleted",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One value that would change. `ends` says what becomes of a contact whose record is gone; then there is no field."""

    record: str
    url: str
    contact: str
    side: str
    field: str
    kind: str
    old: Value
    new: Value
    rule: str
    ends: str = ""
    applied: bool = False

    @property
    def who(self) -> tuple[str, str]:
        """What lines of one record have in common."""
        return self.record, self.contact


def lines_of(connection: Connection, rows: Iterable[DiffRow]) -> list[Line]:
    """The rows of a preview as a page shows them."""
    found = list(rows)
    urls, specs = addresses(connection, [row.external_id for row in found]), field_specs()
    return [
        Line(
            record=row.external_id,
            url=urls.get(row.external_id, ""),
            contact=row.contact,
            side=row.side,
            field=shown_as(row.field, specs)[0] if row.side == "contact" else row.field,
            # The type of the contact field that the value belongs to, whichever side it is on.
            kind=shown_as(row.field if row.side == "contact" else row.rule.rpartition(":")[2], specs)[1],
            old=row.old,
            new=row.new,
            rule="" if not row.field else _arrow(row.rule, row.side),
            ends="" if row.field else _ENDS.get(row.rule, row.rule),
        )
        for row in found
    ]


def shown_as(name: str, specs: Mapping[str, FieldSpec]) -> tuple[str, str]:
    """Label and kind of a contact field, also of one that no longer exists."""
    spec = specs.get(name)
    kind = "phone" if name == "phone_number" else spec.type.value if spec else "string"
    return (spec.label if spec else name), kind


def lines_held(connection: Connection, held: Iterable[Mapping[str, Any]], *, side: str) -> list[Line]:
    """The rows that the circuit breaker kept on a run or an issue (see sync.breaker.Loss)."""
    found = [
        (
            DiffRow(
                str(row["record"]), row["contact"], side, row["field"], row["old"], row["new"], row["rule"]
            ),
            row,
        )
        for row in held
    ]
    lines = lines_of(connection, [row for row, _ in found])
    return [
        replace(line, applied=True) if row.get("applied") else line
        for line, (_, row) in zip(lines, found, strict=True)
    ]


def addresses(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Where a person sees each record in the CRM; no network, {} when the connection is not set up to tell."""
    wanted = {one for one in ids if one}
    if not wanted:
        return {}
    try:
        with open_provider(connection) as provider:
            return {one: provider.web_url(one) for one in wanted}
    except ProviderError:
        return {}


def _arrow(rule: str, side: str) -> str:
    """ "Plan__c:plan" as people read it, in the direction the value takes."""
    external, _, field = rule.partition(":")
    if not field:
        return rule
    return f"{external} → {field}" if side == "contact" else f"{field} → {external}"
