"""The vendor's clock: it may be wrong on purpose, and never gives the same instant twice in one system."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus an offset in seconds; `now()` rises by at least one millisecond a call."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._last = 0

    def now(self) -> datetime:
        """The vendor's time, aware, in UTC, whole milliseconds, strictly rising."""
        milliseconds = max(int((time.time() + self.offset) * 1000), self._last + 1)
        self._last = milliseconds
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
