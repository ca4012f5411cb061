"""One delivery taken in: the conversation brought up to date, the contact met and counted, what follows set due.

All of it is one transaction without network, so that a delivery is either wholly taken in or not at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from activity import ledger, log, receive
from activity.models import AppliedMapping, Conversation, WebhookDelivery
from activity.reading import ANALYZED, ENDED, INBOUND, STAGES, Event, Unused, facts, fold, read_event
from contacts.archive import bring_back
from contacts.changes import Source, change_contact, find_or_create
from contacts.models import Contact
from contacts.phone import BadPhone, to_e164

# How the platform ends a call whose caller asked not to be called again, and what that is to us.
OPTED_OUT, FLAG = "user_requested_dnc", "do_not_call"
FOLDED = (WebhookDelivery.State.DONE, WebhookDelivery.State.KEPT)
INBOUND_EVENTS = [name for name, stage in STAGES.items() if stage == INBOUND]


def take_in(delivery: WebhookDelivery) -> tuple[str, str]:
    """Do everything that a delivery asks for, in one transaction; returns its end state and what was done."""
    event = _event(delivery)
    if isinstance(event, Unused):
        return WebhookDelivery.State.KEPT, event.reason
    conversation = _locked(event, delivery)
    before = conversation.moment
    changed = _fold_in(conversation, _to_fold(conversation, delivery, event))
    if conversation.counted and conversation.moment != before:
        _moved(conversation, before)
    notes = ["Stored." if changed else "Nothing new in it."]
    if conversation.ended:
        notes.append(_meet(conversation))
    if conversation.contact_id:
        notes += follow_up(conversation, changed=changed)
    return WebhookDelivery.State.DONE, " ".join(filter(None, notes))


def _event(delivery: WebhookDelivery) -> Event | Unused:
    return read_event(delivery.event, delivery.conversation_key, receive.parse(bytes(delivery.body)))


def _locked(event: Event, delivery: WebhookDelivery) -> Conversation:
    """The conversation's row, made at its first event and locked until the transaction ends."""
    Conversation.objects.bulk_create(
        [Conversation(key=event.key, kind=event.kind, created_at=delivery.received_at)], ignore_conflicts=True
    )
    return Conversation.objects.select_for_update(no_key=True).get(key=event.key)


def _to_fold(conversation: Conversation, delivery: WebhookDelivery, event: Event) -> list[Event]:
    """This event where all others are in the payload and it comes behind them: then no other body has to be read.

    Else all of them: folding them anew makes their order of arrival irrelevant.
    """
    known = WebhookDelivery.objects.filter(conversation_key=event.key, event__in=STAGES)
    others = known.exclude(pk=delivery.pk).values_list("event", "pk", "state")
    asked = any(name in INBOUND_EVENTS for name, _, _ in others)
    behind = all(
        state in FOLDED and (STAGES[name], pk) < (event.stage, delivery.pk) for name, pk, state in others
    )
    # What was answered on the spot is no delivery that was taken in: it is folded with the first one.
    if behind and conversation.payload and (conversation.answer is not None or not asked):
        return [event]
    found = (_event(one) for one in known.order_by("id"))
    return [one for one in found if isinstance(one, Event)]


def _fold_in(conversation: Conversation, events: list[Event]) -> bool:
    """Bring the conversation up to what its events say; False when it was there already."""
    payload = fold(conversation.payload, [event for event in events if event.kind == conversation.kind])
    columns = facts(conversation.kind, payload, settings.CRMSYNC_CHAT_NUMBER_KEYS)
    answer = _answer(conversation.key)
    columns["variables"] = columns["variables"] or _given(answer)
    columns["answer"] = conversation.answer if answer is None else answer
    stage = max((event.stage for event in events), default=INBOUND)
    told = any(columns[name] not in ("", None, {}) for name in ("summary", "successful", "analysis"))
    columns |= {
        "payload": payload,
        "analyzed": conversation.analyzed or stage >= ANALYZED or told,
        "ended": conversation.ended or stage >= ENDED or told,
    }
    changed = [name for name, value in columns.items() if getattr(conversation, name) != value]
    for name in changed:
        setattr(conversation, name, columns[name])
    if changed:
        conversation.save(update_fields=[*changed, "updated_at"])
    return bool(changed)


def _given(answer: dict[str, Any] | None) -> dict[str, str]:
    return dict((answer or {}).get("dynamic_variables", {}))


def _answer(key: str) -> dict[str, Any] | None:
    """What the platform was answered when it asked about the conversation."""
    asked = WebhookDelivery.objects.filter(conversation_key=key, event__in=INBOUND_EVENTS).order_by("-id")
    return asked.values_list("answer", flat=True).first()


def _meet(conversation: Conversation) -> str:
    """Find or create the contact of an ended conversation and count it once; returns what was done, or why not."""
    if conversation.contact_id:
        return ""
    note = _why_no_contact(conversation)
    if not note:
        try:
            number = to_e164(conversation.person_number, settings.PHONE_DEFAULT_REGION)
        except BadPhone:
            note = "The number it came with cannot be used, so it has no contact."
    conversation.note = note
    if not note:
        source = Source("conversation", ref=conversation.ref, label=str(conversation))
        conversation.contact, created = find_or_create(number, source=source)
        note = "The contact was created." if created else "The contact was found."
    conversation.save(update_fields=["note", "contact", "updated_at"])
    return note


def _why_no_contact(conversation: Conversation) -> str:
    if conversation.counted:
        return "Its contact has been deleted since."
    if conversation.channel == Conversation.Channel.PHONE and not conversation.direction:
        return "It does not say whether it was inbound or outbound, so its contact is not known."
    if not conversation.person_number:
        return f"A {conversation.get_channel_display()} without a number: it has no contact."
    return ""


def follow_up(conversation: Conversation, *, changed: bool) -> list[str]:
    """Count a conversation that has a contact, and set due what follows from it; returns what was done, in words."""
    notes: list[str] = []
    if not conversation.counted:
        _count(conversation)
    notes += _opt_out(conversation)
    logged = log.intend(conversation)
    if logged:
        notes.append(f"It will be logged in {logged} CRM{'s' if logged > 1 else ''}.")
    if not conversation.analyzed:
        notes.append("There is no analysis yet.")
    elif changed or conversation.applied_at is None:
        # With new attempts: what made the former ones fail may be mended.
        Conversation.objects.filter(pk=conversation.pk).update(apply_due_at=timezone.now(), apply_attempts=0)
        notes.append("Its analysis goes through the mappings.")
    return notes


def _opt_out(conversation: Conversation) -> list[str]:
    """Note for whoever asked not to be called again; once, since a person may have taken it back afterwards."""
    if conversation.disconnection_reason != OPTED_OUT:
        return []
    if AppliedMapping.objects.filter(conversation=conversation, mapping=None, contact_field=FLAG).exists():
        return []
    source = Source("conversation", conversation.ref, str(conversation), {"conversation": conversation.key})
    written = change_contact(conversation.contact_id or 0, {FLAG: True}, source=source)
    outcome, reason = ledger.outcome_of(written)
    AppliedMapping.objects.create(
        conversation=conversation, contact_field=FLAG, analysis_field="disconnection_reason",
        outcome=outcome, reason=reason,
    )  # fmt: skip
    return ["The contact asked not to be called again."]


def _count(conversation: Conversation) -> None:
    conversation.counted = True
    conversation.save(update_fields=["counted", "updated_at"])
    bring_back([conversation.contact_id or 0])
    _contact(conversation).update(conversation_count=F("conversation_count") + 1)
    _latest(conversation)


def _contact(conversation: Conversation) -> QuerySet[Contact]:
    return Contact.objects.filter(pk=conversation.contact_id or 0)


def _latest(conversation: Conversation) -> None:
    at = conversation.moment
    earlier = Q(last_conversation_at=None) | Q(last_conversation_at__lt=at)
    _contact(conversation).filter(earlier).update(last_conversation_at=at)


def _moved(conversation: Conversation, before: datetime) -> None:
    """When it took place is known better now: if it stood as the contact's last one, the last one is looked for anew."""
    others = Conversation.objects.filter(contact=conversation.contact_id, counted=True)
    latest = others.aggregate(at=Max(Coalesce("started_at", "ended_at", "created_at")))["at"]
    _contact(conversation).filter(last_conversation_at=before).update(last_conversation_at=latest)
    _latest(conversation)
