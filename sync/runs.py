"""Runs: asked for by people and the clock, one open run a connection, and closed with counts and words."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from integrations.models import Connection, ConnectionStatus
from sync.models import RunState, SyncRun
from sync.wake import wake

WORKABLE = (RunState.QUEUED, RunState.RUNNING)
OPEN = (*WORKABLE, RunState.WAITING)


class RunOpen(Exception):
    """A run of this connection is already queued or running; `run` is that one."""

    def __init__(self, run: SyncRun) -> None:
        super().__init__(f"{run.connection} is already syncing (run {run.pk}, {run.get_state_display()}).")
        self.run = run


def request_run(
    connection: Connection, *, full: bool = False, trigger: str = "manual", by: str = ""
) -> SyncRun:
    """Queue an inbound sync and wake the workers. The first run of a connection always reads everything.

    `trigger` is "manual" or "cron"; `by` names the person or key. Raises RunOpen when one is queued or running.
    """
    cursor = Connection.objects.values_list("cursor", flat=True).get(pk=connection.pk)
    full = full or not cursor
    run = SyncRun(
        connection=connection,
        kind=SyncRun.Kind.FULL if full else SyncRun.Kind.INCREMENTAL,
        trigger=trigger,
        requested_by=by[:150],
        cursor_before=cursor,
        cursor="" if full else cursor,
    )
    for _ in range(3):
        try:
            with transaction.atomic():
                run.save()
        except IntegrityError:
            rows = SyncRun.objects.select_related("connection")
            if open_run := rows.filter(connection=connection, state__in=OPEN).first():
                raise RunOpen(open_run) from None
            continue  # it ended between the two statements
        wake()
        return run
    raise RuntimeError("Runs of this connection begin and end faster than one can be queued.")


def request_due_runs() -> int:
    """Queue a run for every connection whose time has come; called by the minutely sweep. Returns how many."""
    now = timezone.now()
    due = Connection.objects.filter(enabled=True, next_sync_at__lte=now).exclude(
        status=ConnectionStatus.ERROR
    )
    started = 0
    for connection in due.filter(Q(paused_until=None) | Q(paused_until__lte=now)):
        if not connection.inbound_mappings.exists():
            continue
        # Counted from when it was due, so that a late sweep does not shift the schedule; never in the past.
        following = max(connection.next_sync_at + connection.interval, now + timedelta(seconds=30))
        Connection.objects.filter(pk=connection.pk).update(next_sync_at=following)
        try:
            request_run(connection, trigger="cron")
            started += 1
        except RunOpen:
            continue
    return started


def finish(run: SyncRun, state: str, *, code: str = "", error: str = "") -> None:
    """Close a run. `error` is for people and holds no personal data."""
    run.state = state
    run.error_code, run.error = code[:64], error[:500]
    run.finished_at, run.claimed_until = timezone.now(), None
    run.save()
