"""The pulse and the charts drawn of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from activity.models import Conversation, WebhookDelivery
from contacts.changes import Source, change_contact
from crmsync.pages.chart import HEIGHT, WIDTH, charts
from crmsync.pulse import EVERY, KEEP, Pulse, look, prune
from crmsync.roles import OPERATOR, STAFF
from crmsync.tasks import sweep
from sync.models import PendingPush, RunState, SyncRun
from tests.crmsync.pages_world import client_of, connection, contact, text

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def test_each_look_counts_what_is_new_since_the_last_and_what_waits():
    crm, ada = connection(), contact()
    first = look(NOW - EVERY)
    change_contact(ada.pk, {"first_name": "Augusta"}, source=Source("person", "user:1", "olga"))
    Conversation.objects.create(key="call_1", kind="call", channel="phone")
    PendingPush.objects.create(connection=crm, contact=ada)
    WebhookDelivery.objects.create(event="call_ended", body_hash="h", body=b"{}")
    second = look(NOW)
    assert first is not None
    assert (first.changes, first.conversations) == (0, 0)
    assert second is not None
    assert (second.changes, second.conversations, second.waiting) == (1, 1, 2)


def test_a_fresh_look_is_not_taken_again_and_old_ones_go():
    assert look(NOW) is not None
    assert look(NOW + EVERY / 2) is None
    Pulse.objects.create(at=NOW - KEEP - timedelta(hours=1))
    assert prune() == 1


def test_the_sweep_takes_the_pulse():
    sweep()
    assert Pulse.objects.count() == 1


def test_bars_stand_in_their_hour_as_high_as_their_share():
    for hours, changes, waiting in ((23.5, 10, 0), (23.4, 10, 7), (0.5, 5, 3), (30, 99, 99)):
        Pulse.objects.create(at=NOW - timedelta(hours=hours), changes=changes, waiting=waiting)
    day, week = charts(NOW)
    written, talked, backlog = day.series
    assert [(round(bar.x), round(bar.height)) for bar in written.bars] == [
        (0, HEIGHT),
        (round(WIDTH * 23 / 24), HEIGHT / 4),
    ]
    assert (written.figure, talked.bars, backlog.figure) == (25, [], 7)
    assert day.rows[0][1] == [20, 0, 7]
    assert day.rows[1][1] == [None, None, None]
    assert week.series[0].figure == 124


def test_the_dashboard_draws_both_spans_with_words_and_a_table_for_all():
    connection()
    Pulse.objects.create(at=timezone.now() - timedelta(minutes=5), changes=12_345, waiting=3)
    page = text(client_of(STAFF).get("/"))
    assert page.count("<svg") == 6
    assert "<desc" in page
    assert re.search(r"Changes of contacts: 12,345\. The most: 12,345 from", page)
    assert "The last week as a table" in page
    assert "style=" not in page


def test_the_dashboard_shows_how_far_a_run_is_and_asks_again():
    crm = connection()
    SyncRun.objects.create(
        connection=crm, state=RunState.RUNNING, done=250, total=1000, started_at=timezone.now()
    )
    page = text(client_of(OPERATOR).get("/"))
    assert 'data-live="open"' in page
    assert 'max="100" value="25"' in page
    assert "250 of 1000 records read" in page


def test_the_dashboard_leads_into_the_set_up_while_nothing_is_connected():
    assert 'href="/setup/"' in text(client_of(OPERATOR).get("/"))
    page = text(client_of(STAFF).get("/"))
    assert "/setup/" not in page
    assert "An operator can connect one." in page


def test_a_connection_that_was_never_read_leads_back_into_its_set_up():
    crm = connection()
    assert f'href="/setup/{crm.public_id}/"' in text(client_of(OPERATOR).get("/"))


def test_the_dashboard_asks_fewer_than_fifteen_questions():
    for name in ("one", "two", "three"):
        crm = connection(name)
        SyncRun.objects.create(connection=crm, state=RunState.RUNNING, done=1)
    look()
    client = client_of(OPERATOR)
    client.get("/")
    with CaptureQueriesContext(
        database,
    ) as queries:
        client.get("/")
    assert len(queries) < 15, [query["sql"][:90] for query in queries]
