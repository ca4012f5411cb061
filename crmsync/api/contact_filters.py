"""The filters and the search of list-contacts, made into database conditions.

`sw`, `ew`, `co` and the search ignore case; `eq` does not. `ne` also matches contacts where the field is blank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from contacts.finding import aliased, holding, where
from contacts.models import Contact, field_specs
from contacts.values import BUILT_IN, FieldSpec, FieldType
from crmsync.api.base import EPOCH
from crmsync.api.errors import invalid
from crmsync.organisation import leading_connection
from sync.models import ExternalRecord, RecordState

_STRING = {"eq": "exact", "sw": "istartswith", "ew": "iendswith", "co": "icontains"}
_NUMBER = {"eq": "exact", "gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
_OPS = {
    "string": (*_STRING, "ne"),
    "number": (*_NUMBER, "ne"),
    "boolean": ("eq",),
    "enum": ("in",),
    "range": ("bt",),
    "present": ("pr", "np"),
}
# The operations of a custom field's filter, as contacts.finding calls them.
_WHERE: Mapping[str, str] = {
    "eq": "is", "ne": "not", "in": "in", "sw": "starts", "ew": "ends", "co": "contains", "pr": "present", "np": "absent",
    "gt": "gt", "ge": "gte", "lt": "lt", "le": "lte",
}  # fmt: skip
_LISTED = 1000
_CUSTOM: Mapping[FieldType, tuple[str, ...]] = {
    FieldType.STRING: ("string", "enum", "present"),
    FieldType.NUMBER: ("number", "range", "present"),
    FieldType.BOOLEAN: ("boolean", "present"),
    FieldType.DATE: ("string", "present"),
    FieldType.DATETIME: ("string", "present"),
    FieldType.ENUM: ("string", "enum", "present"),
}
Rows = QuerySet[Contact]


def filter_contacts(rows: Rows, criteria: Mapping[str, Any]) -> Rows:
    """`rows` that meet all criteria. Raises ValidationError naming the criterion at fault."""
    for name, wanted in criteria.items():
        at = f"filter_criteria.{name}"
        if name not in _FILTERS:
            known = ", ".join(_FILTERS)
            raise invalid(at, f"Contacts cannot be filtered by this; they can by: {known}.", "unknown_filter")
        rows = _FILTERS[name](rows, wanted, at)
    return rows


def search_contacts(rows: Rows, text: str) -> Rows:
    """`rows` that hold `text` in their number, names, external id, or a custom value (yes/no fields apart)."""
    named = Q(external_id__icontains=text)
    ids = list(_linked(named).values_list("contact_id", flat=True)[: _LISTED + 1])
    if len(ids) <= _LISTED:
        return holding(rows, [text], or_else=Q(pk__in=ids) if ids else None)
    # So many ids begin alike; whoever is among them is told contact by contact.
    rows, known = aliased(rows, Exists(_records(named)))
    return holding(rows, [text], or_else=Q(**{known: True}))


def _checked(wanted: Any, at: str, types: Sequence[str], *, key: bool = False) -> tuple[str, str, Any]:
    """A filter's type, op and value, all of the right kind."""
    if not isinstance(wanted, dict):
        raise invalid(at, "A filter is an object like {type, op, value}.")
    allowed = {"type", "op", "value"} | ({"key"} if key else set())
    if extra := set(wanted) - allowed:
        raise invalid(f"{at}.{min(extra)}", "A filter has no such key.", "unknown_key")
    kind, op = wanted.get("type"), wanted.get("op")
    if not isinstance(kind, str) or kind not in types:
        raise invalid(f"{at}.type", f"The type must be one of: {', '.join(types)}.", "filter_type")
    if not isinstance(op, str) or op not in _OPS[kind]:
        raise invalid(f"{at}.op", f"A {kind} filter knows: {', '.join(_OPS[kind])}.", "filter_op")
    value = wanted.get("value")
    if not _VALUES[kind](value):
        raise invalid(f"{at}.value", f"The value does not suit a {kind} filter.", "filter_value")
    return kind, op, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(bound) for bound in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _LISTED and all(isinstance(item, str) for item in value)


_VALUES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "enum": _is_texts,
    "range": _is_range,
    "present": lambda value: value is None,
}


def _records(condition: Q) -> QuerySet[ExternalRecord]:
    """The links of the outer contact that clients see as `external_id` and that meet the condition."""
    return _linked(condition).filter(contact=OuterRef("pk"))


def _linked(condition: Q) -> QuerySet[ExternalRecord]:
    linked = ExternalRecord.objects.filter(
        condition, contact__isnull=False, state=RecordState.LINKED, external_id__isnull=False
    )
    return linked.filter(connection=leading_connection())


def _by_text(column: str) -> Callable[[Rows, Any, str], Rows]:
    def apply(rows: Rows, wanted: Any, at: str) -> Rows:
        _, op, value = _checked(wanted, at, ["string"])
        if op == "ne":
            return rows.exclude(**{column: value})
        return rows.filter(**{f"{column}__{_STRING[op]}": value})

    return apply


def _by_number(rows: Rows, wanted: Any, at: str) -> Rows:
    """Digits have no case, so the column's own index knows how they begin; for what is within, the search's index is asked."""
    _, op, value = _checked(wanted, at, ["string"])
    if op == "ne":
        return rows.exclude(phone_number=value)
    if op in {"ew", "co"} and value:
        rows = holding(rows, [value])
    return rows.filter(**{f"phone_number__{_STRING[op].removeprefix('i')}": value})


def _by_external_id(rows: Rows, wanted: Any, at: str) -> Rows:
    kind, op, value = _checked(wanted, at, ["string", "present"])
    if kind == "present":
        linked = Exists(_records(Q()))
        return rows.filter(linked if op == "pr" else ~linked)
    if op == "ne":
        return rows.filter(~Exists(_records(Q(external_id=value))))
    return rows.filter(Exists(_records(Q(**{f"external_id__{_STRING[op]}": value}))))


def _by_opt_out(rows: Rows, wanted: Any, at: str) -> Rows:
    return rows.filter(do_not_call=_checked(wanted, at, ["boolean"])[2])


def _by_tags(rows: Rows, wanted: Any, at: str) -> Rows:
    _, _, ids = _checked(wanted, at, ["enum"])
    wanted = [tag_id.lower() for tag_id in ids]
    tagged = Contact.tags.through.objects.filter(contact=OuterRef("pk"), contacttag__in=wanted)
    return rows.filter(Exists(tagged.filter(contacttag__listed=True)))


def _by_last_conversation(rows: Rows, wanted: Any, at: str) -> Rows:
    kind, op, value = _checked(wanted, at, ["number", "range"])
    if kind == "range":
        low, high = value
        return rows.filter(_moments("ge", low, at) & _moments("le", high, at))
    if op == "ne":
        return rows.filter(~_moments("eq", value, at) | Q(last_conversation_at=None))
    return rows.filter(_moments(op, value, at))


def _moments(op: str, value: float, at: str) -> Q:
    """Times are kept finer than the API's milliseconds: a millisecond is all the time until the next one."""
    floor, ceiling = math.floor(value), math.ceil(value)
    starts = {"eq": ceiling, "ge": ceiling, "gt": floor + 1}.get(op)
    ends = {"eq": floor + 1, "lt": ceiling, "le": floor + 1}.get(op)
    found = Q()
    if starts is not None:
        found &= Q(last_conversation_at__gte=_moment(starts, at))
    if ends is not None:
        found &= Q(last_conversation_at__lt=_moment(ends, at))
    return found


def _moment(milliseconds: int, at: str) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise invalid(
            f"{at}.value", "The value is not a time in epoch milliseconds.", "filter_value"
        ) from None


def _by_custom_fields(rows: Rows, wanted: Any, at: str) -> Rows:
    if not isinstance(wanted, list) or len(wanted) > 50:
        raise invalid(at, "A list of at most 50 filters is needed.")
    specs = field_specs()
    for position, single in enumerate(wanted):
        rows = _by_custom_field(rows, single, f"{at}.{position}", specs)
    return rows


def _by_custom_field(rows: Rows, wanted: Any, at: str, specs: Mapping[str, FieldSpec]) -> Rows:
    name = wanted.get("key") if isinstance(wanted, dict) else None
    spec = specs.get(name) if isinstance(name, str) and name not in BUILT_IN else None
    if spec is None:
        raise invalid(f"{at}.key", "The key must name a custom field.", "unknown_field")
    kind, op, value = _checked(wanted, at, _CUSTOM[spec.type], key=True)
    if kind == "range":
        return where(where(rows, spec, "gte", value[0]), spec, "lte", value[1])
    return where(rows, spec, _WHERE[op], value)


_FILTERS: Mapping[str, Callable[[Rows, Any, str], Rows]] = {
    "contact_id": _by_text("public_id"),
    "phone_number": _by_number,
    "external_id": _by_external_id,
    "do_not_call": _by_opt_out,
    "contact_tag_ids": _by_tags,
    "last_conversation_timestamp": _by_last_conversation,
    "custom_fields": _by_custom_fields,
}


def _form(kind: str, value: Mapping[str, Any] | None, *, key: bool = False) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "type": {"type": "string", "enum": [kind]},
        "op": {"type": "string", "enum": list(_OPS[kind])},
    }
    if value is not None:
        properties["value"] = dict(value)
    if key:
        properties["key"] = {"type": "string", "description": "The custom field."}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_JSON_VALUES: Mapping[str, Mapping[str, Any] | None] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "enum": {"type": "array", "items": {"type": "string"}, "maxItems": _LISTED},
    "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    "present": None,
}


def _forms(*kinds: str, key: bool = False) -> dict[str, Any]:
    forms = [_form(kind, _JSON_VALUES[kind], key=key) for kind in kinds]
    return forms[0] if len(forms) == 1 else {"oneOf": forms}


FILTER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "All conditions must hold.",
    "additionalProperties": False,
    "properties": {
        "contact_id": _forms("string"),
        "phone_number": _forms("string"),
        "external_id": _forms("string", "present"),
        "do_not_call": _forms("boolean"),
        "contact_tag_ids": _forms("enum"),
        "last_conversation_timestamp": _forms("number", "range"),
        "custom_fields": {
            "type": "array",
            "maxItems": 50,
            "items": _forms("string", "number", "boolean", "range", "enum", "present", key=True),
        },
    },
}
