"""Reconciliation: everything is read again, and what the listing did not show is looked up and ended if it is gone.

It finds what no feed tells of: purged records, and deletes and merges that are older than what the CRM remembers. Nothing
is ever concluded from a listing that did not come to its end.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Provider, Record
from mappings.compile import Rules, compile_rules
from sync.chunks import CHUNK, apply_chunk
from sync.models import ExternalRecord, RecordState, RunState, SyncRun
from sync.runs import OPEN, RunOpen, request_run
from sync.settling import applying


def marker(run: SyncRun) -> Callable[[Sequence[Record]], None]:
    """Marks the records of a chunk as seen by this run, in one statement."""

    def mark(records: Sequence[Record]) -> None:
        ids = [record.external_id for record in records if not record.deleted]
        rows = ExternalRecord.objects.filter(connection=run.connection, external_id__in=ids)
        rows.update(seen_run_id=run.pk)

    return mark


def compare(run: SyncRun, provider: Provider, rules: Rules, until: float) -> bool:
    """Look up the records that a complete listing did not show, and apply what became of them; returns whether all are done.

    `until`: when to pause, on the monotonic clock. Raises ProviderError; what was not looked up stays as it is.
    """
    mark = marker(run)
    while ids := list(_unseen(run).order_by("pk").values_list("external_id", flat=True)[:CHUNK]):
        if time.monotonic() > until:
            return False
        ctx = applying(run.connection, rules, run.ref)
        found = provider.read([one or "" for one in ids], rules.external_names)
        absent = [Record(one or "", {}, deleted=True) for one in ids if one not in found]
        apply_chunk(run, ctx, [*found.values(), *absent], also=mark, counted=False)
        # Merged into another record, or left out because it broke: looked up once is enough.
        _unseen(run).filter(external_id__in=ids).update(seen_run_id=run.pk)
    return True


def _unseen(run: SyncRun) -> QuerySet[ExternalRecord]:
    """What we hold of the CRM from before the listing began and have not met in it."""
    rows = ExternalRecord.objects.filter(
        connection=run.connection,
        external_id__isnull=False,
        state__in=[RecordState.LINKED, RecordState.SKIPPED],
        created_at__lt=run.started_at or run.created_at,
    )
    return rows.filter(Q(seen_run_id=None) | ~Q(seen_run_id=run.pk))


def request_due() -> int:
    """Queue a reconciliation for every connection whose time has come and that has no open run; for the sweep."""
    now = timezone.now()
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    rows = Connection.objects.filter(awake, enabled=True, next_reconcile_at__lte=now)
    started = 0
    for connection in rows.exclude(cursor="").exclude(status=ConnectionStatus.ERROR):
        try:
            request_run(connection, reconcile=True, trigger="cron")
        except RunOpen:
            continue
        Connection.objects.filter(pk=connection.pk).update(next_reconcile_at=next_time(connection, now))
        started += 1
    return started


def next_time(connection: Connection, now: datetime) -> datetime:
    """A period later, at a moment of its own for each connection, so that they do not all come at once."""
    share = zlib.crc32(connection.public_id.encode()) % 1000 / 1000
    return now + timedelta(hours=connection.reconcile_hours * (0.9 + 0.2 * share))


def backfill_offer(connection: Connection) -> str | None:
    """Why everything should be read again, in words, or None: the mappings have changed since that was last done.

    Start it with request_run(connection, full=True); sync.preview.preview(connection, full=True) shows what it would do.
    """
    if connection.first_full_run_at is None:
        return None
    version = compile_rules(connection).version
    if version == connection.rules_version:
        return None
    full = SyncRun.objects.filter(connection=connection, state__in=OPEN).exclude(
        kind=SyncRun.Kind.INCREMENTAL
    )
    if any(run.rules_version == version or run.state == RunState.QUEUED for run in full):
        return None
    return (
        f"The mappings of {connection} have changed since its records were last read in full. Records that have not"
        " changed in the CRM since then do not show it yet: read everything again."
    )
