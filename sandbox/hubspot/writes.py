"""The rules of creating and changing a record, checked before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.hubspot import errors
from sandbox.hubspot.associations import target, unknown_target
from sandbox.hubspot.catalogue import CUSTOM_CHANNEL
from sandbox.hubspot.portal import PORTAL_ID, Portal
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.values import BadValue, keep

Apply = Callable[[], Record]
_REQUIRED: dict[str, tuple[str, ...]] = {
    "calls": ("hs_timestamp",),
    "notes": ("hs_timestamp",),
    "tasks": ("hs_timestamp",),
    "communications": ("hs_timestamp", "hs_communication_channel_type", "hs_communication_logged_from"),
}


def checked(portal: Portal, table: Table, raw: Mapping[str, str]) -> dict[str, str]:
    """Values as they will be kept; every invalid property of the write is named in one 400."""
    kept: dict[str, str] = {}
    problems: list[tuple[str, str, str, str]] = []
    for name, text in raw.items():
        one = table.schema.get(name)
        if one is None:
            problems.append((name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist', text))
            continue
        try:
            kept[name] = keep(one, text, portal.owners)
            _check_channel(portal, name, text)
            if table.is_contact:
                _check_rule(portal, name, text)
        except BadValue as error:
            problems.append((name, error.code, error.message, text))
    if problems:
        raise errors.bad_values(problems, PORTAL_ID)
    return kept


def _check_channel(portal: Portal, name: str, text: str) -> None:
    if (
        name == "hs_communication_channel_type"
        and text == CUSTOM_CHANNEL
        and not portal.settings["custom_channel"]
    ):
        allowed = "SMS, WHATS_APP, LINKEDIN_MESSAGE"
        raise BadValue("INVALID_OPTION", f"{text} was not one of the allowed options: [{allowed}]")


def _check_rule(portal: Portal, name: str, text: str) -> None:
    """A validation rule that the portal's administrator put on a property judges what is written to it."""
    pattern = portal.settings["validation_rules"].get(name)
    if pattern is not None and not re.fullmatch(pattern, text):
        raise BadValue("FAILED_VALIDATION", f"{name} does not satisfy the property's validation rule.")


def _require(portal: Portal, table: Table, values: Mapping[str, str], version: str) -> None:
    names: Sequence[str] = _REQUIRED.get(table.kind, ())
    if table.is_contact and version == "2026-09":
        names = portal.settings["required_contact_properties"]
    missing = [name for name in names if not values.get(name)]
    if missing:
        raise errors.missing_properties(table.singular.upper(), missing)
    named = any(values.get(name) for name in ("email", "firstname", "lastname"))
    if table.is_contact and portal.settings["contact_needs_name_or_email"] and not named:
        raise errors.missing_properties("CONTACT", ["email", "firstname", "lastname"])


def _check_unique(table: Table, values: Mapping[str, str], own: int | None) -> None:
    for name in table.unique:
        value = values.get(name)
        holder = table.holder(name, value) if value else None
        if holder is None or holder == own:
            continue
        if own is None and name == "email":
            raise errors.conflict(holder)
        raise _taken(table, name, str(value), holder, own)


def _taken(table: Table, name: str, value: str, holder: int, own: int | None) -> errors.Refusal:
    place = (
        f"PropertyValueCoordinates{{portalId={PORTAL_ID}, objectTypeId=ObjectTypeId{{legacyObjectType="
        f"{table.singular.upper()}}}, propertyName={name}, value={value}}}"
    )
    message = f"Cannot set {place} on {own or 'a new record'}. {holder} already has that value."
    detail = {"message": message, "code": "CONFLICTING_UNIQUE_VALUE", "context": {"propertyName": [name]}}
    return errors.invalid(message, errors=[detail])


def creation(portal: Portal, table: Table, document: Mapping[str, Any], version: str) -> Apply:
    """Check a create wholly; what comes back does it."""
    values = checked(portal, table, document["properties"])
    _require(portal, table, values, version)
    _check_unique(table, values, None)
    targets = [_target(portal, table, one) for one in document.get("associations", ())]

    def apply() -> Record:
        record = table.insert(
            {name: value for name, value in (_born(table) | values).items() if value}, portal.now
        )
        for to, other in targets:
            portal.link(table, record, to, other)
        return record

    return apply


def _born(table: Table) -> dict[str, str]:
    source = {"hs_object_source": "INTEGRATION", "hs_object_source_label": "INTEGRATION"}
    return source | ({"lifecyclestage": "lead"} if table.is_contact else {})


def _target(portal: Portal, table: Table, one: Mapping[str, Any]) -> tuple[Table, Record]:
    if not one["types"]:
        raise errors.invalid("At least one association type is required")
    kinds = {
        target(table.kind, spec["associationCategory"], spec["associationTypeId"]) for spec in one["types"]
    }
    if len(kinds) != 1:
        raise errors.invalid("Association types must lead to the same object type")
    to = portal.table(kinds.pop())
    identifier = one["to"]["id"]
    record = to.get(int(identifier)) if identifier.isdecimal() else None
    if record is None:
        raise unknown_target(to.kind, identifier)
    return to, record


def change(portal: Portal, table: Table, record: Record, raw: Mapping[str, str]) -> Apply:
    """Check an update wholly; what comes back does it."""
    values = checked(portal, table, raw)
    for name in _REQUIRED.get(table.kind, ()):
        if values.get(name) == "":
            raise errors.missing_properties(table.singular.upper(), [name])
    _check_unique(table, values, record.id)

    def apply() -> Record:
        table.edit(record, values, portal.now)
        return record

    return apply
