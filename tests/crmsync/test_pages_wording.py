"""What is logged: templates are tried on a real conversation, as the CRM would get it, before they are kept."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from activity.models import ActivityEntry, Conversation
from crmsync.roles import OPERATOR
from integrations.activity_templates import DEFAULT_BODY, DEFAULT_TITLE
from integrations.models import Connection
from tests.crmsync.pages_world import World, client_of, text, world

pytestmark = pytest.mark.django_db
USUAL = {"activity_title": DEFAULT_TITLE, "activity_body": DEFAULT_BODY}
OURS = {
    "activity_title": "{{ kind }} with {{ contact_name }}",
    "activity_body": "{{ summary|upper }}\r\nBye.",
}


@pytest.fixture
def known() -> World:
    """A connection, Ada who is linked to it, and her call."""
    return world()


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.fixture
def page(known: World) -> str:
    """The address of the page."""
    return reverse("wording", args=[known.connection.public_id])


def previewed(client: Client, page: str, **given: object) -> str:
    """The preview's part of the page."""
    shown = text(client.post(page, {**OURS, "preview": "1", **given}))
    found = re.search(r'<section class="card" id="preview".*?</section>', shown, re.DOTALL)
    assert found, shown
    return found[0]


def test_the_page_begins_with_what_is_logged_now(client: Client, page: str, known: World):
    shown = text(client.get(page))
    assert escape(DEFAULT_TITLE) in shown
    assert "Wants a quote." in shown
    assert f"Call {known.conversation.key}" in shown
    Connection.objects.update(activity_title="Talk {{ agent }}")
    assert escape("Talk {{ agent }}") in text(client.get(page))
    assert f'href="{page}"' in text(client.get(reverse("connection", args=[known.connection.public_id])))


def test_a_preview_shows_the_words_and_the_crms_fields_and_keeps_nothing(
    client: Client, page: str, known: World
):
    shown = previewed(client, page)
    assert "<h3>Call with Ada Lovelace</h3>" in shown
    assert "WANTS A QUOTE.<br>Bye." in shown
    assert "0035g00000AbCdEAAV" in shown
    # The marker is there whatever the template says.
    assert f"Call with Ada Lovelace [{known.conversation.key}]" in shown
    known.connection.refresh_from_db()
    assert (known.connection.activity_title, known.connection.activity_body) == ("", "")
    assert known.connection.api_use.count() == 0


def test_a_preview_in_hubspots_fields_ends_with_the_marker(client: Client, page: str, known: World):
    Connection.objects.update(provider="hubspot", tenant_url="", credentials={"access_token": "pat"})
    shown = previewed(client, page)
    assert "hs_call_title" in shown
    assert escape(f"<p>Conversation: {known.conversation.key}</p>") in shown


def test_any_conversation_can_be_chosen(client: Client, page: str):
    other = Conversation.objects.create(
        key="chat_2", kind="chat", channel="sms", summary="<b>Likes</b> tea.", analyzed=True
    )
    shown = previewed(client, page, conversation=other.pk)
    assert "<h3>SMS with</h3>" in shown
    assert "&lt;B&gt;LIKES&lt;/B&gt; TEA." in shown
    for odd in ("", "x", "999999999"):
        assert client.post(page, {**OURS, "preview": "1", "conversation": odd}).status_code == 200


def test_a_template_that_cannot_be_used_is_refused_where_it_stands(client: Client, page: str, known: World):
    for button in ("preview", "save"):
        shown = text(client.post(page, {**OURS, "activity_body": "a\n{{ sumary }}", button: "1"}))
        assert "Line 2: There is no variable “sumary”; did you mean “summary”?" in shown
        assert 'id="preview"' not in shown
    known.connection.refresh_from_db()
    assert known.connection.activity_body == ""


def test_one_that_does_not_fit_the_conversation_says_what_is_logged_instead(client: Client, page: str):
    shown = previewed(client, page, activity_title="{{ last_name[:0] }}")
    assert "usual words instead. The title comes out blank." in shown
    assert "<h3>Call call_1</h3>" in shown


def test_saved_words_are_kept_and_what_had_to_be_usual_is_worded_anew(
    client: Client, page: str, known: World
):
    ActivityEntry.objects.update(note="Logged in the usual words: It does not fit.")
    answer = client.post(page, {**OURS, "save": "1"}, follow=True)
    assert "1 that had to be logged in the usual words will be worded anew." in text(answer)
    known.connection.refresh_from_db()
    assert known.connection.activity_title == OURS["activity_title"]
    assert known.connection.activity_body == "{{ summary|upper }}\nBye."
    assert ActivityEntry.objects.get().state == "pending"
    client.post(page, {**USUAL, "activity_body": DEFAULT_BODY.replace("\n", "\r\n"), "save": "1"})
    known.connection.refresh_from_db()
    assert (known.connection.activity_title, known.connection.activity_body) == ("", "")


def test_without_a_conversation_templates_can_be_saved(client: Client, page: str, known: World):
    known.conversation.merges.all().delete()
    Conversation.objects.all().delete()
    assert "no conversation yet to try it on" in text(client.get(page))
    client.post(page, {**OURS, "save": "1"})
    known.connection.refresh_from_db()
    assert known.connection.activity_title == OURS["activity_title"]


def test_where_the_crms_fields_cannot_be_told_the_words_are_shown(client: Client, page: str):
    Connection.objects.update(provider="hubspot", tenant_url="https://elsewhere.example.com")
    shown = previewed(client, page)
    assert "WANTS A QUOTE." in shown
    assert "cannot be told: This is not HubSpot&#x27;s API." in shown
