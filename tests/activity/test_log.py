"""Every conversation is one activity in the CRM: through lost answers, dead workers, limits, and records that come late."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from activity import log
from activity.log import log_some, retry
from activity.models import ActivityEntry, Conversation
from activity.process import process_some
from contacts.models import Contact
from integrations.models import ConnectionStatus
from integrations.providers.base import ActivityKind
from integrations.providers.errors import AuthError, OutcomeUnknown, RateLimited, Rejected, Transient
from sync.models import ExternalRecord, SyncIssue
from tests.activity.payloads import ADA, AGENT, START, analyzed, chat, deliver, ended
from tests.fakes.provider import lost_answer

pytestmark = pytest.mark.django_db


def settle():
    while process_some():
        pass


def entry():
    return ActivityEntry.objects.get()


def raises(error):
    def broken(*_):
        raise error

    return broken


def due_now(**changes):
    ActivityEntry.objects.update(due_at=timezone.now(), **changes)


@pytest.fixture
def linked(connection, link):
    """Ada has had a call, and has a record in the CRM."""
    deliver(analyzed())
    settle()
    return link()


def test_a_call_is_logged_once_with_all_that_is_known(linked, crm):
    assert log_some() == 1
    assert log_some() == 0
    (activity,) = crm.logged("call_ada")
    assert (activity.contact_id, activity.kind, activity.title) == (
        linked.external_id,
        ActivityKind.CALL,
        "Call call_ada",
    )
    assert (activity.direction, activity.from_number, activity.to_number) == ("inbound", ADA, AGENT)
    assert (activity.duration_ms, activity.started.timestamp() * 1000) == (192_000, START)
    assert activity.body == (
        "Ada asked about her plan.\n\n"
        "Outcome: successful\nSentiment: Positive\nDirection: inbound\nFrom: +14155550101\nTo: +14155550199\n"
        "Duration: 3 min 12 s\nEnded by: user hangup\nRecording: https://recordings.example.com/1.wav\n"
        "Conversation: call_ada"
    )
    assert (entry().state, entry().external_id, entry().contact_external_id) == (
        "logged", activity.external_id, linked.external_id,
    )  # fmt: skip


def test_a_chat_is_logged_as_an_sms(connection, link, crm):
    deliver({"event": "chat_analyzed", "chat": chat()})
    settle()
    link()
    log_some()
    (activity,) = crm.logged("chat_ada")
    assert (activity.kind, activity.title) == (ActivityKind.SMS, "SMS chat_ada")


def test_a_connection_that_does_not_want_conversations_gets_none(connection, link, crm):
    type(connection).objects.update(sync_conversation_activity=False)
    deliver(analyzed())
    settle()
    assert not ActivityEntry.objects.exists()


def test_an_ended_call_waits_for_its_analysis_and_is_logged_without_one_at_last(connection, link, crm):
    deliver(ended())
    settle()
    link()
    assert log_some() == 0
    due_now()
    assert log_some() == 1
    assert "Summary" not in crm.logged("call_ada")[0].body


def test_a_later_summary_updates_the_same_activity(connection, link, crm):
    deliver(ended())
    settle()
    link()
    due_now()
    log_some()
    deliver(analyzed())
    settle()
    assert log_some() == 1
    (activity,) = crm.logged("call_ada")
    assert activity.body.startswith("Ada asked about her plan.")
    deliver(analyzed(summary="Ada asked about her bill."))
    settle()
    log_some()
    (activity,) = crm.logged("call_ada")
    assert activity.body.startswith("Ada asked about her bill.")


def test_a_replay_without_news_is_not_sent_again(linked, crm):
    log_some()
    deliver(ended())
    settle()
    assert log_some() == 0
    assert crm.count("log_activities") == 1


def test_a_deleted_record_makes_it_wait_for_another_one(linked, crm, connection):
    crm.delete(linked.external_id)
    log_some()
    assert (entry().state, entry().contact_external_id) == ("waiting", linked.external_id)
    assert log_some() == 0
    winner = crm.add(last_name="Lovelace")
    ExternalRecord.objects.update(external_id=winner)
    log_some()
    assert crm.logged("call_ada")[0].contact_id == winner


def test_an_activity_deleted_by_a_person_is_not_made_again(linked, crm):
    log_some()
    crm.activities.clear()
    deliver(analyzed(summary="Another summary."))
    settle()
    log_some()
    assert not crm.activities
    assert entry().state == "logged"
    assert log_some() == 0


# --- exactly once ---------------------------------------------------------------------------------


def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(linked, crm):
    crm.fail("log_activities", lost_answer(), applied=True)
    log_some()
    assert entry().state == "unknown"
    assert log_some() == 0
    due_now()
    log_some()
    assert (entry().state, len(crm.logged("call_ada"))) == ("logged", 1)
    assert crm.count("log_activities") == 1


def test_a_lost_request_is_looked_up_and_sent_again(linked, crm):
    crm.fail("log_activities", lost_answer(), applied=False)
    log_some()
    due_now()
    log_some()
    assert (entry().state, len(crm.logged("call_ada"))) == ("logged", 1)
    assert (crm.count("find_activity"), crm.count("log_activities")) == (1, 2)


def test_the_wait_before_looking_is_a_setting(linked, crm, settings):
    settings.CRMSYNC_UNKNOWN_WAIT = 90
    crm.fail("log_activities", lost_answer(), applied=True)
    log_some()
    assert 80 < (entry().due_at - timezone.now()).total_seconds() <= 90


@pytest.mark.parametrize("reached_the_crm", [True, False])
def test_a_worker_that_died_while_sending_leaves_one_activity(linked, crm, reached_the_crm):
    if reached_the_crm:
        crm.fail("log_activities", lost_answer(), applied=True)
        log_some()
    ActivityEntry.objects.update(
        state="sending", attempts=1, contact_external_id=linked.external_id, kind="call", due_at=timezone.now(),
        claimed_until=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip
    assert log_some() == 0
    due_now(claimed_until=timezone.now() - timedelta(seconds=1))
    log_some()
    assert (entry().state, len(crm.logged("call_ada"))) == ("logged", 1)


def test_a_summary_that_came_while_the_outcome_was_unknown_updates_what_is_found(linked, crm):
    crm.fail("log_activities", lost_answer(), applied=True)
    log_some()
    deliver(analyzed(summary="A better summary."))
    settle()
    due_now()
    log_some()
    (activity,) = crm.logged("call_ada")
    assert activity.body.startswith("A better summary.")


def test_an_activity_is_found_on_the_record_it_was_sent_to_after_a_merge(linked, crm):
    crm.fail("log_activities", lost_answer(), applied=True)
    log_some()
    ExternalRecord.objects.update(external_id=crm.add(last_name="Lovelace"))
    due_now()
    log_some()
    assert len(crm.logged("call_ada")) == 1


def test_a_failed_look_sends_nothing(linked, crm):
    crm.fail("log_activities", lost_answer(), applied=True)
    log_some()
    crm.fail("find_activity", Transient("Unavailable.", status=503))
    due_now()
    log_some()
    assert (entry().state, crm.count("log_activities")) == ("unknown", 1)
    due_now()
    log_some()
    assert len(crm.logged("call_ada")) == 1


# --- the CRM says no ------------------------------------------------------------------------------


def test_an_unavailable_crm_is_tried_again_with_backoff(linked, crm):
    crm.fail("log_activities", Transient("Unavailable.", status=503))
    log_some()
    assert (entry().state, entry().attempts, entry().note) == ("pending", 1, "Unavailable.")
    assert entry().due_at > timezone.now()
    due_now()
    log_some()
    assert (entry().state, entry().note) == ("logged", "")


def test_a_rate_limit_pauses_the_connection_and_costs_no_attempt(linked, crm, connection):
    crm.fail("log_activities", RateLimited("Slow down.", retry_after=60, status=429))
    log_some()
    connection.refresh_from_db()
    assert connection.paused_until > timezone.now() + timedelta(seconds=50)
    assert (entry().state, entry().attempts) == ("pending", 0)
    due_now()
    assert log_some() == 0


def test_refused_credentials_stop_the_connection_and_lose_nothing(linked, crm, connection):
    crm.fail("log_activities", AuthError("The credentials were refused.", status=401))
    log_some()
    connection.refresh_from_db()
    assert connection.status == ConnectionStatus.ERROR
    assert (entry().state, entry().attempts) == ("pending", 0)
    type(connection).objects.update(status=ConnectionStatus.CONNECTED)
    due_now()
    log_some()
    assert len(crm.logged("call_ada")) == 1


def test_a_refused_activity_is_parked_with_an_issue_and_can_be_retried(linked, crm):
    crm.fail("log_activities", Rejected("A rule of the CRM says no.", status=400))
    log_some()
    assert entry().state == "parked"
    issue = SyncIssue.objects.get()
    assert "A rule of the CRM says no." in issue.message
    assert issue.contact == Contact.objects.get(phone_number=ADA)
    due_now()
    assert log_some() == 0
    assert retry(ActivityEntry.objects.all()) == 1
    log_some()
    assert len(crm.logged("call_ada")) == 1
    assert SyncIssue.objects.get().state == "resolved"


def test_a_user_who_may_create_only_leaves_one_activity_and_an_issue_that_says_so(linked, crm):
    """Row 34."""
    log_some()
    crm.fail("log_activities", Rejected("The integration user may not do this."))
    deliver(analyzed(summary="A later summary."))
    settle()
    log_some()
    assert len(crm.logged("call_ada")) == 1
    assert entry().state == "parked"
    assert "is logged, but what came later could not be added" in SyncIssue.objects.get().message
    retry(ActivityEntry.objects.all())
    log_some()
    assert "A later summary." in crm.logged("call_ada")[0].body
    assert SyncIssue.objects.get().state == "resolved"


def test_one_refused_activity_holds_back_no_other(connection, link, crm):
    deliver(analyzed("call_1"), analyzed("call_2"), analyzed("call_3"))
    settle()
    link()
    crm.fail(
        "log_activities", Rejected("A rule of the CRM says no."), times=2
    )  # the pair, then its first row
    log_some()
    states = dict(ActivityEntry.objects.values_list("conversation__key", "state"))
    assert states == {"call_1": "parked", "call_2": "logged", "call_3": "logged"}


def test_what_happened_while_the_connection_was_off_is_logged_afterwards(connection, link, crm):
    type(connection).objects.update(enabled=False)
    deliver(analyzed("call_1"), analyzed("call_2"))
    settle()
    link()
    assert log_some() == 0
    type(connection).objects.update(enabled=True)
    log_some()
    assert [one.marker for one in crm.activities.values()] == ["call_1", "call_2"]


def test_our_own_fault_is_loud_and_sends_nothing_blindly(linked, crm, caplog):
    crm.fail("log_activities", ValueError("a bug"), applied=True)
    log_some()
    assert entry().state == "unknown"
    assert "activity_log_broke" in caplog.text
    due_now()
    log_some()
    assert len(crm.logged("call_ada")) == 1


def test_an_unlinked_contact_of_an_unsure_entry_is_settled_by_what_is_found(linked, crm):
    crm.fail("log_activities", OutcomeUnknown("Lost."), applied=True)
    log_some()
    ExternalRecord.objects.all().delete()
    due_now()
    log_some()
    assert (entry().state, len(crm.logged("call_ada"))) == ("logged", 1)
    assert Contact.objects.exists()


# --- afterwards ------------------------------------------------------------------------------------


def test_what_came_too_long_ago_is_not_logged_any_more_unless_a_person_asks(connection, crm, link):
    deliver(analyzed())
    while process_some():
        pass
    link()
    Conversation.objects.update(created_at=timezone.now() - timedelta(days=31))
    ActivityEntry.objects.update(due_at=timezone.now())
    log_some()
    assert (ActivityEntry.objects.get().state, crm.logged("call_ada")) == ("expired", [])
    retry(ActivityEntry.objects.all())
    log_some()
    assert len(crm.logged("call_ada")) == 1


@pytest.mark.once  # on SQLite
def test_what_is_due_is_found_along_an_index_however_much_was_logged(connection):
    for rows in (log._due(connection), ActivityEntry.objects.open().order_by()):
        assert re.search("USING INDEX entry_(due|order)", rows.explain())
