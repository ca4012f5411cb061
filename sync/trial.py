"""Mappings tried on one contact before they are saved: what either side holds, how it would read there, what a sync would do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.core.cache import cache

from contacts.models import Contact, snapshot
from contacts.values import DoesNotFit, Value, same
from integrations.connections import open_provider, region_of
from integrations.models import Connection
from integrations.providers.base import Record
from integrations.quota import Purpose
from mappings.compatibility import PHONE
from mappings.compile import Rules
from mappings.field_rule import FieldRule
from mappings.rules import Plan, unpack
from sync.identity import read_number
from sync.models import ExternalRecord, RecordState
from sync.oscillation import frozen_fields
from sync.settling import applying, plan_record

KEPT = 60  # seconds that a record is remembered: whoever edits looks again and again
IN_STEP, APART = "In step.", "Left as they are: neither side has changed since they were settled."
_SAID = {
    "hidden": "The CRM hides the field from this connection's user.",
    "oscillation": "Two CRMs fight over the field; it is not synced until that is decided.",
}


class NotLinked(Exception):
    """The contact has no record in this CRM, or the record is gone."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule on the contact. `here` and `there`: what each side would hold after a sync, and whether that is new.

    `reads`: what the CRM's value is when read in; `writes`: what ours is when written. Either may be a sentence why not.
    """

    theirs: Value
    ours: Value
    reads: Value = None
    writes: Value = None
    reads_not: str = ""
    writes_not: str = ""
    takes: bool = False
    sends: bool = False
    then_here: Value = None
    then_there: Value = None
    words: str = ""


def linked_contact(connection: Connection, public_id: str = "") -> Contact | None:
    """The contact of this id if it has a record there; without an id the one that was linked last."""
    rows = ExternalRecord.objects.filter(
        connection=connection, state=RecordState.LINKED, contact__isnull=False
    )
    if public_id:
        rows = rows.filter(contact__public_id=public_id)
    link = rows.select_related("contact").order_by("-id").first()
    return link.contact if link else None


def try_rules(connection: Connection, contact: Contact, rules: Rules) -> dict[str, Tried]:
    """Every rule on the contact, by the rule's key. One read of the record at most. Raises NotLinked and ProviderError."""
    link = ExternalRecord.objects.filter(
        connection=connection, contact=contact, state=RecordState.LINKED
    ).first()
    if link is None:
        raise NotLinked
    record = _record(connection, link.external_id or "", rules.external_names)
    ctx = applying(connection, rules, "preview")
    ctx.frozen = frozen_fields([contact.pk])
    local = snapshot(contact)
    made = plan_record(ctx, contact, unpack(link.settled), local, record, link.skipped_fields)
    number = {f"{name}:{PHONE}": _number(connection, contact, record, name) for name in rules.phone_fields}
    return number | {
        rule.key: _tried(rule, made, local.get(rule.contact.name), record.values.get(rule.external.name))
        for rule in rules.fields
    }


def _record(connection: Connection, external_id: str, names: tuple[str, ...]) -> Record:
    asked = hashlib.blake2b(repr((external_id, sorted(names))).encode(), digest_size=16).hexdigest()
    key = f"trial:{connection.pk}:{connection.credentials_version}:{asked}"
    record: Record | None = cache.get(key)
    if record is None:
        with open_provider(connection, Purpose.PULL) as provider:
            record = provider.read([external_id], names).get(external_id)
        if record is None or record.deleted:
            raise NotLinked
        cache.set(key, record, KEPT)
    return record


def _number(connection: Connection, contact: Contact, record: Record, name: str) -> Tried:
    number, reason = read_number(record.values, [name], region_of(connection))
    not_read = (
        "" if number else "No number." if reason == "no_phone" else "This is no number that can be dialled."
    )
    words = IN_STEP if number == contact.phone_number else "The contact is known by another number."
    return Tried(record.values.get(name), contact.phone_number, number or None, reads_not=not_read, words=words,
                 then_here=contact.phone_number)  # fmt: skip


def _tried(rule: FieldRule, made: Plan, ours: Value, theirs: Value) -> Tried:
    reads, reads_not = _converted(rule.inward, theirs) if rule.pulls else (None, "")
    writes, writes_not = _converted(rule.outward, ours) if rule.pushes else (None, "")
    takes, sends = rule.contact.name in made.changes, rule.external.name in made.pushes
    return Tried(
        theirs, ours, reads, writes, reads_not, writes_not, takes, sends,
        made.changes.get(rule.contact.name, ours), made.pushes.get(rule.external.name, theirs),
        _words(rule, made, reads if rule.pulls else writes, ours if rule.pulls else theirs),
    )  # fmt: skip


def _converted(convert: object, value: Value) -> tuple[Value, str]:
    try:
        return convert(value), ""  # type: ignore[operator]
    except DoesNotFit as error:
        return None, str(error)


def _words(rule: FieldRule, made: Plan, converted: Value, held: Value) -> str:
    """What else there is to say: why nothing happens, or who decides."""
    clash = next((one for one in made.conflicts if one.key == rule.key), None)
    if clash is not None:
        who = {"crm": "the CRM wins", "ours": "our value wins", "ask": "a person is asked"}[clash.winner]
        return f"Both sides changed: {who}."
    if why := made.skipped.get(rule.key):
        return _SAID.get(why, "")  # the sentence of a value that does not fit stands with the value
    if rule.key in made.drift:
        return "The CRM changed it, and the mapping only carries values out."
    if rule.contact.name in made.changes or rule.external.name in made.pushes:
        return ""
    return IN_STEP if same(converted, held) else APART
