"""Request bodies against HubSpot's OpenAPI models: wrong types and unknown fields are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.hubspot.errors import Refusal, bad_json

Check = Callable[[Any, bool], None]
_JAVA = {str: "java.lang.String", int: "java.lang.Integer", bool: "java.lang.Boolean"}
_TOKENS = {
    str: "String",
    int: "Integer",
    float: "Floating-point",
    bool: "Boolean",
    list: "Array",
    dict: "Object",
}


def _mismatch(wanted: str, value: Any) -> Refusal:
    seen = _TOKENS.get(type(value), "null")
    return bad_json(f"Cannot deserialize value of type `{wanted}` from {seen} value")


def scalar(kind: type) -> Check:
    """A JSON value of exactly one type: no number for a string, no null."""

    def check(value: Any, _strict: bool) -> None:
        if type(value) is not kind:
            raise _mismatch(_JAVA[kind], value)

    return check


def many(item: Check) -> Check:
    """A JSON array of items."""

    def check(value: Any, strict: bool) -> None:
        if not isinstance(value, list):
            raise _mismatch("java.util.List", value)
        for one in value:
            item(one, strict)

    return check


def values(value: Any, _strict: bool) -> None:
    """Property values: an object of strings; numbers, booleans and nulls are refused."""
    if not isinstance(value, dict):
        raise _mismatch("java.util.Map", value)
    for one in value.values():
        if not isinstance(one, str):
            raise _mismatch("java.lang.String", one)


def either(*checks: Check) -> Check:
    """Whichever of several forms fits; the complaint is the last one's."""

    def check(value: Any, strict: bool) -> None:
        for one in checks[:-1]:
            try:
                return one(value, strict)
            except Refusal:
                continue
        return checks[-1](value, strict)

    return check


@dataclass(frozen=True, slots=True)
class Model:
    """A JSON object: fields, those always required, and those that only the OpenAPI document requires."""

    name: str
    fields: dict[str, Check]
    required: tuple[str, ...] = ()
    declared: tuple[str, ...] = field(default=())

    def __call__(self, value: Any, strict: bool) -> None:
        """Raise a 400 when `value` is not this model; `strict` adds the merely declared requirements."""
        if not isinstance(value, dict):
            raise _mismatch(self.name, value)
        for name in value:
            if name not in self.fields:
                raise bad_json(f'Unrecognized field "{name}" (class {self.name}), not marked as ignorable')
        wanted = self.required + (self.declared if strict else ())
        missing = [name for name in wanted if name not in value]
        if missing:
            reason = (
                f"Cannot build {self.name}, some of required attributes are not set [{', '.join(missing)}]"
            )
            raise bad_json(reason)
        for name, one in value.items():
            self.fields[name](one, strict)


TEXT, WHOLE, FLAG = scalar(str), scalar(int), scalar(bool)
TEXTS = many(TEXT)
OBJECT_ID = Model("PublicObjectId", {"id": TEXT}, ("id",))
SPEC = Model(
    "AssociationSpec",
    {"associationCategory": TEXT, "associationTypeId": WHOLE},
    ("associationCategory", "associationTypeId"),
)
TARGET = Model("PublicAssociationsForObject", {"to": OBJECT_ID, "types": many(SPEC)}, ("to", "types"))
_TRACE = {"objectWriteTraceId": TEXT}
CREATE = Model(
    "SimplePublicObjectInputForCreate",
    {"properties": values, "associations": many(TARGET)},
    ("properties",),
    ("associations",),
)
UPDATE = Model("SimplePublicObjectInput", {"properties": values}, ("properties",))


def batch(item: Check, **more: Check) -> Model:
    """A batch body: `inputs`, and what else the model knows."""
    return Model("BatchInput", {"inputs": many(item), **more}, ("inputs",))


BATCH_CREATE = batch(
    Model("SimplePublicObjectBatchInputForCreate", CREATE.fields | _TRACE, CREATE.required, CREATE.declared)
)
_ADDRESSED = {"id": TEXT, "idProperty": TEXT, "properties": values, **_TRACE}
BATCH_UPDATE = batch(Model("SimplePublicObjectBatchInput", _ADDRESSED, ("id", "properties")))
BATCH_UPSERT = batch(Model("SimplePublicObjectBatchInputUpsert", _ADDRESSED, ("id", "properties")))
BATCH_IDS = batch(Model("SimplePublicObjectId", {"id": TEXT}, ("id",)))
BATCH_READ = Model(
    "BatchReadInputSimplePublicObjectId",
    {**BATCH_IDS.fields, "properties": TEXTS, "propertiesWithHistory": TEXTS, "idProperty": TEXT},
    ("inputs",),
    ("properties", "propertiesWithHistory"),
)
MERGE = Model(
    "PublicMergeInput",
    {"primaryObjectId": TEXT, "objectIdToMerge": TEXT},
    ("primaryObjectId", "objectIdToMerge"),
)
GDPR = Model("PublicGdprDeleteInput", {"objectId": TEXT, "idProperty": TEXT}, ("objectId",))
FILTER = Model(
    "Filter",
    {"propertyName": TEXT, "operator": TEXT, "value": TEXT, "highValue": TEXT, "values": TEXTS},
    ("propertyName", "operator"),
)
SORT = Model("Sort", {"propertyName": TEXT, "direction": TEXT}, ("propertyName",))
SEARCH = Model(
    "PublicObjectSearchRequest",
    {
        "filterGroups": many(Model("FilterGroup", {"filters": many(FILTER)}, ("filters",))),
        "sorts": many(either(TEXT, SORT)),
        "properties": TEXTS,
        "query": TEXT,
        "limit": WHOLE,
        "after": TEXT,
    },
    (),
    ("after", "filterGroups", "limit", "properties", "sorts"),
)
_ENDS: dict[str, Check] = {"from": OBJECT_ID, "to": OBJECT_ID}
LINK = Model("PublicAssociationMultiPost", {**_ENDS, "types": many(SPEC)}, ("from", "to", "types"))
PLAIN_LINK = Model("PublicDefaultAssociationMultiPost", _ENDS, ("from", "to"))
UNLINK = Model("PublicAssociationMultiArchive", {"from": OBJECT_ID, "to": many(OBJECT_ID)}, ("from", "to"))
FETCH = Model("PublicFetchAssociationsBatchRequest", {"id": TEXT, "after": TEXT}, ("id",))
_OPTION_FIELDS = {"label": TEXT, "value": TEXT, "hidden": FLAG, "displayOrder": WHOLE, "description": TEXT}
OPTION = Model("OptionInput", _OPTION_FIELDS, ("label", "value"), ("displayOrder", "hidden"))
_PROPERTY_EDITS: dict[str, Check] = {
    "label": TEXT, "type": TEXT, "fieldType": TEXT, "groupName": TEXT, "description": TEXT,
    "displayOrder": WHOLE, "options": many(OPTION), "hidden": FLAG, "formField": FLAG,
    "calculationFormula": TEXT, "currencyPropertyName": TEXT, "numberDisplayHint": TEXT,
    "showCurrencySymbol": FLAG, "textDisplayHint": TEXT,
}  # fmt: skip
PROPERTY_UPDATE = Model("PropertyUpdate", _PROPERTY_EDITS)
PROPERTY_CREATE = Model(
    "PropertyCreate",
    {**_PROPERTY_EDITS, "name": TEXT, "hasUniqueValue": FLAG, "externalOptions": FLAG,
     "dataSensitivity": TEXT, "referencedObjectType": TEXT},
    ("fieldType", "groupName", "label", "name", "type"),
)  # fmt: skip
PROPERTIES_CREATE = batch(PROPERTY_CREATE)
PROPERTY_NAMES = batch(Model("PropertyName", {"name": TEXT}, ("name",)))
PROPERTIES_READ = Model(
    "BatchReadInputPropertyName",
    {**PROPERTY_NAMES.fields, "archived": FLAG, "dataSensitivity": TEXT},
    ("archived", "inputs"),
    ("dataSensitivity",),
)
_GROUP: dict[str, Check] = {"label": TEXT, "displayOrder": WHOLE}
GROUP_CREATE = Model("PropertyGroupCreate", {"name": TEXT, **_GROUP}, ("label", "name"))
GROUP_UPDATE = Model("PropertyGroupUpdate", _GROUP)
