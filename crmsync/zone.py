"""The reader's time zone: a small script tells it in a cookie, and pages write and read dates in it.

Without the cookie, or where this machine does not know the zone, it is TIME_ZONE. The API and its clients have UTC always.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "zone"
LONGEST = 64
FOR_MACHINES = ("/api/", "/webhooks/", "/healthz", "/readyz", "/metrics")


class ReaderZone:
    """Puts the zone of the cookie around everything that makes a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = (
            None
            if request.path_info.startswith(FOR_MACHINES)
            else zone_named(request.COOKIES.get(COOKIE, ""))
        )
        if zone is None:
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)


@lru_cache(maxsize=700)
def zone_named(quoted: str) -> ZoneInfo | None:
    """The zone of an IANA name like "Europe/Berlin", as the cookie quotes it; None for anything else."""
    name = unquote(quoted)
    if not name or len(name) > LONGEST:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
