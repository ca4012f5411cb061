"""Who pays for a failure: the entry whose own request failed, never its neighbours; and nobody for an outage."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activity.log import log_some, retry
from activity.models import ActivityEntry
from activity.process import process_some
from integrations.providers.errors import OutcomeUnknown, Transient
from sync.backoff import MAX_ATTEMPTS
from sync.models import SyncIssue
from tests.activity.payloads import analyzed, chat, deliver

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(connection, link):
    """Two calls and a chat are to be logged; the calls travel in one request, the chat in another."""
    deliver(analyzed("call_1"), analyzed("call_2"), {"event": "chat_analyzed", "chat": chat()})
    while process_some():
        pass
    link()
    due_now()


def due_now():
    ActivityEntry.objects.update(due_at=timezone.now(), claimed_until=None)


def attempts():
    rows = ActivityEntry.objects.order_by("conversation__key").values_list("conversation__key", "attempts")
    return dict(rows)


def test_only_those_whose_request_failed_pay_an_attempt(three, crm):
    crm.fail("log_activities", Transient("Unavailable.", status=503))
    log_some()
    assert attempts() == {"call_1": 1, "call_2": 1, "chat_ada": 0}
    waiting = ActivityEntry.objects.get(conversation__key="chat_ada")
    assert timedelta(0) < waiting.due_at - timezone.now() <= timedelta(minutes=1)


def test_our_own_fault_in_one_request_does_not_hold_back_the_next(three, crm):
    crm.fail("log_activities", ValueError("a bug"))
    log_some()
    assert dict(ActivityEntry.objects.values_list("conversation__key", "state")) == {
        "call_1": "unknown",
        "call_2": "unknown",
        "chat_ada": "logged",
    }


def test_a_look_that_failed_is_paid_by_the_one_that_was_looked_for(three, crm):
    crm.fail("log_activities", OutcomeUnknown("Lost."))
    log_some()
    assert attempts() == {"call_1": 1, "call_2": 1, "chat_ada": 0}
    due_now()
    crm.fail("find_activity", Transient("Unavailable.", status=503))
    log_some()
    assert sorted(ActivityEntry.objects.filter(state="unknown").values_list("attempts", flat=True)) == [1, 2]


def test_an_outage_parks_nothing_and_is_one_issue(three, crm):
    crm.fail("log_activities", Transient("Unavailable.", status=503), times=1_000)
    for _ in range(MAX_ATTEMPTS * 2):
        log_some()
        due_now()
    assert min(attempts().values()) >= MAX_ATTEMPTS
    assert set(ActivityEntry.objects.values_list("state", flat=True)) == {"pending"}
    assert SyncIssue.objects.get().kind == "activity_delayed"
    crm.faults.clear()
    log_some()
    assert set(ActivityEntry.objects.values_list("state", flat=True)) == {"logged"}
    assert SyncIssue.objects.get().state == "resolved"


def poisoned(crm, error):
    """The first call fails alone, as often as it is tried, while the CRM takes the others."""
    log_some()
    poison = ActivityEntry.objects.get(conversation__key="call_1")
    ActivityEntry.objects.filter(pk=poison.pk).update(
        state="pending", attempts=MAX_ATTEMPTS - 1, external_id="", content_hash="", logged_at=None,
        due_at=timezone.now(),
    )  # fmt: skip
    for marker, activity in list(crm.activities.items()):
        if activity.marker == "call_1":
            del crm.activities[marker]
    crm.fail("log_activities", error)
    log_some()
    poison.refresh_from_db()
    return poison


def test_what_fails_ten_times_while_others_get_through_is_parked_with_an_issue(three, crm):
    poison = poisoned(crm, Transient("Row lock.", status=503))
    assert (poison.state, poison.attempts) == ("parked", MAX_ATTEMPTS)
    assert SyncIssue.objects.get().kind == "activity_failed"
    assert retry(ActivityEntry.objects.filter(pk=poison.pk)) == 1
    log_some()
    assert len(crm.logged("call_1")) == 1
    assert SyncIssue.objects.get().state == "resolved"


def test_a_parked_one_that_may_be_in_the_crm_is_looked_for_before_it_is_sent_again(three, crm):
    log_some()
    poison = ActivityEntry.objects.get(conversation__key="call_1")
    ActivityEntry.objects.filter(pk=poison.pk).update(
        state="unknown", attempts=MAX_ATTEMPTS - 1, external_id="", logged_at=None, due_at=timezone.now()
    )
    crm.fail("find_activity", Transient("Unavailable.", status=503))
    log_some()
    poison.refresh_from_db()
    assert poison.state == "parked"
    retry(ActivityEntry.objects.filter(pk=poison.pk))
    log_some()
    assert len(crm.logged("call_1")) == 1, "found, and not made a second time"
