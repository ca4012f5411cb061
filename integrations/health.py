"""A connection's health in one word and one sentence, for every place that shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from contacts.shown import clock
from integrations.models import Connection, ConnectionStatus

LATE_AFTER_INTERVALS = 3
_AILING = ("bad", "warn")  # the worst first


@dataclass(frozen=True, slots=True)
class Health:
    """`tone` is ok, info, warn, bad or calm; `word` fits a chip; `reason` is a sentence."""

    tone: str
    word: str
    reason: str


def health_of(
    connection: Connection, last_good: datetime | None = None, now: datetime | None = None
) -> Health:
    """What a person has to know first. `last_good`: when an inbound sync last ended well."""
    now = now or timezone.now()
    return _hindered(connection, now) or _freshness(connection, last_good, now)


def overall(found: Sequence[tuple[str, Health]]) -> Health | None:
    """All connections, as (name, health), in one sentence and in the tone of the worst; None where there are none."""
    ailing = [(name, health) for name, health in found if health.tone in _AILING]
    if len(ailing) > 1:
        worst = min((health.tone for _, health in ailing), key=_AILING.index)
        listed = ", ".join(f"{name} ({health.word.lower()})" for name, health in ailing)
        return Health(worst, f"{len(ailing)} of {len(found)} connections need a look", f"{listed}.")
    if ailing:
        name, health = ailing[0]
        return Health(health.tone, f"{name} needs a look: {health.word.lower()}", health.reason)
    for tone, words in (("info", "A first import is on its way"), ("calm", "Not everything is switched on")):
        if names := [name for name, health in found if health.tone == tone]:
            return Health(
                tone, words, f"{', '.join(names)}: the others are in step." if len(found) > len(names) else ""
            )
    words = "All connections are in step" if len(found) > 1 else "In step with the CRM"
    return Health("ok", words, "") if found else None


def _hindered(connection: Connection, now: datetime) -> Health | None:
    if not connection.enabled:
        return Health("calm", "Off", "Switched off: nothing is read, written or logged; everything is kept.")
    if connection.status == ConnectionStatus.ERROR:
        return Health("bad", "Error", connection.status_reason or "The CRM refuses the credentials.")
    if connection.paused_until and connection.paused_until > now:
        why = connection.pause_reason or "The CRM asked us to slow down."
        return Health("warn", "Paused", f"{why} Goes on by itself at {clock(connection.paused_until)}.")
    if connection.status == ConnectionStatus.NOT_CONNECTED:
        return Health("warn", "Not connected", "Enter the credentials and test the connection.")
    return None


def _freshness(connection: Connection, last_good: datetime | None, now: datetime) -> Health:
    if connection.status_reason:
        return Health("warn", "Needs attention", connection.status_reason)
    if last_good is None:
        return Health("info", "New", "Connected. The first import has not finished yet.")
    if now - last_good > connection.interval * LATE_AFTER_INTERVALS:
        return Health("warn", "Late", "The last good sync is older than three intervals.")
    return Health("ok", "Healthy", "In step with the CRM.")
