"""The vendor's clock: it may be wrong on purpose, and never gives the same instant twice in one system."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus `offset` seconds; `now()` rises by at least one millisecond a call."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset
        self._last = 0

    @property
    def offset(self) -> float:
        """How many seconds this vendor's clock is ahead of real time (negative: behind)."""
        return self._offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        """Set the clock; set back, it really goes back, as a vendor's clock does when it is put right."""
        self._offset = seconds
        self._last = 0

    def now(self) -> datetime:
        """The vendor's time, aware, in UTC, whole milliseconds, strictly rising until the clock is set."""
        milliseconds = max(int((time.time() + self._offset) * 1000), self._last + 1)
        self._last = milliseconds
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)

    def reading(self) -> float:
        """Epoch seconds as this clock shows them, for a Date header; takes no instant away."""
        return time.time() + self._offset
