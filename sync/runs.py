"""Runs: asked for by people and the clock, one open run a connection, and closed with counts and words."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from integrations.models import Connection, ConnectionStatus
from sync import issues
from sync.models import RunState, SyncRun
from sync.wake import wake

WORKABLE = (RunState.QUEUED, RunState.RUNNING)
OPEN = (*WORKABLE, RunState.WAITING)


HORIZON = timedelta(days=14)


class RunOpen(Exception):
    """A run of this connection is queued, running or waits for approval; `run` is that one."""

    def __init__(self, run: SyncRun) -> None:
        words = f"{run.connection} is already syncing (run {run.pk}, {run.get_state_display()})."
        if run.state == RunState.WAITING:
            words = f"Run {run.pk} of {run.connection} waits for approval. Approve or reject it first."
        super().__init__(words)
        self.run = run


class NotWaiting(Exception):
    """The run does not wait for approval (any more); `run` is it."""

    def __init__(self, run: SyncRun) -> None:
        super().__init__(f"Run {run.pk} does not wait for approval.")
        self.run = run


class RunOver(Exception):
    """The run has ended already; `run` is it."""

    def __init__(self, run: SyncRun) -> None:
        super().__init__(f"Run {run.pk} has ended already.")
        self.run = run


def request_run(
    connection: Connection,
    *,
    full: bool = False,
    reconcile: bool = False,
    trigger: str = "manual",
    by: str = "",
) -> SyncRun:
    """Queue an inbound sync and wake the workers. The first run of a connection always reads everything.

    `reconcile`: read everything and find what is gone; so does any run after a pause longer than a CRM remembers
    deletes. `trigger` is "manual" or "cron"; `by` names the person or key. Raises RunOpen when one is open.
    """
    now_held = Connection.objects.only("cursor", "read_at").get(pk=connection.pk)
    cursor, pause = now_held.cursor, _pause(now_held)
    kind = _kind(cursor, full=full, reconcile=reconcile or pause is not None)
    run = SyncRun(
        connection=connection,
        kind=kind,
        trigger=trigger,
        requested_by=by[:150],
        cursor_before=cursor,
        cursor=cursor if kind == SyncRun.Kind.INCREMENTAL else "",
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
        if pause is not None:
            _warn(connection, pause)
        wake()
        return run
    raise RuntimeError("Runs of this connection begin and end faster than one can be queued.")


def _kind(cursor: str, *, full: bool, reconcile: bool) -> str:
    if not cursor:
        return SyncRun.Kind.FULL
    if reconcile:
        return SyncRun.Kind.RECONCILE
    return SyncRun.Kind.FULL if full else SyncRun.Kind.INCREMENTAL


def _pause(connection: Connection) -> timedelta | None:
    """How long nothing was read, where that is longer than CRMs remember deletes and merges."""
    if not connection.cursor or connection.read_at is None:
        return None
    pause = timezone.now() - connection.read_at
    return pause if pause > HORIZON else None


def _warn(connection: Connection, pause: timedelta) -> None:
    message = f"Nothing was read for {pause.days} days. Deletes and merges may have been missed: everything is compared."
    issues.report(connection, "long_pause", message=message, count=1)


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


def mine(run: SyncRun) -> QuerySet[SyncRun]:
    """The run's row as long as our lease is the last one given."""
    return SyncRun.objects.filter(pk=run.pk, state__in=WORKABLE, claimed_until=run.claimed_until)


def finish(run: SyncRun, state: str, *, code: str = "", error: str = "") -> bool:
    """Close a run unless somebody has; returns whether it was open. `error` is for people and holds no personal data."""
    run.state = state
    run.error_code, run.error = code[:64], error[:500]
    run.finished_at, run.claimed_until = timezone.now(), None
    names = ("state", "error_code", "error", "finished_at", "claimed_until")
    still_open = SyncRun.objects.filter(pk=run.pk, state__in=OPEN)
    return bool(still_open.update(**{name: getattr(run, name) for name in names}))


def cancel_run(run: SyncRun, *, by: str) -> None:
    """End an open run; a worker on it stops at its next chunk. What it has applied stays, the connection's cursor too.

    Raises RunOver.
    """
    if not finish(run, RunState.CANCELLED, code="cancelled", error=f"Cancelled by {by}."):
        raise RunOver(run)
    issues.resolve(run.connection, kind="run_held", by=by)


def end_disabled() -> int:
    """End the runs of connections that were switched off and that nobody works on; returns how many. For the sweep."""
    idle = Q(claimed_until=None) | Q(claimed_until__lte=timezone.now())
    rows = SyncRun.objects.filter(idle, state__in=WORKABLE, connection__enabled=False)
    return sum(switched_off(run) for run in rows)


def switched_off(run: SyncRun) -> bool:
    """End a run because its connection was switched off."""
    return finish(run, RunState.CANCELLED, code="switched_off", error="The connection was switched off.")
