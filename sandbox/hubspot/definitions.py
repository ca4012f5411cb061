"""The properties API: list, read, create, change and archive property definitions."""

from __future__ import annotations

import re
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.errors import Refusal, invalid
from sandbox.hubspot.records import Table
from sandbox.hubspot.requests import Call
from sandbox.hubspot.schema import Option, Property
from sandbox.wire import Response

MOST_UNIQUE = 10
FIELD_TYPES = {
    "string": {"text", "textarea", "html", "phonenumber", "file", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "bool": {"booleancheckbox", "calculation_equation"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "phone_number": {"phonenumber"},
}


def list_all(call: Call) -> Response:
    """Every property of an object type, in one answer."""
    schema = call.table.schema
    kept = schema.archived if call.flag("archived") else schema.live
    return Response.of(200, {"results": [one.document() for one in kept.values()]})


def read(call: Call) -> Response:
    """One property by name."""
    schema, name = call.table.schema, call.parts["name"]
    found = (schema.archived if call.flag("archived") else schema.live).get(name)
    if found is None:
        raise unknown(name)
    return Response.of(200, found.document())


def create(call: Call) -> Response:
    """A new custom property."""
    return Response.of(201, define(call.table, call.body(bodies.PROPERTY_CREATE), call.portal.now).document())


def define(table: Table, body: dict[str, Any], now: int) -> Property:
    """Check a definition and install it; unique ones index what they hold."""
    name = body["name"]
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or name.startswith("hs_"):
        raise invalid(f"Property name '{name}' is invalid: lower-case letters, numbers and underscores only")
    if name in table.schema:
        message = f"A property named '{name}' already exists."
        raise Refusal(409, message, "OBJECT_ALREADY_EXISTS", subCategory="Properties.PROPERTY_EXISTS")
    _check(table, body)
    if body.get("hasUniqueValue"):
        _check_unique(table, body)
        table.unique[name] = {}
    one = Property(name, body["label"], own=True, unique=body.get("hasUniqueValue", False), created=now)
    _assign(one, body, now)
    table.schema.add(one)
    return one


def change(call: Call) -> Response:
    """Change a custom property, or the options of one of HubSpot's own."""
    table, body = call.table, call.body(bodies.PROPERTY_UPDATE)
    one = table.schema.get(call.parts["name"])
    if one is None:
        raise unknown(call.parts["name"])
    if not one.own and set(body) - {"options"}:
        raise invalid(f"Property '{one.name}' is defined by HubSpot and cannot be changed")
    merged = {"type": one.type, "fieldType": one.field_type, "groupName": one.group, **body}
    if "options" in body or "type" in body:
        _check(table, merged)
    _assign(one, body, call.portal.now)
    return Response.of(200, one.document())


def archive(call: Call) -> Response:
    """Archive a custom property; writes to it are refused from then on."""
    retire(call.table, call.parts["name"], call.portal.now)
    return Response(204)


def retire(table: Table, name: str, now: int) -> None:
    """Take a custom property out of use; 404 for none, 400 for one of HubSpot's."""
    one = table.schema.get(name)
    if one is None:
        raise unknown(name)
    if not one.own:
        raise invalid(f"Property '{name}' is defined by HubSpot and cannot be archived")
    table.schema.archive(name, now)
    table.unique.pop(name, None)


def unknown(name: str) -> Refusal:
    """There is no such property."""
    return Refusal(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND")


def _check(table: Table, body: dict[str, Any]) -> None:
    kinds = FIELD_TYPES.get(body["type"])
    if kinds is None:
        raise invalid(f"Invalid property type: {body['type']}")
    if body["fieldType"] not in kinds:
        raise invalid(f"Invalid fieldType {body['fieldType']} for type {body['type']}")
    if body["groupName"] not in table.schema.groups:
        raise invalid(f"Property group {body['groupName']} does not exist")
    values = [option["value"] for option in body.get("options", ())]
    if len(set(values)) < len(values):
        raise invalid("Property options must have unique values")
    if body["type"] == "bool" and values and sorted(values) != ["false", "true"]:
        raise invalid("Boolean properties must have exactly the options true and false")


def _check_unique(table: Table, body: dict[str, Any]) -> None:
    if body["type"] not in ("string", "number"):
        raise invalid(f"A property of type {body['type']} cannot have unique values")
    if sum(table.schema.live[name].own for name in table.schema.unique()) >= MOST_UNIQUE:
        raise invalid(f"The limit of {MOST_UNIQUE} unique properties for {table.kind} is reached")


def _assign(one: Property, body: dict[str, Any], now: int) -> None:
    names = {
        "label": "label", "type": "type", "fieldType": "field_type", "groupName": "group", "hidden": "hidden",
        "description": "description", "displayOrder": "order", "formField": "form_field",
        "calculationFormula": "formula",
    }  # fmt: skip
    for key, attribute in names.items():
        if key in body:
            setattr(one, attribute, body[key])
    if "options" in body:
        one.options = [_option(order, option) for order, option in enumerate(body["options"])]
    one.calculated = one.field_type == "calculation_equation"
    one.updated = now


def _option(order: int, option: dict[str, Any]) -> Option:
    return Option(
        option["value"], option["label"], option.get("displayOrder", order), option.get("hidden", False)
    )
