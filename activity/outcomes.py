"""What becomes of an activity entry when the CRM has answered, or has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from activity.claims import hold
from activity.models import ActivityEntry
from activity.wording import Wording
from integrations.connections import record_failure
from integrations.models import Connection
from integrations.providers.errors import (
    NeedsAttention,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    RecordGone,
    Transient,
)
from sync import issues
from sync.backoff import MAX_ATTEMPTS, next_attempt

State = ActivityEntry.State
ISSUE = "activity_failed"
WORDING = "activity_wording"
USUAL_WORDS = "Logged in the usual words: "
DELAYED = "activity_delayed"
LATER = timedelta(minutes=10)
# What was not sent because of another's trouble comes again after a minute, and pays no attempt for it.
NOT_SENT = timedelta(minutes=1)
LATELY = timedelta(minutes=5)
# A contact usually gets its record within the hour; entries that wait longer are looked at less often.
FRESH, LOOK_AGAIN = timedelta(hours=1), timedelta(hours=6)


@dataclass(slots=True)
class Held:
    """An entry that we have claimed until `until`, and the CRM record it goes on now ("" for none).

    `wording` is what is said of it. `unsure`: it may be in the CRM already. `found`: the id under which it was seen
    there. `sending`: it has been written down as under way. `tried`: the CRM has been asked about it. `finished`: its
    outcome is noted and the claim given back.
    """

    entry: ActivityEntry
    until: datetime
    record: str
    wording: Wording
    unsure: bool
    found: str = ""
    sending: bool = False
    tried: bool = False
    finished: bool = False

    @property
    def external_id(self) -> str:
        """The CRM's id of the activity, where there is one to update."""
        return self.found or self.entry.external_id

    def hold(self, **changes: Any) -> bool:
        """Write to the entry; False when another worker has it now."""
        return hold(ActivityEntry, self.entry.pk, self.until, **changes)

    def finish(self, **changes: Any) -> bool:
        """Write the outcome and give the claim back."""
        self.finished = True
        return self.hold(**changes, claimed_until=None)


def logged(connection: Connection, one: Held, external_id: str) -> None:
    """The activity is in the CRM; if the conversation has changed while it was sent, it is updated next."""
    now, entry, problem = timezone.now(), one.entry, one.wording.problem
    note = f"{USUAL_WORDS}{problem}"[:500] if problem else ""
    if not one.finish(
        state=State.LOGGED, external_id=external_id, contact_external_id=one.record or entry.contact_external_id,
        logged_at=now, note=note, attempts=0,
    ):  # fmt: skip
        return
    if problem:
        issues.report(connection, WORDING, message=f"A template does not fit. {problem}")
    if entry.attempts or entry.note:
        issues.resolve(connection, kind=ISSUE, external_id=entry.conversation.key[:64])
    if entry.attempts >= MAX_ATTEMPTS:
        issues.resolve(connection, kind=DELAYED)
    changed_since = ActivityEntry.objects.filter(
        pk=entry.pk, state=State.LOGGED, conversation__updated_at__gt=entry.conversation.updated_at
    )
    changed_since.update(state=State.PENDING, due_at=now)


def failed(connection: Connection, one: Held, error: ProviderError) -> None:
    """One entry was not logged, or nobody knows."""
    changes = _changes(one, error)
    tired = changes.get("attempts", 0) >= MAX_ATTEMPTS and changes["state"] != State.PARKED
    if tired and _others_get_through(connection):
        changes["state"] = State.PARKED
    if not one.finish(note=error.message[:500], **changes):
        return
    if changes["state"] == State.PARKED:
        issues.report(
            connection,
            ISSUE,
            contact=one.entry.conversation.contact,
            external_id=one.entry.conversation.key[:64],
            message=f"{_left(one)}: {error.message}",
            request_id=error.request_id,
        )
    elif tired:
        words = f"No conversation can be logged: {error.message}"
        issues.report(connection, DELAYED, message=words, request_id=error.request_id)


def _left(one: Held) -> str:
    """What the CRM is left with, in words."""
    if one.external_id:
        return "A conversation is logged, but what came later could not be added"
    return "A conversation could not be logged"


def _others_get_through(connection: Connection) -> bool:
    """Whether the CRM takes conversations just now, so that the trouble is the entry's own.

    In an outage nothing is parked, however long it lasts: all is tried once an hour, and one issue tells of it.
    """
    lately = ActivityEntry.objects.filter(
        connection=connection, state=State.LOGGED, logged_at__gte=timezone.now() - LATELY
    )
    return lately.exists()


def all_failed(connection: Connection, held: Sequence[Held], error: ProviderError) -> None:
    """A request or the connection failed as a whole: every entry without an outcome gets this one."""
    for one in held:
        if not one.finished:
            failed(connection, one, error)
    if isinstance(error, RateLimited | NeedsAttention):
        record_failure(connection, error)


def give_back(held: Sequence[Held]) -> None:
    """Entries that there was no time for are due for the next worker."""
    for one in held:
        if not one.finished:
            one.finish()


def _changes(one: Held, error: ProviderError) -> dict[str, Any]:
    entry, now = one.entry, timezone.now()
    attempts = entry.attempts + 1
    # What was not sent after all, and not looked for either, is as unsure as before.
    unsure = one.unsure and not one.sending
    kept = {"state": State.UNKNOWN} if unsure else {"state": State.PENDING, "content_hash": ""}
    if not one.tried and isinstance(error, OutcomeUnknown | Transient) and not isinstance(error, RateLimited):
        return {**kept, "attempts": entry.attempts, "due_at": now + NOT_SENT}
    if isinstance(error, OutcomeUnknown) and (one.sending or one.unsure):
        wait = now + timedelta(seconds=settings.CRMSYNC_UNKNOWN_WAIT)
        due_at = max(wait, next_attempt(attempts)) if entry.attempts else wait
        return {"state": State.UNKNOWN, "attempts": attempts, "due_at": due_at}
    if isinstance(error, RateLimited):
        # The connection's limits cost an entry no attempt, and neither does what a person has to mend.
        return {**kept, "attempts": entry.attempts, "due_at": now + timedelta(seconds=error.retry_after)}
    if isinstance(error, NeedsAttention):
        return {**kept, "attempts": entry.attempts, "due_at": now + LATER}
    if unsure or isinstance(error, Transient | OutcomeUnknown):
        return {**kept, "attempts": attempts, "due_at": next_attempt(attempts)}
    if isinstance(error, RecordGone):
        return _gone(one)
    return {**kept, "attempts": attempts, "state": State.PARKED}


def _gone(one: Held) -> dict[str, Any]:
    if one.external_id:
        # Somebody has deleted the activity in the CRM: it is not made again.
        return {"state": State.LOGGED, "attempts": 0}
    # The contact's record is gone; another one may be linked later.
    due_at = timezone.now() + LOOK_AGAIN + FRESH
    return {"state": State.WAITING, "contact_external_id": one.record, "due_at": due_at, "content_hash": ""}
