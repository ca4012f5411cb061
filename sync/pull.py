"""Inbound sync: CRM → contacts, page by page. A run survives its worker: the cursor is stored with the work it covers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from integrations.connections import (
    fresh_schema,
    open_provider,
    record_failure,
    record_success,
    refresh_schema,
)
from integrations.models import Connection
from integrations.providers.base import Page, Provider, Record
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    NeedsAttention,
    ProviderError,
    RateLimited,
    Transient,
)
from mappings.compile import Rules, compile_rules
from sync import issues
from sync.apply import Applying, apply_records, applying
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.models import ExternalRecord, RecordState, RunState, SyncIssue, SyncRun
from sync.runs import WORKABLE, finish

log = structlog.get_logger(__name__)
CHUNK = 200
STRETCH = 10.0
PATIENCE = 60.0
LEASE = timedelta(minutes=3)
_WORDS = {
    "no_phone": ("have no phone number", "Fill in the mapped phone field in the CRM, or map another one."),
    "bad_phone": ("have a phone number that is not valid", "Correct the numbers in the CRM, or set the connection's country."),
    "duplicate_number": ("share their number with a linked record", "Merge the records in the CRM, if they are one person."),
}  # fmt: skip


class _Taken(Exception):
    """The run is somebody else's by now: ended, or claimed again after our lease."""


def pull_some() -> int:
    """Claim one due run and work on it for at most ten seconds; returns 1 if there was one."""
    run = _claim()
    if run is None:
        return 0
    _work(run)
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


def _work(run: SyncRun) -> None:
    """One stretch of a run; whatever happens ends in a state that says what, and in a released lease."""
    connection = run.connection
    try:
        with open_provider(connection) as provider:
            fresh_schema(connection, provider)
            rules = compile_rules(connection)
            check_rules(rules)
            _start(run)
            _pages(run, provider, rules)
    except _Taken:
        log.info("run_taken", run=run.pk)
    except ConfigError as error:
        # A field may have gone since the schema was cached: with a fresh one the other mappings can go on.
        _retry_with_fresh_schema(run, error)
    except ProviderError as error:
        _stumble(run, error)
    except Exception:
        log.exception("run_broke", run=run.pk)
        words = "The run met an error of our own. The server's log has the details."
        if _mine(run).exists():
            finish(run, RunState.FAILED, code="internal", error=words)
        raise


def _mine(run: SyncRun) -> QuerySet[SyncRun]:
    """The run's row as long as our lease is the last one given."""
    return SyncRun.objects.filter(pk=run.pk, state__in=WORKABLE, claimed_until=run.claimed_until)


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


def _start(run: SyncRun) -> None:
    if run.state == RunState.QUEUED:
        run.state, run.started_at = RunState.RUNNING, timezone.now()
        run.save(update_fields=["state", "started_at"])


def _pages(run: SyncRun, provider: Provider, rules: Rules) -> None:
    until = time.monotonic() + STRETCH
    full = run.kind == SyncRun.Kind.FULL
    ctx = applying(run.connection, rules, run.ref)
    for page in provider.changes(run.cursor, rules.external_names, full=full):
        _apply_page(run, ctx, page)
        if page.last:
            _complete(run, rules)
            return
        if time.monotonic() > until:
            _mine(run).update(claimed_until=None, next_attempt_at=timezone.now())
            return
        ctx = applying(run.connection, rules, run.ref)
    raise ProviderError("The listing ended without a last page.", code="no_last_page")


def _apply_page(run: SyncRun, ctx: Applying, page: Page) -> None:
    chunks = [page.records[i : i + CHUNK] for i in range(0, len(page.records), CHUNK)] or [[]]
    for number, chunk in enumerate(chunks, 1):
        _apply_chunk(run, ctx, chunk, page if number == len(chunks) else None)


def _apply_chunk(run: SyncRun, ctx: Applying, chunk: Sequence[Record], done: Page | None) -> None:
    """One chunk, one short transaction; the page's cursor goes with its last one. What a race upset is tried again."""
    for attempt in range(4):
        ctx.counts = Counter()
        until = timezone.now() + LEASE
        try:
            with transaction.atomic():
                apply_records(ctx, chunk)
                _progress(run, ctx.counts, len(chunk), done, until)
            run.claimed_until = until
            return
        except (IntegrityError, OperationalError):
            # Another connection or a conversation created one of these contacts meanwhile: now it can be found. Or the
            # database broke a deadlock with it.
            if attempt == 3:
                raise
            run.refresh_from_db(fields=["counts", "done", "cursor", "total", "attempts"])


def _progress(run: SyncRun, counts: Counter[str], records: int, done: Page | None, until: datetime) -> None:
    """Store how far the run is and lengthen its lease. Raises _Taken where it is no longer ours."""
    run.count(**counts)
    run.done += records
    if done is not None:
        run.cursor, run.total = done.cursor, done.total or run.total
        run.attempts = 0
    fields = {name: getattr(run, name) for name in ("counts", "done", "cursor", "total", "attempts")}
    if not _mine(run).filter(state=RunState.RUNNING).update(**fields, claimed_until=until):
        raise _Taken


def _complete(run: SyncRun, rules: Rules) -> None:
    connection, now = run.connection, timezone.now()
    with transaction.atomic():
        if not _mine(run).select_for_update().exists():
            raise _Taken
        first = {"first_full_run_at": now} if connection.first_full_run_at is None else {}
        Connection.objects.filter(pk=connection.pk).update(cursor=run.cursor, **first)
        _report_skipped(connection)
        for mapping, problem in rules.broken.items():
            message = f"The mapping {mapping} does nothing: {problem}"
            issues.report(
                connection,
                "broken_mapping",
                field=mapping,
                message=message,
                advice="Change or remove the mapping.",
                count=1,
            )
        _close_mended(connection, rules)
        state = RunState.PARTIAL if rules.broken else RunState.SUCCEEDED
        error = "; ".join(f"{mapping}: {problem}" for mapping, problem in rules.broken.items())
        finish(run, state, code="broken_mapping" if rules.broken else "", error=error)
    issues.resolve(connection, kind="run_failed")
    record_success(connection)


def _close_mended(connection: Connection, rules: Rules) -> None:
    rows = SyncIssue.objects.filter(connection=connection, kind="broken_mapping", state__in=issues.OPEN)
    rows.exclude(field__in=rules.broken).update(state=SyncIssue.State.RESOLVED, closed_at=timezone.now())


def _report_skipped(connection: Connection) -> None:
    """One aggregate issue a reason: thousands of records without a phone are one thing to know."""
    rows = ExternalRecord.objects.filter(connection=connection, state=RecordState.SKIPPED)
    for reason, (words, advice) in _WORDS.items():
        count = rows.filter(reason=reason).count()
        if count:
            message = f"{count} CRM records {words} and are not in the contact book."
            issues.report(connection, reason, message=message, advice=advice, count=count)
        else:
            issues.resolve(connection, kind=reason)


def _stumble(run: SyncRun, error: ProviderError) -> None:
    """What an error means for the run: wait and go on, or end with the reason."""
    if not _mine(run).exists():
        return
    if isinstance(error, RateLimited):
        record_failure(run.connection, error)
        _release(run, timezone.now() + timedelta(seconds=error.retry_after), error)
    elif isinstance(error, Transient) and run.attempts + 1 < MAX_ATTEMPTS:
        _mine(run).update(attempts=F("attempts") + 1)
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
        advice = (
            "Enter new credentials and test the connection."
            if isinstance(error, AuthError)
            else "Mend the cause and sync again."
        )
        issues.report(
            run.connection,
            "run_failed",
            message=f"The sync stopped: {error.message}",
            advice=advice,
            field=error.field,
        )


def _release(run: SyncRun, when: datetime, error: ProviderError) -> None:
    _mine(run).update(
        claimed_until=None, next_attempt_at=when, error_code=error.code[:64], error=error.message[:500]
    )
