"""Salesforce's describe, rows and values as ours. Source: Object Reference, field types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contacts.values import FieldType, Value, one_newline
from integrations.providers.base import ExternalField, Option, Record

_TYPES: Mapping[str, FieldType] = {
    "int": FieldType.NUMBER,
    "long": FieldType.NUMBER,
    "double": FieldType.NUMBER,
    "currency": FieldType.NUMBER,
    "percent": FieldType.NUMBER,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "picklist": FieldType.ENUM,
}
_COMPOUND = frozenset({"address", "location", "base64", "complexvalue"})
# Only a datetime field answers in exactly this form, so rows need no describe call to be read.
_WIRE_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")


def fields_of(describe: Mapping[str, Any]) -> list[ExternalField]:
    """The fields of one describe answer; compound and binary ones are left out, their parts are there."""
    return [
        _field(raw)
        for raw in describe["fields"]
        if raw["type"] not in _COMPOUND and not raw.get("deprecatedAndHidden")
    ]


def _field(raw: Mapping[str, Any]) -> ExternalField:
    return ExternalField(
        name=raw["name"],
        label=raw.get("label") or raw["name"],
        type=_TYPES.get(raw["type"], FieldType.STRING),
        native_type=raw["type"],
        options=tuple(
            Option(
                value=one["value"],
                label=one.get("label") or one["value"],
                active=bool(one.get("active", True)),
            )
            for one in raw.get("picklistValues") or ()
        ),
        restricted=bool(raw.get("restrictedPicklist")),
        createable=bool(raw.get("createable")),
        updateable=bool(raw.get("updateable")),
        required=bool(raw.get("createable") and not raw.get("nillable") and not raw.get("defaultedOnCreate")),
        calculated=bool(raw.get("calculated")),
        unique=bool(raw.get("unique")),
        phone=raw["type"] == "phone",
        max_length=raw.get("length") or None,
        description=raw.get("inlineHelpText") or "",
    )


def canonical(raw: Any) -> Value:
    """One value of a row: texts trimmed, with lines as ours end, blanks None, whole doubles as int, datetimes in UTC with a Z."""
    if isinstance(raw, str):
        if _WIRE_DATETIME.fullmatch(raw):
            return moment(raw).isoformat().replace("+00:00", "Z")
        return one_newline(raw).strip() or None
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    return raw if isinstance(raw, bool | int | float) else None


def moment(raw: str) -> datetime:
    """A stamp like 2026-01-01T00:00:00.000+0000, aware, in UTC."""
    return datetime.fromisoformat(raw).astimezone(UTC)


def record_of(row: Mapping[str, Any], fields: Sequence[str]) -> Record:
    """A query's row. The winner of a merge stands in MasterRecordId of the deleted loser."""
    stamp = row.get("SystemModstamp")
    return Record(
        external_id=row["Id"],
        values={name: canonical(row[name]) for name in fields if name in row},
        modified=moment(stamp) if stamp else None,
        deleted=bool(row.get("IsDeleted")),
        merged_into=row.get("MasterRecordId") or None,
    )
