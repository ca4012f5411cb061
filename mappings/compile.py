"""Mapping rows and the cached CRM schema, made into the rules of one connection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from contacts.models import field_specs
from contacts.values import FieldSpec, FieldType
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.models import InboundMapping, OutboundMapping
from mappings.rules import Blank, Conflict, Direction, FieldRule


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one connection, at one moment.

    `phone_fields`: CRM fields that hold the phone number, in priority order. `create_phone`: the one written when a record is
    created. `broken`: mapping in words → why it cannot work now; the others go on. `version` changes with any of it.
    """

    fields: tuple[FieldRule, ...]
    phone_fields: tuple[str, ...]
    create_phone: str | None
    broken: Mapping[str, str]
    version: str

    @property
    def external_names(self) -> tuple[str, ...]:
        """Every CRM field to read."""
        return tuple(dict.fromkeys([*self.phone_fields, *(rule.external.name for rule in self.fields)]))

    @property
    def pushes(self) -> bool:
        """Whether anything may be pushed."""
        return any(rule.pushes for rule in self.fields)


def compile_rules(connection: Connection) -> Rules:
    """The rules of the connection's mappings. A mapping whose field is gone from either side lands in `broken`."""
    contact_specs, schema = field_specs(), connection.external_fields()
    inbound = list(connection.inbound_mappings.all())
    outbound = list(connection.outbound_mappings.all())
    create = next((row.external_field for row in outbound if row.contact_field == "phone_number"), None)
    pairs: dict[tuple[str, str], tuple[InboundMapping | None, OutboundMapping | None]] = {}
    for row in inbound:
        pairs[row.external_field, row.contact_field] = (row, None)
    for out in outbound:
        key = (out.external_field, out.contact_field)
        pairs[key] = (pairs.get(key, (None, None))[0], out)
    fields: list[FieldRule] = []
    phones: list[str] = []
    broken: dict[str, str] = {}
    for (external, contact), (in_row, out_row) in pairs.items():
        problem = _problem(external, contact, contact_specs, schema, writes=out_row is not None)
        if problem:
            broken[f"{external} ↔ {contact}"] = problem
        elif contact == "phone_number":
            phones += [external] if in_row else []
        else:
            fields.append(_rule(contact_specs[contact], _external_spec(external, schema), in_row, out_row))
    fields.sort(key=lambda rule: not rule.pulls)
    return Rules(
        tuple(fields),
        tuple(phones),
        create or (phones[0] if phones else None),
        broken,
        _version(fields, phones),
    )


def _problem(
    external: str,
    contact: str,
    specs: Mapping[str, FieldSpec],
    schema: Mapping[str, ExternalField],
    *,
    writes: bool,
) -> str | None:
    if contact not in specs:
        return f"The contact field “{contact}” no longer exists."
    if schema and external not in schema:
        return f"The CRM has no contact field “{external}”, or hides it from this connection's user."
    if schema and writes and contact != "phone_number" and not schema[external].writable:
        return f"The CRM does not let this connection write “{external}”."
    return None


def _external_spec(name: str, schema: Mapping[str, ExternalField]) -> FieldSpec:
    found = schema.get(name)
    if found is None:
        return FieldSpec(name, FieldType.STRING)
    if found.type is FieldType.ENUM:
        options = tuple(option.value for option in found.options if option.active) if found.restricted else ()
        return FieldSpec(
            name, FieldType.ENUM if options else FieldType.STRING, options, found.label, found.max_length
        )
    return FieldSpec(name, found.type, (), found.label, found.max_length)


def _rule(
    contact: FieldSpec, external: FieldSpec, inbound: InboundMapping | None, outbound: OutboundMapping | None
) -> FieldRule:
    both = inbound is not None and outbound is not None
    direction = Direction.BOTH if both else Direction.INBOUND if inbound else Direction.OUTBOUND
    return FieldRule(
        contact,
        external,
        direction,
        Conflict(inbound.conflict_policy) if inbound else Conflict.OURS_WINS,
        Blank(inbound.blank_policy) if inbound else Blank.IGNORE,
        Blank(outbound.blank_policy) if outbound else Blank.IGNORE,
    )


def _version(fields: list[FieldRule], phones: list[str]) -> str:
    return hashlib.blake2b(repr((fields, phones)).encode(), digest_size=8).hexdigest()
