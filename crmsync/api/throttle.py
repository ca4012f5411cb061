"""Requests a minute, for each API key and over all processes, without a write for each request.

A key's turns are a row: its `free_at` is the moment until which turns are taken, moved by one conditional update. A
process draws a twentieth of the minute's turns at once and gives them out by itself, so that the limit is exact to that
share, and one request in many costs a write. A minute's turns may be used in one go.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from crmsync.api_keys import ApiKey

if TYPE_CHECKING:  # the framework's views load this module as their default
    from rest_framework.views import APIView

MINUTE = 60.0
SHARE = 20
_lock = threading.Lock()
_drawn: dict[str, Drawn] = {}


@dataclass(slots=True)
class Drawn:
    """Turns that this process may still give out, for a minute."""

    rate: int
    left: int
    until: float


class TooManyRequests(APIException):
    """The key has used up its turns; `wait` seconds from now it has one again."""

    status_code = 429
    default_code = "throttled"

    def __init__(self, rate: int, wait: float) -> None:
        self.wait = max(1, math.ceil(wait))
        super().__init__(
            f"This API key has made more than {rate} requests a minute. Send it again in {self.wait} s."
        )


class PerKey(BaseThrottle):
    """Holds a key to its rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 (the framework's signature)
        """True, or raises TooManyRequests."""
        if isinstance(request.auth, ApiKey) and (rate := rate_of(request.auth)):
            wait = take_turn(request.auth, rate)
            if wait:
                raise TooManyRequests(rate, wait)
        return True


def rate_of(key: ApiKey) -> int:
    """The key's requests a minute; 0 means that there is no limit."""
    return int(settings.CRMSYNC_API_RATE if key.rate is None else key.rate)


def take_turn(key: ApiKey, rate: int, *, clock: Callable[[], float] = time.time) -> float:
    """Take a turn for one request: 0, or the seconds until there is one."""
    now = clock()
    with _lock:
        drawn = _drawn.get(key.key_hash)
        if drawn and drawn.left > 0 and drawn.rate == rate and 0 <= drawn.until - now <= MINUTE:
            drawn.left -= 1
            return 0.0
    granted, wait = _draw(key, rate, now)
    if granted:
        with _lock:
            _drawn[key.key_hash] = Drawn(rate, granted - 1, now + MINUTE)
    return wait


def forget_turns() -> None:
    """Give up what this process has drawn, as a new process would know nothing of it."""
    with _lock:
        _drawn.clear()


def _draw(key: ApiKey, rate: int, now: float) -> tuple[int, float]:
    """(turns, 0) taken from the row, or (0, seconds until there is one)."""
    interval = MINUTE / rate
    free_at = key.free_at
    while True:
        # A row far in the future was written by a clock that has been set back since.
        start = now if free_at > now + 2 * MINUTE else max(free_at, now)
        room = math.floor((now + MINUTE - start) / interval + 1e-6)
        if room < 1:
            return 0, start + interval - MINUTE - now
        turns = min(max(1, rate // SHARE), room)
        row = ApiKey.objects.filter(pk=key.pk)
        if row.filter(free_at=free_at).update(free_at=start + turns * interval):
            return turns, 0.0
        free_at = row.values_list("free_at", flat=True).get()
