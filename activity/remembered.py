"""Values that are read on every request and hardly ever change: kept for two seconds, forgotten when changed here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
SECONDS = 2.0
_known: list[Remembered] = []


class Remembered(Generic[T]):
    """`read` as seldom as possible: calling it gives a value at most `SECONDS` old."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._kept: tuple[float, T] | None = None
        _known.append(self)

    def __call__(self) -> T:
        """The value; read anew when it is too old."""
        kept = self._kept
        if kept is not None and time.monotonic() - kept[0] < SECONDS:
            return kept[1]
        return self.anew()

    def anew(self) -> T:
        """The value as it is now."""
        value = self._read()
        self._kept = (time.monotonic(), value)
        return value

    def forget(self) -> None:
        """Read it anew next time."""
        self._kept = None


def forget_all() -> None:
    """Read everything anew next time."""
    for remembered in _known:
        remembered.forget()
