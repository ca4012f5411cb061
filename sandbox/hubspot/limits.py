"""Limits: a rolling ten seconds, five searches a second, a day; always counted, enforced on demand."""

from __future__ import annotations

from collections import deque
from typing import Any

from sandbox.hubspot.errors import rate_limit
from sandbox.hubspot.stamps import DAY


class Limits:
    """What the app has used. Times are epoch milliseconds of the portal's clock."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._calls: deque[int] = deque()
        self._searches: deque[int] = deque()
        self._day, self.today = 0, 0

    def admit(self, now: int, search: bool) -> None:
        """Count one request; raises a 429 of the policy that is used up when limits are enforced."""
        if now // DAY != self._day:
            self._day, self.today = now // DAY, 0
        queue, span = (self._searches, 1_000) if search else (self._calls, 10_000)
        if queue and queue[-1] > now:
            queue.clear()  # the clock was set back
        while queue and queue[0] <= now - span:
            queue.popleft()
        if self._settings["enforce_limits"]:
            self._enforce(len(queue), search)
        queue.append(now)
        self.today += 1

    def _enforce(self, used: int, search: bool) -> None:
        wait = self._settings["retry_after"] or None
        if self.today >= self._settings["daily_limit"]:
            raise rate_limit("DAILY", wait)
        if used >= self._settings["search_limit" if search else "ten_second_limit"]:
            raise rate_limit("SECONDLY" if search else "TEN_SECONDLY_ROLLING", wait)

    def headers(self) -> dict[str, str]:
        """What every answer but a search's tells about use."""
        most, daily = self._settings["ten_second_limit"], self._settings["daily_limit"]
        numbers = {
            "max": most,
            "remaining": max(0, most - len(self._calls)),
            "interval-milliseconds": 10_000,
            "secondly": most // 10,
            "secondly-remaining": max(0, most // 10 - 1),
        }
        if self._settings["daily_headers"]:
            numbers |= {"daily": daily, "daily-remaining": max(0, daily - self.today)}
        return {f"x-hubspot-ratelimit-{name}": str(number) for name, number in numbers.items()}
