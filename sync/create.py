"""Create CRM records for contacts that have none: looked for first, sent once, and looked for again when the answer is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from contacts.changes import lock_contacts
from contacts.models import Contact, snapshot
from integrations.connections import record_failure
from integrations.models import Connection, DuplicatePolicy
from integrations.providers.base import Creation, Outcome, Provider, Record
from integrations.providers.errors import (
    NeedsAttention,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    Transient,
)
from mappings.compile import Rules
from mappings.rules import creation_values, pack
from sync import issues
from sync.apply import apply_records
from sync.models import ExternalRecord, RecordState
from sync.settling import applying
from sync.touch import want_pushes


def create_records(
    connection: Connection, provider: Provider, rules: Rules, links: Sequence[ExternalRecord]
) -> None:
    """Give every reserved contact its record. Links whose creation is still in doubt stay reserved and are asked again.

    Raises ProviderError when the CRM could not be asked at all; nothing is sent twice.
    """
    ready = [link for link in links if link.contact_id and not _in_doubt(link)]
    if not ready or rules.create_phone is None:
        return
    contacts = Contact.objects.in_bulk([link.contact_id for link in ready if link.contact_id])
    _let_go([link for link in ready if link.contact_id in contacts and contacts[link.contact_id].archived_at])
    ready = [link for link in ready if link.contact_id in contacts and link.pk]
    if not ready:
        return
    numbers = [contacts[link.contact_id or 0].phone_number for link in ready]
    ctx = applying(connection, rules, "")
    found = provider.find_by_phone(numbers, rules.external_names, rules.phone_fields)
    missing = []
    for link in ready:
        contact = contacts[link.contact_id or 0]
        record = _choose(connection, contact, found.get(contact.phone_number, []))
        if record is not None:
            with transaction.atomic():
                apply_records(ctx, [record])
        elif not found.get(contact.phone_number):
            missing.append(link)
    _send(connection, provider, rules, missing)


def _let_go(links: Sequence[ExternalRecord]) -> None:
    """An archived contact needs no record; one whose creation was sent stays, so that the record is found."""
    for link in links:
        if link.create_sent_at is None:
            link.delete()


def _in_doubt(link: ExternalRecord) -> bool:
    """Whether a creation was sent so lately that the CRM's search may not show it yet."""
    wait = timedelta(seconds=settings.CRMSYNC_UNKNOWN_WAIT)
    return link.create_sent_at is not None and link.create_sent_at > timezone.now() - wait


def _choose(connection: Connection, contact: Contact, candidates: Sequence[Record]) -> Record | None:
    """The existing record to link instead of creating one; None where there is none or a person must choose."""
    taken = ExternalRecord.objects.filter(connection=connection, contact__isnull=False)
    used = set(
        taken.filter(external_id__in=[r.external_id for r in candidates]).values_list(
            "external_id", flat=True
        )
    )
    free = [record for record in candidates if record.external_id not in used]
    if candidates and not free:
        issues.report(
            connection,
            "record_taken",
            contact=contact,
            message="The CRM record with this contact's number is linked to another contact.",
            count=1,
        )
    if len(free) > 1 and connection.duplicate_policy == DuplicatePolicy.ASK:
        issues.report(
            connection,
            "ambiguous",
            contact=contact,
            message=f"{len(free)} CRM records have this contact's number.",
            detail={"candidates": [record.external_id for record in free]},
            count=1,
        )
        return None
    if not free:
        return None
    latest = connection.duplicate_policy != DuplicatePolicy.OLDEST
    ordered = sorted(
        free, key=lambda record: (record.modified is not None, record.modified, record.external_id)
    )
    return ordered[-1] if latest else ordered[0]


def _send(connection: Connection, provider: Provider, rules: Rules, links: Sequence[ExternalRecord]) -> None:
    creations: list[Creation] = []
    pairs: dict[int, dict[str, object]] = {}
    with transaction.atomic():
        contacts = lock_contacts([link.contact_id or 0 for link in links])
        fresh = ExternalRecord.objects.filter(pk__in=[link.pk for link in links], state=RecordState.CREATING)
        # Looked at again under lock: another worker may have sent it since, if our lease has ended.
        sending = [link for link in fresh if link.contact_id in contacts and not _in_doubt(link)]
        for link in sending:
            contact = contacts[link.contact_id or 0]
            values, settled = creation_values(rules.fields, snapshot(contact))
            values[rules.create_phone or ""] = contact.phone_number
            creations.append(Creation(contact.public_id, values))
            pairs[link.pk] = dict(pack(settled))
        ids = [link.pk for link in sending]
        ExternalRecord.objects.filter(pk__in=ids).update(create_sent_at=timezone.now())
    if not creations:
        return
    try:
        outcomes = provider.create(creations)
    except ProviderError:
        ExternalRecord.objects.filter(pk__in=ids).update(create_sent_at=None)
        raise
    with transaction.atomic():
        locked = lock_contacts(contacts)
        for link, outcome in zip(sending, outcomes, strict=True):
            if link.contact_id in locked:
                _settle(connection, link, locked[link.contact_id], outcome, pairs)
    troubles = {id(o.error): o.error for o in outcomes if isinstance(o.error, RateLimited | NeedsAttention)}
    for error in troubles.values():
        record_failure(connection, error)


def _settle(
    connection: Connection,
    link: ExternalRecord,
    contact: Contact,
    outcome: Outcome,
    pairs: Mapping[int, dict[str, object]],
) -> None:
    if outcome.ok and outcome.external_id:
        _created(connection, link, contact, outcome, pairs[link.pk])
    elif isinstance(outcome.error, OutcomeUnknown):
        return
    elif isinstance(outcome.error, Transient | NeedsAttention):
        ExternalRecord.objects.filter(pk=link.pk, state=RecordState.CREATING).update(create_sent_at=None)
    else:
        link.delete()
        issues.report(
            connection,
            "create_rejected",
            contact=contact,
            message=f"The CRM refused to create the record: {outcome.error.message if outcome.error else 'no reason given'}",
            request_id=outcome.error.request_id if outcome.error else "",
        )


def _created(
    connection: Connection,
    link: ExternalRecord,
    contact: Contact,
    outcome: Outcome,
    settled: Mapping[str, object],
) -> None:
    """Link the record that the CRM has made, or name the one it had already."""
    rows = ExternalRecord.objects.filter(connection=connection, external_id=outcome.external_id)
    rows.filter(contact=None).exclude(pk=link.pk).delete()
    holder = rows.first()
    if holder is not None and holder.contact_id != contact.pk:
        link.delete()
        issues.report(
            connection,
            "record_taken",
            contact=contact,
            external_id=outcome.external_id or "",
            message="The CRM answered with a record that is linked to another contact.",
        )
        return
    if holder is None:
        link.settled, link.state, link.external_id = dict(settled), RecordState.LINKED, outcome.external_id
        link.number = contact.phone_number
        if not outcome.created:
            # It was there before and holds values of its own: both sides meet as at any first link.
            link.settled = {}
            want_pushes(connection, [contact.pk], reread=True)
    else:
        link = holder  # an inbound sync has seen it first and knows more of it than we sent
    link.create_sent_at, link.created_here = None, outcome.created
    link.save()
    issues.resolve(connection, kind__in=("create_rejected", "create_failed", "record_taken"), contact=contact)
