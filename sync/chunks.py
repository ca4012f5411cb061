"""One chunk of a run: applied in one short transaction with the progress that it makes, or not at all.

What a race upset is tried again. A record that our own code cannot digest is left out and reported, so that it holds back
no other. A chunk that would overwrite too much is rolled back (see sync.breaker).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from integrations.providers.base import Page, Record
from sync import breaker, issues
from sync.apply import apply_records
from sync.models import RunState, SyncIssue, SyncRun
from sync.runs import mine
from sync.settling import Applying

log = structlog.get_logger(__name__)
CHUNK, SMALLEST = 200, 25
HOLD = 0.05
LEASE = timedelta(minutes=3)
BAD_RECORDS, FEW = 20, 3
_PROGRESS = ("counts", "done", "cursor", "total", "attempts", "overwrites", "listed_at")


class Taken(Exception):
    """The run is somebody else's by now: ended, or claimed again after our lease."""


class TooManyBad(Exception):
    """So many records, or so large a part of them, broke our own code that it is not the records."""


def apply_page(
    run: SyncRun, ctx: Applying, page: Page, also: Callable[[Sequence[Record]], None] | None
) -> None:
    """Apply a page in chunks; its cursor is stored with the last one. `also` runs in each chunk's transaction.

    A chunk is as large as fits into about HOLD seconds on this machine: others wait for its locks.
    """
    start, size = 0, min(CHUNK, ctx.chunk or CHUNK)
    while True:
        chunk = page.records[start : start + size]
        start += size
        last = start >= len(page.records)
        apply_chunk(run, ctx, chunk, done=page if last else None, also=also)
        if len(chunk) == size:
            size = ctx.chunk = _fitting(size, ctx.held)
        if last:
            return


def _fitting(size: int, held: float) -> int:
    wanted = int(size * HOLD / max(held, 0.001))
    return max(min(wanted, size * 2, CHUNK), size // 2, min(SMALLEST, CHUNK))


def apply_chunk(
    run: SyncRun,
    ctx: Applying,
    records: Sequence[Record],
    *,
    done: Page | None = None,
    also: Callable[[Sequence[Record]], None] | None = None,
    counted: bool = True,
) -> None:
    """Apply records and store the run's progress. Raises Taken, breaker.Tripped and TooManyBad.

    `done`: the page that ends with them. `counted`: whether they belong to the listing whose progress is shown.
    """
    if _applied(run, ctx, records, done, also, counted=counted):
        return
    if len(records) == 1:
        _leave_out(run, records[0], done)
        return
    half = len(records) // 2
    apply_chunk(run, ctx, records[:half], also=also, counted=counted)
    apply_chunk(run, ctx, records[half:], done=done, also=also, counted=counted)


def _applied(
    run: SyncRun,
    ctx: Applying,
    records: Sequence[Record],
    done: Page | None,
    also: Callable[[Sequence[Record]], None] | None,
    *,
    counted: bool,
) -> bool:
    """Whether the records were applied; False where one of them breaks our own code."""
    try:
        _apply(run, ctx, records, done, also, counted=counted)
    except (Taken, breaker.Tripped, IntegrityError, OperationalError):
        raise
    except Exception:
        if not records:
            raise
        _restore(run)
        log.exception("records_broke", run=run.pk, records=len(records))
        return False
    return True


def _apply(
    run: SyncRun,
    ctx: Applying,
    records: Sequence[Record],
    done: Page | None,
    also: Callable[[Sequence[Record]], None] | None,
    *,
    counted: bool,
) -> None:
    for attempt in range(4):
        ctx.counts, ctx.written, ctx.ended = Counter(), [], []
        until = timezone.now() + LEASE
        try:
            with transaction.atomic():
                began = time.perf_counter()
                apply_records(ctx, records)
                breaker.count_chunk(run, ctx)
                if also:
                    also(records)
                _progress(run, ctx.counts, len(records) if counted else 0, done, until)
            ctx.held = time.perf_counter() - began
            run.claimed_until = until
            return
        except (IntegrityError, OperationalError):
            # Another connection or a conversation created one of these contacts meanwhile: now it can be found. Or the
            # database broke a deadlock with it.
            if attempt == 3:
                raise
            _restore(run)
        except breaker.Tripped:
            _restore(run)
            raise


def _progress(run: SyncRun, counts: Counter[str], records: int, done: Page | None, until: datetime) -> None:
    """Store how far the run is and lengthen its lease. Raises Taken where it is no longer ours."""
    run.count(**counts)
    run.done += records
    if done is not None:
        run.cursor, run.total = done.cursor, done.total or run.total
        run.attempts = 0
        run.listed_at = timezone.now() if done.last else None
    fields = {name: getattr(run, name) for name in _PROGRESS}
    if not mine(run).filter(state=RunState.RUNNING).update(**fields, claimed_until=until):
        raise Taken


def _restore(run: SyncRun) -> None:
    """The chunk was rolled back: the run in memory must say what the row says."""
    run.refresh_from_db(fields=_PROGRESS)


def _leave_out(run: SyncRun, record: Record, done: Page | None) -> None:
    failed = run.counts.get("failed", 0) + 1
    if failed > BAD_RECORDS or (failed > FEW and failed * 2 > run.done + 1):
        raise TooManyBad
    until = timezone.now() + LEASE
    with transaction.atomic():
        issues.report(run.connection, "record_failed", external_id=record.external_id, count=1)
        _progress(run, Counter(failed=1), 1, done, until)
    run.claimed_until = until


def heal(run: SyncRun, records: Sequence[Record]) -> None:
    """Close the issues of records that could not be read in before and have been now."""
    ids = [record.external_id for record in records]
    if ids:
        issues.resolve(run.connection, kind="record_failed", external_id__in=ids)


def has_bad_records(run: SyncRun) -> bool:
    """Whether the connection has records that could not be read in."""
    rows = SyncIssue.objects.filter(connection=run.connection, kind="record_failed")
    return rows.exclude(state=SyncIssue.State.RESOLVED).exists()
