"""The workers' side of events: take deliveries in, then apply the analyses they brought.

A delivery is one transaction without network. The analysis, which may ask the LLM, is a second step that is due on the
conversation, so that a slow answer holds up no other event.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from activity import analysis, log, memory
from activity.claims import claim, hold, release, stretch
from activity.intake import INBOUND_EVENTS, take_in
from activity.models import Conversation, WebhookDelivery
from contacts.models import Contact
from sync.backoff import MAX_ATTEMPTS, next_attempt
from sync.wake import wake

logger = structlog.get_logger(__name__)
State = WebhookDelivery.State
DELIVERIES, DELIVERY_LEASE, DELIVERY_STRETCH = 20, timedelta(minutes=1), 5.0
NOT_APPLIED = (
    f"Applying its analysis failed {MAX_ATTEMPTS} times; once that is mended, replay one of its deliveries."
)
ANALYSES, ANALYSIS_LEASE, ANALYSIS_STRETCH = 10, timedelta(minutes=3), 20.0


def process_some() -> int:
    """Handle one batch of due deliveries and of due analyses; returns how many rows were handled."""
    return deliver_some() + apply_some()


def replay(deliveries: QuerySet[WebhookDelivery]) -> int:
    """Have deliveries processed again, as a person asked; what was done before is not done twice."""
    count = deliveries.exclude(event__in=INBOUND_EVENTS).update(
        state=State.PENDING, attempts=0, due_at=timezone.now(), claimed_until=None
    )
    if count:
        wake()
    return count


def deliver_some() -> int:
    """Fold one batch of pending deliveries into their conversations."""
    due = WebhookDelivery.objects.filter(state=State.PENDING, due_at__lte=timezone.now()).order_by(
        "due_at", "id"
    )
    ids, until = claim(due, limit=DELIVERIES, lease=DELIVERY_LEASE)
    may_go_on = stretch(DELIVERY_STRETCH)
    for position, pk in enumerate(ids):
        if not may_go_on():
            release(WebhookDelivery, ids[position:], until)
            return position
        if delivery := WebhookDelivery.objects.filter(pk=pk).first():
            _deliver(delivery, pk, until)
    return len(ids)


def apply_some() -> int:
    """Apply the analysis mappings of one batch of conversations: of all of them what needs no LLM first, then the rest."""
    due = Conversation.objects.filter(apply_due_at__lte=timezone.now()).order_by("apply_due_at", "id")
    ids, until = claim(due, limit=ANALYSES, lease=ANALYSIS_LEASE)
    may_go_on = stretch(ANALYSIS_STRETCH)
    left = ids
    for may_ask in (False, True):
        left = [pk for pk in left if not (may_go_on() and _apply(pk, until, may_go_on, may_ask=may_ask))]
    release(Conversation, left, until)
    return len(ids)


# --- one delivery ---------------------------------------------------------------------------------


def _deliver(delivery: WebhookDelivery, pk: int, until: datetime) -> None:
    if delivery.attempts >= MAX_ATTEMPTS:
        _park(delivery, "the worker ended each time")
        return
    # Counted before the work, and due later: an event that kills its worker comes back last, and not for ever.
    attempts = delivery.attempts + 1
    if not hold(WebhookDelivery, pk, until, attempts=attempts, due_at=next_attempt(attempts)):
        return
    try:
        with transaction.atomic():
            state, note = take_in(delivery)
            hold(
                WebhookDelivery, pk, until,
                state=state, note=note[:500], processed_at=timezone.now(), claimed_until=None,
            )  # fmt: skip
    except Exception as error:
        logger.exception("delivery_failed", delivery=pk, attempts=attempts)
        _failed(delivery, attempts, type(error).__name__)


def _failed(delivery: WebhookDelivery, attempts: int, what: str) -> None:
    if attempts >= MAX_ATTEMPTS:
        _park(delivery, what)
        return
    note = f"Attempt {attempts} failed ({what}); it is tried again."
    WebhookDelivery.objects.filter(pk=delivery.pk).update(note=note, claimed_until=None)


def _park(delivery: WebhookDelivery, what: str) -> None:
    note = f"Parked after {MAX_ATTEMPTS} attempts ({what}). The server's log says more; replay it when that is mended."
    logger.error("delivery_parked", delivery=delivery.pk)
    WebhookDelivery.objects.filter(pk=delivery.pk).update(state=State.PARKED, note=note, claimed_until=None)


# --- one analysis ---------------------------------------------------------------------------------


def _apply(pk: int, until: datetime, may_go_on: Callable[[], bool], *, may_ask: bool) -> bool:
    """Apply what is outstanding of one conversation; False when something is left, to be done with the LLM or with more time."""
    row = Conversation.objects.filter(pk=pk)
    conversation = row.first()
    if conversation is None:
        return True
    attempts = conversation.apply_attempts + 1
    if attempts > MAX_ATTEMPTS:
        row.update(apply_due_at=None, claimed_until=None, note=NOT_APPLIED)
        logger.error("analysis_parked", conversation=pk)
        log.bring_up_to_date(conversation)
        return True
    due_at = next_attempt(attempts)
    if not hold(Conversation, pk, until, apply_attempts=attempts, apply_due_at=due_at):
        return True
    try:
        complete = analysis.apply(conversation, may_go_on=may_go_on, may_ask=may_ask)
        complete = memory.remember(conversation, may_go_on, may_ask=may_ask and complete) and complete
    except Contact.DoesNotExist:
        complete = True  # deleted meanwhile: there is nobody to write to
    except Exception:
        logger.exception("analysis_failed", conversation=pk, attempts=attempts)
        hold(Conversation, pk, until, claimed_until=None)
        return True
    # What is logged depends on no merge, so it waits for none.
    log.bring_up_to_date(conversation)
    if not complete:
        # Behind those that have come meanwhile.
        row.update(apply_due_at=timezone.now(), apply_attempts=attempts - 1)
        return False
    _complete(row, due_at)
    hold(Conversation, pk, until, claimed_until=None)
    return True


def _complete(row: QuerySet[Conversation], due_at: datetime) -> None:
    row.update(applied_at=Coalesce("applied_at", timezone.now()), apply_attempts=0)
    row.filter(note=NOT_APPLIED).update(note="")
    # An event that came meanwhile has made it due anew; only our own mark is taken away.
    row.filter(apply_due_at=due_at).update(apply_due_at=None)
