"""What needs a person or a retry, one open row per cause; a record that heals closes its issue."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from contacts.models import Contact
from integrations.models import Connection
from sync.backoff import next_retry
from sync.kinds import Kind, kind_of
from sync.models import SyncIssue

OPEN = (SyncIssue.State.OPEN, SyncIssue.State.PARKED)


def report(
    connection: Connection,
    kind: str,
    *,
    message: str = "",
    advice: str = "",
    contact: Contact | None = None,
    external_id: str = "",
    field: str = "",
    count: int | None = None,
    detail: dict[str, Any] | None = None,
    request_id: str = "",
) -> SyncIssue:
    """Open an issue, or note that an open one happened again. One that a person ignored stays closed until its cause changes.

    Message and advice come from the table of kinds where they are not given. `count` sets how many records share the
    cause; without it every report adds one. Texts are for people and hold no personal data. `request_id`: the CRM's name of
    the refused call.
    """
    key = {
        "connection": connection,
        "kind": kind,
        "contact": contact,
        "external_id": external_id,
        "field": field,
    }
    known = kind_of(kind)
    words = {
        "message": (message or known.words)[:500],
        "advice": (advice or known.advice)[:500],
        "detail": detail or {},
        "request_id": request_id[:100],
        "last_at": timezone.now(),
    }
    with transaction.atomic():
        Connection.objects.select_for_update(no_key=True).only("pk").get(pk=connection.pk)
        issue = SyncIssue.objects.filter(**key, state__in=OPEN).first() or _ignored(known, key, words)
        if issue is None:
            retry_at = next_retry(0) if known.automatic else None
            return SyncIssue.objects.create(**key, **words, count=count or 1, next_retry_at=retry_at)
        SyncIssue.objects.filter(pk=issue.pk).update(
            **words, count=F("count") + 1 if count is None else count
        )
    return issue


def resolve(connection: Connection, *, by: str = "", **match: Any) -> int:
    """Close the issues of a connection that match (kind, contact, external_id, field); returns how many were open.

    `by` names the person who settled it. What was ignored is over, too: should it come again, it is new.
    """
    rows = SyncIssue.objects.filter(connection=connection, **match)
    closed: dict[str, Any] = {"state": SyncIssue.State.RESOLVED, "next_retry_at": None}
    rows.filter(state=SyncIssue.State.IGNORED).update(**closed)
    acted = {"acted_by": by[:150]} if by else {}
    return rows.filter(state__in=OPEN).update(**closed, **acted, closed_at=timezone.now())


def _ignored(known: Kind, key: dict[str, Any], words: dict[str, Any]) -> SyncIssue | None:
    """The issue that a person closed for this very cause; of an aggregate, whatever its count is by now."""
    issue = SyncIssue.objects.filter(**key, state=SyncIssue.State.IGNORED).order_by("-id").first()
    if issue is None or known.aggregate:
        return issue
    same = issue.message == words["message"] and issue.detail == words["detail"]
    return issue if same else None
