"""Bars of the last day and week for an SVG that the server writes: heights, words to hover, and the same as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from contacts.shown import number
from crmsync.pulse import Pulse

WIDTH, HEIGHT = 280.0, 60.0
GAP = 2.0
QUARTERS = 4
LOWEST = 1.5  # a bar for little is still seen
SPANS = (("The last day", 24, timedelta(hours=1)), ("The last week", 28, timedelta(hours=6)))
SERIES: tuple[tuple[str, str, Callable[[Iterable[int]], int]], ...] = (
    ("changes", "Changes of contacts", sum),
    ("conversations", "Conversations", sum),
    ("waiting", "Waiting, at most", max),
)
Look = tuple[datetime, int, int, int]


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time in SVG units, with its words."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Series:
    """One row of bars. `said` sums it up for whoever does not see it."""

    key: str
    label: str
    bars: list[Bar]
    figure: int
    said: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One span of time. `rows` is the table: when each stretch begins, and its figures (None: nobody looked).

    `ticks` stand under the bars, evenly from the first moment to now.
    """

    title: str
    key: str
    since: datetime
    ticks: list[str]
    series: list[Series]
    rows: list[tuple[datetime, list[int | None]]]


def charts(now: datetime | None = None) -> list[Chart]:
    """The last day by hours and the last week by six hours; none before the first look. One query."""
    now = now or timezone.now()
    since = now - max(count * size for _, count, size in SPANS)
    rows = Pulse.objects.filter(at__gt=since).order_by("at")
    looks: list[Look] = list(rows.values_list("at", "changes", "conversations", "waiting"))
    return [_chart(title, count, size, looks, now) for title, count, size in SPANS] if looks else []


def _chart(title: str, count: int, size: timedelta, looks: Sequence[Look], now: datetime) -> Chart:
    since = now - count * size
    stretches: list[list[Look]] = [[] for _ in range(count)]
    for look in looks:
        place = (look[0] - since) // size
        if 0 <= place <= count:
            stretches[min(place, count - 1)].append(look)
    figures = [
        [combine(look[1:][column] for look in some) if some else None for some in stretches]
        for column, (_, _, combine) in enumerate(SERIES)
    ]
    starts = [since + place * size for place in range(count)]
    series = [
        _series(key, label, combine, values, starts)
        for (key, label, combine), values in zip(SERIES, figures, strict=True)
    ]
    table = [(at, list(values)) for at, *values in zip(starts, *figures, strict=True)]
    return Chart(title, title.rsplit(maxsplit=1)[-1], since, _ticks(since, now), series, table)


def _ticks(since: datetime, now: datetime) -> list[str]:
    """The reader's time of day at a few places of a day, the date at those of a longer span; the last is now."""
    quarter = (now - since) / QUARTERS
    form = "%H:%M" if now - since <= timedelta(days=1) else "%-d %b"
    return [f"{timezone.localtime(since + place * quarter):{form}}" for place in range(QUARTERS)] + ["now"]


def _series(
    key: str,
    label: str,
    combine: Callable[[Iterable[int]], int],
    values: Sequence[int | None],
    starts: Sequence[datetime],
) -> Series:
    known = [value for value in values if value is not None]
    top, figure = max(known, default=0), combine(known) if known else 0
    width = WIDTH / len(values)
    bars = []
    for place, (value, start) in enumerate(zip(values, starts, strict=True)):
        if not value:
            continue
        height = max(HEIGHT * value / top, LOWEST)
        words = f"{number(value)} from {timezone.localtime(start):%-d %b, %H:%M}"
        bars.append(Bar(place * width, HEIGHT - height, width - GAP, height, words))
    most = max(bars, key=lambda bar: bar.height, default=None)
    said = f"{label}: {number(figure)}." + (f" The most: {most.words}." if most and combine is sum else "")
    return Series(key, label, bars, figure, said)
