"""The activity log: every conversation with a linked contact becomes one activity in each CRM, exactly once.

An entry is written down as `sending` before the CRM is asked. Whoever finds one whose answer was lost, or whose worker
died, looks for the conversation's id in the CRM first, and sends again only if it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from activity import outcomes
from activity.claims import claim, free, stretch
from activity.models import ActivityEntry, Conversation
from activity.outcomes import Held
from activity.waiting import expired, oldest, revive_waiting, wait_for_record
from activity.wording import activity_of, content_hash, kind_of, wording_of
from integrations.connections import open_provider, record_success
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import ActivityKind, Provider
from integrations.providers.errors import NeedsAttention, OutcomeUnknown, ProviderError, RateLimited
from integrations.quota import Purpose
from sync import issues
from sync.models import ExternalRecord, RecordState
from sync.wake import wake

logger = structlog.get_logger(__name__)
State = ActivityEntry.State
STUCK = (State.PARKED, State.WAITING, State.EXPIRED)
BATCH, LEASE, STRETCH = 50, timedelta(minutes=3), 20.0
ALONE_AFTER = 3
OUR_FAULT = OutcomeUnknown("Our own error; the server's log has the details.")


def intend(conversation: Conversation) -> int:
    """Write down that a conversation is to be logged in every CRM that wants conversations; returns in how many new ones.

    Without its analysis it waits a while for one. Connections that are off or in error get it when they are back.
    """
    due_at = timezone.now() + timedelta(seconds=settings.CRMSYNC_ANALYSIS_WAIT)
    known = ActivityEntry.objects.filter(conversation=conversation).values("connection")
    connections = Connection.objects.filter(sync_conversation_activity=True).exclude(pk__in=known)
    entries = [
        ActivityEntry(
            conversation=conversation,
            connection=connection,
            kind=kind_of(conversation),
            took_place=conversation.moment,
            due_at=due_at,
        )
        for connection in connections.only("pk")
    ]
    ActivityEntry.objects.bulk_create(entries, ignore_conflicts=True)
    return len(entries)


def bring_up_to_date(conversation: Conversation) -> None:
    """The conversation is complete now, or has changed: log it, or update what was logged of it."""
    conversation.refresh_from_db()
    entries = ActivityEntry.objects.filter(conversation=conversation)
    entries.exclude(took_place=conversation.moment).update(took_place=conversation.moment)
    entries.filter(state=State.PENDING, attempts=0).update(due_at=timezone.now())
    for entry in entries.filter(state=State.LOGGED).select_related("connection"):
        told = content_hash(conversation, wording_of(conversation, entry.connection))
        if entry.content_hash != told:
            entries.filter(pk=entry.pk, state=State.LOGGED).update(state=State.PENDING, due_at=timezone.now())


def word_anew(connection: Connection) -> int:
    """The templates have changed: what had to be logged in the usual words is updated; returns how many."""
    issues.resolve(connection, kind=outcomes.WORDING)
    usual = ActivityEntry.objects.filter(
        connection=connection, state=State.LOGGED, note__startswith=outcomes.USUAL_WORDS
    )
    count = usual.update(state=State.PENDING, due_at=timezone.now())
    if count:
        wake()
    return count


def stuck(entries: QuerySet[ActivityEntry]) -> QuerySet[ActivityEntry]:
    """Those of `entries` that come no further by themselves, or not soon."""
    return entries.filter(state__in=STUCK)


def retry(entries: QuerySet[ActivityEntry]) -> int:
    """Have parked, waiting and expired entries tried again now, as a person asked, whatever their age."""
    now, wish = timezone.now(), {"attempts": 0, "asked": True}
    parked = entries.filter(state=State.PARKED)
    # What may be in the CRM already is looked for first, where it was sent.
    count = parked.exclude(content_hash="").update(state=State.UNKNOWN, due_at=now, **wish)
    others = entries.filter(state__in=[*STUCK, State.PENDING])
    count += others.update(state=State.PENDING, due_at=now, contact_external_id="", **wish)
    if count:
        wake()
    return count


def log_some() -> int:
    """Log one batch of due entries of each connection that can be reached; returns how many rows were handled."""
    may_go_on = stretch(STRETCH)
    handled = revive_waiting()
    for connection in _connections_with_work():
        if may_go_on():
            handled += _log_batch(connection, may_go_on)
    return handled


def _connections_with_work() -> Iterator[Connection]:
    now = timezone.now()
    awake = Q(paused_until=None) | Q(paused_until__lte=now)
    wanted = Connection.objects.filter(awake, enabled=True, sync_conversation_activity=True)
    for connection in wanted.exclude(status=ConnectionStatus.ERROR):
        if _due(connection).filter(free(now)).exists():
            yield connection


def _due(connection: Connection) -> QuerySet[ActivityEntry]:
    rows = ActivityEntry.objects.open().filter(connection=connection, due_at__lte=timezone.now())
    return rows.order_by("took_place", "id")


def _claim(connection: Connection) -> tuple[list[int], datetime]:
    """The next batch. One worker at a time has one of a connection's, or later ones would overtake earlier ones."""
    now = timezone.now()
    with transaction.atomic():
        Connection.objects.select_for_update(no_key=True).values_list("pk").filter(pk=connection.pk).first()
        if ActivityEntry.objects.filter(connection=connection, claimed_until__gt=now).exists():
            return [], now
        return claim(_due(connection), limit=BATCH, lease=LEASE)


def _log_batch(connection: Connection, may_go_on: Callable[[], bool]) -> int:
    ids, until = _claim(connection)
    entries = ActivityEntry.objects.filter(pk__in=ids).select_related("conversation__contact")
    held = _with_records(connection, list(entries.order_by("took_place", "id")), until)
    if not held:
        return len(ids)
    try:
        with open_provider(connection, Purpose.ACTIVITY) as provider:
            _log_held(connection, provider, held, may_go_on)
        record_success(connection)
    except ProviderError as error:
        outcomes.all_failed(connection, held, error)
    except Exception:
        logger.exception("activity_log_broke", connection=connection.pk)
        outcomes.all_failed(connection, held, OUR_FAULT)
    finally:
        outcomes.give_back(held)
    return len(ids)


def _log_held(
    connection: Connection, provider: Provider, held: Sequence[Held], may_go_on: Callable[[], bool]
) -> None:
    sendable = [one for one in held if not one.unsure]
    unsure = (one for one in held if one.unsure and may_go_on())
    sendable += [one for one in unsure if _to_be_sent(connection, provider, one)]
    for group in _groups(sendable):
        if may_go_on():
            _send_apart(connection, provider, group)


def _with_records(connection: Connection, entries: Sequence[ActivityEntry], until: datetime) -> list[Held]:
    """The claimed entries with the CRM record they go on; the others wait for one, made where that is wanted."""
    contacts = [entry.conversation.contact_id or 0 for entry in entries]
    links = ExternalRecord.objects.filter(
        connection=connection, contact_id__in=contacts, state=RecordState.LINKED
    )
    records = {link.contact_id: link.external_id or "" for link in links}
    held = [
        Held(
            entry,
            until,
            records.get(entry.conversation.contact_id, ""),
            wording_of(entry.conversation, connection),
            unsure=entry.state != State.PENDING,
        )
        for entry in entries
    ]
    for one in held:
        if _too_old(one):
            one.finish(**expired())
        elif not one.record and not one.unsure:
            wait_for_record(connection, one)
    return [one for one in held if not one.finished]


def _too_old(one: Held) -> bool:
    """Whether it came too long ago to be logged now; what is in the CRM, or may be, is still seen to."""
    cutoff = oldest()
    fresh = cutoff is None or one.entry.conversation.created_at >= cutoff
    return not fresh and not one.unsure and not one.entry.external_id and not one.entry.asked


def _to_be_sent(connection: Connection, provider: Provider, one: Held) -> bool:
    """Look for an entry whose outcome is unknown; False when it is settled without sending anything."""
    entry = one.entry
    one.found = entry.external_id or _find(provider, one)
    same = entry.content_hash == content_hash(entry.conversation, one.wording)
    if one.found and same and not entry.external_id:
        outcomes.logged(connection, one, one.found)
        return False
    if not one.record:
        wait_for_record(connection, one)
        return False
    return True


def _find(provider: Provider, one: Held) -> str:
    one.tried = True
    kind = ActivityKind(one.entry.kind or kind_of(one.entry.conversation))
    # It was sent to the record that was linked then; after a merge in the CRM it is on the one linked now.
    for record in dict.fromkeys([one.entry.contact_external_id, one.record]):
        found = provider.find_activity(one.entry.conversation.key, record, kind) if record else None
        if found:
            return found
    return ""


def _groups(held: Sequence[Held]) -> Iterable[list[Held]]:
    """Batches that travel in one request, so that an error of the request is known to be of all of it.

    What has failed often goes alone: it must not take others down with it.
    """

    def way(one: Held) -> tuple[str, bool, int]:
        alone = one.entry.pk if one.entry.attempts >= ALONE_AFTER else 0
        return kind_of(one.entry.conversation), bool(one.external_id), alone

    return [list(group) for _, group in groupby(sorted(held, key=way), key=way)]


def _send_apart(connection: Connection, provider: Provider, group: Sequence[Held]) -> None:
    """Our own errors stay within their request, and so does what failed alone; another error of the CRM ends the batch."""
    try:
        _send(connection, provider, group)
    except ProviderError as error:
        alone = group[0].entry.attempts >= ALONE_AFTER
        if not alone or isinstance(error, RateLimited | NeedsAttention):
            raise
        outcomes.all_failed(connection, group, error)
    except Exception:
        # Loud; and what was under way is looked for before it is sent again.
        logger.exception("activity_log_broke", connection=connection.pk)
        outcomes.all_failed(connection, group, OUR_FAULT)


def _send(connection: Connection, provider: Provider, held: Sequence[Held]) -> None:
    """Write down that the entries are being sent, send them, and note each one's outcome."""
    sending = [one for one in held if _mark_sending(one)]
    if not sending:
        return
    results = provider.log_activities(
        [activity_of(one.entry.conversation, one.wording, one.record, one.external_id) for one in sending]
    )
    for one, outcome in zip(sending, results, strict=True):
        if outcome.error is None:
            outcomes.logged(connection, one, outcome.external_id or one.external_id)
        else:
            outcomes.failed(connection, one, outcome.error)
    for outcome in results:
        if isinstance(outcome.error, RateLimited | NeedsAttention):
            # It is the connection that cannot go on, not this entry alone.
            raise outcome.error


def _mark_sending(one: Held) -> bool:
    conversation = one.entry.conversation
    one.tried = True
    one.sending = one.hold(
        state=State.SENDING,
        attempts=F("attempts") + 1,
        content_hash=content_hash(conversation, one.wording),
        kind=kind_of(conversation),
        contact_external_id=one.record,
        external_id=one.external_id,
    )
    return one.sending
