"""Records as the object endpoints show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.hubspot.associations import type_name
from sandbox.hubspot.portal import PORTAL_ID, Portal
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.stamps import iso


def shown(table: Table, asked: Sequence[str]) -> list[str]:
    """The property names of an answer: the defaults, or the asked ones that exist beside the basic three."""
    if not asked:
        return sorted(table.defaults)
    return sorted({*table.basics, *(name for name in asked if name in table.schema)})


def document(table: Table, record: Record, names: Iterable[str]) -> dict[str, Any]:
    """One record with the named properties, unset ones as null."""
    properties = record.properties
    body: dict[str, Any] = {
        "id": str(record.id),
        "properties": {name: properties.get(name) for name in names},
        "createdAt": iso(record.created),
        "updatedAt": iso(record.modified),
        "archived": record.archived is not None,
    }
    if record.archived is not None:
        body["archivedAt"] = iso(record.archived)
    body["url"] = f"https://app.hubspot.com/contacts/{PORTAL_ID}/record/{table.type_id}/{record.id}"
    return body


def stored(table: Table, record: Record) -> dict[str, Any]:
    """One record with everything that is set, as a create answers."""
    return document(table, record, sorted(record.properties))


def with_history(table: Table, record: Record, names: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """The values over time of the named properties that exist."""
    return {
        name: [
            {"value": value, "timestamp": iso(stamp), "sourceType": "INTEGRATION"}
            for stamp, value in record.history(name)
        ]
        for name in names
        if name in table.schema
    }


def associated(portal: Portal, table: Table, record: Record, kinds: Iterable[str]) -> dict[str, Any]:
    """The `associations` of a record; types without any are left out, and the key with them."""
    found: dict[str, Any] = {}
    for kind in kinds:
        to = portal.table(kind)
        ids = [one for one in portal.links.of(table.kind, record.id, to.kind) if one in to.live]
        if ids:
            name = type_name(table.kind, to.kind)
            found[to.kind] = {"results": [{"id": str(one), "type": name} for one in ids]}
    return {"associations": found} if found else {}


def batch(portal: Portal, results: list[Any], errors: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch answer. Results come in no promised order: by default not in that of the request."""
    ordered = results if portal.settings["batch_order"] == "input" else results[::-1]
    stamp = iso(portal.now)
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": ordered,
        "startedAt": stamp,
        "completedAt": stamp,
    }
    return body | ({"numErrors": len(errors), "errors": errors} if errors else {})
