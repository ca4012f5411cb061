"""Instants as HubSpot counts and writes them: epoch milliseconds inside, ISO 8601 in UTC outside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MILLISECONDS = re.compile(r"-?\d{1,15}")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})")


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds of an aware instant."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso(stamp: int) -> str:
    """As Java's Instant writes itself: no fraction when the milliseconds are zero, else three digits."""
    moment = EPOCH + timedelta(milliseconds=stamp)
    return moment.isoformat(timespec="milliseconds" if stamp % 1000 else "seconds").replace("+00:00", "Z")


def parse_date(text: str) -> date | None:
    """A calendar date, or None when the text is none."""
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


@lru_cache(maxsize=50_000)
def parse_instant(text: str) -> int | None:
    """Epoch milliseconds of a count of them, an ISO date or an ISO datetime with a zone; None otherwise."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    day = parse_date(text)
    if day is not None:
        return (day - EPOCH.date()).days * DAY
    if not _ISO.fullmatch(text):
        return None
    try:
        return milliseconds(datetime.fromisoformat(text))
    except ValueError:
        return None
