"""Repeats below the vendors' libraries are calls, too: the CRM counts them, so do we."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from urllib3.util.retry import Retry


def _nobody(_url: str) -> None:
    return None


class CountedRetry(Retry):
    """urllib3's Retry; `again` is told the address of every request that is sent once more."""

    again: Callable[[str], None] = staticmethod(_nobody)

    def new(self, **kwargs: Any) -> Self:
        """The same rules with other numbers left."""
        made = super().new(**kwargs)
        made.again = self.again
        return made

    def increment(self, method: str | None = None, url: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """The state for the next try. Raises where there is none."""
        following = super().increment(method, url, *args, **kwargs)
        self.again(url or "")
        return following
