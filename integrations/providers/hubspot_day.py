"""When a HubSpot account's day of API calls ends: at midnight of its own time zone. Pure.

Source: HubSpot's usage guidelines, daily limits; the zone is part of the account's details.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MARGIN = 60.0
# Refused soon after midnight: our clocks differ or the reset is late. The next midnight would be a day lost.
LATE, LOOK_AGAIN = timedelta(hours=1), 600.0
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


def zone_of(name: object, offset: object) -> str:
    """The zone to keep of an account's details: its name, or the offset where this machine does not know the name."""
    return next((text for text in (str(name or ""), str(offset or "")) if _zone(text) is not None), "")


def to_midnight(zone_name: str, now: datetime) -> float | None:
    """Seconds until the account's calls are free again; None when its zone is not known.

    >>> to_midnight("+02:00", datetime(2026, 5, 14, 21, 0, tzinfo=UTC))
    3660.0
    """
    zone = _zone(zone_name)
    if zone is None:
        return None
    local = now.astimezone(zone)
    today = datetime.combine(local.date(), time.min, tzinfo=zone)
    if now - today.astimezone(UTC) < LATE:
        return LOOK_AGAIN
    tomorrow = datetime.combine(local.date() + timedelta(days=1), time.min, tzinfo=zone)
    return (tomorrow.astimezone(UTC) - now).total_seconds() + MARGIN


def _zone(name: str) -> tzinfo | None:
    if found := _OFFSET.fullmatch(name):
        distance = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-distance if found[1] == "-" else distance) if distance < timedelta(days=1) else None
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
