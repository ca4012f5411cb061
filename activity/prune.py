"""Keep the inbox small: deliveries that have been dealt with go after a while; conversations stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from activity.models import BadSignatures, WebhookDelivery

CHUNK = 1_000
KEEP_COUNTS = timedelta(days=365)


def prune() -> int:
    """Delete deliveries older than CRMSYNC_KEEP_DELIVERIES_DAYS that wait for nothing; returns how many.

    Walks the primary key, along which rows grow older, in short transactions.
    """
    cutoff = timezone.now() - timedelta(days=settings.CRMSYNC_KEEP_DELIVERIES_DAYS)
    BadSignatures.objects.filter(day__lt=(timezone.now() - KEEP_COUNTS).date()).delete()
    deleted, last = 0, 0
    while rows := _next(last):
        old = [pk for pk, received_at in rows if received_at < cutoff]
        if not old:
            break
        done = WebhookDelivery.objects.filter(pk__in=old).exclude(state=WebhookDelivery.State.PENDING)
        deleted += done.delete()[0]
        last = rows[-1][0]
    return deleted


def _next(last: int) -> list[tuple[int, datetime]]:
    rows = WebhookDelivery.objects.filter(pk__gt=last).order_by("pk")
    return list(rows.values_list("pk", "received_at")[:CHUNK])
