"""Merge mode: the LLM combines what the field holds with what a conversation brought; neither text is ever lost.

The LLM is asked outside any transaction, and its answer is written only if the field still holds the text that went in.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from activity import ledger
from activity.models import AppliedMapping, Conversation, MergeReview
from contacts.changes import change_contact
from contacts.models import Contact, CustomField
from contacts.values import FieldSpec
from mappings.merge import MergeResult, keep_both, merge_texts
from mappings.models import AnalysisMapping

ROUNDS = 2


def merge(
    conversation: Conversation,
    mapping: AnalysisMapping,
    spec: FieldSpec,
    new: str,
    may_go_on: Callable[[], bool],
) -> None:
    """Merge and write; redone once when the field moved meanwhile, after that both texts are kept."""
    for round_ in range(ROUNDS):
        if round_ and not may_go_on():
            break
        old = _value_now(conversation, mapping)
        if not old or old == new:
            if _write_merged(conversation, mapping, old, new, None):
                return
            continue
        result = merge_texts(spec.label or spec.name, _instruction(spec), old, new)
        if _write_merged(conversation, mapping, old, new, result):
            return
        _review(conversation, mapping, old, new, result, MergeReview.State.SUPERSEDED).save()
    with transaction.atomic():
        contact = ledger.locked_contact(conversation)
        old = str(contact.value(mapping.contact_field) or "")
        both = MergeResult(
            text=keep_both(old, new),
            merged=False,
            reason="The field kept changing while the texts were merged.",
        )
        _write_merged(conversation, mapping, old, new, both if old else None)


def _write_merged(
    conversation: Conversation, mapping: AnalysisMapping, old: str, new: str, result: MergeResult | None
) -> bool:
    """Write the outcome with its records, all or nothing; False when the field no longer holds `old`."""
    field, text = mapping.contact_field, result.text if result else new
    with transaction.atomic():
        contact = ledger.locked_contact(conversation)
        if ledger.applied(conversation, mapping):
            return True
        expected = {field: old or None}
        written = change_contact(
            contact.pk, {field: text}, source=ledger.source_of(conversation, mapping), expect=expected
        )
        if any(error.reason == "moved" for error in written.refused.values()):
            return False
        outcome, reason = ledger.outcome_of(written)
        if result:
            state = MergeReview.State.APPLIED if result.merged else MergeReview.State.KEPT_BOTH
            state = MergeReview.State.REFUSED if outcome == AppliedMapping.Outcome.SKIPPED else state
            _review(conversation, mapping, old, new, result, state).save()
            reason = reason or result.reason
        ledger.record(conversation, mapping, outcome, reason)
    return True


def _value_now(conversation: Conversation, mapping: AnalysisMapping) -> str:
    contact = Contact.objects.get(pk=conversation.contact_id or 0)
    return str(contact.value(mapping.contact_field) or "")


def _instruction(spec: FieldSpec) -> str:
    """The field's description tells the LLM what matters."""
    field = CustomField.objects.filter(name=spec.name).first()
    return field.description if field else ""


def _review(
    conversation: Conversation, mapping: AnalysisMapping, old: str, new: str, result: MergeResult, state: str
) -> MergeReview:
    return MergeReview(
        conversation=conversation,
        contact_id=conversation.contact_id or 0,
        contact_field=mapping.contact_field,
        old=old,
        new=new,
        merged=result.text,
        state=state,
        reason=result.reason[:300],
        model=result.model[:120],
        prompt_version=result.prompt_version,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost=result.cost,
    )
