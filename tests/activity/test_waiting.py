"""A conversation whose contact has no record in the CRM waits for one, and is logged when there is one."""

from datetime import timedelta

import pytest
from django.utils import timezone

from activity import waiting
from activity.log import log_some, retry
from activity.models import ActivityEntry, Conversation
from activity.process import process_some
from contacts.models import Contact
from sync.models import ExternalRecord, PendingPush, RecordState
from tests.activity.payloads import ADA, GRACE, analysis, analyzed, call, deliver

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


def test_without_a_record_it_waits_and_is_logged_when_the_contact_gets_one(connection, link, crm):
    deliver(analyzed())
    settle()
    log_some()
    assert (entry().state, entry().note) == ("waiting", "The contact has no record in this CRM.")
    assert not crm.activities
    link()
    log_some()
    assert entry().state == "logged"
    assert len(crm.logged("call_ada")) == 1


def test_an_entry_that_has_waited_long_is_looked_at_now_and_then(connection, link, crm):
    deliver(analyzed())
    settle()
    log_some()
    ActivityEntry.objects.update(due_at=timezone.now() + timedelta(hours=1))
    link()
    assert log_some() == 0
    due_now()
    log_some()
    assert entry().state == "logged"


def test_a_missing_record_is_wanted_once_where_new_contacts_are_created(connection, crm):
    type(connection).objects.update(sync_new_contacts=True)
    deliver(analyzed("call_1"), analyzed("call_2"))
    settle()
    log_some()
    assert ExternalRecord.objects.get().state == RecordState.CREATING
    assert PendingPush.objects.count() == 1
    assert {one.note for one in ActivityEntry.objects.all()} == {"The contact is being created in the CRM."}
    record = crm.add(last_name="Lovelace")
    ExternalRecord.objects.update(external_id=record, state=RecordState.LINKED)
    log_some()
    assert len(crm.logged("call_1")) == len(crm.logged("call_2")) == 1


def test_a_wish_for_a_record_comes_before_the_wait_and_is_repeated_when_it_was_lost(
    connection, crm, monkeypatch
):
    type(connection).objects.update(sync_new_contacts=True)
    deliver(analyzed())
    settle()
    with monkeypatch.context() as patch:
        patch.setattr(waiting, "want_record", raises(OSError("died")))
        with pytest.raises(OSError, match="died"):
            log_some()
    assert entry().state == "pending"
    due_now(claimed_until=None)
    log_some()
    assert (entry().state, ExternalRecord.objects.count()) == ("waiting", 1)
    ExternalRecord.objects.all().delete()
    log_some()
    assert not ExternalRecord.objects.exists()
    due_now()
    log_some()
    assert ExternalRecord.objects.get().state == RecordState.CREATING
    assert entry().due_at > timezone.now() + timedelta(hours=5)


def test_records_of_those_who_wait_are_made_once_the_connection_wants_new_contacts(connection, crm):
    deliver(analyzed())
    settle()
    log_some()
    due_now()
    log_some()
    assert not ExternalRecord.objects.exists()
    type(connection).objects.update(sync_new_contacts=True)
    due_now()
    log_some()
    assert ExternalRecord.objects.get().state == RecordState.CREATING
    assert entry().note == "The contact is being created in the CRM."


def test_however_many_wait_those_who_get_a_record_are_logged_within_a_minute(
    connection, link, crm, monkeypatch
):
    monkeypatch.setattr(waiting, "SWEEP", 1)
    deliver(
        analyzed("call_1"),
        {"event": "call_analyzed", "call": call("call_2", from_number=GRACE, call_analysis=analysis())},
    )
    settle()
    log_some()
    first = ActivityEntry.objects.get(conversation__key="call_1")
    ActivityEntry.objects.filter(pk=first.pk).update(due_at=first.due_at - timedelta(minutes=5))
    link(Contact.objects.get(phone_number=ADA))
    log_some()
    assert not crm.activities, "only the newest is looked at each time"
    assert waiting.revive_recent() == 1
    log_some()
    assert [one.marker for one in crm.activities.values()] == ["call_1"]


def test_what_has_waited_longer_than_the_age_limit_is_given_up_unless_a_person_asks(connection, link, crm):
    deliver(analyzed())
    settle()
    log_some()
    Conversation.objects.update(created_at=timezone.now() - timedelta(days=31))
    due_now()
    log_some()
    assert (entry().state, entry().note) == ("expired", "Older than 30 days.")
    retry(ActivityEntry.objects.all())
    log_some()
    due_now()
    log_some()
    assert entry().state == "waiting"
    link()
    due_now()
    log_some()
    assert len(crm.logged("call_ada")) == 1
