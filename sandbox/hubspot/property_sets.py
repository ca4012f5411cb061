"""The properties API beyond one definition: batches of definitions, and the groups they stand in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.definitions import define, retire, unknown
from sandbox.hubspot.documents import batch
from sandbox.hubspot.errors import Refusal, invalid
from sandbox.hubspot.requests import Call
from sandbox.hubspot.schema import Group
from sandbox.wire import Response

MOST = 100


def batch_read(call: Call) -> Response:
    """Definitions by name; unknown names are reported in a 207."""
    body, schema = call.body(bodies.PROPERTIES_READ), call.table.schema
    kept = schema.archived if body["archived"] else schema.live

    def find(one: dict[str, Any]) -> dict[str, Any]:
        found = kept.get(one["name"])
        if found is None:
            raise unknown(one["name"])
        return found.document()

    return _each(call, body["inputs"], find, 200)


def batch_create(call: Call) -> Response:
    """New definitions, each on its own."""
    inputs = call.body(bodies.PROPERTIES_CREATE)["inputs"]
    return _each(call, inputs, lambda one: define(call.table, one, call.portal.now).document(), 201)


def batch_archive(call: Call) -> Response:
    """Take definitions out of use; unknown ones are fine."""
    for one in _counted(call.body(bodies.PROPERTY_NAMES)["inputs"]):
        if one["name"] in call.table.schema:
            retire(call.table, one["name"], call.portal.now)
    return Response(204)


def _each(
    call: Call, inputs: list[dict[str, Any]], do: Callable[[dict[str, Any]], dict[str, Any]], status: int
) -> Response:
    results, errors = [], []
    for one in _counted(inputs):
        try:
            results.append(do(one))
        except Refusal as refusal:
            errors.append(refusal.listed(name=[one["name"]]))
    return Response.of(call.partial(status, errors), batch(call.portal, results, errors))


def _counted(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not 1 <= len(inputs) <= MOST:
        raise invalid(f"The number of inputs must be between 1 and {MOST}, but {len(inputs)} were sent")
    return inputs


def list_groups(call: Call) -> Response:
    """The property groups of an object type."""
    return Response.of(200, {"results": [one.document() for one in call.table.schema.groups.values()]})


def read_group(call: Call) -> Response:
    """One group by name."""
    return Response.of(200, _group(call).document())


def create_group(call: Call) -> Response:
    """A new group."""
    body, groups = call.body(bodies.GROUP_CREATE), call.table.schema.groups
    name = body["name"]
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise invalid(f"Property group name '{name}' is invalid")
    if name in groups:
        message = f"A property group named '{name}' already exists."
        raise Refusal(409, message, "OBJECT_ALREADY_EXISTS")
    groups[name] = Group(name, body["label"], body.get("displayOrder", -1))
    return Response.of(201, groups[name].document())


def change_group(call: Call) -> Response:
    """Another label or place."""
    body, one = call.body(bodies.GROUP_UPDATE), _group(call)
    one.label, one.order = body.get("label", one.label), body.get("displayOrder", one.order)
    return Response.of(200, one.document())


def archive_group(call: Call) -> Response:
    """Remove a group that no property stands in."""
    one, schema = _group(call), call.table.schema
    if any(each.group == one.name for each in schema.live.values()):
        raise invalid(f"Property group '{one.name}' has properties and cannot be archived")
    del schema.groups[one.name]
    return Response(204)


def _group(call: Call) -> Group:
    found = call.table.schema.groups.get(call.parts["name"])
    if found is None:
        raise Refusal(404, f"Property group {call.parts['name']} does not exist", "OBJECT_NOT_FOUND")
    return found
