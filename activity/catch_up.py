"""Conversations that came before a connection wanted them: logged afterwards, in the order in which they took place."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from activity.models import ActivityEntry, Conversation
from activity.waiting import oldest
from activity.wording import kind_of
from integrations.models import Connection
from sync.wake import wake

CHUNK = 500
# Longer than the pause between two looks, so that no change of a connection falls between them.
JUST_CHANGED = timedelta(minutes=3)


def catch_up(connection: Connection, *, chunk: int = CHUNK) -> int:
    """Have what is missing logged, of the last CRMSYNC_LOG_AGE_DAYS; returns how many conversations that are.

    Goes along the index of their arrival, `chunk` at a time, so it costs by that age alone and holds little.
    """
    added, last, arrived = 0, 0, oldest()
    while True:
        rows = Conversation.objects.all()
        if arrived is not None:
            rows = rows.filter(Q(created_at__gt=arrived) | Q(created_at=arrived, pk__gt=last))
            rows = rows.filter(created_at__gte=arrived)  # said again for the index
        found = list(rows.order_by("created_at", "pk").values_list("pk", "created_at")[:chunk])
        if not found:
            break
        added += _intend(connection, [pk for pk, _ in found])
        last, arrived = found[-1]
    if added:
        wake()
    return added


def catch_up_all() -> int:
    """For every connection that wants conversations, as is done once a day; returns how many are logged afterwards."""
    return sum(catch_up(one) for one in _wanting())


def catch_up_changed() -> int:
    """For connections that somebody has just changed, perhaps to want conversations; asked every minute."""
    changed = [one for one in _wanting() if one.updated_at >= timezone.now() - JUST_CHANGED]
    return sum(catch_up(one) for one in changed)


def _wanting() -> list[Connection]:
    wanting = Connection.objects.filter(enabled=True, sync_conversation_activity=True)
    return list(wanting.defer("credentials", "token", "schema"))


def _intend(connection: Connection, ids: list[int]) -> int:
    known = ActivityEntry.objects.filter(conversation=OuterRef("pk"), connection=connection)
    rows = Conversation.objects.filter(~Exists(known), pk__in=ids, ended=True, contact__isnull=False)
    entries = [
        ActivityEntry(conversation=one, connection=connection, kind=kind_of(one), took_place=one.moment)
        for one in rows.defer("payload", "transcript", "variables", "analysis")
    ]
    ActivityEntry.objects.bulk_create(entries, ignore_conflicts=True)
    return len(entries)
