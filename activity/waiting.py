"""Entries that wait for their contact's CRM record: logged when there is one, given up when they are too old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from activity.models import ActivityEntry
from activity.outcomes import FRESH, LOOK_AGAIN, Held
from integrations.models import Connection
from sync.links import want_record
from sync.models import ExternalRecord, RecordState

State = ActivityEntry.State
SWEEP = 500
BEING_CREATED = "The contact is being created in the CRM."
NO_RECORD = "The contact has no record in this CRM."


def oldest() -> datetime | None:
    """Conversations that came before this moment are not logged any more; None: there is no such limit."""
    days = settings.CRMSYNC_LOG_AGE_DAYS
    return timezone.now() - timedelta(days=days) if days else None


def expired() -> dict[str, Any]:
    """What becomes of an entry that is too old."""
    return {"state": State.EXPIRED, "note": f"Older than {settings.CRMSYNC_LOG_AGE_DAYS} days."}


def wait_for_record(connection: Connection, one: Held) -> None:
    """The entry's contact has no record in the CRM: it waits for one, which is made where that is wanted."""
    contact = one.entry.conversation.contact
    wanted = connection.sync_new_contacts and contact is not None
    if wanted and contact is not None:
        # First: whoever dies between the two finds the entry due again, not one that waits for nothing.
        want_record(connection, contact)
    note = BEING_CREATED if wanted else NO_RECORD
    due_at = timezone.now() + LOOK_AGAIN + FRESH
    one.finish(state=State.WAITING, note=note, due_at=due_at, contact_external_id="")


def revive_waiting() -> int:
    """Entries whose contact has a CRM record by now become due; returns how many.

    The newest are looked at each time, those of the hour once a minute (`revive_recent`), older ones every few hours, so
    that the sweep stays small however many contacts never get a record. The age limit ends their waiting.
    """
    now = timezone.now()
    waiting = ActivityEntry.objects.filter(state=State.WAITING)
    fresh = waiting.filter(due_at__gt=now + LOOK_AGAIN).order_by("-due_at")[:SWEEP]
    older = waiting.filter(due_at__lte=now).order_by("due_at")[:SWEEP]
    looked_at = {*fresh.values_list("pk", flat=True), *older.values_list("pk", flat=True)}
    if not looked_at:
        return 0
    found = list(waiting.filter(_has_record(), pk__in=looked_at).values_list("pk", flat=True))
    missing = waiting.filter(pk__in=looked_at.difference(found), due_at__lte=now)
    if cutoff := oldest():
        missing.filter(asked=False, conversation__created_at__lt=cutoff).update(**expired())
    _want_again(missing)
    missing.update(due_at=now + LOOK_AGAIN, contact_external_id="")
    return _revive(waiting.filter(pk__in=found))


def revive_recent() -> int:
    """The same for all that began to wait within the hour, however many; asked once a minute."""
    began = timezone.now() + LOOK_AGAIN
    return _revive(ActivityEntry.objects.filter(_has_record(), state=State.WAITING, due_at__gt=began))


def _revive(waiting: QuerySet[ActivityEntry]) -> int:
    return waiting.update(state=State.PENDING, due_at=timezone.now(), note="", contact_external_id="")


def _has_record() -> Exists:
    linked = ExternalRecord.objects.filter(
        connection=OuterRef("connection"),
        contact=OuterRef("conversation__contact"),
        state=RecordState.LINKED,
        external_id__isnull=False,
    )
    return Exists(linked.exclude(external_id=OuterRef("contact_external_id")))


def _want_again(waiting: QuerySet[ActivityEntry]) -> None:
    """Have records made for contacts that have none where that is wanted: the wish may be new, or have been lost.

    Not for a contact whose record was found deleted while it was logged on: those entries have another note.
    """
    known = ExternalRecord.objects.filter(
        connection=OuterRef("connection"), contact=OuterRef("conversation__contact")
    )
    rows = waiting.filter(
        ~Exists(known), connection__enabled=True, connection__sync_new_contacts=True,
        connection__sync_conversation_activity=True, conversation__contact__archived_at=None,
        conversation__contact__isnull=False, note__in=[BEING_CREATED, NO_RECORD],
    )  # fmt: skip
    for entry in rows.select_related("connection", "conversation__contact"):
        if entry.conversation.contact is not None:
            want_record(entry.connection, entry.conversation.contact)
            ActivityEntry.objects.filter(pk=entry.pk, state=State.WAITING).update(note=BEING_CREATED)
