"""How much was done and how much waited, looked at every ten minutes: what the dashboard's charts are drawn of.

Work is counted as rows that are new since the last look, along primary keys; what waits is counted as it stands then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Max
from django.utils import timezone

from activity.models import ActivityEntry, Conversation, WebhookDelivery
from contacts.models import ContactChange
from sync.models import PendingPush

EVERY = timedelta(minutes=10)
KEEP = timedelta(days=8)
_SLACK = timedelta(seconds=30)  # the sweep is not punctual to the second


class Pulse(models.Model):
    """One look. `last_change` and `last_conversation` are where the next one begins to count."""

    at = models.DateTimeField(unique=True)
    changes = models.PositiveIntegerField(default=0)
    conversations = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    last_change = models.BigIntegerField(default=0)
    last_conversation = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {self.changes} changes, {self.waiting} waiting"


def look(now: datetime | None = None) -> Pulse | None:
    """Take another look, unless the last one is fresh. The first counts nothing: it does not know since when."""
    now = now or timezone.now()
    last = Pulse.objects.order_by("-at").first()
    if last and now - last.at < EVERY - _SLACK:
        return None
    found = {"changes": 0, "conversations": 0}
    if last:
        found["changes"] = ContactChange.objects.filter(pk__gt=last.last_change).count()
        found["conversations"] = Conversation.objects.filter(pk__gt=last.last_conversation).count()
    return Pulse.objects.create(
        at=now,
        waiting=waiting_now(),
        last_change=_newest(ContactChange, last.last_change if last else 0),
        last_conversation=_newest(Conversation, last.last_conversation if last else 0),
        **found,
    )


def waiting_now() -> int:
    """Everything that is still to be done: deliveries, pushes and activities."""
    return (
        WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING).count()
        + PendingPush.objects.count()
        + ActivityEntry.objects.open().count()
    )


def prune() -> int:
    """Forget looks of more than eight days ago; returns how many."""
    return Pulse.objects.filter(at__lt=timezone.now() - KEEP).delete()[0]


def _newest(model: type[models.Model], before: int) -> int:
    found: dict[str, Any] = model._default_manager.aggregate(newest=Max("pk"))
    return max(found["newest"] or 0, before)
