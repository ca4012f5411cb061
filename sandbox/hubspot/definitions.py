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
GROUPS = {
    "contacts": {
        "contactinformation": "Contact information",
        "sales_properties": "Sales properties",
        "customer_success": "Customer success",
    }
}
_ENGAGEMENT_GROUPS = {"engagement": "Engagement information"}


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
        raise _unknown(name)
    return Response.of(200, found.document())


def list_groups(call: Call) -> Response:
    """The property groups of an object type."""
    groups = GROUPS.get(call.table.kind, _ENGAGEMENT_GROUPS)
    rows = [
        {"name": name, "label": label, "displayOrder": order, "archived": False}
        for order, (name, label) in enumerate(groups.items())
    ]
    return Response.of(200, {"results": rows})


def create(call: Call) -> Response:
    """A new custom property; unique ones index what they hold."""
    table, body = call.table, call.body(bodies.PROPERTY_CREATE)
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
    one = Property(
        name, body["label"], own=True, unique=body.get("hasUniqueValue", False), created=call.portal.now
    )
    _assign(one, body, call.portal.now)
    table.schema.add(one)
    return Response.of(201, one.document())


def change(call: Call) -> Response:
    """Change a custom property, or the options of one of HubSpot's own."""
    table, body = call.table, call.body(bodies.PROPERTY_UPDATE)
    one = table.schema.get(call.parts["name"])
    if one is None:
        raise _unknown(call.parts["name"])
    if not one.own and set(body) - {"options"}:
        raise invalid(f"Property '{one.name}' is defined by HubSpot and cannot be changed")
    merged = {"type": one.type, "fieldType": one.field_type, "groupName": one.group, **body}
    if "options" in body or "type" in body:
        _check(table, merged)
    _assign(one, body, call.portal.now)
    return Response.of(200, one.document())


def archive(call: Call) -> Response:
    """Archive a custom property; writes to it are refused from then on."""
    table, name = call.table, call.parts["name"]
    one = table.schema.get(name)
    if one is None:
        raise _unknown(name)
    if not one.own:
        raise invalid(f"Property '{name}' is defined by HubSpot and cannot be archived")
    table.schema.archive(name, call.portal.now)
    table.unique.pop(name, None)
    return Response(204)


def _unknown(name: str) -> Refusal:
    return Refusal(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND")


def _check(table: Table, body: dict[str, Any]) -> None:
    kinds = FIELD_TYPES.get(body["type"])
    if kinds is None:
        raise invalid(f"Invalid property type: {body['type']}")
    if body["fieldType"] not in kinds:
        raise invalid(f"Invalid fieldType {body['fieldType']} for type {body['type']}")
    if body["groupName"] not in GROUPS.get(table.kind, _ENGAGEMENT_GROUPS):
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
