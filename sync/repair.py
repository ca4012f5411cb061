"""Repair drift by choosing a side: an operator's act on selected fields, through the same doors as every other change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction

from contacts.changes import lock_contacts
from contacts.models import Contact, snapshot
from integrations.connections import open_provider
from integrations.models import Connection
from integrations.providers.base import Record
from integrations.quota import Purpose
from mappings.compile import compile_rules
from mappings.rules import OPT_OUT, Blank, FieldRule
from sync.decisions import CRM, OURS, CannotDecide, settle_side
from sync.drift import difference
from sync.models import ExternalRecord, RecordState
from sync.settling import Applying, applying
from sync.wake import wake

BATCH = 200
WHY = {
    "equal": "Both sides hold the same by now.",
    "gone": "The record, the contact or the mapping is gone.",
    "hidden": "The CRM hides the field from us.",
    "opt_out_kept": "An opt-out is not cleared by a repair; change it on the contact, with a reason.",
    "only_comes_in": "The mapping only brings values in, so our value cannot be written there.",
    "blank_ignored": "Our side is blank, and the mapping ignores blanks.",
    "does_not_fit": "The CRM's value does not fit the contact field.",
}


@dataclass(slots=True)
class Repaired:
    """What a repair did with the selected fields: `written` here, `to_push` on their way to the CRM, `skipped` by reason."""

    written: int = 0
    to_push: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    done: int = 0


def repair(connection: Connection, rows: Iterable[tuple[int, str]], side: str, by: str) -> Repaired:
    """Give the selected fields, as (contact id, rule key), the value of "crm" or "ours", as both are now.

    `by` names the person. What loses stays in the history. Raises CannotDecide for an unknown side, and ProviderError; what
    was done before it stays done, and doing it again is harmless.
    """
    if side not in {CRM, OURS}:
        raise CannotDecide("Choose the CRM's side or ours.")
    result, left = Repaired(), iter(rows)
    with open_provider(connection, Purpose.CHECK) as provider:
        rules = compile_rules(connection)
        while batch := list(islice(left, BATCH)):
            ctx = applying(connection, rules, "")
            links = _links(connection, {contact_id for contact_id, _ in batch})
            ids = [link.external_id or "" for link in links.values()]
            read = provider.read(ids, rules.external_names)
            with transaction.atomic():
                _repair_batch(ctx, batch, read, side, by, result)
            result.done += len(batch)
    if result.to_push or result.written:
        wake()
    return result


def _links(connection: Connection, contact_ids: Iterable[int]) -> dict[int, ExternalRecord]:
    rows = ExternalRecord.objects.filter(
        connection=connection, contact_id__in=list(contact_ids), state=RecordState.LINKED
    )
    return {link.contact_id or 0: link for link in rows}


def _repair_batch(
    ctx: Applying,
    batch: Sequence[tuple[int, str]],
    read: Mapping[str, Record],
    side: str,
    by: str,
    result: Repaired,
) -> None:
    contacts = lock_contacts({contact_id for contact_id, _ in batch})
    links = _links(ctx.connection, contacts)
    of_key = {rule.key: rule for rule in ctx.rules.fields}
    for contact_id, key in batch:
        contact, link, rule = contacts.get(contact_id), links.get(contact_id), of_key.get(key)
        record = read.get(link.external_id or "") if link else None
        if contact is None or link is None or rule is None or record is None or record.deleted:
            result.skipped["gone"] += 1
            continue
        if hindrance := _hindrance(rule, contact, record, side):
            result.skipped[hindrance] += 1
            continue
        try:
            decided = settle_side(ctx, contact, link, rule, record, side, by)
        except CannotDecide:
            result.skipped["does_not_fit"] += 1
            continue
        result.written += decided.written
        result.to_push += decided.pushed


def _hindrance(rule: FieldRule, contact: Contact, record: Record, side: str) -> str:
    """Why a field is left as it is, or ""."""
    if rule.external.name not in record.values:
        return "hidden"
    ours, theirs = snapshot(contact).get(rule.contact.name), record.values[rule.external.name]
    kind = difference(rule, ours, theirs)
    if kind == "equal":
        return "equal"
    if rule.contact.name == OPT_OUT and kind == ("only_there" if side == OURS else "only_here"):
        return "opt_out_kept"
    if side == OURS and not rule.pushes:
        return "only_comes_in"
    blank = side == OURS and ours is None and rule.blank_out == Blank.IGNORE
    return "blank_ignored" if blank else ""
