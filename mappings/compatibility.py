"""Whether a mapping can work at all, and what its owner should know, judged from the cached CRM schema. Pure.

An empty schema (not fetched yet) allows everything. A problem refuses the mapping when it is saved, and puts it out of work
when the CRM's schema has changed since; a warning is only said.
"""

from __future__ import annotations

from collections.abc import Mapping

from contacts.values import TEXT_LIMIT, DoesNotFit, FieldSpec, FieldType, as_text, coerce, convertible
from integrations.providers.base import ExternalField
from mappings.transforms import Transform, folded

Schema = Mapping[str, ExternalField]
PHONE = "phone_number"
_READ_FROM_TEXT = {
    FieldType.NUMBER: "numbers like 1234.5",
    FieldType.BOOLEAN: "yes and no, true and false, 1 and 0",
    FieldType.DATE: "dates like 2026-05-14",
    FieldType.DATETIME: "times like 2026-05-14T09:30:00Z",
}
_LISTED = 8


def spec_of(name: str, schema: Schema) -> FieldSpec:
    """The CRM field as the rules see it; options only where the CRM accepts nothing else. Unknown fields are texts."""
    found = schema.get(name)
    if found is None:
        return FieldSpec(name, FieldType.STRING)
    if found.type is not FieldType.ENUM:
        return FieldSpec(name, found.type, (), found.label, found.max_length)
    options = tuple(option.value for option in found.options if option.active) if found.restricted else ()
    kind = FieldType.ENUM if options else FieldType.STRING
    return FieldSpec(name, kind, options, found.label, found.max_length)


def inbound_problem(
    spec: FieldSpec, external_field: str, schema: Schema, *, mapped: bool = False
) -> str | None:
    """Why this CRM field cannot feed the contact field, or None. `mapped`: a value map translates between the types."""
    if not schema:
        return None
    found = schema.get(external_field)
    if found is None:
        return _missing(external_field)
    if spec.name == PHONE:
        return phone_problem(external_field, schema)
    if not mapped and not convertible(found.type, spec.type):
        return f"A {found.type} in the CRM cannot become a {spec.type}."
    return None


def outbound_problem(
    spec: FieldSpec, external_field: str, schema: Schema, *, mapped: bool = False
) -> str | None:
    """Why the contact field cannot be written to this CRM field, or None."""
    if not schema:
        return None
    found = schema.get(external_field)
    if found is None:
        return _missing(external_field)
    if spec.name == PHONE:
        # Written once, when a record is created.
        return None if found.createable else f"“{found.label}” cannot be set when a record is created."
    if not found.writable:
        return f"“{found.label}” is {'computed by the CRM' if found.calculated else 'read-only'} and cannot be written."
    if not mapped and not convertible(spec.type, found.type):
        return f"A {spec.type} cannot become a {found.type} in the CRM."
    return None


def phone_problem(external_field: str, schema: Schema) -> str | None:
    """Why a CRM field cannot be looked into for a phone number, or None."""
    if not schema:
        return None
    found = schema.get(external_field)
    if found is None:
        return _missing(external_field)
    if found.type not in {FieldType.STRING, FieldType.NUMBER}:
        return f"“{found.label}” is a {found.type} and holds no phone numbers."
    return None


def transform_problems(transform: Transform, giving: FieldType | None, target: FieldSpec) -> dict[str, str]:
    """What is wrong with a mapping's transform, by the mapping's field name. `giving`: the other side's type, if known."""
    problems: dict[str, str] = {}
    if transform.case and target.type is not FieldType.STRING:
        problems["case"] = f"Letters can be changed on the way into a text field; this is a {target.type}."
    if problem := _value_map_problem(transform, giving, target):
        problems["value_map"] = problem
    try:
        coerce(transform.default, target)
    except DoesNotFit as error:
        problems["default_value"] = f"The default does not fit the field. {error}"
    return problems


def _value_map_problem(transform: Transform, giving: FieldType | None, target: FieldSpec) -> str | None:
    keys = [folded(key) for key, _ in transform.value_map]
    if not all(keys) or not all(value.strip() for _, value in transform.value_map):
        return "A value map translates values into values; what happens to blanks is the blank policy's part."
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        return f"These values are mapped more than once (case does not count): {_some(twice)}."
    if giving is FieldType.BOOLEAN and (odd := [key for key in keys if key not in {"true", "false"}]):
        return f"The giving side holds true or false, never {_some(odd)}."
    for _, value in transform.value_map:
        try:
            coerce(value, target)
        except DoesNotFit as error:
            return f"“{value}” does not fit the field it is written to. {error}"
    return None


def inbound_warnings(
    spec: FieldSpec, external_field: str, schema: Schema, transform: Transform | None = None
) -> list[str]:
    """What an inbound mapping will not do, in words; the mapping works all the same."""
    found = schema.get(external_field)
    if found is None or spec.name == PHONE:
        return []
    warnings = []
    if found.calculated:
        warnings.append(
            f"“{found.label}” is computed by the CRM: changes of a computed field do not move the record's stamp; "
            "the nightly reconciliation finds them."
        )
    limit = spec.max_length or TEXT_LIMIT
    if spec.type is FieldType.STRING and found.max_length and found.max_length > limit:
        warnings.append(
            f"“{found.label}” can hold {found.max_length} characters, {spec.label or spec.name} holds {limit}: "
            "longer texts are left in the CRM and reported."
        )
    texts = found.type is FieldType.STRING or (found.type is FieldType.ENUM and not found.restricted)
    if texts and spec.type in _READ_FROM_TEXT:
        warnings.append(
            f"Of “{found.label}” only {_READ_FROM_TEXT[spec.type]} are taken; other texts are skipped."
        )
    if spec.type is FieldType.ENUM:
        given = [option.value for option in found.options if option.active]
        warnings += _unmatched(given, transform or Transform(), spec, "the contact field")
    return warnings + _day_only(found.type, spec.type)


def outbound_warnings(
    spec: FieldSpec, external_field: str, schema: Schema, transform: Transform | None = None
) -> list[str]:
    """What an outbound mapping will not do, in words."""
    found = schema.get(external_field)
    if found is None or spec.name == PHONE:
        return []
    warnings = []
    limit = spec.max_length or TEXT_LIMIT
    if spec.type is FieldType.STRING and found.max_length and limit > found.max_length:
        warnings.append(
            f"“{found.label}” holds {found.max_length} characters in the CRM: longer texts are kept here and not sent."
        )
    target = spec_of(external_field, schema)
    if target.type is FieldType.ENUM:
        warnings += _unmatched(spec.options, transform or Transform(), target, f"“{found.label}” in the CRM")
    return warnings + _day_only(spec.type, found.type)


def creation_warnings(fed: frozenset[str], schema: Schema) -> list[str]:
    """CRM fields that a new record needs and that no outbound mapping (nor the phone number) feeds."""
    needed = (
        field for field in schema.values() if field.required and field.createable and not field.calculated
    )
    missing = [field.label for field in needed if field.name not in fed]
    ends = "no outbound mapping feeds it: the CRM may refuse them or fill in a placeholder."
    return [f"New records need {_some(missing)} in the CRM, and {ends}"] if missing else []


def _unmatched(
    given: tuple[str, ...] | list[str], transform: Transform, target: FieldSpec, where: str
) -> list[str]:
    odd = [value for value in given if not fits(value, transform, target)]
    return [f"{_some(odd)} cannot be held by {where}: map these values or add the options."] if odd else []


def fits(value: str, transform: Transform, target: FieldSpec) -> bool:
    """Whether the target takes the value, after the transform."""
    try:
        return transform.apply(value, target) is not None
    except DoesNotFit:
        return False


def _day_only(giving: FieldType, target: FieldType) -> list[str]:
    if (giving, target) != (FieldType.DATETIME, FieldType.DATE):
        return []
    return ["Only the day is carried over; the time is dropped."]


def _missing(external_field: str) -> str:
    return f"The CRM has no contact field “{external_field}”, or hides it from this connection's user."


def _some(values: list[str]) -> str:
    listed = ", ".join(f"“{as_text(value)}”" for value in values[:_LISTED])
    return listed + (f" and {len(values) - _LISTED} more" if len(values) > _LISTED else "")
