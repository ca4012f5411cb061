"""The pages: what they show, in what words, and that they stay quick."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from activity.models import Conversation, MergeReview, WebhookDelivery
from contacts.models import ContactTag
from crmsync.pages.listing import PAGE
from crmsync.roles import OPERATOR, STAFF
from integrations.health import Health, health_of, overall
from integrations.models import Connection
from sync.models import ExternalRecord, RunState, SyncIssue, SyncRun
from tests.crmsync.pages_world import client_of, connection, contact, text, world

pytestmark = pytest.mark.django_db


def test_signing_in_leads_to_where_the_person_wanted_to_go():
    User.objects.create_user("ada", password="the engine")
    client = Client()
    page = text(client.get("/login/?next=/contacts/"))
    assert 'name="next" value="/contacts/"' in page
    wrong = client.post("/login/", {"username": "ada", "password": "a guess"})
    assert "correct username and password" in text(wrong)
    right = client.post("/login/", {"username": "ada", "password": "the engine", "next": "/contacts/"})
    assert right["Location"] == "/contacts/"


def test_signing_out_needs_a_post_and_ends_the_session():
    client = client_of(STAFF)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_the_dashboard_says_how_everything_is():
    known = world()
    page = text(client_of(OPERATOR).get("/"))
    for words in (
        "Salesforce EU",
        "Healthy",
        "12,345 created",
        "9 minutes ago</time>",
        "1 parked",
        "Records without a phone number",
        "18 records",
        "Outbound is not armed",
    ):
        assert words in page
    assert f"/runs/{known.run.pk}/" in page


def test_an_empty_dashboard_leads_to_the_first_connection():
    assert "Connect a CRM" in text(client_of(OPERATOR).get("/"))
    assert "/admin/integrations/connection/add/" not in text(client_of(STAFF).get("/"))


NOW = timezone.now()


@pytest.mark.parametrize(
    ("change", "last_good", "tone", "word"),
    [
        ({}, NOW, "ok", "Healthy"),
        ({}, None, "info", "New"),
        ({}, NOW - timedelta(minutes=16), "warn", "Late"),
        ({"status": "not_connected"}, None, "warn", "Not connected"),
        ({"status_reason": "HubSpot has no field “x”."}, NOW, "warn", "Needs attention"),
        ({"paused_until": NOW + timedelta(minutes=5)}, NOW, "warn", "Paused"),
        ({"paused_until": NOW - timedelta(minutes=5)}, NOW, "ok", "Healthy"),
        ({"status": "error", "status_reason": "Refused."}, NOW, "bad", "Error"),
        ({"status": "error", "enabled": False}, NOW, "calm", "Off"),
    ],
)
def test_the_health_of_a_connection_in_one_word(change, last_good, tone, word):
    crm = Connection(
        provider="salesforce", name="S", **{"status": "connected", "interval_minutes": 5, **change}
    )
    health = health_of(crm, last_good, NOW)
    assert (health.tone, health.word) == (tone, word)
    assert health.reason.endswith(".")


OK, LATE, ERROR = (
    Health("ok", "Healthy", "In step."),
    Health("warn", "Late", "Old."),
    Health("bad", "Error", "Refused."),
)


@pytest.mark.once
@pytest.mark.parametrize(
    ("found", "tone", "words"),
    [
        ([("A", OK)], "ok", "In step with the CRM"),
        ([("A", OK), ("B", OK)], "ok", "All connections are in step"),
        ([("A", OK), ("B", LATE)], "warn", "B needs a look: late Old."),
        (
            [("A", LATE), ("B", ERROR), ("C", OK)],
            "bad",
            "2 of 3 connections need a look A (late), B (error).",
        ),
        (
            [("A", OK), ("B", Health("info", "New", ""))],
            "info",
            "A first import is on its way B: the others are in step.",
        ),
        ([("A", Health("calm", "Off", ""))], "calm", "Not everything is switched on"),
    ],
)
def test_all_connections_together_in_one_sentence(found, tone, words):
    told = overall(found)
    assert told is not None
    assert (told.tone, f"{told.word} {told.reason}".strip()) == (tone, words)


def test_no_connection_has_no_verdict():
    assert overall([]) is None


def test_the_dashboard_begins_with_the_verdict_and_what_waits():
    world()
    page = text(client_of(OPERATOR).get("/"))
    assert page.index("In step with the CRM") < page.index("Conversations today")
    assert '<a href="/issues/">2 open issues</a>' in page
    assert '<a href="/deliveries/?state=parked">1 parked delivery</a>' in page


def test_sync_now_queues_a_run_and_a_second_press_shows_the_same():
    crm, client = connection(), client_of(OPERATOR)
    first = client.post(f"/connections/{crm.public_id}/sync/", {"full": "1"})
    run = SyncRun.objects.get()
    assert (run.kind, run.trigger, run.requested_by) == ("full", "manual", OPERATOR)
    assert first["Location"] == f"/runs/{run.pk}/"
    again = client.post(f"/connections/{crm.public_id}/sync/", follow=True)
    assert SyncRun.objects.count() == 1
    assert "already syncing" in text(again)


def test_an_open_run_asks_for_itself_again_and_a_closed_one_does_not():
    crm, client = connection(), client_of(STAFF)
    run = SyncRun.objects.create(
        connection=crm, state=RunState.RUNNING, done=250, total=1000, started_at=timezone.now()
    )
    page = text(client.get(f"/runs/{run.pk}/"))
    assert 'data-live="open"' in page
    assert "live.js" in page
    assert "250 of 1000 records" in page
    assert 'value="25"' in page
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    page = text(client.get(f"/runs/{run.pk}/"))
    assert 'data-live="closed"' in page
    assert "live.js" not in page


def test_issues_are_open_ones_unless_others_are_asked_for():
    crm, client = connection(), client_of(STAFF)
    SyncIssue.objects.create(connection=crm, kind="no_phone", message="No phone number.")
    SyncIssue.objects.create(connection=crm, kind="push_rejected", message="Too long.", state="resolved")
    assert "No phone number." in text(client.get("/issues/"))
    assert "Too long." not in text(client.get("/issues/"))
    assert "Too long." in text(client.get("/issues/?state=resolved"))
    assert "No phone number." not in text(client.get("/issues/?state=all&kind=push_rejected"))
    assert "No phone number." in text(client.get("/issues/?state=nonsense&kind=nonsense&connection=x"))


def test_deliveries_tell_what_was_done_and_why_and_show_their_body():
    known, client = world(), client_of(STAFF)
    assert "The analysis did not fit." in text(client.get("/deliveries/?state=parked&q=call_1"))
    assert "No delivery found" in text(client.get("/deliveries/?state=done"))
    page = text(client.get(f"/deliveries/{known.delivery.pk}/"))
    assert "&quot;call_id&quot;: &quot;call_1&quot;" in page
    WebhookDelivery.objects.update(body=b"\xff not json")
    assert "not json" in text(client.get(f"/deliveries/{known.delivery.pk}/"))


def test_a_conversation_shows_what_followed_and_escapes_what_was_said():
    known = world()
    page = text(client_of(STAFF).get(f"/conversations/{known.conversation.pk}/"))
    for words in ("Wants a quote.", "1 min 05 s", "positive", "Merge of", "logged", "call_analyzed"):
        assert words in page
    assert "&lt;b&gt;Hi&lt;/b&gt;" in page


def test_what_is_not_there_is_said_in_the_house_s_look():
    client = client_of(STAFF)
    for where in ("/runs/99/", "/contacts/contact_none/", "/conversations/7/", "/deliveries/7/", "/nowhere/"):
        answer = client.get(where)
        assert answer.status_code == 404
        assert "There is nothing here" in text(answer)


PLACES = [
    "/",
    "/contacts/",
    "/conversations/",
    "/runs/",
    "/issues/",
    "/deliveries/",
    "/login/",
    "/contacts/new/",
    "/questions/",
    "/reviews/",
    "/agent-view/",
    "/backfills/",
]


@pytest.mark.parametrize("where", PLACES)
def test_no_page_needs_an_inline_script_or_style_or_another_host(where: str):
    world()
    answer = (Client() if where == "/login/" else client_of(OPERATOR)).get(where)
    page = text(answer)
    assert answer.status_code == 200
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)", page)
    # Links that a person may follow into the CRM ask nothing of it by themselves.
    page = re.sub(r'<a [^>]*rel="noopener noreferrer"[^>]*>', "", page)
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_long_list_is_paged_and_a_page_out_of_reach_is_the_nearest():
    crm, client = connection(), client_of(STAFF)
    SyncRun.objects.bulk_create(
        [SyncRun(connection=crm, state=RunState.SUCCEEDED, kind="full") for _ in range(PAGE * 2 + 5)]
    )
    first = text(client.get("/runs/?state=succeeded"))
    assert "1–50 of 105" in first
    assert "?state=succeeded&amp;page=2" in first
    assert 'rel="prev"' not in first
    assert "101–105 of 105" in text(client.get("/runs/?page=99"))
    assert "1–50 of 105" in text(client.get("/runs/?page=-1"))
    assert "1–50 of 105" in text(client.get("/runs/?page=²"))


def fill(count: int) -> None:
    crm = Connection.objects.first() or connection()
    tag, _ = ContactTag.objects.get_or_create(label="VIP")
    for number in range(count):
        last = ExternalRecord.objects.count()
        person = contact(f"+1415555{1000 + last}", "Grace", str(number))
        person.tags.add(tag)
        ExternalRecord.objects.create(connection=crm, contact=person, external_id=f"x{last}")
        call = Conversation.objects.create(
            key=f"chat_{last}", kind="call", channel="phone", contact=person, started_at=timezone.now()
        )
        SyncRun.objects.create(connection=crm, state=RunState.SUCCEEDED)
        SyncIssue.objects.create(
            connection=crm, kind="push_failed", contact=person, external_id=f"x{last}", message="Too long."
        )
        MergeReview.objects.create(conversation=call, contact=person, contact_field="city", state="waiting")
        WebhookDelivery.objects.create(
            event="call_ended", conversation_key=call.key, body_hash=call.key, body=b"{}"
        )


@pytest.mark.parametrize(
    "where",
    [
        "/",
        "/contacts/",
        "/contacts/?q=gra",
        "/conversations/",
        "/runs/",
        "/issues/",
        "/deliveries/",
        "/reviews/",
        "/backfills/",
    ],
)
def test_a_list_costs_the_same_few_queries_however_long_it_is(where: str):
    client = client_of(OPERATOR)
    fill(2)
    client.get(where)
    with CaptureQueriesContext(
        database,
    ) as few:
        client.get(where)
    fill(8)
    with CaptureQueriesContext(database) as many:
        client.get(where)
    assert len(many) == len(few) <= 16
