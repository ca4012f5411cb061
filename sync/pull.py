"""Inbound sync: CRM → contacts, page by page. A run survives its worker: the cursor is stored with the work it covers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q
from django.utils import timezone

from integrations.connections import fresh_schema, open_provider, record_failure, refresh_schema
from integrations.models import Connection
from integrations.providers.base import Provider
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    NeedsAttention,
    ProviderError,
    RateLimited,
    Transient,
)
from integrations.quota import Purpose
from mappings.compile import Rules, compile_rules
from sync import breaker, chunks, endings, issues, reconcile
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.chunks import LEASE, Taken
from sync.models import RunState, SyncRun
from sync.runs import WORKABLE, finish, mine, switched_off
from sync.schema_drift import report_drift
from sync.settling import applying
from sync.wake import called

log = structlog.get_logger(__name__)
STRETCH = 10.0
PATIENCE = 60.0


def pull_some() -> int:
    """Claim one due run and work on it for at most ten seconds, or until something more urgent has come; 1 if there was one."""
    run = _claim()
    if run is None:
        return 0
    _work(run, yields=True)
    return 1


def work_on(run: SyncRun) -> bool:
    """Work on this run for one stretch, if it is due and nobody else does; returns whether it was."""
    claimed = _claim(run.pk)
    if claimed is not None:
        _work(claimed)
    return claimed is not None


def run_now(run: SyncRun, progress: Callable[[SyncRun], None] | None = None) -> SyncRun:
    """Work on a run in this process until it ends, or has to wait for more than a minute; `progress` sees each stretch."""
    while run.state in WORKABLE and (wait := _waits(run)) <= PATIENCE:
        if not work_on(run):
            time.sleep(min(max(wait, 0.2), 5.0))
        run.refresh_from_db()
        if progress:
            progress(run)
    return run


def _waits(run: SyncRun) -> float:
    """Seconds until the run can go on; without end where its connection is off."""
    connection = Connection.objects.only("enabled", "paused_until").get(pk=run.connection_id)
    if not connection.enabled:
        return float("inf")
    when = max(run.next_attempt_at, connection.paused_until or run.next_attempt_at)
    return (when - timezone.now()).total_seconds()


def check_rules(rules: Rules) -> None:
    """Raise ConfigError when no working mapping feeds the phone number: nothing could be matched."""
    if not rules.phone_fields:
        missing = "No inbound mapping feeds phone_number. Map the CRM's phone field."
        raise ConfigError("; ".join(f"{name}: {why}" for name, why in rules.broken.items()) or missing)


def _claim(pk: int | None = None) -> SyncRun | None:
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    active = Q(connection__paused_until=None) | Q(connection__paused_until__lte=now)
    due = SyncRun.objects.filter(
        free, active, state__in=WORKABLE, next_attempt_at__lte=now, connection__enabled=True
    )
    if pk is not None:
        due = due.filter(pk=pk)
    for candidate in due.order_by("next_attempt_at", "id").values_list("pk", flat=True)[:5]:
        taken = SyncRun.objects.filter(free, pk=candidate, state__in=WORKABLE).update(
            claimed_until=now + LEASE
        )
        if taken:
            return SyncRun.objects.select_related("connection").get(pk=candidate)
    return None


def _work(run: SyncRun, *, yields: bool = False) -> None:
    """One stretch of a run; whatever happens ends in a state that says what, and in a released lease."""
    connection = run.connection
    try:
        with open_provider(connection, Purpose.PULL) as provider:
            try:
                fresh_schema(connection, provider)
                rules = compile_rules(connection)
                report_drift(connection, rules)
                check_rules(rules)
                _start(run, rules)
                _read(run, provider, rules, yields=yields)
            finally:
                SyncRun.objects.filter(pk=run.pk).update(api_calls=F("api_calls") + provider.calls)
    except Taken:
        log.info("run_taken", run=run.pk)
    except breaker.Tripped as tripped:
        breaker.hold_run(run, tripped)
    except ConfigError as error:
        # A field may have gone since the schema was cached: with a fresh one the other mappings can go on.
        _retry_with_fresh_schema(run, error)
    except ProviderError as error:
        _stumble(run, error)
    except Exception:
        log.exception("run_broke", run=run.pk)
        words = "The run met an error of our own. The server's log has the details."
        if mine(run).exists():
            finish(run, RunState.FAILED, code="internal", error=words)
        raise


def _retry_with_fresh_schema(run: SyncRun, error: ConfigError) -> None:
    connection = run.connection
    stale = connection.schema_at is None or connection.schema_at < timezone.now() - timedelta(minutes=1)
    try:
        if stale:
            refresh_schema(connection)
            _release(run, timezone.now(), error)
        else:
            _stumble(run, error)
    except ProviderError as second:
        _stumble(run, second)


def _start(run: SyncRun, rules: Rules) -> None:
    if run.state == RunState.QUEUED:
        run.state, run.started_at, run.rules_version = RunState.RUNNING, timezone.now(), rules.version
        begun = mine(run).update(state=run.state, started_at=run.started_at, rules_version=run.rules_version)
        if not begun:
            raise Taken


def _read(run: SyncRun, provider: Provider, rules: Rules, *, yields: bool) -> None:
    """Work through the listing, then through what it did not show; or as far as there is time."""
    until = time.monotonic() + STRETCH
    done = run.listed_at is not None or _pages(run, provider, rules, until, yields=yields)
    if done and run.kind == SyncRun.Kind.RECONCILE:
        done = reconcile.compare(run, provider, rules, until)
    if done:
        endings.complete(run, rules)
    elif mine(run).exists():
        mine(run).update(claimed_until=None, next_attempt_at=timezone.now())


def _pages(run: SyncRun, provider: Provider, rules: Rules, until: float, *, yields: bool) -> bool:
    """Apply page after page; returns whether the last one was reached. Only then is anything known about what is gone."""
    full = run.kind != SyncRun.Kind.INCREMENTAL
    mark = reconcile.marker(run) if run.kind == SyncRun.Kind.RECONCILE else None
    bad = chunks.has_bad_records(run)
    ctx = applying(run.connection, rules, run.ref)
    for page in provider.changes(run.cursor, rules.external_names, full=full):
        chunks.apply_page(run, ctx, page, mark)
        if bad:
            chunks.heal(run, page.records)
        if page.last:
            return True
        if not Connection.objects.filter(pk=run.connection_id, enabled=True).exists():
            switched_off(run)
            return False
        if time.monotonic() > until or (yields and called()):
            return False
        ctx = replace(applying(run.connection, rules, run.ref), chunk=ctx.chunk)
    raise ProviderError("The listing ended without a last page.", code="no_last_page")


def _stumble(run: SyncRun, error: ProviderError) -> None:
    """What an error means for the run: wait and go on, or end with the reason."""
    if not mine(run).exists():
        return
    if isinstance(error, RateLimited):
        record_failure(run.connection, error)
        _release(run, timezone.now() + timedelta(seconds=error.retry_after), error)
    elif isinstance(error, Transient) and run.attempts + 1 < MAX_ATTEMPTS:
        mine(run).update(attempts=F("attempts") + 1)
        _release(run, next_attempt(run.attempts + 1), error)
    else:
        if isinstance(error, NeedsAttention):
            record_failure(run.connection, error)
        finish(
            run,
            RunState.PARTIAL if run.done else RunState.FAILED,
            code=error.code or type(error).__name__,
            error=error.message,
        )
        advice = "Enter new credentials and test the connection." if isinstance(error, AuthError) else ""
        issues.report(
            run.connection,
            "run_failed",
            message=f"The sync stopped: {error.message}",
            advice=advice,
            field=error.field,
            request_id=error.request_id,
        )


def _release(run: SyncRun, when: datetime, error: ProviderError) -> None:
    mine(run).update(
        claimed_until=None, next_attempt_at=when, error_code=error.code[:64], error=error.message[:500]
    )
