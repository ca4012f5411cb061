"""What needs a person or a retry, one open row per cause; a record that heals closes its issue."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from contacts.models import Contact
from integrations.models import Connection
from sync.models import SyncIssue

OPEN = (SyncIssue.State.OPEN, SyncIssue.State.PARKED)


def report(
    connection: Connection,
    kind: str,
    *,
    message: str,
    advice: str = "",
    contact: Contact | None = None,
    external_id: str = "",
    field: str = "",
    count: int | None = None,
    detail: dict[str, Any] | None = None,
) -> SyncIssue:
    """Open an issue, or note that an open one happened again.

    `count` sets how many records share the cause; without it every report adds one. Texts are for people and hold no
    personal data.
    """
    key = {
        "connection": connection,
        "kind": kind,
        "contact": contact,
        "external_id": external_id,
        "field": field,
    }
    words = {
        "message": message[:500],
        "advice": advice[:500],
        "detail": detail or {},
        "last_at": timezone.now(),
    }
    with transaction.atomic():
        Connection.objects.select_for_update(no_key=True).only("pk").get(pk=connection.pk)
        issue = SyncIssue.objects.filter(**key, state__in=OPEN).first()
        if issue is None:
            return SyncIssue.objects.create(**key, **words, count=count or 1)
        SyncIssue.objects.filter(pk=issue.pk).update(
            **words, count=F("count") + 1 if count is None else count
        )
    return issue


def resolve(connection: Connection, **match: Any) -> int:
    """Close the open issues of a connection that match (kind, contact, external_id, field); returns how many."""
    rows = SyncIssue.objects.filter(connection=connection, state__in=OPEN, **match)
    return rows.update(state=SyncIssue.State.RESOLVED, closed_at=timezone.now())
