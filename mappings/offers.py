"""What a set-up offers to map, from the cached schema, and what a person chose of it, saved in one go.

Rows are the state: a pair that is mapped stands in the list as chosen, so a set-up can be left and taken up again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from contacts.models import CustomField, field_specs
from contacts.values import FieldSpec, FieldType, name_problem
from integrations.models import Connection
from integrations.providers.base import ExternalField
from integrations.providers.registry import PROVIDERS
from mappings.compatibility import PHONE, inbound_problem, outbound_problem, phone_problem
from mappings.models import InboundMapping, OutboundMapping
from mappings.suggest import suggest

log = structlog.get_logger(__name__)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST = 63


class Way(StrEnum):
    """Which way a pair of fields carries values."""

    BOTH = "both"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Offer:
    """A CRM field and the contact field it may belong to. `ways`: those that can work; `way`: the one to begin with.

    `saved`: it is mapped already. `new`: the contact field is made when the offer is taken.
    """

    external: ExternalField
    contact: FieldSpec
    way: Way
    ways: tuple[Way, ...]
    saved: bool = False
    new: bool = False

    @property
    def key(self) -> str:
        """Its name in a form."""
        return f"{self.external.name}:{self.contact.name}"


def offers(connection: Connection) -> list[Offer]:
    """The pairs that are mapped and those that suggest themselves, in the contact's order; the phone number is asked apart."""
    schema, specs = connection.external_fields(), field_specs()
    saved = _saved(connection)
    fields = {external for external, _ in saved}
    fed = {contact for _, contact in saved}
    pairs = set(saved)
    free = {name: field for name, field in schema.items() if name not in fields}
    for found in suggest(specs, free):
        if found.contact not in fed and found.contact != PHONE:
            pairs.add((found.external, found.contact))
    order = list(specs)
    rows = [
        _offer(schema[external], specs[contact], schema, saved.get((external, contact)))
        for external, contact in sorted(
            pairs, key=lambda pair: order.index(pair[1]) if pair[1] in specs else 0
        )
        if external in schema and contact in specs
    ]
    return [row for row in rows if row.ways]


def addable(connection: Connection, shown: Iterable[Offer]) -> list[Offer]:
    """The CRM fields that no offer has, each with the contact field that would be made for it; writable ones first."""
    taken = {offer.external.name for offer in shown} | {phone_of(connection)}
    specs = dict(field_specs())
    found = []
    schema = connection.external_fields()
    for field in sorted(schema.values(), key=lambda one: (not one.writable, one.label.casefold())):
        if field.name not in taken:
            spec = spec_for(field, specs)
            specs[spec.name] = spec
            found.append(_offer(field, spec, schema, None, new=True))
    return found


def phone_fields(connection: Connection) -> list[ExternalField]:
    """The CRM fields that contacts can be known by, those that are made for numbers first."""
    schema = connection.external_fields()
    fit = [field for field in schema.values() if phone_problem(field.name, schema) is None]
    made_for_it = [field for field in fit if field.phone]
    return made_for_it or fit


def phone_of(connection: Connection) -> str:
    """The CRM field that the number is read from: the mapped one, else the one to suggest, "" where there is none."""
    row = connection.inbound_mappings.filter(contact_field=PHONE).first()
    if row is not None:
        return row.external_field
    schema = connection.external_fields()
    usual = PROVIDERS[connection.provider].phone_field
    found = [one.external for one in suggest(field_specs(), schema) if one.contact == PHONE]
    return usual if usual in schema else next(iter(found), "")


def adopt(
    connection: Connection,
    *,
    phone: str,
    listed: Iterable[str],
    chosen: Mapping[str, Way],
    made: Mapping[str, Way],
) -> None:
    """Save a set-up's choices: all or nothing. Raises ValidationError, by the key of the row at fault.

    `phone`: the CRM field of the number. `listed`: keys of the offers that were shown; those not `chosen` are unmapped.
    `made`: CRM fields to make a contact field for. A mapping that stays keeps its policies.
    """
    schema = connection.external_fields()
    with transaction.atomic():
        Connection.objects.select_for_update().only("pk").get(pk=connection.pk)
        _save(InboundMapping, connection, phone, PHONE, "phone")
        for key in {*listed, *chosen}:
            external, _, contact = key.partition(":")
            if contact != PHONE:
                _set(connection, external, contact, chosen.get(key), key)
        specs = dict(field_specs())
        for external, way in made.items():
            if external not in schema:
                raise ValidationError(
                    {external: "The CRM has no such field any more. Test the connection again."}
                )
            spec = spec_for(schema[external], specs)
            _make_field(spec, external)
            specs[spec.name] = spec
            _set(connection, external, spec.name, way, external)


def spec_for(field: ExternalField, taken: Mapping[str, FieldSpec]) -> FieldSpec:
    """The contact field that a CRM field suggests, under a name that is still free. Pure.

    Only a picklist that accepts nothing else becomes an enum: what the CRM may hold beside its options must not be lost.
    """
    options = tuple(
        dict.fromkeys(one.value for one in field.options if one.active and one.value.strip() == one.value)
    )
    kind = field.type
    if kind is FieldType.ENUM and not (field.restricted and options):
        kind, options = FieldType.STRING, ()
    plain = _snake(field.label) or _snake(field.name) or "crm_field"
    apart = f"crm_{plain}"[: _LONGEST - 5]  # for a name that is reserved or taken
    names = (plain, apart, *(f"{apart}_{number}" for number in range(2, 10_000)))
    name = next(name for name in names if name not in taken and name_problem(name) is None)
    return FieldSpec(name, kind, options if kind is FieldType.ENUM else (), field.label or field.name)


def _snake(words: str) -> str:
    bare = re.sub(r"__(c|pc)$", "", words)
    name = re.sub(r"[^a-z0-9]+", "_", _HUMP.sub("_", bare).casefold()).strip("_")
    return (name if name[:1].isalpha() else f"crm_{name}" if name else "")[:_LONGEST].strip("_")


def _saved(connection: Connection) -> dict[tuple[str, str], Way]:
    ways: dict[tuple[str, str], Way] = {}
    for row in connection.inbound_mappings.exclude(contact_field=PHONE):
        ways[row.external_field, row.contact_field] = Way.IN
    for out in connection.outbound_mappings.exclude(contact_field=PHONE):
        pair = (out.external_field, out.contact_field)
        ways[pair] = Way.BOTH if pair in ways else Way.OUT
    return ways


def _offer(
    field: ExternalField,
    spec: FieldSpec,
    schema: Mapping[str, ExternalField],
    held: Way | None,
    *,
    new: bool = False,
) -> Offer:
    # A value map may translate what the types alone would not.
    comes = inbound_problem(spec, field.name, schema, mapped=held is not None) is None
    goes = outbound_problem(spec, field.name, schema, mapped=held is not None) is None
    possible = {Way.BOTH: comes and goes, Way.IN: comes, Way.OUT: goes}
    ways = tuple(way for way, works in possible.items() if works)
    both = spec.type is field.type and Way.BOTH in ways
    way = held if held in ways else Way.BOTH if both else Way.IN if comes else Way.OUT
    return Offer(field, spec, way or Way.IN, ways, saved=held is not None, new=new)


def _set(connection: Connection, external: str, contact: str, way: Way | None, key: str) -> None:
    """Make the pair's mappings what `way` says; None: neither."""
    wanted: Sequence[tuple[type[InboundMapping] | type[OutboundMapping], bool]] = (
        (InboundMapping, way in (Way.BOTH, Way.IN)),
        (OutboundMapping, way in (Way.BOTH, Way.OUT)),
    )
    for model, wants in wanted:
        rows = model._default_manager.filter(
            connection=connection, external_field=external, contact_field=contact
        )
        if not wants:
            rows.delete()
        elif not rows.exists():
            _save(model, connection, external, contact, key)


def _save(
    model: type[InboundMapping] | type[OutboundMapping],
    connection: Connection,
    external: str,
    contact: str,
    key: str,
) -> None:
    row = model(connection=connection, external_field=external, contact_field=contact)
    if model is InboundMapping:  # one a contact field: it is pointed elsewhere and keeps its policies
        row = InboundMapping.objects.filter(connection=connection, contact_field=contact).first() or row
        row.external_field = external
    try:
        row.full_clean()
    except ValidationError as error:
        raise ValidationError({key: error.messages}) from None
    row.save()


def _make_field(spec: FieldSpec, key: str) -> None:
    last = CustomField.objects.aggregate(last=Max("position"))["last"]
    field = CustomField(
        name=spec.name, label=spec.label[:120], type=spec.type.value, options=list(spec.options),
        position=0 if last is None else last + 1,
    )  # fmt: skip
    try:
        field.full_clean()
    except ValidationError as error:
        raise ValidationError({key: error.messages}) from None
    field.save()
    log.info("custom_field_added", field=spec.name)
