"""Structured output as OpenAI checks it: which response formats and strict schemas are refused, and why."""

from __future__ import annotations

import re
from typing import Any

from sandbox.llm_errors import Refused, wrong_type


def check_format(document: Any, param: str, told: str) -> dict[str, Any] | None:
    """The JSON schema to answer with, {} for any JSON object, None for text. `told` is all message text."""
    if document is None:
        return None
    if not isinstance(document, dict):
        raise wrong_type(param, "an object", document)
    kind = document.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        if "json" not in told.lower():
            raise Refused(
                f"'messages' must contain the word 'json' in some form, "
                f"to use '{param}' of type 'json_object'.",
                param=param,
            )
        return {}
    if kind != "json_schema":
        raise Refused(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            param=f"{param}.type",
            code="invalid_value",
        )
    chat = param == "response_format"
    return _check_json_schema(
        document.get("json_schema") if chat else document, f"{param}.json_schema" if chat else param, chat
    )


def _check_json_schema(holder: Any, param: str, chat: bool) -> dict[str, Any]:
    if not isinstance(holder, dict):
        raise Refused(
            f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    name = holder.get("name")
    if not isinstance(name, str):
        raise Refused(
            f"Missing required parameter: '{param}.name'.",
            param=f"{param}.name",
            code="missing_required_parameter",
        )
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise Refused(
            f"Invalid '{param}.name': string does not match pattern. "
            "Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=f"{param}.name",
            code="invalid_value",
        )
    schema = holder.get("schema")
    if not isinstance(schema, dict):
        raise Refused(
            f"Missing required parameter: '{param}.schema'.",
            param=f"{param}.schema",
            code="missing_required_parameter",
        )
    if holder.get("strict"):
        complaint = (
            strict_complaint(schema, schema, ())
            if schema.get("type") == "object"
            else (
                "schema must be a JSON Schema of 'type: \"object\"', "
                f"got 'type: \"{schema.get('type', 'None')}\"'."
            )
        )
        if complaint:
            where = "response_format" if chat else "text.format.schema"
            raise Refused(
                f"Invalid schema for response_format '{name}': {complaint}",
                param=where,
                code=None if chat else "invalid_json_schema",
            )
    return schema


FORBIDDEN_KEYWORDS = (
    "allOf",
    "not",
    "oneOf",
    "if",
    "then",
    "else",
    "default",
    "dependentRequired",
    "dependentSchemas",
    "minLength",
    "maxLength",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "uniqueItems",
)


def strict_complaint(node: Any, root: dict[str, Any], path: tuple[str, ...], depth: int = 0) -> str | None:
    """What strict structured output does not allow in this schema; None when it is allowed."""
    if not isinstance(node, dict) or depth > 20:
        return f"In context={path}, a schema must be an object of limited depth."
    for keyword in FORBIDDEN_KEYWORDS:
        if keyword in node:
            return f"In context={path}, '{keyword}' is not permitted."
    if "$ref" in node:
        return (
            None
            if resolve(node, root) is not None
            else f"In context={path}, reference to component '{node['$ref']}' was not found."
        )
    if not any(key in node for key in ("type", "anyOf", "enum", "const")):
        return f"In context={path}, schema must have a 'type' key."
    return _object_complaint(node, path) or _children_complaint(node, root, path, depth)


def _object_complaint(node: dict[str, Any], path: tuple[str, ...]) -> str | None:
    if node.get("type") != "object":
        return None
    if node.get("additionalProperties") is not False:
        return f"In context={path}, 'additionalProperties' is required to be supplied and to be false."
    missing = [name for name in node.get("properties", {}) if name not in node.get("required", [])]
    if missing:
        return (
            f"In context={path}, 'required' is required to be supplied "
            "and to be an array including every key in properties. "
            f"Missing '{missing[0]}'."
        )
    return None


def _children_complaint(
    node: dict[str, Any], root: dict[str, Any], path: tuple[str, ...], depth: int
) -> str | None:
    children: list[tuple[Any, tuple[str, ...]]] = []
    for group in ("properties", "$defs"):
        children += [(child, (*path, group, name)) for name, child in node.get(group, {}).items()]
    children += [(child, (*path, "anyOf", str(index))) for index, child in enumerate(node.get("anyOf", []))]
    if "items" in node:
        children.append((node["items"], (*path, "items")))
    complaints = (strict_complaint(child, root, where, depth + 1) for child, where in children)
    return next((complaint for complaint in complaints if complaint), None)


def resolve(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any] | None:
    """The schema a local `$ref` points to; the node itself without one; None when it leads nowhere."""
    reference = node.get("$ref")
    if reference is None:
        return node
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(step) if step and isinstance(found, dict) else found
    return found if isinstance(found, dict) else None
