"""Analysis mappings: a value that a conversation brought meets the contact's field, once per conversation and mapping.

Each mapping is one transaction that holds the change and its ledger row; merges are in activity.merging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

from activity import ledger
from activity.merging import merge
from activity.models import AppliedMapping, Conversation
from contacts.changes import change_contact
from contacts.models import Contact, field_specs
from contacts.values import DoesNotFit, FieldSpec, FieldType, Value, coerce, is_blank
from mappings.models import AnalysisMapping, UpdateMode

Outcome = AppliedMapping.Outcome
NEUTRAL = ("summary", "sentiment", "successful", "in_voicemail")


def analysis_values(conversation: Conversation) -> dict[str, Any]:
    """Every value of the analysis by name: the custom ones, and the built-in ones under the platform's and plain names."""
    built_in: dict[str, Any] = {name: getattr(conversation, name) for name in NEUTRAL}
    built_in |= {
        f"{conversation.kind}_summary": conversation.summary,
        f"{conversation.kind}_successful": conversation.successful,
        "user_sentiment": conversation.sentiment,
    }
    given = {name: value for name, value in conversation.analysis.items() if not is_blank(value)}
    return {**{name: value for name, value in built_in.items() if not is_blank(value)}, **given}


def apply(
    conversation: Conversation, *, may_go_on: Callable[[], bool] = lambda: True, may_ask: bool = True
) -> bool:
    """Apply what is outstanding, in the mappings' order; False when something is left.

    That is when `may_go_on` ended it early, or without `may_ask` where the LLM has to be asked: then all other fields have
    been dealt with, and of such a field nothing behind it. Nothing happens to a conversation without a contact.
    """
    values = analysis_values(conversation)
    outstanding = _outstanding(conversation)
    missing = [mapping for mapping in outstanding if mapping.analysis_field not in values]
    AppliedMapping.objects.bulk_create(
        [ledger.row(conversation, mapping, Outcome.SKIPPED, ledger.NO_VALUE) for mapping in missing],
        ignore_conflicts=True,
    )
    left: set[str] = set()
    for mapping in outstanding:
        if mapping in missing or mapping.contact_field in left:
            continue
        if not may_go_on():
            return False
        try:
            done = _apply_one(conversation, mapping, values[mapping.analysis_field], may_go_on, may_ask)
        except Contact.DoesNotExist:
            return True
        left |= set() if done else {mapping.contact_field}
    return not left


def _outstanding(conversation: Conversation) -> list[AnalysisMapping]:
    """The mappings still to be applied; ones added after the first time wait for a person to ask for a backfill."""
    if conversation.contact_id is None:
        return []
    rows = AppliedMapping.objects.filter(conversation=conversation)
    without = set(rows.filter(reason=ledger.NO_VALUE).values_list("mapping_id", flat=True))
    done = set(rows.exclude(reason=ledger.NO_VALUE).values_list("mapping_id", flat=True))
    mappings = [mapping for mapping in AnalysisMapping.objects.all() if mapping.pk not in done]
    return [mapping for mapping in mappings if conversation.applied_at is None or mapping.pk in without]


def _apply_one(
    conversation: Conversation,
    mapping: AnalysisMapping,
    raw: Any,
    may_go_on: Callable[[], bool],
    may_ask: bool,
) -> bool:
    """False: the LLM has to be asked, and may not be."""
    spec = field_specs().get(mapping.contact_field)
    try:
        new = fitting(mapping, spec, raw)
    except DoesNotFit as error:
        ledger.record(conversation, mapping, Outcome.SKIPPED, str(error))
        return True
    if mapping.update_mode == UpdateMode.MERGE and spec is not None:
        return merge(conversation, mapping, spec, str(new), may_go_on, may_ask=may_ask)
    _write(conversation, mapping, new)
    return True


def fitting(mapping: AnalysisMapping, spec: FieldSpec | None, raw: Any) -> Value:
    """The value in the field's own form. Raises DoesNotFit, whose text is the reason that people read."""
    if spec is None:
        raise DoesNotFit("unknown_field", "There is no such contact field any more.")
    if spec.name == "phone_number":
        raise DoesNotFit("phone_fixed", "The phone number is never written by an analysis.")
    if mapping.update_mode == UpdateMode.MERGE and spec.type != FieldType.STRING:
        raise DoesNotFit("wrong_type", "Only text fields can be merged.")
    return coerce(raw, spec)


def _write(conversation: Conversation, mapping: AnalysisMapping, new: Value) -> None:
    with transaction.atomic():
        contact = ledger.locked_contact(conversation)
        if ledger.applied(conversation, mapping):
            return
        hindrance = _hindrance(mapping, contact, conversation)
        if hindrance:
            outcome, reason = hindrance
        else:
            written = change_contact(
                contact.pk, {mapping.contact_field: new}, source=ledger.source_of(conversation, mapping)
            )
            outcome, reason = ledger.outcome_of(written)
        ledger.record(conversation, mapping, outcome, reason)


def _hindrance(
    mapping: AnalysisMapping, contact: Contact, conversation: Conversation
) -> tuple[Outcome, str] | None:
    """Why the field keeps its value, or None."""
    field = mapping.contact_field
    if mapping.update_mode == UpdateMode.FILL_IF_EMPTY:
        # An opt-out that was never given is no answer, so it counts as empty.
        filled = contact.do_not_call if field == "do_not_call" else contact.value(field) is not None
        return (Outcome.KEPT, "The field already has a value.") if filled else None
    if ledger.decided_later(conversation, field) or _set_by_later_mapping(
        contact.sources.get(field, {}), mapping, conversation
    ):
        return Outcome.SKIPPED, "A later conversation or mapping has set the field."
    return None


def _set_by_later_mapping(
    source: Mapping[str, Any], mapping: AnalysisMapping, conversation: Conversation
) -> bool:
    """Within one conversation the mappings' order decides, also when a value came late."""
    own = source.get("kind") == "conversation" and source.get("conversation") == conversation.key
    return own and int(source.get("position", 0)) > mapping.position
