"""Mapping rows and the cached CRM schema, made into the rules of one connection."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from contacts.models import field_specs
from contacts.values import FieldSpec
from integrations.connections import region_of
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.compatibility import PHONE, inbound_problem, outbound_problem, phone_problem, spec_of
from mappings.models import InboundMapping, OutboundMapping
from mappings.rules import Blank, Conflict, Direction, FieldRule


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one connection, at one moment.

    `phone_fields`: CRM fields that hold the phone number, in priority order. `create_phone`: the one written when a record is
    created. `broken`: mapping in words → why it cannot work now; the others go on. `broken_keys`: of rules out of work, whose
    settled pairs are kept until they are mended. `phones_whole`: no phone field is out of work, so that a record's first
    number really is its first. `version` changes with any of it, with transforms, options and the region.
    """

    fields: tuple[FieldRule, ...]
    phone_fields: tuple[str, ...]
    create_phone: str | None
    broken: Mapping[str, str]
    version: str
    broken_keys: frozenset[str] = frozenset()
    phones_whole: bool = True

    @property
    def external_names(self) -> tuple[str, ...]:
        """Every CRM field to read."""
        return tuple(dict.fromkeys([*self.phone_fields, *(rule.external.name for rule in self.fields)]))

    @property
    def keys(self) -> frozenset[str]:
        """The rules whose settled pairs are worth keeping."""
        return self.broken_keys | {rule.key for rule in self.fields}

    @property
    def pushes(self) -> bool:
        """Whether anything may be pushed."""
        return any(rule.pushes for rule in self.fields)


@dataclass(slots=True)
class _Draft:
    """Rules in the making."""

    specs: Mapping[str, FieldSpec]
    schema: Mapping[str, ExternalField]
    fields: list[FieldRule] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    broken_keys: set[str] = field(default_factory=set)
    create: str | None = None

    def add(
        self, external: str, contact: str, inbound: InboundMapping | None, outbound: OutboundMapping | None
    ) -> None:
        """Both mappings of one pair of fields; the half that cannot work is left out."""
        spec = self.specs.get(contact)
        if spec is None:
            problem = f"The contact field “{contact}” no longer exists."
            self._out_of_work(f"{external} ↔ {contact}", problem, f"{external}:{contact}")
            return
        why_in = inbound_problem(spec, external, self.schema, mapped=bool(inbound and inbound.value_map))
        why_out = outbound_problem(spec, external, self.schema, mapped=bool(outbound and outbound.value_map))
        if inbound and outbound and why_in and why_in == why_out:
            self._out_of_work(f"{external} ↔ {contact}", why_in, f"{external}:{contact}")
            return
        for row, why in ((inbound, why_in), (outbound, why_out)):
            if row and why:
                self._out_of_work(str(row), why, f"{external}:{contact}")
        self._take(spec, external, None if why_in else inbound, None if why_out else outbound)

    def add_phone(self, external: str) -> None:
        """A further field to look into for the phone number."""
        if problem := phone_problem(external, self.schema):
            self._out_of_work(f"{external} → {PHONE}", problem, "")
        elif external not in self.phones:
            self.phones.append(external)

    def _take(
        self, spec: FieldSpec, external: str, inbound: InboundMapping | None, outbound: OutboundMapping | None
    ) -> None:
        if spec.name == PHONE:
            self.phones += [external] if inbound else []
            self.create = external if outbound else self.create
        elif inbound or outbound:
            self.fields.append(_rule(spec, spec_of(external, self.schema), inbound, outbound))

    def _out_of_work(self, mapping: str, why: str, key: str) -> None:
        self.broken[mapping] = why
        self.broken_keys |= {key} if key else set()


def compile_rules(
    connection: Connection,
    *,
    inbound: Iterable[InboundMapping] | None = None,
    outbound: Iterable[OutboundMapping] | None = None,
) -> Rules:
    """The rules of the connection's mappings. A mapping whose field is gone from either side lands in `broken`.

    `inbound` and `outbound` stand in for the saved mappings, so that an edited one can be previewed.
    """
    draft = _Draft(field_specs(), connection.external_fields())
    pairs: dict[tuple[str, str], tuple[InboundMapping | None, OutboundMapping | None]] = {}
    for row in connection.inbound_mappings.all() if inbound is None else inbound:
        pairs[row.external_field, row.contact_field] = (row, None)
    for out in connection.outbound_mappings.all() if outbound is None else outbound:
        key = (out.external_field, out.contact_field)
        pairs[key] = (pairs.get(key, (None, None))[0], out)
    for (external, contact), (coming, going) in pairs.items():
        draft.add(external, contact, coming, going)
    if draft.phones:
        # Without the mapped one nobody is matched: a number from a further field might be another person's.
        for further in connection.phone_fields:
            draft.add_phone(further)
    draft.fields.sort(key=lambda rule: not rule.pulls)
    return Rules(
        tuple(draft.fields),
        tuple(draft.phones),
        draft.create or (draft.phones[0] if draft.phones else None),
        draft.broken,
        _version(draft.fields, draft.phones, region_of(connection)),
        frozenset(draft.broken_keys),
        not any(mapping.endswith(f" {PHONE}") for mapping in draft.broken),
    )


def _rule(
    contact: FieldSpec, external: FieldSpec, inbound: InboundMapping | None, outbound: OutboundMapping | None
) -> FieldRule:
    both = inbound is not None and outbound is not None
    rule = FieldRule(
        contact, external, Direction.BOTH if both else Direction.INBOUND if inbound else Direction.OUTBOUND
    )
    if inbound:
        rule = replace(
            rule,
            conflict=Conflict(inbound.conflict_policy),
            blank_in=Blank(inbound.blank_policy),
            transform_in=inbound.transform,
        )
    else:
        rule = replace(rule, conflict=Conflict.OURS_WINS)
    if outbound:
        rule = replace(rule, blank_out=Blank(outbound.blank_policy), transform_out=outbound.transform)
    return rule


def _version(fields: list[FieldRule], phones: list[str], region: str) -> str:
    return hashlib.blake2b(repr((fields, phones, region)).encode(), digest_size=8).hexdigest()
