"""Picklist values of the CRM that the contact field does not know: collected while pulling, and what to do about them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction

from contacts.models import CustomField, field_specs
from contacts.values import DoesNotFit, FieldSpec, FieldType, Value, as_text
from integrations.models import Connection
from mappings.compatibility import fits
from mappings.rules import FieldRule, Plan
from mappings.transforms import Transform

if TYPE_CHECKING:
    from mappings.models import InboundMapping

log = structlog.get_logger(__name__)
MOST = 50  # different values that are kept for one mapping
LONGEST = 80  # characters: a longer text is prose, not a picklist value
UNKNOWN = "unknown_option"
Seen = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One unknown value, how many records brought it, and what can be done.

    `nearest`: the option it most likely means, "" for none. `can_add`: the field's options may be extended by it.
    """

    value: str
    count: int
    nearest: str
    can_add: bool
    advice: str


def seen_in(rules: Iterable[FieldRule], made: Plan, values: Mapping[str, Value]) -> Seen:
    """The unknown values of one record: (contact field, value) → 1, or 0 where they were counted before. Pure."""
    seen: Seen = Counter()
    if UNKNOWN not in made.skipped.values():
        return seen
    for rule in rules:
        if made.skipped.get(rule.key) == UNKNOWN and rule.pulls and rule.contact.type is FieldType.ENUM:
            text = as_text(values.get(rule.external.name))
            if text and _is_unknown(rule, values[rule.external.name]) and len(text) <= _longest(rule):
                seen[rule.contact.name, text] += rule.key in made.settle
    return seen


def collect(connection: Connection, seen: Seen) -> None:
    """Add what a chunk of records brought to the mappings; one UPDATE a mapping at most. Call it inside the transaction."""
    if not seen:
        return
    fields = {name for name, _ in seen}
    rows = connection.inbound_mappings.select_for_update().filter(contact_field__in=fields).order_by("pk")
    for mapping in rows:
        found = {value: count for (name, value), count in seen.items() if name == mapping.contact_field}
        known: dict[str, int] = mapping.unknown_values
        merged = known | {value: max(1, known.get(value, 0) + count) for value, count in found.items()}
        if len(merged) > MOST:
            merged = dict(sorted(merged.items(), key=lambda item: -item[1])[:MOST])
        if merged != known:
            _keep(mapping, merged)


def forget_known(connection: Connection) -> None:
    """Drop collected values that have become options or are mapped by now."""
    rows = [row for row in connection.inbound_mappings.all() if row.unknown_values]
    specs = field_specs() if rows else {}
    for mapping in rows:
        left = still_unknown(mapping.unknown_values, mapping.transform, specs.get(mapping.contact_field))
        if left != mapping.unknown_values:
            _keep(mapping, left)


def still_unknown(
    collected: Mapping[str, int], transform: Transform, spec: FieldSpec | None
) -> dict[str, int]:
    """What of the collected values still fits nowhere; nothing where the field is no enum any more. Pure."""
    if spec is None or spec.type is not FieldType.ENUM:
        return {}
    return {value: count for value, count in collected.items() if not fits(value, transform, spec)}


def suggestions(mapping: InboundMapping) -> list[Suggestion]:
    """What an operator can do about each unknown value of a mapping, the most frequent first."""
    spec = field_specs().get(mapping.contact_field)
    left = still_unknown(mapping.unknown_values, mapping.transform, spec)
    if spec is None:
        return []
    ordered = sorted(left.items(), key=lambda item: (-item[1], item[0]))
    can_add = CustomField.objects.filter(name=spec.name).exists()
    return [_suggestion(value, count, spec, can_add=can_add) for value, count in ordered]


def map_value(mapping: InboundMapping, *, value: str, to: str, by: str) -> None:
    """Have a CRM value mean `to` from now on. Raises ValidationError when `to` does not fit the field."""
    with transaction.atomic():
        row = mapping.connection.inbound_mappings.select_for_update().get(pk=mapping.pk)
        row.value_map = {**row.value_map, value: to}
        row.full_clean()
        row.save()
    mapping.value_map, mapping.unknown_values = row.value_map, row.unknown_values
    log.info("unknown_value_mapped", mapping=mapping.pk, by=by)


def add_option(mapping: InboundMapping, *, value: str, by: str) -> None:
    """Make a CRM value an option of the contact field. Raises ValidationError where that cannot be."""
    with transaction.atomic():
        found = CustomField.objects.select_for_update().filter(
            name=mapping.contact_field, type=FieldType.ENUM
        )
        custom = found.first()
        if custom is None:
            raise ValidationError(f"“{mapping.contact_field}” has no options to extend.")
        if value not in custom.options:
            custom.options = [*custom.options, value]
            custom.full_clean()
            custom.save()
        forget_known(mapping.connection)
    mapping.refresh_from_db(fields=["unknown_values"])
    log.info("option_added", field=mapping.contact_field, by=by)


def _is_unknown(rule: FieldRule, value: Value) -> bool:
    try:
        rule.inward(value)
    except DoesNotFit as error:
        return error.reason == UNKNOWN
    return False


def _longest(rule: FieldRule) -> int:
    return 255 if rule.external.type is FieldType.ENUM else LONGEST


def _suggestion(value: str, count: int, spec: FieldSpec, *, can_add: bool) -> Suggestion:
    options = {option.casefold(): option for option in spec.options}
    near = difflib.get_close_matches(value.casefold(), options, n=1, cutoff=0.6)
    nearest = options[near[0]] if near else ""
    ways = [f"map it to “{nearest}”" if nearest else "map it to one of the field's options"]
    ways += [f"add it to the options of {spec.label or spec.name}"] if can_add else []
    ways.append("correct it in the CRM")
    times = "1 record has" if count == 1 else f"{count} records have"
    return Suggestion(value, count, nearest, can_add, f"{times} “{value}”: {', or '.join(ways)}.")


def _keep(mapping: InboundMapping, values: dict[str, int]) -> None:
    mapping.unknown_values = values
    mapping.save(update_fields=["unknown_values"])
