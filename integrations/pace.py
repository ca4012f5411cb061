"""Rate limits shared by all processes: each call takes its turn from a row before it is sent, so none is bounced.

A turn costs one conditional update. `burst` calls may go at once, then one each 1/`per_second` seconds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from django.db.models import FloatField, Func

from integrations.models import Pace
from integrations.providers.errors import RateLimited
from integrations.providers.registry import Rate

LONGEST_WAIT = 10.0


def take_turn(
    key: str,
    rate: Rate,
    *,
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Wait until a call under the limit `key` may be sent; returns the seconds waited.

    Time is the database's unless a `clock` is given: hosts whose own clocks differ share one limit.
    Raises RateLimited, and takes no turn, when that would be longer than a worker may sleep.
    """
    interval = 1 / rate.per_second
    while True:
        free_at, now = _free_at(key)
        now = clock() if clock else now
        turn = max(free_at, now - (rate.burst - 1) * interval)
        # A row far in the future was written by a clock that has been set back since.
        turn = now if turn > now + 600 else turn
        if turn - now > LONGEST_WAIT:
            words = "Too much is waiting for its turn at the CRM."
            raise RateLimited(words, retry_after=turn - now, scope="burst", code="own_pace")
        if Pace.objects.filter(key=key, free_at=free_at).update(free_at=turn + interval):
            break
    wait = max(0.0, turn - now)
    if wait:
        sleep(wait)
    return wait


def limit_key(secret: str, address: str, kind: str) -> str:
    """The name of a limit: whose it is, without telling the credential."""
    whose = hashlib.blake2b(f"{address}\n{secret}".encode(), digest_size=16).hexdigest()
    return f"{whose}:{kind}"


def _free_at(key: str) -> tuple[float, float]:
    """When the limit is free, and what time it is, by the database's clock: one query."""
    rows = Pace.objects.filter(key=key).values_list("free_at", DatabaseClock())
    while (found := rows.first()) is None:
        Pace.objects.bulk_create([Pace(key=key)], ignore_conflicts=True)
    return float(found[0]), float(found[1])


class DatabaseClock(Func):
    """The database's wall clock in seconds since 1970; not now(), which stands still within a transaction."""

    template = "EXTRACT(EPOCH FROM clock_timestamp())::float8"
    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """In days since noon of 4714 BC, as SQLite counts, less those until 1970."""
        return self.as_sql(
            compiler, connection, template="((julianday('now') - 2440587.5) * 86400.0)", **more
        )
