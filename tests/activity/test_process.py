"""Deliveries become conversations and contacts: once, in any order, and never at the cost of another delivery."""

import json
from datetime import timedelta
from itertools import permutations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from activity import process
from activity.models import AppliedMapping, Conversation, WebhookDelivery
from activity.process import process_some, replay
from activity.receive import Received, canonical, posted, read, store, store_answered
from contacts.changes import Source, change_contact
from contacts.models import Contact, ContactChange
from tests.activity.payloads import ADA, AGENT, GRACE, START, analyzed, call, chat, deliver, ended

pytestmark = pytest.mark.django_db


def settle():
    """Process until nothing is due."""
    while process_some():
        pass


def started_ms(contact):
    """When the contact's last conversation began, in the platform's milliseconds."""
    return contact.last_conversation_at.timestamp() * 1000


def note():
    return WebhookDelivery.objects.get().note


def test_an_ended_call_from_an_unknown_number_creates_the_contact_and_counts_once():
    deliver(ended())
    settle()
    ada = Contact.objects.get()
    assert (ada.phone_number, ada.conversation_count) == (ADA, 1)
    assert started_ms(ada) == START
    assert ContactChange.objects.get().source_kind == "conversation"
    assert Conversation.objects.get().contact == ada
    assert "The contact was created." in note()
    assert "no analysis yet" in note()


def test_on_outbound_the_dialled_number_is_the_persons():
    deliver(ended(direction="outbound", from_number=AGENT, to_number=GRACE))
    settle()
    assert Contact.objects.get().phone_number == GRACE


def test_a_started_call_makes_no_contact():
    deliver({"event": "call_started", "call": call(call_status="ongoing", end_timestamp=None)})
    settle()
    assert Conversation.objects.get().status == "ongoing"
    assert not Contact.objects.exists()


STREAM = (
    {
        "event": "call_started",
        "call": call(call_status="ongoing", transcript=None, end_timestamp=None, duration_ms=None),
    },
    ended(),
    {"event": "call_analyzed", "call": {"call_id": "call_ada", "call_analysis": {"call_summary": "Half."}}},
    analyzed(topic="plan"),
)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_events_in_any_order_and_twice_end_in_the_state_of_the_clean_stream(order):
    for index in order:
        deliver(STREAM[index])
        settle()
        deliver(STREAM[index])
        replay(WebhookDelivery.objects.all())
        settle()
    contact = Contact.objects.get()
    assert (contact.conversation_count, started_ms(contact)) == (1, START)
    one = Conversation.objects.get()
    assert (one.status, one.duration_ms, one.analysis) == ("ended", 192_000, {"topic": "plan"})
    # Of two analyses that differ, the one that arrived later is right.
    assert one.summary == ("Ada asked about her plan." if order.index(3) > order.index(2) else "Half.")
    assert one.ended
    assert one.analyzed


def test_a_beginning_that_is_told_later_moves_the_contacts_last_conversation():
    bare = {name: value for name, value in call().items() if "timestamp" not in name}
    deliver({"event": "call_ended", "call": bare}, ended("call_before", start_timestamp=START - 60_000))
    settle()
    assert started_ms(Contact.objects.get()) > START
    deliver(analyzed())
    settle()
    assert started_ms(Contact.objects.get()) == START
    deliver({"event": "call_analyzed", "call": {"call_id": "call_before", "start_timestamp": START + 1}})
    settle()
    assert started_ms(Contact.objects.get()) == START + 1


def test_whoever_asks_not_to_be_called_again_is_flagged_once():
    deliver(ended(disconnection_reason="user_requested_dnc"))
    settle()
    ada = Contact.objects.get()
    assert (ada.do_not_call, ada.sources["do_not_call"]["conversation"]) == (True, "call_ada")
    applied = AppliedMapping.objects.get()
    assert (applied.analysis_field, applied.contact_field, applied.outcome) == (
        "disconnection_reason", "do_not_call", "written",
    )  # fmt: skip
    grace = Source("person", label="Grace", may_clear_opt_out=True)
    change_contact(ada.pk, {"do_not_call": False}, source=grace)
    deliver(analyzed() | {"call": analyzed()["call"] | {"disconnection_reason": "user_requested_dnc"}})
    replay(WebhookDelivery.objects.all())
    settle()
    assert Contact.objects.get().do_not_call is False, "a person has taken it back since"


def test_of_a_conversation_told_bit_by_bit_each_body_is_read_once():
    def bodies_read():
        with CaptureQueriesContext(connection) as seen:
            settle()
        return sum(query["sql"].count('"activity_webhookdelivery"."body"') for query in seen)

    part = {"id": "call_ada", "channel": "phone", "direction": "inbound", "from_number": ADA, "final": False}
    counts = []
    for turn in range(4):
        document = part | {"transcript": "x" * turn}
        store(posted(document, canonical(document), {}))
        counts.append(bodies_read())
    assert counts[1:] == [1, 1, 1]
    assert Conversation.objects.get().transcript == "xxx"


def test_a_web_call_without_a_number_is_kept_with_the_reason():
    deliver(ended(call_type="web_call", direction=None, from_number=None, to_number=None))
    settle()
    conversation = Conversation.objects.get()
    assert conversation.channel == "web_call"
    assert conversation.note == "A web call without a number: it has no contact."
    assert note() == f"Stored. {conversation.note}"
    assert not Contact.objects.exists()


@pytest.mark.parametrize("number", ["anonymous", "+1", "sip:ada@example.com"])
def test_an_unusable_number_is_kept_with_the_reason(number):
    deliver(ended(from_number=number))
    settle()
    assert "cannot be used" in Conversation.objects.get().note
    assert not Contact.objects.exists()


def test_an_sms_chat_is_matched_by_the_number_in_its_metadata():
    deliver(ended(), {"event": "chat_analyzed", "chat": chat()})
    settle()
    ada = Contact.objects.get()
    assert ada.conversation_count == 2
    assert started_ms(ada) == START + 3_600_000
    assert Conversation.objects.get(kind="chat").channel == "sms"


def test_a_chat_without_numbers_takes_them_from_the_question_before_it_came_in():
    document = {
        "event": "chat_inbound",
        "chat_inbound": {"chat_id": "chat_ada", "from_number": ADA, "to_number": AGENT},
    }
    body = json.dumps(document).encode()
    store_answered(
        Received("chat_inbound", "chat_ada", document, body),
        {"dynamic_variables": {"first_name": "Ada"}},
        "Answered.",
    )
    deliver({"event": "chat_ended", "chat": chat(metadata=None, chat_type=None)})
    settle()
    conversation = Conversation.objects.get()
    assert (conversation.channel, conversation.direction, conversation.from_number) == ("sms", "inbound", ADA)
    assert conversation.contact == Contact.objects.get(phone_number=ADA)
    assert conversation.variables == {"first_name": "Ada"}


def test_the_variables_the_platform_reports_outrank_our_answer():
    deliver(ended(retell_llm_dynamic_variables={"first_name": "Countess"}))
    settle()
    assert Conversation.objects.get().variables == {"first_name": "Countess"}


def test_an_unused_event_is_kept_with_the_reason():
    deliver({"event": "transfer_started", "call": call()})
    settle()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, "not used" in delivery.note) == ("kept", True)
    assert not Conversation.objects.exists()


def test_a_deleted_contact_does_not_come_back_by_a_replay():
    deliver(ended())
    settle()
    Contact.objects.get().delete()
    replay(WebhookDelivery.objects.all())
    settle()
    assert not Contact.objects.exists()
    assert "deleted" in note()


def test_a_replay_does_nothing_twice_and_wakes_a_worker():
    deliver(analyzed())
    settle()
    OrmQ.objects.all().delete()
    assert replay(WebhookDelivery.objects.all()) == 1
    assert OrmQ.objects.count() == 1
    settle()
    assert Contact.objects.get().conversation_count == 1
    assert note() == "Nothing new in it."


def poison():
    """A delivery that no code of ours stores: its body has been damaged since."""
    store(Received("call_ended", "call_bad", {}, b"not json"))
    return WebhookDelivery.objects.get(conversation_key="call_bad")


def due_now():
    WebhookDelivery.objects.filter(state="pending").update(due_at=timezone.now())


def test_a_poison_delivery_parks_after_ten_attempts_and_blocks_nobody():
    bad = poison()
    deliver(ended())
    assert process_some() == 2
    assert Contact.objects.get().phone_number == ADA
    bad.refresh_from_db()
    assert (bad.state, bad.attempts) == ("pending", 1)
    assert bad.due_at > timezone.now()
    for _ in range(9):
        due_now()
        process_some()
    bad.refresh_from_db()
    assert (bad.state, bad.attempts) == ("parked", 10)
    assert "10 attempts" in bad.note
    due_now()
    assert process_some() == 0


def test_a_delivery_whose_worker_died_is_taken_up_when_its_lease_has_ended():
    deliver(ended())
    WebhookDelivery.objects.update(claimed_until=timezone.now() + timedelta(minutes=1), attempts=1)
    assert process_some() == 0
    WebhookDelivery.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    settle()
    assert Contact.objects.get().conversation_count == 1


def test_a_delivery_that_kills_its_worker_each_time_is_parked():
    deliver(ended())
    WebhookDelivery.objects.update(attempts=10)
    process_some()
    assert WebhookDelivery.objects.get().state == "parked"
    assert not Contact.objects.exists()


def test_an_analysis_that_kills_its_worker_each_time_stops_and_says_so(mapping):
    mapping("topic", "notes")
    deliver(analyzed(topic="plan"))
    process.deliver_some()
    Conversation.objects.update(apply_attempts=10)
    process.apply_some()
    conversation = Conversation.objects.get()
    assert conversation.apply_due_at is None
    assert "failed 10 times" in conversation.note
    replay(WebhookDelivery.objects.all())
    settle()
    assert Contact.objects.get().value("notes") == "plan"
    assert Conversation.objects.get().note == ""


def test_unstorable_text_does_not_poison_a_conversation():
    body = json.dumps(ended(transcript="a\x00b\ud800c")).encode()
    store(read(body, {}))
    settle()
    assert Conversation.objects.get().transcript == "abc"
