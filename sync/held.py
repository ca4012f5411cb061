"""While nothing may be pushed, what pulls have left to the pushes is still read: an edit in the CRM waits for no approval.

A pull leaves a record to the push that may be newer than its page (see sync.apply). If that push is held or outbound is not
armed, the record is read and planned here as the push would, and what comes in is taken; what would go out goes on waiting.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from contacts.models import Contact
from integrations.connections import fresh_schema, open_provider
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Provider
from integrations.providers.errors import ProviderError, Transient
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from sync.answers import links_of, put_back, release
from sync.models import PendingPush, RecordState
from sync.push import BATCH, LEASE, plan_pushes
from sync.settling import applying


def read_held() -> int:
    """Read one batch of what was left to pushes that may not be made now; returns how many contacts were handled."""
    now = timezone.now()
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    shut = Q(armed_at=None) | Q(held_at__isnull=False)
    unread = PendingPush.objects.filter(unread=True, due_at__lte=now).values("connection")
    for connection in Connection.objects.filter(awake, shut, enabled=True, pk__in=unread).exclude(
        status=ConnectionStatus.ERROR
    ):
        pending = _claim(connection)
        if pending:
            _work(connection, pending)
            return len(pending)
    return 0


def _claim(connection: Connection) -> list[PendingPush]:
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = PendingPush.objects.filter(free, connection=connection, unread=True, due_at__lte=now)
    with transaction.atomic():
        taken = list(rows.select_for_update(skip_locked=True).order_by("due_at", "id")[:BATCH])
        PendingPush.objects.filter(pk__in=[row.pk for row in taken]).update(claimed_until=now + LEASE)
    return taken


def _work(connection: Connection, pending: Sequence[PendingPush]) -> None:
    try:
        with open_provider(connection, Purpose.PULL) as provider:
            fresh_schema(connection, provider)
            _read(connection, provider, compile_rules(connection), pending)
    except ProviderError as error:
        put_back(connection, pending, error)
    except OperationalError:
        put_back(connection, pending, Transient("The database was busy.", code="database"))


def _read(connection: Connection, provider: Provider, rules: Rules, pending: Sequence[PendingPush]) -> None:
    rows = {row.contact_id: row for row in pending}
    there = set(Contact.objects.filter(pk__in=rows, archived_at=None).values_list("pk", flat=True))
    linked = {
        pk: link.external_id
        for pk, link in links_of(connection, there).items()
        if link.state == RecordState.LINKED and link.external_id
    }
    if linked:
        ctx = applying(connection, rules, "")
        asked = list(linked.values())
        read = provider.read(asked, rules.external_names)
        plan_pushes(ctx, {pk: rows[pk] for pk in linked}, asked, read, sends=False)
    for row in pending:
        # One that was touched meanwhile may have been left to the push again.
        PendingPush.objects.filter(pk=row.pk, version=row.version).update(unread=False)
    release(pending)
