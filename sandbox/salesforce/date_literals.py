"""SOQL's words for spans of days: TODAY, LAST_MONTH, LAST_N_DAYS:3. Weeks begin on Sunday, as in the United States."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DAYS = {"YESTERDAY": (-1, 0), "TODAY": (0, 1), "TOMORROW": (1, 2)}
_UNITS = "DAY|WEEK|MONTH|QUARTER|YEAR"
_NEAR = re.compile(rf"(THIS|LAST|NEXT)_({_UNITS.removeprefix('DAY|')})")
_MANY = re.compile(rf"(LAST|NEXT)_(?:N_({_UNITS})S:(\d{{1,4}})|(90)_DAYS)")
_AGO = re.compile(rf"N_({_UNITS})S_AGO:(\d{{1,4}})")
_SHIFTS = {"THIS": (0, 1), "LAST": (-1, 0), "NEXT": (1, 2)}


def span(word: str, today: date) -> tuple[date, date] | None:
    """The first day, and the one after the last; None for a word that is no such literal.

    >>> span("LAST_MONTH", date(2026, 3, 15))
    (datetime.date(2026, 2, 1), datetime.date(2026, 3, 1))
    """
    word = word.upper()
    unit, shifts = "DAY", _DAYS.get(word)
    if found := _NEAR.fullmatch(word):
        unit, shifts = found[2], _SHIFTS[found[1]]
    elif found := _AGO.fullmatch(word):
        unit, number = found[1], int(found[2])
        shifts = (-number, -number + 1)
    elif found := _MANY.fullmatch(word):
        unit, number = found[2] or "DAY", int(found[3] or found[4])
        last = (-number, 1 if unit == "DAY" else 0)  # of days, today counts with the last ones
        shifts = last if found[1] == "LAST" else (1, number + 1)
    try:
        return (_start(unit, today, shifts[0]), _start(unit, today, shifts[1])) if shifts else None
    except (OverflowError, ValueError):
        return None


def _start(unit: str, today: date, shift: int) -> date:
    if unit == "DAY":
        return today + timedelta(days=shift)
    if unit == "WEEK":
        return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=shift)
    length = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
    months = (today.year * 12 + today.month - 1) // length * length + shift * length
    return date(months // 12, months % 12 + 1, 1)
