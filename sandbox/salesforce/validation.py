"""What the API refuses in a record it is asked to write, judged by the describe of each field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.salesforce import moments
from sandbox.salesforce.errors import ApiError, not_writable
from sandbox.salesforce.fields import NUMBERS, TEXTS, Field
from sandbox.salesforce.ids import canonical, sobject_of
from sandbox.salesforce.schema import Schema

_BLANKS = "".join(map(chr, range(33)))
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}\Z"
)
_JSON_TYPES: dict[type, str] = {
    int: "VALUE_NUMBER_INT",
    float: "VALUE_NUMBER_FLOAT",
    dict: "START_OBJECT",
    list: "START_ARRAY",
}


def validated(schema: Schema, sobject: str, body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """The values to store, by field name; raises ApiError as the vendor words it.

    `body` may carry `attributes`, which is skipped; ids of other records are checked for form only.
    """
    given: dict[str, tuple[Field, Any]] = {}
    for name, value in body.items():
        if name == "attributes":
            continue
        field = schema.field(sobject, name)
        if field is None:
            raise ApiError("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")
        if field.name in given:
            raise ApiError("JSON_PARSER_ERROR", f"Duplicate field '{name}' at [line:1, column:1]")
        given[field.name] = (field, _typed(field, value))
    if unwritable := [name for name, (field, _) in given.items() if not field.may("C" if creating else "U")]:
        raise not_writable(*unwritable)
    _require(schema, sobject, {name: value for name, (_, value) in given.items()}, creating=creating)
    return {name: _checked(field, value) for name, (field, value) in given.items()}


def validation_rules(sobject: str, row: Mapping[str, Any], rules: Mapping[str, str]) -> None:
    """Hold a whole record, as it would be saved, against the org's rules: field → what its text must match.

    A rule judges the record, not the change: one that is broken already refuses every edit, also of other fields.
    """
    for name, pattern in rules.items():
        owner, _, field = name.rpartition(".")
        if owner.lower() not in ("", sobject.lower()) or field not in row:
            continue
        if not re.fullmatch(pattern, "" if row[field] is None else str(row[field])):
            message = f"{field} does not satisfy the rule of this org."
            raise ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION", message, fields=[field])


def _require(schema: Schema, sobject: str, given: Mapping[str, Any], *, creating: bool) -> None:
    required = [field.name for field in schema.fields(sobject).values() if field.required]
    missing = [name for name in required if given.get(name) is None and (creating or name in given)]
    if missing:
        raise ApiError(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", fields=missing
        )


def _typed(field: Field, value: Any) -> Any:
    """The value if its JSON type fits the field; trims text, and text without content becomes null."""
    if value is None:
        return None
    if field.type in TEXTS or field.type in ("id", "reference"):
        if isinstance(value, str):
            return value.strip(_BLANKS) or None
    elif field.type == "boolean":
        if isinstance(value, bool):
            return value
    elif field.type in NUMBERS:
        if _is_number(field, value):
            return value
    elif field.type in ("date", "datetime") and isinstance(value, str):
        moment = (moments.day if field.type == "date" else moments.stored)(value)
        if moment is not None:
            return moment
    raise _unparsable(field, value)


def _is_number(field: Field, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if field.type == "int" else math.isfinite(value)


def _unparsable(field: Field, value: Any) -> ApiError:
    """The wrong JSON type (or an unreadable date), as the vendor's parser reports it."""
    shown, seen = str(value), _JSON_TYPES.get(type(value), "VALUE_STRING")
    if isinstance(value, bool):
        shown, seen = shown.lower(), f"VALUE_{shown.upper()}"
    elif isinstance(value, dict | list):
        shown = "{" if isinstance(value, dict) else "["
    kind = "string" if field.type in TEXTS or field.type in ("id", "reference") else field.type
    kind = "double" if field.type in ("currency", "percent") else kind
    where = "or request may be missing a required field at [line:1, column:1]"
    message = f"Cannot deserialize instance of {kind} from {seen} value {shown} {where}"
    return ApiError("JSON_PARSER_ERROR", message)


def _checked(field: Field, value: Any) -> Any:
    """The value as stored, once its content has been judged."""
    if value is None:
        _refuse_clearing(field)
        return None
    if field.type in NUMBERS:
        return _number(field, value)
    if field.type == "reference":
        return reference(field, value)
    if field.type in TEXTS:
        _check_text(field, value)
    return value


def _refuse_clearing(field: Field) -> None:
    if field.type == "boolean":
        message = f"{field.label}: value not of required type: null"
        raise ApiError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, fields=[field.name])
    if field.name == "OwnerId":
        raise ApiError("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", fields=[field.name])
    if not field.may("N"):
        raise ApiError(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{field.name}]", fields=[field.name]
        )


def _number(field: Field, value: float) -> float:
    """Rounded to the field's scale; more digits before the point than it has are refused."""
    whole = field.digits if field.type == "int" else field.precision - field.scale
    exact = (
        Decimal(repr(value)).quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)
        if abs(value) < 1e20
        else Decimal(value)
    )
    if abs(exact) >= Decimal(10) ** whole:
        message = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", message, fields=[field.name])
    return int(exact) if field.type == "int" else float(exact)


def _check_text(field: Field, value: str) -> None:
    chosen = value.split(";") if field.type == "multipicklist" else [value]
    if field.may("R") and (bad := [one for one in chosen if one not in field.values]):
        message = f"{field.label}: bad value for restricted picklist field: {bad[0]}"
        raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, fields=[field.name])
    if len(value) > field.length:
        shown = value if len(value) <= 255 else value[:255] + "..."
        message = f"{field.label}: data value too large: {shown} (max length={field.length})"
        raise ApiError("STRING_TOO_LONG", message, fields=[field.name])
    if field.type == "email" and not _EMAIL.match(value):
        raise ApiError(
            "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", fields=[field.name]
        )


def reference(field: Field, value: str) -> str:
    """The 18-character id of a lookup; raises when it is malformed or of an object it cannot point to."""
    id18 = canonical(value)
    message = f"{field.label}: id value of incorrect type: {value}"
    if id18 is None:
        raise ApiError("MALFORMED_ID", message, fields=[field.name])
    if sobject_of(id18) not in field.reference_to:
        raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=[field.name])
    return id18
