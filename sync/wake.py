"""Wake the workers: one queued task serves any number of rows, and a wake-up on its way is enough."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone
from django_q.tasks import async_task

from sync.models import WakeUp

DRAIN = "crmsync.tasks.drain"
LOST_AFTER = timedelta(minutes=2)
# One row, or none before the first wake-up: whether a drain is queued that has not begun.
ON_ITS_WAY = "SELECT pending FROM sync_wakeup WHERE id = 1"


def wake() -> None:
    """Have `crmsync.tasks.drain` run soon. Call it after the row that is to be worked on has been written.

    The flag is cleared by the drain before it looks for rows, so a row written before this call is always seen.
    """
    if not connection.in_atomic_block and _on_its_way():
        return
    while True:
        if WakeUp.objects.filter(pending=False).update(pending=True, at=timezone.now()) or _first():
            async_task(DRAIN)
            return
        if not connection.in_atomic_block or _held_back():
            return


def awake() -> None:
    """A worker has heard: rows written from now on need a new wake-up."""
    WakeUp.objects.filter(pending=True).update(pending=False)


def called() -> bool:
    """Whether a wake-up is on its way: something has been written that may be more urgent than what is being done."""
    return WakeUp.objects.filter(pending=True).exists()


def wake_again() -> None:
    """The safety net of the minutely sweep: a wake-up that nobody has heard for two minutes died with its worker."""
    WakeUp.objects.filter(pending=True, at__lt=timezone.now() - LOST_AFTER).update(pending=False)
    wake()


def _on_its_way() -> bool:
    """Whether a drain is queued that has not begun, by the cheapest read there is: every event asks."""
    with connection.cursor() as cursor:
        cursor.execute(ON_ITS_WAY)
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _held_back() -> bool:
    """Keep the drain that is on its way from starting before this transaction's rows can be seen; False: it has started.

    Many transactions may hold the row so at once. SQLite needs none of it: it has one writer at a time.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(f"{ON_ITS_WAY} FOR SHARE")
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _first() -> bool:
    return WakeUp.objects.get_or_create(pk=1, defaults={"pending": True})[1]
