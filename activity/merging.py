"""Merge mode: the LLM combines what the field holds with what a conversation brought; neither text is ever lost.

The LLM is asked outside any transaction, and its answer is written only if the field still holds the text that went in.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import transaction

from activity import asking, ledger
from activity.asking import Wanted
from activity.models import AppliedMapping, Conversation, MergeReview
from contacts.changes import change_contact
from contacts.models import Contact, CustomField
from contacts.values import FieldSpec
from mappings.models import AnalysisMapping, Review

ROUNDS = 2
State, Outcome = MergeReview.State, AppliedMapping.Outcome
REVIEWED = "A person looks at the merge first."
KEPT_MOVING = "The field kept changing while the texts were merged."
TOO_LONG = "Both texts together are too long for the field; the new one is kept here until they are merged."


def merge(
    conversation: Conversation,
    mapping: AnalysisMapping,
    spec: FieldSpec,
    new: str,
    may_go_on: Callable[[], bool],
    *,
    may_ask: bool = True,
) -> bool:
    """Merge and write what a mapping brought; False when the LLM has to be asked and may not be."""
    return settle(wanted_of(conversation, mapping, spec, new), may_go_on, may_ask=may_ask)


def wanted_of(conversation: Conversation, mapping: AnalysisMapping, spec: FieldSpec, new: str) -> Wanted:
    """What a mapping wants merged. The field's description tells the LLM what matters."""
    field = CustomField.objects.filter(name=spec.name).first()
    return Wanted(
        conversation,
        mapping,
        mapping.contact_field,
        spec.label or spec.name,
        new,
        instruction=field.description if field else "",
        reviewed=mapping.review == Review.REVIEWED,
    )


def settle(wanted: Wanted, may_go_on: Callable[[], bool], *, may_ask: bool = True) -> bool:
    """Merge and write; redone once when the field moved meanwhile, after that both texts are kept.

    Without `may_ask` only what needs no LLM is written; returns False when it does need one.
    """
    for round_ in range(ROUNDS):
        if round_ and not may_go_on():
            break
        old = value_now(wanted)
        if ledger.applied(wanted.conversation, wanted.mapping):
            return True
        if not wanted.needs_merging(old):
            if _write(wanted, old, None):
                return True
            continue
        if not may_ask:
            return False
        answer = asking.ask(wanted, old)
        if wanted.reviewed:
            _put_up(wanted, answer)
            return True
        if _write(wanted, old, answer):
            return True
        MergeReview.objects.filter(pk=answer.pk).update(state=State.SUPERSEDED)
    _keep_both(wanted)
    return True


def value_now(wanted: Wanted) -> str:
    """The text that the field holds. Raises Contact.DoesNotExist."""
    contact = Contact.objects.get(pk=wanted.conversation.contact_id or 0)
    return str(contact.value(wanted.field) or "")


def too_long(answer: MergeReview) -> bool:
    """Whether the two texts below each other are more than a field should hold."""
    return bool(answer.code) and len(answer.merged) > settings.CRMSYNC_MERGE_LIMIT


def mark(answer: MergeReview, outcome: str) -> MergeReview:
    """Note what became of an answer; texts that were not merged are due for it later."""
    if outcome == Outcome.SKIPPED:
        answer.state = State.REFUSED
    elif not answer.code:
        answer.state = State.APPLIED
    else:
        answer.state = State.APART if too_long(answer) else State.KEPT_BOTH
        answer.due_at = asking.later(answer)
    if answer.state == State.APART:
        answer.reason = TOO_LONG
    return answer


def _put_up(wanted: Wanted, answer: MergeReview) -> None:
    """Leave the merge to a person."""
    with transaction.atomic():
        ledger.locked_contact(wanted.conversation)
        if not ledger.applied(wanted.conversation, wanted.mapping):
            answer.state = State.WAITING
            ledger.record(wanted.conversation, wanted.mapping, Outcome.WAITING, REVIEWED)
        else:
            answer.state = State.SUPERSEDED
        answer.save()


def _write(wanted: Wanted, old: str, answer: MergeReview | None) -> bool:
    """Write the outcome with its records, all or nothing; False when the field no longer holds `old`."""
    conversation, mapping = wanted.conversation, wanted.mapping
    text = answer.merged if answer else wanted.kept or wanted.new
    with transaction.atomic():
        contact = ledger.locked_contact(conversation)
        if ledger.applied(conversation, mapping):
            MergeReview.objects.filter(pk=answer.pk or 0 if answer else 0).update(state=State.SUPERSEDED)
            return True
        if answer and too_long(answer):
            mark(answer, Outcome.KEPT).save()
            ledger.record(conversation, mapping, Outcome.KEPT, TOO_LONG)
            return True
        written = change_contact(
            contact.pk,
            {wanted.field: text},
            source=ledger.source_of(conversation, mapping),
            expect={wanted.field: old or None},
        )
        if any(error.reason == "moved" for error in written.refused.values()):
            return False
        outcome, reason = ledger.outcome_of(written)
        if answer:
            mark(answer, outcome).save()
            reason = reason or answer.reason
        ledger.record(conversation, mapping, outcome, reason)
    return True


def _keep_both(wanted: Wanted) -> None:
    """The last resort: what the field holds now, and the new text under it."""
    with transaction.atomic():
        contact = ledger.locked_contact(wanted.conversation)
        old = str(contact.value(wanted.field) or "")
        both = MergeReview(
            conversation=wanted.conversation, contact=contact, mapping=wanted.mapping, contact_field=wanted.field,
            old=old, new=wanted.new, kept=wanted.kept, merged=wanted.both(old), code="moved", reason=KEPT_MOVING,
        )  # fmt: skip
        _write(wanted, old, both if old else None)
