"""Merging contacts, reviewing merges, attaching conversations, backfills, and what an agent would see."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from activity.backfill import backfill_some
from activity.models import ActivityEntry, Backfill, Conversation, MergeReview
from contacts.changes import change_contact
from contacts.models import Contact, CustomField
from crmsync.metrics import MEASURES
from crmsync.organisation import Organisation
from crmsync.roles import OPERATOR, STAFF
from mappings.models import AnalysisMapping
from tests.crmsync.pages_world import client_of, connection, contact, text
from tests.sync.world import PERSON

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.fixture
def review() -> MergeReview:
    """A merge of Ada's notes that waits."""
    CustomField.objects.create(name="notes", label="Notes", type="string")
    ada = contact(notes="Likes tea.")
    call = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", contact=ada, started_at=timezone.now(), analyzed=True,
        transcript="Agent: Hello.\nUser: I moved to Rome <last> week.", analysis={"topics": "moved to Rome"},
    )  # fmt: skip
    made: MergeReview = MergeReview.objects.create(
        conversation=call, contact=ada, contact_field="notes", old="Likes tea.", new="moved to Rome",
        merged="Likes tea. Moved to Rome.", state="waiting",
    )  # fmt: skip
    return made


def notes() -> object:
    return Contact.objects.get().value("notes")


def test_a_merge_shows_all_three_texts_and_what_was_said(client: Client, review: MergeReview):
    page = text(client.get("/reviews/"))
    for words in ("Likes tea.", "moved to Rome", "Likes tea. Moved to Rome.</textarea>", "&lt;last&gt; week"):
        assert words in page


def test_what_merges_cost_is_told_and_that_the_budget_is_spent(client: Client, review: MergeReview):
    MergeReview.objects.update(cost="0.005")
    assert "Merges have cost 0.005 this month." in text(client.get("/reviews/"))
    Organisation.objects.update_or_create(pk=1, defaults={"merge_budget": "0.01"})
    assert "Merges have cost 0.005 of 0.01 this month." in text(client.get("/reviews/"))
    MergeReview.objects.update(cost="0.01")
    page = text(client.get("/reviews/"))
    assert "budget for merges is spent</b> (0.01 of 0.01)" in page
    readings = {measure.name: measure.read() for measure in MEASURES if "merge" in measure.name}
    assert readings == {"crmsync_merge_cost": {(): 0.01}, "crmsync_merge_budget": {(): 0.01}}


def test_a_merge_is_accepted_as_it_is_or_as_edited(client: Client, review: MergeReview):
    client.post(f"/reviews/{review.pk}/", {"text": "Likes tea; lives in Rome.\r\nCall later."})
    assert notes() == "Likes tea; lives in Rome.\nCall later."
    review.refresh_from_db()
    assert (review.state, review.decided_by) == ("applied", "olga")
    again = client.post(f"/reviews/{review.pk}/", {"text": "x"}, follow=True)
    assert "decided already" in text(again)


def test_a_rejected_merge_leaves_the_field_as_it_is(client: Client, review: MergeReview):
    client.post(f"/reviews/{review.pk}/", {"text": "whatever", "reject": "1"})
    assert notes() == "Likes tea."
    assert "Nothing to review" in text(client.get("/reviews/"))


def test_an_edit_of_a_field_that_moved_waits_again_with_its_text(client: Client, review: MergeReview):
    change_contact(review.contact_id, {"notes": "Likes coffee."}, source=PERSON)
    page = text(client.post(f"/reviews/{review.pk}/", {"text": "My own words."}, follow=True))
    assert notes() == "Likes coffee."
    assert "My own words.</textarea>" in page
    assert "Likes coffee." in page


def test_two_contacts_are_compared_and_merged(client: Client):
    CustomField.objects.create(name="city", label="City", type="string")
    ada, other = contact(), contact("+14155550101", "Augusta", "King", city="London")
    change_contact(other.pk, {"do_not_call": True}, source=PERSON)
    where = f"/contacts/{ada.public_id}/merge/"
    assert f"?with={other.public_id}" in text(client.get(where, {"q": "king"}))
    page = text(client.get(where, {"with": other.public_id}))
    assert "<ins>London</ins>" in page
    client.post(where, {"with": other.public_id})
    survivor = Contact.objects.get()
    assert (survivor.pk, survivor.first_name, survivor.value("city")) == (ada.pk, "Ada", "London")
    assert survivor.do_not_call
    followed = client.get(f"/contacts/{other.public_id}/", follow=True)
    assert "Ada Lovelace" in text(followed)


def test_a_contact_is_not_merged_with_itself(client: Client):
    ada = contact()
    where = f"/contacts/{ada.public_id}/merge/"
    page = text(client.post(where, {"with": ada.public_id}))
    assert "cannot be merged with itself" in page
    assert Contact.objects.count() == 1


def test_a_conversation_without_a_number_is_given_its_contact_once(client: Client):
    ada, grace = contact(), contact("+14155550101", "Grace", "Hopper")
    chat = Conversation.objects.create(key="chat_1", kind="chat", channel="web_chat", ended=True)
    assert f"/conversations/{chat.pk}/attach/" in text(client.get(f"/conversations/{chat.pk}/"))
    assert "It was Ada Lovelace" in text(client.post(f"/conversations/{chat.pk}/attach/", {"q": "lovelace"}))
    assert "It was Ada" not in text(client.get(f"/conversations/{chat.pk}/attach/", {"q": "lovelace"}))
    client.post(f"/conversations/{chat.pk}/attach/", {"contact": ada.public_id})
    chat.refresh_from_db()
    assert (chat.contact, chat.attached_by) == (ada, "olga")
    again = client.post(f"/conversations/{chat.pk}/attach/", {"contact": grace.public_id}, follow=True)
    assert "belongs to a contact already" in text(again)


def test_a_backfill_is_previewed_started_and_watched(client: Client, review: MergeReview):
    MergeReview.objects.all().delete()
    mapping = AnalysisMapping.objects.create(
        analysis_field="topics", contact_field="notes", update_mode="overwrite"
    )
    chosen = {"mappings": [mapping.pk], "since": "", "until": ""}
    page = text(client.post("/backfills/", chosen | {"preview": "1"}))
    assert "<ins>moved to Rome</ins>" in page
    assert notes() == "Likes tea."
    started = client.post("/backfills/", chosen | {"start": "1"})
    job = Backfill.objects.get()
    assert started["Location"] == f"/backfills/{job.pk}/"
    assert 'data-live="open"' in text(client.get(started["Location"]))
    backfill_some()
    assert notes() == "moved to Rome"
    assert 'data-live="closed"' in text(client.get(started["Location"]))


def test_a_backfill_needs_something_to_apply_and_can_be_stopped(client: Client):
    assert "Choose at least one analysis mapping" in text(client.post("/backfills/", {"preview": "1"}))
    job = Backfill.objects.create()
    client.post(f"/backfills/{job.pk}/stop/")
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_what_an_agent_would_see_by_any_spelling_of_the_number(client: Client):
    CustomField.objects.create(name="margin", type="number", private=True)
    ada = contact(margin=12)
    change_contact(ada.pk, {"do_not_call": True}, source=PERSON)
    page = text(client.post("/agent-view/", {"number": "(415) 555-0100"}))
    for words in ("Ada Lovelace", "<code>first_name</code>", "Do not call.", "Never told to agents: margin"):
        assert words in page
    assert "<code>margin</code>" not in page
    assert "Nobody we know" in text(client.post("/agent-view/", {"number": "+14155550199"}))
    assert 'role="alert"' in text(client.post("/agent-view/", {"number": "12"}))
    CustomField.objects.create(name="plan", type="string", fallback="Free")
    page = text(client.post("/agent-view/", {"number": "+14155550199"}))
    for words in ("Nobody we know", "<code>plan</code>", "the field's fallback"):
        assert words in page


def test_a_number_that_is_looked_up_stands_in_no_address(client: Client):
    contact()
    page = text(client.get("/agent-view/", {"number": "(415) 555-0100"}))
    assert "Ada" not in page
    assert 'method="post"' in page
    assert "Ada" in text(client.post("/agent-view/", {"number": "(415) 555-0100"}))


@pytest.mark.parametrize("state", ["parked", "waiting", "expired"])
def test_what_was_not_logged_is_logged_again_at_a_click(client: Client, state: str):
    call = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", contact=contact(), ended=True
    )
    entry = ActivityEntry.objects.create(conversation=call, connection=connection(), state=state, attempts=10)
    assert "Log again" in text(client.get(f"/conversations/{call.pk}/"))
    assert "Log again" not in text(client_of(STAFF).get(f"/conversations/{call.pk}/"))
    client.post(f"/conversations/{call.pk}/log-again/")
    entry.refresh_from_db()
    assert (entry.state, entry.attempts) == ("pending", 0)
    assert "Log again" not in text(client.get(f"/conversations/{call.pk}/"))


def test_what_may_be_in_the_crm_is_looked_for_first_when_it_is_logged_again(client: Client):
    call = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", contact=contact(), ended=True
    )
    entry = ActivityEntry.objects.create(
        conversation=call,
        connection=connection(),
        state="parked",
        content_hash="a" * 64,
        contact_external_id="1",
    )
    client.post(f"/conversations/{call.pk}/log-again/")
    entry.refresh_from_db()
    assert (entry.state, entry.contact_external_id) == ("unknown", "1")


def test_what_we_answered_before_a_call_is_shown_beside_what_the_agent_was_given(client: Client):
    answer = {"dynamic_variables": {"first_name": "Ada as it was"}, "reject": True}
    call = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", variables={"first_name": "Given"}, answer=answer
    )
    page = text(client.get(f"/conversations/{call.pk}/"))
    for words in ("What we answered before it", "Ada as it was", "It was rejected.", "Given"):
        assert words in page
