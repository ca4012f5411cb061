"""How values look to people, wherever they are shown: status chips, moments with their age, durations, numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from contacts import phone
from contacts.values import FieldType, Value, as_text

# The colour of a state, by its code; every state of every ledger is here, and a test holds us to it.
TONES = {
    "connected": "ok", "succeeded": "ok", "done": "ok", "logged": "ok", "linked": "ok", "resolved": "ok", "applied": "ok",
    "written": "ok", "created": "ok", "updated": "ok", "positive": "ok", "successful": "ok",
    "partial": "warn", "unknown": "warn", "waiting": "warn", "not_connected": "warn", "kept_both": "warn", "gone": "warn",
    "refused": "warn", "apart": "warn", "lost": "warn",
    "open": "warn", "unsuccessful": "warn", "paused": "warn",
    "error": "bad", "failed": "bad", "parked": "bad", "negative": "bad",
    "uploaded": "info", "queued": "info", "running": "info", "pending": "info", "sending": "info", "creating": "info",
    "asking": "info", "answered": "info", "again": "info",
}  # fmt: skip


def chip(words: object, state: str = "") -> SafeString:
    """A status chip: `words` in the colour of `state` (a code in TONES, or a tone; neutral when neither)."""
    code = state or str(words)
    tone = TONES.get(code.lower(), code if code in {"ok", "warn", "bad", "info"} else "calm")
    return format_html('<span class="chip chip-{}">{}</span>', tone, words)


def exact(at: datetime) -> str:
    """The full moment in the reader's time zone: "14 May 2026, 09:30:12 UTC"."""
    local = timezone.localtime(at)
    return f"{local:%-d %b %Y, %H:%M:%S} {_zone(local)}"


def clock(at: datetime) -> str:
    """The time of day in the reader's time zone: "09:30 UTC"."""
    local = timezone.localtime(at)
    return f"{local:%H:%M} {_zone(local)}"


def _zone(local: datetime) -> str:
    """The zone's usual letters; of one that has none its distance from UTC."""
    name = local.tzname() or ""
    return f"UTC{name}" if name.startswith(("+", "-")) else name


def age(at: datetime, now: datetime | None = None) -> str:
    """How long ago, or how soon, in the words people use; a date when it is more than a month away."""
    delta = (now or timezone.now()) - at
    seconds = int(abs(delta).total_seconds())
    if seconds < 45:
        return "just now" if delta >= timedelta() else "in a moment"
    if seconds >= 30 * 86_400:
        return f"{timezone.localtime(at):%-d %b %Y}"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size or unit == "minute":
            count = max(1, round(seconds / size))
            break
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if delta >= timedelta() else f"in {words}"


def moment(at: datetime | None) -> SafeString | str:
    """A <time> element that reads as an age and tells the exact time on hover; a dash for None."""
    if at is None:
        return "–"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), age(at))


def duration(length: timedelta | None) -> str:
    """ "4 min 05 s", "1 h 12 min", "0.8 s"; a dash for None."""
    if length is None:
        return "–"
    seconds = length.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def number(value: float) -> str:
    """A number with its thousands apart from 10,000 on; smaller ones may be years or codes."""
    text = as_text(value)
    whole, point, rest = text.partition(".")
    return (f"{int(whole):,}" if abs(value) >= 10_000 else whole) + point + rest


def value(held: Value, kind: str = FieldType.STRING) -> SafeString | str:
    """A contact value by its field's type; a quiet dash for a blank."""
    if held is None or held == "":
        return format_html('<span class="quiet none" title="blank">{}</span>', "–")
    if isinstance(held, bool):
        return "Yes" if held else "No"
    if isinstance(held, int | float):
        return number(held)
    if kind == FieldType.DATETIME and (at := _read(held)):
        words = f"{timezone.localtime(at):%-d %b %Y}, {clock(at)}"
        return format_html('<time datetime="{}" title="{}">{}</time>', held, exact(at), words)
    if kind == FieldType.DATE and (day := _read(held)):
        return format_html('<time datetime="{}">{}</time>', held, f"{day:%-d %b %Y}")
    return phone.for_people(held) if kind == "phone" else held


def chips(words: list[str]) -> SafeString:
    """Several neutral chips in a row."""
    return format_html_join(" ", '<span class="chip chip-calm">{}</span>', ((word,) for word in words))


def _read(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
