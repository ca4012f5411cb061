"""HubSpot's properties and objects as ours. Everything travels as text there; the property's type says what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from contacts.values import DoesNotFit, FieldSpec, FieldType, Value, as_text, coerce
from integrations.providers.base import ExternalField, Option, Record

# Asked for with every contact: the key of the listing, the stamp, and what was merged into it.
ALWAYS = ("hs_object_id", "lastmodifieddate", "hs_merged_object_ids", "hs_calculated_merged_vids")
_TYPES: Mapping[str, FieldType] = {
    "number": FieldType.NUMBER,
    "bool": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "enumeration": FieldType.ENUM,
}
_PHONE_TYPES = ("phonenumber", "phone_number")


def fields_of(document: Mapping[str, Any]) -> list[ExternalField]:
    """The properties of one answer; structured ones (coordinates, json) are left out."""
    rows = [raw for raw in document["results"] if raw.get("type") not in ("object_coordinates", "json")]
    return [_field(raw) for raw in rows if not raw.get("archived")]


def _field(raw: Mapping[str, Any]) -> ExternalField:
    kind, shown = str(raw.get("type") or "string"), str(raw.get("fieldType") or "")
    calculated = bool(raw.get("calculated")) or shown.startswith("calculation_")
    fixed = calculated or bool((raw.get("modificationMetadata") or {}).get("readOnlyValue"))
    # Several values at once ("a;b") are text to us: no contact field holds a set.
    several = kind == "enumeration" and shown == "checkbox"
    # The options of owners and the like live elsewhere; their values are ids.
    options = () if raw.get("externalOptions") else raw.get("options") or ()
    plain = kind == "enumeration" and (several or bool(raw.get("externalOptions")))
    # A single checkbox is an enumeration of two options when it was made by hand.
    yes_or_no = kind == "enumeration" and {str(one["value"]) for one in options} == {"true", "false"}
    return ExternalField(
        name=raw["name"],
        label=raw.get("label") or raw["name"],
        type=FieldType.STRING if plain else _TYPES.get("bool" if yes_or_no else kind, FieldType.STRING),
        native_type=f"{kind}/{shown}" if shown else kind,
        options=tuple(
            Option(str(one["value"]), str(one.get("label") or one["value"]), not one.get("hidden"))
            for one in options
        ),
        restricted=kind == "enumeration" and not raw.get("externalOptions") and not yes_or_no,
        createable=not fixed,
        updateable=not fixed,
        calculated=calculated,
        unique=bool(raw.get("hasUniqueValue")),
        phone=kind in _PHONE_TYPES or shown in _PHONE_TYPES or raw["name"] in ("phone", "mobilephone"),
        description=raw.get("description") or "",
    )


def unique_property(name: str) -> dict[str, Any]:
    """The definition of a text property of contacts whose values HubSpot keeps unique."""
    return {
        "name": name,
        "label": "Contact key of the sync",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        "hasUniqueValue": True,
        "formField": False,
        "description": "Written once by the sync, so that a contact is never created twice. Do not edit.",
    }


def decode(raw: str | None, kind: FieldType) -> Value:
    """One property's text as its type means it; text that does not fit its type stays text."""
    if raw is None or not str(raw).strip():
        return None
    text = str(raw).strip()
    if kind in (FieldType.DATE, FieldType.DATETIME) and text.removeprefix("-").isdecimal():
        with suppress(ValueError, OverflowError, OSError):  # beyond the years that we know
            text = datetime.fromtimestamp(int(text) / 1000, tz=UTC).isoformat()
    if kind in (FieldType.STRING, FieldType.ENUM):
        return text
    try:
        return coerce(text, FieldSpec("", kind))
    except DoesNotFit:
        return text


def encode(value: Value) -> str:
    """A value as HubSpot wants it: text, with "" to clear."""
    return as_text(value)


def record_of(raw: Mapping[str, Any], types: Mapping[str, FieldType], *, deleted: bool = False) -> Record:
    """One object of an answer, with a value for each of `types`: HubSpot leaves out blanks as it likes."""
    properties = raw.get("properties") or {}
    stamp = properties.get("lastmodifieddate") or raw.get("updatedAt")
    return Record(
        external_id=str(raw["id"]),
        values={name: decode(properties.get(name), kind) for name, kind in types.items()},
        modified=datetime.fromisoformat(stamp).astimezone(UTC) if stamp else None,
        deleted=deleted or bool(raw.get("archived")),
        merged_ids=_merged(properties, str(raw["id"])),
    )


def _merged(properties: Mapping[str, Any], own: str) -> tuple[str, ...]:
    ids: list[str] = str(properties.get("hs_merged_object_ids") or "").split(";")
    ids += [
        pair.partition(":")[0] for pair in str(properties.get("hs_calculated_merged_vids") or "").split(";")
    ]
    return tuple(dict.fromkeys(one.strip() for one in ids if one.strip() not in ("", own)))


def names_with(fields: Sequence[str]) -> list[str]:
    """The properties to ask for: the wanted ones and those that every record needs."""
    return [*dict.fromkeys((*fields, *ALWAYS))]
