"""What a person decides once: whose value stays, and which of several CRM records is the contact's.

A decision is written into the settled pairs, so that it holds until a side changes again; the push that may follow takes the
usual way, with its limits and retries.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from contacts.changes import Edit, Source, change_contacts, lock_contacts
from contacts.history import Loss, note_losses
from contacts.models import Contact, snapshot
from contacts.values import DoesNotFit, Value, same
from integrations.connections import open_provider, region_of
from integrations.models import Connection
from integrations.providers.base import Record
from mappings.compile import Rules, compile_rules
from mappings.rules import FieldRule, Pair, pack, unpack
from sync import issues
from sync.apply import link_chosen
from sync.identity import NOT_CHOSEN, Incoming, read_number
from sync.models import ExternalRecord, RecordState, SyncIssue
from sync.settling import Applying, applying
from sync.touch import want_pushes
from sync.wake import wake

CRM, OURS = "crm", "ours"


class CannotDecide(ValueError):
    """The question cannot be answered so; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Sides:
    """A question as it stands now: what each side holds, and what the contact would hold of the CRM's value.

    `problem`: why the CRM's value cannot be taken ("" = it can).
    """

    rule: FieldRule
    ours: Value
    theirs: Value
    incoming: Value
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did: the value that stays, whether the contact changed, and whether it goes to the CRM by a push."""

    value: Value
    written: bool
    pushed: bool


def sides(issue: SyncIssue) -> Sides:
    """Both values of a conflict, the CRM's read now. Raises CannotDecide and ProviderError."""
    contact, link = _linked(issue)
    rules, record, _ = _read(issue.connection, link)
    return _sides(rule_of(rules, str(issue.detail.get("key", ""))), contact, record)


def decide_conflict(issue: SyncIssue, winner: str, by: str) -> Decided:
    """Settle a conflict for "crm" or "ours", on what both sides hold now; `by` names the person.

    The losing value stays in the history. Raises CannotDecide (decided already, the record or mapping is gone, the CRM's
    value does not fit) and ProviderError.
    """
    if winner not in {CRM, OURS}:
        raise CannotDecide("Choose the CRM's value or ours.")
    _check_open(issue, "conflict")
    _, link = _linked(issue)
    rules, record, ctx = _read(issue.connection, link)
    rule = rule_of(rules, str(issue.detail.get("key", "")))
    with transaction.atomic():
        lock_contacts([issue.contact_id or 0])
        contact, link = _linked(issue)
        _check_record(link, record)
        decided = settle_side(ctx, contact, link, rule, record, winner, by)
        issues.resolve(issue.connection, kind="conflict", contact=contact, field=rule.contact.name, by=by)
    wake()
    return decided


def settle_side(
    ctx: Applying,
    contact: Contact,
    link: ExternalRecord,
    rule: FieldRule,
    record: Record,
    winner: str,
    by: str,
) -> Decided:
    """Settle one field of a locked contact for one side; the caller's transaction. Raises CannotDecide.

    For our side the CRM's value is settled as seen and taken, so that what we hold counts as a change made here.
    """
    seen = _sides(rule, contact, record)
    ref = f"decision:{ctx.connection.pk}"
    if winner == CRM:
        if seen.problem:
            raise CannotDecide(f"The CRM's value cannot be taken: {seen.problem}")
        label = f"{ctx.connection.name}, chosen by {by}"
        detail = {"connection": ctx.connection.pk, "external_id": record.external_id}
        source = Source("crm", ref, label, detail)
        written = change_contacts(
            {contact.pk: contact}, [Edit(contact.pk, {rule.contact.name: seen.incoming})], source=source
        )[0]
        if refusal := written.refused.get(rule.contact.name):
            raise CannotDecide(str(refusal))
        _store(link, rule, Pair(seen.theirs, contact.value(rule.contact.name)))
        return Decided(seen.incoming, bool(written.changed), pushed=False)
    label = f"{ctx.connection.name}'s value was not taken: decided by {by}"
    if not same(seen.theirs, seen.ours):
        lost = seen.theirs if seen.problem else seen.incoming
        note_losses([Loss(contact.pk, rule.contact.name, lost, seen.ours)], ref=ref, label=label)
    taken = Pair(seen.theirs, seen.incoming if rule.pushes else seen.ours)
    _store(link, rule, taken)
    if rule.pushes:
        want_pushes(ctx.connection, [contact.pk], urgent=True, reread=True)
    return Decided(seen.ours, written=False, pushed=rule.pushes)


def candidates(issue: SyncIssue) -> list[Record]:
    """The live CRM records that an "ambiguous" issue is about, read now. Raises ProviderError."""
    rules = compile_rules(issue.connection)
    ids = [str(one) for one in issue.detail.get("candidates", [])]
    with open_provider(issue.connection) as provider:
        found = provider.read(ids, rules.external_names)
    return [found[one] for one in ids if one in found and not found[one].deleted]


def choose_record(issue: SyncIssue, external_id: str, by: str) -> ExternalRecord:
    """Link the contact of an "ambiguous" issue to one of its candidates, for good; the others stay unlinked.

    Raises CannotDecide (decided already, not a candidate, gone, or its number has changed) and ProviderError.
    """
    _check_open(issue, "ambiguous")
    connection, contact = issue.connection, issue.contact
    asked = [str(one) for one in issue.detail.get("candidates", [])]
    if contact is None or external_id not in asked:
        raise CannotDecide("This record is not one of the candidates.")
    rules = compile_rules(connection)
    ctx = applying(connection, rules, f"decision:{connection.pk}")
    with open_provider(connection) as provider:
        record = provider.read([external_id], rules.external_names).get(external_id)
    if record is None or record.deleted:
        raise CannotDecide("The record is gone from the CRM.")
    number, reason = read_number(record.values, rules.phone_fields, region_of(connection))
    with transaction.atomic():
        locked = lock_contacts([contact.pk]).get(contact.pk)
        if locked is None or number != locked.phone_number:
            raise CannotDecide("The record does not have the contact's number any more.")
        _check_free(connection, external_id, locked)
        link = link_chosen(ctx, Incoming(record, number, reason), locked)
        others = ExternalRecord.objects.filter(connection=connection, external_id__in=asked, contact=None)
        others.filter(state=RecordState.SKIPPED).update(reason=NOT_CHOSEN)
        issues.resolve(connection, kind="ambiguous", contact=locked, by=by)
    wake()
    return link


def _check_free(connection: Connection, external_id: str, contact: Contact) -> None:
    held = ExternalRecord.objects.filter(connection=connection, external_id=external_id)
    if held.exclude(contact=None).exclude(contact=contact).exists():
        raise CannotDecide("Another contact is linked to this record.")


def rule_of(rules: Rules, key: str) -> FieldRule:
    """The rule with this key. Raises CannotDecide when the mapping is gone."""
    for rule in rules.fields:
        if rule.key == key:
            return rule
    raise CannotDecide("The mapping is gone, or does nothing at the moment.")


def _check_open(issue: SyncIssue, kind: str) -> None:
    issue.refresh_from_db()
    if issue.kind != kind or issue.state == SyncIssue.State.RESOLVED:
        raise CannotDecide("This has been decided already.")


def _linked(issue: SyncIssue) -> tuple[Contact, ExternalRecord]:
    links = ExternalRecord.objects.filter(connection=issue.connection, state=RecordState.LINKED)
    link = links.filter(contact_id=issue.contact_id or 0).select_related("contact").first()
    if link is None or link.contact is None:
        raise CannotDecide("The contact is no longer linked to a record of this CRM.")
    return link.contact, link


def _read(connection: Connection, link: ExternalRecord) -> tuple[Rules, Record, Applying]:
    rules = compile_rules(connection)
    ctx = applying(connection, rules, "")
    with open_provider(connection) as provider:
        record = provider.read([link.external_id or ""], rules.external_names).get(link.external_id or "")
    _check_record(link, record)
    assert record is not None  # noqa: S101 - checked just before
    return rules, record, ctx


def _check_record(link: ExternalRecord, record: Record | None) -> None:
    if record is None or record.deleted or record.external_id != link.external_id:
        raise CannotDecide("The record is gone from the CRM, or was merged. The next sync follows it.")


def _sides(rule: FieldRule, contact: Contact, record: Record) -> Sides:
    ours = snapshot(contact).get(rule.contact.name)
    if rule.external.name not in record.values:
        raise CannotDecide("The CRM hides this field from us.")
    theirs = record.values[rule.external.name]
    try:
        return Sides(rule, ours, theirs, rule.inward(theirs))
    except DoesNotFit as error:
        return Sides(rule, ours, theirs, None, str(error))


def _store(link: ExternalRecord, rule: FieldRule, pair: Pair) -> None:
    link.settled = pack(unpack(link.settled) | {rule.key: pair})
    link.skipped_fields = {key: why for key, why in link.skipped_fields.items() if key != rule.key}
    link.fingerprint = ""
    link.save(update_fields=["settled", "skipped_fields", "fingerprint", "updated_at"])
