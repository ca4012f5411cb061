"""The ledger of applied mappings: written in the transaction of the change, so that nothing is applied twice."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Coalesce
from django.utils import timezone

from activity.models import AppliedMapping, Conversation
from contacts.changes import Source, Written, lock_contacts
from contacts.models import Contact
from mappings.models import AnalysisMapping

Outcome = AppliedMapping.Outcome
MEMORY = "contact_memory"
NO_VALUE = "The analysis has no value for it."


def locked_contact(conversation: Conversation) -> Contact:
    """The conversation's contact, locked until the transaction ends. Raises Contact.DoesNotExist."""
    for contact in lock_contacts([conversation.contact_id or 0]).values():
        return contact
    raise Contact.DoesNotExist("This contact is gone.")


def applied(conversation: Conversation, mapping: AnalysisMapping | None) -> bool:
    """Whether another worker was quicker; asked under the contact's lock. `mapping` None: at the memory."""
    rows = AppliedMapping.objects.filter(conversation=conversation, mapping=mapping)
    rows = rows if mapping else rows.filter(contact_field=MEMORY)
    return rows.exclude(reason=NO_VALUE).exists()


def record(conversation: Conversation, mapping: AnalysisMapping | None, outcome: str, reason: str) -> None:
    """Note what became of a mapping; a note that there was no value gives way. `mapping` None: of the memory."""
    if mapping is None:
        AppliedMapping.objects.update_or_create(
            conversation=conversation,
            mapping=None,
            contact_field=MEMORY,
            defaults={
                "analysis_field": "transcript",
                "outcome": outcome,
                "reason": reason[:300],
                "at": timezone.now(),
            },
        )
        return
    AppliedMapping.objects.bulk_create(
        [row(conversation, mapping, outcome, reason)],
        update_conflicts=True,
        unique_fields=["conversation", "mapping"],
        update_fields=["outcome", "reason", "analysis_field", "contact_field", "at"],
    )


def row(conversation: Conversation, mapping: AnalysisMapping, outcome: str, reason: str) -> AppliedMapping:
    """A ledger row, not yet saved."""
    return AppliedMapping(
        conversation=conversation,
        mapping=mapping,
        analysis_field=mapping.analysis_field,
        contact_field=mapping.contact_field,
        outcome=outcome,
        reason=reason[:300],
    )


def source_of(conversation: Conversation, mapping: AnalysisMapping | None) -> Source:
    """Where a value comes from: the conversation, when it took place, and by which mapping (None: the memory)."""
    by: dict[str, Any] = {"mode": "memory"}
    if mapping:
        by = {"mode": mapping.update_mode, "mapping": mapping.pk, "position": mapping.position}
    return Source(
        kind="conversation",
        ref=conversation.ref,
        label=str(conversation),
        detail={
            "conversation": conversation.key,
            "at_started": conversation.moment.isoformat(),
            **by,
        },
    )


def outcome_of(written: Written) -> tuple[Outcome, str]:
    """What a write did, with the reason where it was refused."""
    for error in written.refused.values():
        return (Outcome.KEPT if error.reason == "opt_out_kept" else Outcome.SKIPPED), str(error)
    return (Outcome.WRITTEN if written.changed else Outcome.UNCHANGED), ""


def decided_later(conversation: Conversation, field: str) -> bool:
    """Whether a conversation that took place later has already said what the contact's field holds.

    Asked of the ledger, not of the field's source: a later conversation that found its own value there decided too.
    """
    others = Conversation.objects.filter(contact=conversation.contact_id)
    others = others.annotate(took_place=Coalesce("started_at", "ended_at", "created_at"))
    later = others.filter(took_place__gt=conversation.moment)
    said = [Outcome.WRITTEN, Outcome.UNCHANGED]
    return later.filter(applied__contact_field=field, applied__outcome__in=said).exists()
