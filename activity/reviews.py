"""Merges that wait: for a person who accepts, edits or rejects them, or for the LLM to merge what was kept apart.

Every decision is a compare-and-set on the old text: a field that moved meanwhile is merged or asked about once more.
"""

from __future__ import annotations

import re
from dataclasses import replace

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from activity import ledger
from activity.models import AppliedMapping, MergeReview
from contacts.changes import Source, change_contact, lock_contacts
from sync.wake import wake

State, Outcome = MergeReview.State, AppliedMapping.Outcome
UNMERGED = (State.KEPT_BOTH, State.APART)
EVIDENCE_LINES = 5
_WORD = re.compile(r"\w{3,}")


class NotWaiting(ValueError):
    """Somebody else has decided about this merge already, or nobody had to."""


def waiting() -> QuerySet[MergeReview]:
    """The merges that a person has to decide about, oldest first."""
    return (
        MergeReview.objects.filter(state=State.WAITING)
        .select_related("contact", "conversation")
        .order_by("pk")
    )


def accept(review: MergeReview, by: Source) -> MergeReview:
    """Write the merged text; if the field has moved, it is merged again and waits again. Raises NotWaiting, DoesNotFit.

    Returns the review as it is now, or the one that has taken its place.
    """
    return _decide(review, review.merged, by, edited=False)


def edit_and_accept(review: MergeReview, text: str, by: Source) -> MergeReview:
    """Write a person's own text instead; if the field has moved, it waits with that text. Raises NotWaiting, DoesNotFit."""
    return _decide(review, text.strip(), by, edited=True)


def reject(review: MergeReview, by: Source, reason: str = "") -> MergeReview:
    """Leave the field as it is. Raises NotWaiting."""
    with transaction.atomic():
        row = _locked(review)
        _decided(row, State.REJECTED, by, reason or "Rejected.")
        ledger.record(
            row.conversation, row.mapping, Outcome.KEPT, f"{by.label or 'A person'} rejected the merge."
        )
    return row


def merge_later(reviews: QuerySet[MergeReview]) -> int:
    """Have texts that were kept apart merged soon, as a person asked; returns how many that are."""
    count = reviews.filter(state__in=UNMERGED).update(due_at=timezone.now(), attempts=0)
    if count:
        wake()
    return count


def evidence(review: MergeReview) -> list[str]:
    """The lines of the transcript that say most of the new text, in their order."""
    words = set(_WORD.findall(review.new.casefold()))
    lines = [line.strip() for line in review.conversation.transcript.splitlines() if line.strip()]
    shared = [len(words.intersection(_WORD.findall(line.casefold()))) for line in lines]
    best = sorted(range(len(lines)), key=lambda at: -shared[at])[:EVIDENCE_LINES]
    return [lines[at] for at in sorted(best) if shared[at]]


def _decide(review: MergeReview, text: str, by: Source, *, edited: bool) -> MergeReview:
    with transaction.atomic():
        row = _locked(review)
        source = replace(by, detail={**by.detail, "conversation": row.conversation.key, "review": row.pk})
        written = change_contact(
            row.contact_id,
            {row.contact_field: text},
            source=source,
            expect={row.contact_field: row.old or None},
        )
        refusal = written.refused.get(row.contact_field)
        if refusal and refusal.reason == "moved":
            current = str(written.contact.value(row.contact_field) or "")
            row = _put_up_again(row, current, text, by, edited=edited)
        elif refusal:
            raise refusal
        else:
            row.merged = text
            _decided(row, State.APPLIED, by, "Edited before it was accepted." if edited else row.reason)
            outcome, _ = ledger.outcome_of(written)
            ledger.record(row.conversation, row.mapping, outcome, f"Accepted by {by.label or 'a person'}.")
    wake()
    return row


def _put_up_again(row: MergeReview, current: str, text: str, by: Source, *, edited: bool) -> MergeReview:
    """A fresh review against what the field holds now: a person's own text is kept, an LLM's is asked for anew."""
    _decided(row, State.SUPERSEDED, by, "The field had changed meanwhile.")
    return MergeReview.objects.create(
        conversation=row.conversation, contact=row.contact, mapping=row.mapping, contact_field=row.contact_field,
        old=current, new=row.new, kept=row.kept, merged=text,
        state=State.WAITING if edited else State.AGAIN,
        due_at=None if edited else timezone.now(),
        reason="The field had changed meanwhile; look again.",
    )  # fmt: skip


def _locked(review: MergeReview) -> MergeReview:
    lock_contacts([review.contact_id])
    row = MergeReview.objects.select_for_update(no_key=True, of=("self",)).filter(pk=review.pk).first()
    if row is None or row.state != State.WAITING:
        raise NotWaiting("This merge has been decided already.")
    return row


def _decided(row: MergeReview, state: str, by: Source, reason: str) -> None:
    row.state, row.reason = state, reason[:300]
    row.decided_by, row.decided_at = (by.label or by.ref)[:200], timezone.now()
    row.save(update_fields=["state", "reason", "decided_by", "decided_at", "merged"])
