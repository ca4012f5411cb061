"""Conversations of any platform over the API: posted once, worked on, looked at, attached."""

import pytest

from activity.models import Conversation, WebhookDelivery
from activity.process import process_some
from contacts.changes import Source, create_contact
from contacts.models import Contact, CustomField
from mappings.models import AnalysisMapping
from tests.activity.payloads import ADA
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
POST = "/api/v1/conversations/"
WHOLE = {
    "id": "acme-42",
    "channel": "phone",
    "direction": "inbound",
    "from_number": "(415) 555-0101",
    "to_number": "+14155550199",
    "agent": {"id": "desk", "version": "7", "name": "Front desk"},
    "started_at": "2026-05-14T09:30:00+02:00",
    "ended_at": "2026-05-14T07:33:12Z",
    "end_reason": "hangup",
    "transcript": "Caller: I like tea.",
    "recording_url": "https://recordings.example.com/1.wav",
    "summary": "Likes tea.",
    "sentiment": "Positive",
    "successful": True,
    "in_voicemail": False,
    "analysis": {"topic": "Tea.", "score": 7},
    "variables": {"first_name": "Ada"},
    "metadata": {"order": 17},
}


def settle():
    while process_some():
        pass


@pytest.fixture
def api():
    CustomField.objects.create(name="notes", type="string")
    AnalysisMapping.objects.create(analysis_field="topic", contact_field="notes")
    return client_with()


def test_a_posted_call_becomes_one_conversation_with_all_that_is_known(api):
    response = api.post(POST, WHOLE)
    assert (response.status_code, response.json()) == (202, {"id": "acme-42", "status": "accepted"})
    settle()
    row = Conversation.objects.get()
    assert (row.key, row.channel, row.direction, row.agent_id, row.agent_version) == (
        "acme-42", "phone", "inbound", "desk", "7",
    )  # fmt: skip
    assert (row.duration_ms, row.summary, row.sentiment, row.successful) == (
        192_000,
        "Likes tea.",
        "Positive",
        True,
    )
    assert (row.disconnection_reason, row.variables) == ("hangup", {"first_name": "Ada"})
    assert Contact.objects.get(phone_number=ADA).value("notes") == "Tea."


def test_posting_it_again_changes_nothing_however_it_is_written(api):
    api.post(POST, WHOLE)
    again = api.post(POST, dict(reversed(WHOLE.items())))
    assert (again.status_code, again.json()["status"]) == (202, "known")
    settle()
    assert WebhookDelivery.objects.count() == Conversation.objects.count() == 1
    assert Contact.objects.get(phone_number=ADA).conversation_count == 1


def test_what_is_posted_later_adds_and_erases_nothing(api):
    first = {name: WHOLE[name] for name in ("id", "channel", "direction", "from_number", "transcript")}
    api.post(POST, {**first, "final": False})
    settle()
    row = Conversation.objects.get()
    assert (row.ended, row.analyzed, row.contact is not None) == (True, False, True)
    api.post(POST, {"id": "acme-42", "channel": "phone", "analysis": {"topic": "Tea."}, "summary": ""})
    settle()
    row.refresh_from_db()
    assert (row.analyzed, row.transcript) == (True, "Caller: I like tea.")
    assert Contact.objects.get(phone_number=ADA).value("notes") == "Tea."


def test_a_chat_without_numbers_takes_one_from_its_metadata_or_variables(api):
    api.post(POST, {"id": "c1", "channel": "sms", "metadata": {"user_number": ADA}, "summary": "Hi."})
    api.post(POST, {"id": "c2", "channel": "web_chat", "variables": {"phone_number": ADA}, "summary": "Hi."})
    settle()
    assert Contact.objects.get(phone_number=ADA).conversation_count == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"channel": "fax"}, "channel"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"started_at": "2026-05-14T09:30:00"}, "started_at"),
        ({"direction": "sideways"}, "direction"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"analysis": []}, "analysis"),
        ({"successful": "yes"}, "successful"),
        ({"agent": {"name": "no id"}}, "agent.id"),
        ({"sumary": "typo"}, "sumary"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused_by_its_path(api, change, field):
    assert field in problems(api.post(POST, WHOLE | change))
    assert not WebhookDelivery.objects.exists()


def test_a_key_needs_the_scope(api):
    assert client_with("read_contacts").post(POST, WHOLE).status_code == 403
    assert client_with("write_contacts").post(POST, WHOLE).status_code == 202
    assert client_with("events").post(POST, WHOLE).status_code == 202


def test_a_conversation_tells_what_followed_from_it(api):
    api.post(POST, WHOLE)
    assert api.get(f"{POST}acme-42/").status_code == 422
    settle()
    found = api.get(f"{POST}acme-42/").json()
    assert found["contact_id"] == Contact.objects.get().public_id
    assert found["applied"] == [{"analysis_field": "topic", "contact_field": "notes", "outcome": "written"}]
    assert found["activities"] == []
    assert "answer" not in found
    Conversation.objects.update(answer={"dynamic_variables": {"first_name": "Ada"}})
    assert api.get(f"{POST}acme-42/").json()["answer"] == {"dynamic_variables": {"first_name": "Ada"}}


def test_a_web_call_is_attached_by_hand(api):
    api.post(POST, {"id": "w1", "channel": "web_call", "analysis": {"topic": "Tea."}})
    settle()
    assert "without a number" in api.get(f"{POST}w1/").json()["note"]
    ada = create_contact(ADA, {}, source=Source("person")).contact
    attached = api.post(f"{POST}w1/attach/", {"contact_id": ada.public_id})
    assert (attached.status_code, attached.json()["contact_id"]) == (200, ada.public_id)
    settle()
    assert Contact.objects.get().value("notes") == "Tea."
    other = create_contact("+14155550177", {}, source=Source("person")).contact
    assert api.post(f"{POST}w1/attach/", {"contact_id": other.public_id}).status_code == 400
    assert api.post(f"{POST}w1/attach/", {"contact_id": "contact_" + "0" * 24}).status_code == 422
