"""Merges that are to be made after all: texts that were kept apart, and reviews whose field has moved."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from activity import asking, memory, merging
from activity.asking import Wanted
from activity.claims import claim, hold, stretch
from activity.ledger import record, source_of
from activity.models import AppliedMapping, MergeReview
from contacts.changes import change_contact
from contacts.models import Contact, field_specs

logger = structlog.get_logger(__name__)
State, Outcome = MergeReview.State, AppliedMapping.Outcome
BATCH, LEASE, STRETCH, MOST_ATTEMPTS = 5, timedelta(minutes=3), 20.0, 5
MOVED_ON = "The field has been changed since, so the texts were not merged any more."


def merge_some() -> int:
    """Merge one batch of what is due; returns how many rows were handled. Nothing is due without an LLM that answers."""
    if not settings.OPENAI_API_KEY or asking.silent():
        return 0
    due = MergeReview.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "id")
    ids, until = claim(due, limit=BATCH, lease=LEASE)
    may_go_on = stretch(STRETCH)
    handled = 0
    for pk in ids:
        row = MergeReview.objects.select_related("conversation", "mapping").filter(pk=pk).first()
        if row and may_go_on() and _begin(row, until):
            _merge(row)
            handled += 1
        hold(MergeReview, pk, until, claimed_until=None)
    return handled


def _begin(row: MergeReview, until: object) -> bool:
    """Count the attempt before it is made, so that a row which kills its worker comes back ever less often."""
    attempts = row.attempts + 1
    due_at = None if attempts >= MOST_ATTEMPTS else timezone.now() + asking.LATER * 4**attempts
    row.attempts, row.due_at = attempts, due_at
    return hold(MergeReview, row.pk, until, attempts=attempts, due_at=due_at)  # type: ignore[arg-type]


def _merge(row: MergeReview) -> None:
    try:
        wanted = _wanted(row)
        current = merging.value_now(wanted) if wanted else ""
    except Contact.DoesNotExist:
        wanted = None
    if wanted is None:
        _close(row, row.state, "The field or the contact is gone.")
    elif row.state == State.AGAIN:
        _propose(row, wanted, current)
    else:
        _settle(row, wanted, current)


def _wanted(row: MergeReview) -> Wanted | None:
    conversation = row.conversation
    conversation.contact_id = row.contact_id
    if row.contact_field == memory.FIELD:
        return memory.wanted_of(conversation)
    spec = field_specs().get(row.contact_field)
    if row.mapping is None or spec is None:
        return None
    return merging.wanted_of(conversation, row.mapping, spec, row.new)


def _propose(row: MergeReview, wanted: Wanted, current: str) -> None:
    """A merge with what the field holds now, for a person to look at."""
    answer = asking.ask(wanted, current)
    answer.state = State.WAITING
    answer.save()
    _close(row, State.SUPERSEDED, "Merged again; see the newer one.")


def _settle(row: MergeReview, wanted: Wanted, current: str) -> None:
    """Merge what was kept, if the new text is still where it was put."""
    old = current if row.state == State.APART else _without(current, row)
    if old is None:
        _close(row, row.state, MOVED_ON)
        return
    answer = asking.ask(wanted, old)
    if answer.code:
        MergeReview.objects.filter(pk=answer.pk).update(state=State.SUPERSEDED)
        if answer.code in ("budget", "resting"):
            MergeReview.objects.filter(pk=row.pk).update(
                due_at=asking.later(answer), attempts=row.attempts - 1
            )
        return
    if wanted.reviewed:
        MergeReview.objects.filter(pk=answer.pk).update(state=State.WAITING, old=current)
        record(row.conversation, row.mapping, Outcome.WAITING, merging.REVIEWED)
        _close(row, State.SUPERSEDED, "Merged later; see the newer one.")
        return
    with transaction.atomic():
        written = change_contact(
            row.contact_id,
            {row.contact_field: answer.merged},
            source=source_of(row.conversation, row.mapping),
            expect={row.contact_field: current or None},
        )
        moved = bool(written.refused)
        MergeReview.objects.filter(pk=answer.pk).update(state=State.SUPERSEDED if moved else State.APPLIED)
        if not moved:
            record(row.conversation, row.mapping, Outcome.WRITTEN, "Merged later.")
            _close(row, State.SUPERSEDED, "Merged later; see the newer one.")


def _without(current: str, row: MergeReview) -> str | None:
    """What the field holds beside the text that was put under it; None when that text is not there any more."""
    kept = row.kept or row.new
    if current == row.merged:
        return row.old
    parts = current.split(f"\n\n{kept}")
    return "".join(parts) if len(parts) == 2 and (not parts[1] or parts[1].startswith("\n\n")) else None


def _close(row: MergeReview, state: str, reason: str) -> None:
    MergeReview.objects.filter(pk=row.pk).update(state=state, reason=reason, due_at=None)
