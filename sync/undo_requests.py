"""Undo as work: asked for by a person, done by the workers in short stretches, resumed after the last batch that was written."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from sync.backoff import next_attempt
from sync.models import UndoRequest
from sync.undo import UndoResult, undo_batch
from sync.undo_plan import Undone, of_ref
from sync.wake import wake

logger = structlog.get_logger(__name__)
STRETCH = 5.0
MAX_ATTEMPTS = 5
LEASE = timedelta(minutes=3)
State = UndoRequest.State


class UndoOpen(Exception):
    """The same undo is already on its way; `request` is that one."""

    def __init__(self, request: UndoRequest) -> None:
        super().__init__(f"The {request} is already on its way.")
        self.request = request


def request_undo(undone: Undone, by: str) -> UndoRequest:
    """Have the workers take something back (see `sync.undo_plan.of_run`). Raises UndoOpen when they are at it already."""
    request = UndoRequest(ref=undone.ref, words=undone.words[:150], requested_by=by[:150])
    try:
        with transaction.atomic():
            request.save()
    except IntegrityError:
        raise UndoOpen(
            UndoRequest.objects.get(ref=undone.ref, state__in=[State.QUEUED, State.RUNNING])
        ) from None
    wake()
    return request


def undo_some() -> int:
    """Claim one undo and work on it for a few seconds; returns how many contacts were looked at.

    One that breaks is tried again a little later, and given up when nothing could be written five times in a row.
    """
    request = _claim()
    if request is None:
        return 0
    try:
        return _work_on(request)
    except Exception as error:
        # Ours: loud, and no reason to hold back the other work of the drain.
        logger.exception("undo_broke", undo=request.pk)
        _broke(request.pk, type(error).__name__)
        return 1


def _work_on(request: UndoRequest) -> int:
    undone = of_ref(request.ref, request.words)
    until, handled = time.monotonic() + STRETCH, 0
    while request.state != State.DONE and time.monotonic() < until:
        handled += _batch(request, undone)
    UndoRequest.objects.filter(pk=request.pk).update(claimed_until=None)
    return max(handled, 1)


def _broke(pk: int, what: str) -> None:
    """Note a failure of ours: try again later, or give up. What the batches before have written stays."""
    row = UndoRequest.objects.filter(pk=pk)
    attempts = row.values_list("attempts", flat=True).get()
    if attempts < MAX_ATTEMPTS:
        row.update(claimed_until=next_attempt(attempts))
        return
    reason = f"Our own error ({what}), {attempts} times in a row; the server's log has the details. It can be asked again."
    row.update(state=State.FAILED, error=reason[:200], claimed_until=None, finished_at=timezone.now())


def _claim() -> UndoRequest | None:
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = UndoRequest.objects.filter(free, state__in=[State.QUEUED, State.RUNNING])
    for pk in due.order_by("id").values_list("pk", flat=True)[:5]:
        if due.filter(pk=pk).update(
            claimed_until=now + LEASE, state=State.RUNNING, attempts=F("attempts") + 1
        ):
            return UndoRequest.objects.get(pk=pk)
    return None


def _batch(request: UndoRequest, undone: Undone) -> int:
    """One batch and its counts, in one transaction: what is counted is what was written."""
    result = UndoResult(limit=0, position=request.position)
    with transaction.atomic():
        undo_batch(undone, result, request.requested_by)
        request.position = result.position
        request.looked_at += result.looked_at
        request.contacts += result.contacts
        request.restored += result.restored
        request.skipped = dict(Counter(request.skipped) + result.skipped)
        request.stays_here = dict(Counter(request.stays_here) + result.stays_here)
        request.claimed_until, request.attempts = timezone.now() + LEASE, 0
        if result.done:
            request.state, request.finished_at = State.DONE, timezone.now()
        request.save()
    return result.looked_at
