"""End the fight of two CRMs over a field: a person names the value, which goes to every CRM that the field is mapped to."""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from contacts.changes import Source, change_contact, lock_contacts
from contacts.models import Contact
from contacts.values import Value
from integrations.connections import open_provider
from integrations.providers.base import Record
from integrations.quota import Purpose
from mappings.compile import compile_rules
from mappings.rules import FieldRule
from sync import issues
from sync.decisions import OURS, CannotDecide, settle_side
from sync.models import ExternalRecord, RecordState, SyncIssue
from sync.oscillation import KIND
from sync.settling import Applying, applying
from sync.wake import wake


class _Seen(NamedTuple):
    """A linked record as it is now, and the rules that tie it to the field."""

    ctx: Applying
    rules: list[FieldRule]
    record: Record


def values(issue: SyncIssue) -> dict[str, Value]:
    """What each CRM holds in the field now, by connection name, and what we hold under "". Raises ProviderError."""
    contact = _contact(issue)
    found: dict[str, Value] = {"": contact.value(issue.field)}
    for seen in _read(issue):
        for rule in seen.rules:
            found[seen.ctx.connection.name] = seen.record.values.get(rule.external.name)
    return found


def decide_oscillation(issue: SyncIssue, value: object, by: str) -> Value:
    """Give the field this value here and in the CRMs, and sync it again from now on; returns the value as it is held.

    `by` names the person. Raises CannotDecide (decided already, or the contact is gone), DoesNotFit and ProviderError.
    """
    issue.refresh_from_db()
    if issue.kind != KIND or issue.state == SyncIssue.State.RESOLVED:
        raise CannotDecide("This has been decided already.")
    read = _read(issue)
    with transaction.atomic():
        contact = _contact(issue)
        source = Source("person", f"decision:{issue.pk}", by)
        written = change_contact(contact.pk, {issue.field: value}, source=source, strict=True)
        contact = lock_contacts([contact.pk])[contact.pk]
        links = ExternalRecord.objects.filter(contact=contact, state=RecordState.LINKED)
        of_record = {(link.connection_id, link.external_id): link for link in links}
        for seen in read:
            link = of_record.get((seen.ctx.connection.pk, seen.record.external_id))
            for rule in seen.rules if link else ():
                assert link is not None  # noqa: S101 - the loop's condition, said for the type checker
                settle_side(seen.ctx, contact, link, rule, seen.record, OURS, by)
        issues.resolve(issue.connection, kind=KIND, contact=contact, field=issue.field, by=by)
    wake()
    return written.contact.value(issue.field)


def _contact(issue: SyncIssue) -> Contact:
    contact = Contact.objects.filter(pk=issue.contact_id or 0).first()
    if contact is None:
        raise CannotDecide("The contact is gone.")
    return contact


def _read(issue: SyncIssue) -> list[_Seen]:
    """The contact's records in every CRM that the field is mapped to, read now."""
    found = []
    links = ExternalRecord.objects.filter(contact_id=issue.contact_id or 0, state=RecordState.LINKED)
    for link in links.select_related("connection").order_by("connection__rank", "connection_id"):
        rules = compile_rules(link.connection)
        mapped = [rule for rule in rules.fields if rule.contact.name == issue.field]
        if not mapped:
            continue
        ctx = applying(link.connection, rules, "")
        external_id = link.external_id or ""
        with open_provider(link.connection, Purpose.CHECK) as provider:
            record = provider.read([external_id], rules.external_names).get(external_id)
        if record is not None and not record.deleted:
            hidden = [rule for rule in mapped if rule.external.name not in record.values]
            found.append(_Seen(ctx, [rule for rule in mapped if rule not in hidden], record))
    return found
