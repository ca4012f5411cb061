"""Arming: a connection writes nothing to its CRM's contacts until a person has approved a preview of it, once.

What is to be pushed or created meanwhile waits; logging conversations is not affected. What waited when the preview was
made is covered by its approval; from then on the circuit breaker counts (see sync.breaker).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from contacts.models import Contact, snapshot
from integrations.connections import fresh_schema, open_provider
from integrations.models import Connection
from integrations.providers.base import Provider, Record
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from mappings.rules import creation_values, locally_changed, unpack
from sync import issues
from sync.answers import links_of
from sync.issues import OPEN
from sync.models import ExternalRecord, PendingPush, RecordState, SyncIssue
from sync.oscillation import frozen_fields
from sync.preview import DiffRow, Preview
from sync.settling import Applying, applying, plan_record
from sync.touch import drain_touched
from sync.wake import wake

KIND = "outbound_not_armed"
# Only these are read again: credentials entered meanwhile must not pass for those that the caller's work began with.
ARMING = ("armed_at", "armed_by", "pushes_approved_at")
BATCH = 200
AT_MOST = 5000


class NothingToArm(Exception):
    """The connection has no outbound mapping and creates no records."""


def preview_outbound(
    connection: Connection,
    *,
    limit: int = 200,
    at_most: int = AT_MOST,
    progress: Callable[[Preview], None] | None = None,
) -> Preview:
    """What would be written to the CRM now, without writing it: linked contacts with local changes, and new records.

    Reads the CRM; raises ProviderError. Counts: values_out, overwrites, clears, updated, created, linked, gone, conflicts,
    unchanged, and not_examined beyond `at_most` contacts. Rows: the first `limit` values.
    """
    while drain_touched():
        continue
    result = Preview(limit)
    pending = PendingPush.objects.filter(connection=connection).order_by("-urgent", "due_at", "id")
    ids = list(pending.values_list("contact_id", flat=True)[:at_most])
    result.total = len(ids)
    result.counts["not_examined"] = pending.count() - len(ids)
    with open_provider(connection, Purpose.PULL) as provider:
        fresh_schema(connection, provider)
        rules = compile_rules(connection)
        for start in range(0, len(ids), BATCH):
            _look(connection, provider, rules, ids[start : start + BATCH], result)
            result.done = min(start + BATCH, len(ids))
            if progress:
                progress(result)
    result.counts += type(result.counts)()  # drops the zeros
    return result


def approve_outbound(connection: Connection, *, by: str, previewed_at: datetime | None = None) -> None:
    """Arm the connection: what waits is pushed now. Arming an armed connection changes nothing.

    `previewed_at`: when the approved preview was made; what came later is counted by the circuit breaker. Without it all
    that waits now is approved.
    """
    now = timezone.now()
    with transaction.atomic():
        row = Connection.objects.select_for_update().only("pk", "name", *ARMING).get(pk=connection.pk)
        if row.armed_at is None:
            row.armed_at, row.armed_by = now, by[:150]
            row.pushes_approved_at = min(previewed_at or now, now)
            row.save(update_fields=ARMING)
        issues.resolve(connection, kind=KIND, by=by)
    connection.refresh_from_db(fields=ARMING)
    wake()


def disarm(connection: Connection, *, by: str) -> None:
    """Write nothing more to the CRM's contacts until a preview is approved anew; nothing that waits is lost."""
    row = Connection.objects.only("pk", "name", *ARMING).get(pk=connection.pk)
    row.armed_at, row.armed_by, row.pushes_approved_at = None, by[:150], None
    row.save(update_fields=ARMING)
    connection.refresh_from_db(fields=ARMING)
    remind()


def remind() -> None:
    """Keep one notice for each connection that is not armed and has work waiting; for the sweep."""
    for connection in Connection.objects.filter(armed_at=None, enabled=True):
        waiting = PendingPush.objects.filter(connection=connection).count()
        known = SyncIssue.objects.filter(connection=connection, kind=KIND, state__in=OPEN).first()
        if waiting and (known is None or known.count != waiting):
            message = f"Changes of {waiting} contact{'' if waiting == 1 else 's'} wait to be written to {connection}."
            issues.report(connection, KIND, message=message, count=waiting)
        elif not waiting and known is not None:
            issues.resolve(connection, kind=KIND)


def _look(
    connection: Connection, provider: Provider, rules: Rules, ids: Sequence[int], result: Preview
) -> None:
    contacts = Contact.objects.in_bulk(ids)
    links = links_of(connection, contacts)
    ctx = applying(connection, rules, "preview")
    ctx.frozen = frozen_fields(contacts)
    linked = {
        pk: link
        for pk, link in links.items()
        if link.state == RecordState.LINKED
        and locally_changed(rules.fields, unpack(link.settled), snapshot(contacts[pk]))
    }
    creating = [contacts[pk] for pk, link in links.items() if link.state == RecordState.CREATING]
    result.counts["unchanged"] += len(contacts) - len(linked) - len(creating)
    read = (
        provider.read([link.external_id or "" for link in linked.values()], rules.external_names)
        if linked
        else {}
    )
    for pk, link in linked.items():
        _see_push(ctx, contacts[pk], link, read.get(link.external_id or ""), result)
    if creating and rules.create_phone:
        numbers = [contact.phone_number for contact in creating]
        found = provider.find_by_phone(numbers, rules.external_names, rules.phone_fields)
        for contact in creating:
            _see_creation(rules, contact, found, result)


def _see_push(
    ctx: Applying, contact: Contact, link: ExternalRecord, record: Record | None, result: Preview
) -> None:
    if record is None or record.deleted:
        result.counts["gone"] += 1
        return
    made = plan_record(ctx, contact, unpack(link.settled), snapshot(contact), record, {})
    result.see(record, contact, made)
    result.counts["updated"] += bool(made.pushes)
    result.counts["conflicts"] += len(made.conflicts)
    for name, value in made.pushes.items():
        if record.values.get(name) is not None:
            result.counts["clears" if value is None else "overwrites"] += 1


def _see_creation(
    rules: Rules, contact: Contact, found: Mapping[str, Sequence[Record]], result: Preview
) -> None:
    if found.get(contact.phone_number):
        result.counts["linked"] += 1
        return
    result.counts["created"] += 1
    values, pairs = creation_values(rules.fields, snapshot(contact))
    rule_of = {key.partition(":")[0]: key for key in pairs}
    result.add(
        DiffRow("", contact.name, "crm", rules.create_phone or "", None, contact.phone_number, "phone_number")
    )
    for name, value in values.items():
        result.add(DiffRow("", contact.name, "crm", name, None, value, rule_of.get(name, "")))
