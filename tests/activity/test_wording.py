"""What is logged of a conversation, in the words of the connection's templates or in the usual ones."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from activity.log import log_some, word_anew
from activity.models import ActivityEntry, Conversation
from activity.process import process_some
from activity.wording import values_of, wording_of
from integrations.models import Connection
from integrations.providers.base import ActivityKind
from integrations.template_language import TEXT_LIMIT, VARIABLES
from sync.models import SyncIssue
from tests.activity.payloads import ADA, AGENT, analyzed, chat, deliver

pytestmark = pytest.mark.django_db


def settle():
    while process_some():
        pass
    log_some()


@pytest.fixture
def linked(connection, link):
    """Ada has a record in the CRM and has had a call, which is not logged yet."""
    deliver(analyzed(interests="Tea", score=4))
    while process_some():
        pass
    return link()


def worded(connection: Connection, title: str = "", body: str = "") -> None:
    Connection.objects.filter(pk=connection.pk).update(activity_title=title, activity_body=body)
    connection.refresh_from_db()


def test_the_connections_templates_say_what_is_logged(linked, connection, crm):
    worded(
        connection,
        "{{ kind }} with {{ contact_name|default('somebody') }}",
        "{{ agent }}: {{ analysis.interests }}",
    )
    log_some()
    (activity,) = crm.logged("call_ada")
    assert (activity.title, activity.body) == ("Call with somebody", "Front desk: Tea")
    assert ActivityEntry.objects.get().note == ""


def test_every_variable_has_a_value_and_there_are_no_others(linked, settings):
    settings.CRMSYNC_PUBLIC_URL = "https://crm.example.com"
    conversation = Conversation.objects.get()
    assert conversation.contact is not None
    conversation.contact.first_name = "Ada"
    values = values_of(conversation)
    assert set(values) == set(VARIABLES)
    assert values == {
        "kind": "Call", "channel": "phone call", "conversation_id": "call_ada", "summary": "Ada asked about her plan.",
        "outcome": "successful", "successful": True, "sentiment": "Positive", "voicemail": False, "direction": "inbound",
        "from_number": ADA, "to_number": AGENT, "duration": "3 min 12 s", "duration_seconds": 192,
        "started": "2026-02-02 02:40 UTC", "disconnection_reason": "user hangup",
        "recording_link": "https://recordings.example.com/1.wav",
        "transcript_link": f"https://crm.example.com/conversations/{conversation.pk}/",
        "transcript": "Agent: Hello.\nUser: Hello, this is Ada.", "agent": "Front desk", "agent_version": "3",
        "contact_name": "Ada", "first_name": "Ada", "last_name": "", "analysis": {"interests": "Tea", "score": 4},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "link"),
    [("https://log.example.com/1", "https://log.example.com/1"), ("javascript:alert(1)", ""), (7, ""), (None, "")],
)  # fmt: skip
def test_without_our_own_address_the_platforms_log_is_linked(db: None, told: Any, link: str) -> None:
    conversation = Conversation(key="c", channel="phone", pk=1, payload={"public_log_url": told})
    assert values_of(conversation)["transcript_link"] == link


def test_a_long_transcript_is_cut(db: None) -> None:
    conversation = Conversation(key="c", channel="phone", transcript="x" * 99_999)
    assert len(values_of(conversation)["transcript"]) == TEXT_LIMIT


def test_a_template_that_does_not_fit_loses_no_conversation(linked, connection, crm):
    worded(connection, "Talk", "{{ analysis.interests > 3 }}")
    log_some()
    (activity,) = crm.logged("call_ada")
    assert activity.title == "Call call_ada"
    assert activity.body.startswith("Ada asked about her plan.")
    entry = ActivityEntry.objects.get()
    assert entry.state == "logged"
    assert "usual words" in entry.note
    issue = SyncIssue.objects.get()
    assert (issue.kind, issue.state) == ("activity_wording", "open")
    assert "Tea" not in issue.message + entry.note


def test_a_template_that_cannot_even_be_read_loses_no_conversation(linked, connection, crm):
    worded(connection, "{{ broken", "{% for %}")
    log_some()
    assert crm.logged("call_ada")[0].title == "Call call_ada"


def test_once_the_template_is_corrected_what_was_logged_is_worded_anew(linked, connection, crm):
    worded(connection, "Talk", "{{ analysis.interests > 3 }}")
    log_some()
    worded(connection, "Talk", "{{ analysis.interests }}")
    assert word_anew(connection) == 1
    log_some()
    (activity,) = crm.logged("call_ada")
    assert (activity.title, activity.body) == ("Talk", "Tea")
    assert ActivityEntry.objects.get().note == ""
    assert SyncIssue.objects.get().state == "resolved"
    assert word_anew(connection) == 0


def test_a_later_summary_is_rendered_by_the_template(linked, connection, crm):
    worded(connection, body="Said: {{ summary }}")
    log_some()
    deliver(analyzed(summary="Ada bought it."))
    settle()
    (activity,) = crm.logged("call_ada")
    assert activity.body == "Said: Ada bought it."
    assert crm.count("log_activities") == 2


def test_a_later_event_that_changes_no_word_costs_no_call(linked, connection, crm):
    worded(connection, body="Said: {{ summary }}")
    log_some()
    deliver(analyzed(interests="Coffee", score=5))
    settle()
    assert Conversation.objects.get().analysis["interests"] == "Coffee"
    assert crm.count("log_activities") == 1


@pytest.mark.parametrize(
    ("name", "late", "field"),
    [
        ("recording_url", "https://recordings.example.com/2.wav", "recording_url"),
        ("disconnection_reason", "agent_hangup", "disconnection_reason"),
        ("to_number", "+14155550188", "to_number"),
    ],
)
def test_what_the_crm_has_a_field_for_is_updated_though_no_word_changes(
    linked, connection, crm, name, late, field
):
    worded(connection, "Call", "{{ summary }}")
    log_some()
    event = analyzed(interests="Tea", score=4)
    event["call"][name] = late
    deliver(event)
    settle()
    (activity,) = crm.logged("call_ada")
    assert getattr(activity, field) == late
    assert crm.count("log_activities") == 2


@pytest.mark.parametrize("name", ["activity_title", "activity_body"])
def test_a_template_with_a_mistake_is_not_saved(connection, name):
    setattr(connection, name, "Hello\n{{ sumary }}")
    with pytest.raises(ValidationError) as caught:
        connection.clean()
    assert caught.value.message_dict == {
        name: ["Line 2: There is no variable “sumary”; did you mean “summary”?"]
    }


@pytest.mark.parametrize(
    ("chat_type", "told", "channel", "kind", "title"),
    [
        ("api_chat", "WhatsApp", "whatsapp", ActivityKind.WHATSAPP, "WhatsApp chat_ada"),
        ("api_chat", "sms", "sms", ActivityKind.SMS, "SMS chat_ada"),
        ("api_chat", "fax", "web_chat", ActivityKind.CHAT, "Chat chat_ada"),
        ("sms_chat", "whatsapp", "sms", ActivityKind.SMS, "SMS chat_ada"),
    ],
)
def test_a_chat_is_logged_as_what_carried_it(connection, link, crm, chat_type, told, channel, kind, title):
    more = {"chat_type": chat_type, "metadata": {"user_number": ADA, "channel": told}}
    deliver({"event": "chat_analyzed", "chat": chat(**more)})
    while process_some():
        pass
    link()
    log_some()
    (activity,) = crm.logged("chat_ada")
    assert Conversation.objects.get().channel == channel
    assert (activity.kind, activity.title) == (kind, title)


def test_wording_needs_no_contact(connection):
    conversation = Conversation(key="c", channel="web_call", created_at=timezone.now())
    assert wording_of(conversation, connection).body == "Conversation: c"
