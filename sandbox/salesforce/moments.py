"""Dates and times as the API writes them, in one fixed text form, so that they compare as text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")


def written(moment: datetime) -> str:
    """`2026-01-01T00:00:00.000+0000`; milliseconds are lost, as in the vendor's storage."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def literal(text: str) -> str | None:
    """A datetime with a zone in the written form, milliseconds kept (for comparing); None when it is none."""
    if not _DATETIME.match(text):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d+)", lambda m: f"{m[1]:0<7}"[:7], text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (
        moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"
        if _in_range(moment)
        else None
    )


def stored(text: str) -> str | None:
    """A datetime as it is stored: whole seconds; None when the text is not a datetime with a zone."""
    exact = literal(text)
    return exact and exact[:20] + "000+0000"


def day(text: str) -> str | None:
    """A strict `YYYY-MM-DD`, or None."""
    if not _DATE.match(text):
        return None
    try:
        return text if _in_range(date.fromisoformat(text)) else None
    except ValueError:
        return None


def parsed(text: str) -> datetime:
    """The moment of a written form."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def _in_range(moment: date) -> bool:
    return 1700 <= moment.year <= 4000
