"""Conversations from before the connection wanted them are logged afterwards, in order and within the age limit."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activity import log
from activity.catch_up import catch_up, catch_up_all, catch_up_changed
from activity.log import log_some
from activity.models import ActivityEntry, Conversation
from activity.process import process_some
from integrations.models import Connection
from tests.activity.payloads import START, call, deliver

pytestmark = pytest.mark.django_db


@pytest.fixture
def missed(connection, crm, link):
    """Seven calls came in another order than they took place, while the connection did not want them."""
    Connection.objects.update(sync_conversation_activity=False)
    for number in (2, 7, 1, 3, 6, 5, 4):
        deliver(
            {"event": "call_ended", "call": call(f"call_{number}", start_timestamp=START + number * 1000)}
        )
    while process_some():
        pass
    link()
    assert not ActivityEntry.objects.exists()
    Connection.objects.update(sync_conversation_activity=True, updated_at=timezone.now())
    return crm


def logged(crm):
    while log_some():
        pass
    return [one.marker for one in crm.activities.values()]


def test_all_of_them_are_logged_once_in_the_order_they_took_place(missed, connection):
    assert catch_up_all() == 7
    assert catch_up_all() == 0
    assert logged(missed) == [f"call_{number}" for number in range(1, 8)]


def test_the_order_holds_across_chunks(missed, connection):
    assert catch_up(connection, chunk=2) == 7
    assert logged(missed) == [f"call_{number}" for number in range(1, 8)]
    Conversation.objects.update(created_at=timezone.now())
    assert catch_up(connection, chunk=2) == 0, "it comes to an end where many came at one moment"


def test_after_an_outage_they_are_logged_in_the_order_they_took_place_however_they_came(
    connection, crm, link
):
    """Row 35."""
    Connection.objects.update(enabled=False)
    for number in (2, 7, 1, 3, 6, 5, 4):
        deliver(
            {"event": "call_ended", "call": call(f"call_{number}", start_timestamp=START + number * 1000)}
        )
        while process_some():
            pass
    link()
    ActivityEntry.objects.update(due_at=timezone.now())
    Connection.objects.update(enabled=True)
    assert logged(crm) == [f"call_{number}" for number in range(1, 8)]


def test_one_worker_at_a_time_logs_in_a_crm_so_that_none_overtakes(missed, connection, monkeypatch):
    monkeypatch.setattr(log, "BATCH", 2)
    catch_up_all()
    first, _until = log._claim(connection)
    assert [ActivityEntry.objects.get(pk=pk).conversation.key for pk in first] == ["call_1", "call_2"]
    assert log_some() == 0
    ActivityEntry.objects.update(claimed_until=timezone.now())
    assert logged(missed) == [f"call_{number}" for number in range(1, 8)]


def test_none_of_them_looks_as_if_it_had_waited_for_long(missed):
    catch_up_all()
    now = timezone.now()
    assert all(now - entry.due_at < timedelta(minutes=30) for entry in ActivityEntry.objects.all())


def test_what_came_before_the_age_limit_is_left_alone(missed):
    old = Conversation.objects.filter(key__in=["call_1", "call_4"])
    old.update(created_at=timezone.now() - timedelta(days=31))
    assert catch_up_all() == 5


def test_without_a_limit_all_of_them_are_logged(missed, settings):
    settings.CRMSYNC_LOG_AGE_DAYS = 0
    Conversation.objects.update(created_at=timezone.now() - timedelta(days=400))
    assert catch_up_all() == 7


def test_a_connection_that_was_just_switched_on_does_not_wait_for_the_daily_look(missed):
    Connection.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    assert catch_up_changed() == 0
    Connection.objects.get().save()
    assert catch_up_changed() == 7


def test_a_connection_that_is_off_waits_until_it_is_on(missed):
    Connection.objects.update(enabled=False)
    assert (catch_up_all(), catch_up_changed()) == (0, 0)
