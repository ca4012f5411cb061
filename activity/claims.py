"""Take due rows for a while: whoever dies with them gives them back by time.

Any model with `claimed_until` can be claimed. PostgreSQL skips rows that another worker is just taking; SQLite's
immediate transactions let workers take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone


def free(now: datetime) -> Q:
    """Rows that nobody holds."""
    return Q(claimed_until=None) | Q(claimed_until__lte=now)


def claim(due: QuerySet[Any], *, limit: int, lease: timedelta) -> tuple[list[int], datetime]:
    """Take at most `limit` unclaimed rows of `due`, in its order; returns their ids and the end of the lease."""
    now = timezone.now()
    until = now + lease
    with transaction.atomic():
        rows = due.filter(free(now)).select_for_update(skip_locked=True, no_key=True, of=("self",))
        ids = list(rows.values_list("pk", flat=True)[:limit])
        due.model._default_manager.filter(pk__in=ids).update(claimed_until=until)
    return ids, until


def hold(model: type[Model], pk: int, until: datetime, **changes: Any) -> bool:
    """Write `changes` to a claimed row; False when the lease has run out and another worker has taken it."""
    return bool(model._default_manager.filter(pk=pk, claimed_until=until).update(**changes))


def release(model: type[Model], ids: Sequence[int], until: datetime) -> None:
    """Give back rows that were claimed and not begun."""
    model._default_manager.filter(pk__in=ids, claimed_until=until).update(claimed_until=None)


def stretch(seconds: float) -> Callable[[], bool]:
    """A question to ask between two pieces of work: is there time for one more, before the task's worker is stopped?"""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until
