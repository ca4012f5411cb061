"""The day's API calls: counted by what they were for, shown with a forecast, and shared out.

Reads in the background stop at 80 % of the day's quota, what a conversation caused goes on to 95 %: the rest is left
to the customer's other software. The vendor's own count is the truth; it is read from its answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import F
from django.utils import timezone

from integrations.models import ApiUse, Connection
from integrations.pace import limit_key, take_turn
from integrations.providers.errors import RateLimited
from integrations.providers.registry import PROVIDERS

BUDGET = "budget"
"""The `scope` of our own refusals: they hold back one kind of work and do not pause the connection."""
LATER = 900.0
# An older reading says nothing: a call is let through, and its answer tells anew.
FRESH = timedelta(hours=1)
_WRITE_EVERY = timedelta(seconds=30)


class Purpose(StrEnum):
    """What calls are for."""

    PULL = "pull"
    PUSH = "push"
    ACTIVITY = "activity"
    SCHEMA = "schema"
    AUTH = "auth"
    CHECK = "check"


SHARES: Mapping[Purpose, float] = {
    Purpose.PULL: 0.80,
    Purpose.SCHEMA: 0.80,
    Purpose.PUSH: 0.95,
    Purpose.ACTIVITY: 0.95,
}


class Meter:
    """Between one opened provider and the shared state: counts its calls and lets them through in turn."""

    def __init__(self, connection: Connection, purpose: Purpose) -> None:
        self._connection, self._purpose = connection, purpose
        self._entry = PROVIDERS[connection.provider]
        self._counts: Counter[str] = Counter()
        self._stored_at: datetime | None = None

    def count(self, kind: str) -> None:
        """One more request; `kind` as in Setup.count."""
        self._counts[kind or self._purpose.value] += 1

    def admit(self, kind: str) -> None:
        """Return when a call of this kind may be sent. Raises RateLimited."""
        self._check_budget()
        rate = self._entry.rates.get(kind) or self._entry.rates.get("")
        if rate is not None:
            credential = self._connection.credentials.get(self._entry.shared_by, "")
            whose = self._connection.web_base if rate.of_account else ""
            named = kind if kind in self._entry.rates else ""
            key = limit_key(whose or credential, self._connection.tenant_url, named)
            take_turn(key, rate.scaled(self._connection.quota.get("burst")))

    def note(self, told: Mapping[str, int]) -> None:
        """What the vendor says about its limits; stored now and then, and at the end."""
        self._connection.quota = {**self._connection.quota, **told, "at": timezone.now().isoformat()}
        if self._stored_at is None or timezone.now() - self._stored_at > _WRITE_EVERY:
            self._store_quota()

    def close(self) -> None:
        """Store what has been counted and told."""
        if not self._counts:
            return
        if self._stored_at is not None:
            self._store_quota()
        today, counts = timezone.now().date(), dict(self._counts)
        self._counts.clear()
        rows = ApiUse.objects.filter(connection_id=self._connection.pk, day=today)
        for purpose, calls in counts.items():
            row = rows.filter(purpose=purpose)
            if row.update(calls=F("calls") + calls) or not self._exists():
                continue
            new = ApiUse(connection_id=self._connection.pk, day=today, purpose=purpose)
            ApiUse.objects.bulk_create([new], ignore_conflicts=True)
            row.update(calls=F("calls") + calls)

    def _check_budget(self) -> None:
        share, quota = SHARES.get(self._purpose, 1.0), self._connection.quota
        used, total = quota.get("used"), quota.get("total")
        if not total or used is None or used < share * total or not _fresh(quota):
            return
        what = "reading in the background" if share < 0.9 else "writing"
        words = f"{used:,} of the {total:,} API calls of the day are used; {what} waits from {share:.0%} on."
        raise RateLimited(words, retry_after=LATER, daily=True, scope=BUDGET, code="own_budget")

    def _store_quota(self) -> None:
        self._stored_at = timezone.now()
        Connection.objects.filter(pk=self._connection.pk).update(quota=self._connection.quota)

    def _exists(self) -> bool:
        return Connection.objects.filter(pk=self._connection.pk).exists()


@dataclass(frozen=True, slots=True)
class Usage:
    """The day's calls of one connection.

    `used` of `total`: the vendor's count at `at`, all software of the customer together; None where it tells none.
    `purposes`: our own calls today (UTC) by what they were for. `forecast`: what `used` will be at midnight if our
    calls go on as today. `waiting`: "", "reads" or "writes", which wait until less is used.
    """

    used: int | None
    total: int | None
    at: datetime | None
    purposes: Mapping[str, int]
    forecast: int | None
    waiting: str

    @property
    def today(self) -> int:
        """All our calls today."""
        return sum(self.purposes.values())

    @property
    def share(self) -> float | None:
        """How much of the day's quota is used, 0 to 1."""
        return None if not self.total or self.used is None else self.used / self.total


def usage(connection: Connection, now: datetime | None = None) -> Usage:
    """How much of the day's quota is used, for what, and where that leads. One query, no call."""
    now = now or timezone.now()
    rows = ApiUse.objects.filter(connection=connection, day=now.date()).order_by("-calls")
    purposes = dict(rows.values_list("purpose", "calls"))
    quota: dict[str, Any] = connection.quota
    used, total = quota.get("used"), quota.get("total")
    elapsed = max(3600.0, (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds())
    to_come = sum(purposes.values()) / elapsed * (86_400 - min(elapsed, 86_400))
    share = used / total if total and used is not None and _fresh(quota) else 0.0
    return Usage(
        used=used,
        total=total,
        at=datetime.fromisoformat(quota["at"]) if quota.get("at") else None,
        purposes=purposes,
        forecast=None if used is None else used + round(to_come),
        waiting="writes"
        if share >= SHARES[Purpose.PUSH]
        else "reads"
        if share >= SHARES[Purpose.PULL]
        else "",
    )


def _fresh(quota: Mapping[str, Any]) -> bool:
    at = quota.get("at")
    return at is not None and timezone.now() - datetime.fromisoformat(at) < FRESH
