"""Two workers, two connections to the database: everything happens once all the same."""

import threading

import pytest
from django.db import connection as database

from activity.log import log_some
from activity.models import ActivityEntry, AppliedMapping, Conversation, WebhookDelivery
from activity.process import process_some
from contacts.models import Contact
from tests.activity.payloads import analyzed, call, deliver, ended

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 4


def together(work):
    """Run `work` in several threads at once and let errors through."""
    barrier, errors = threading.Barrier(WORKERS), []

    def run(number):
        try:
            barrier.wait(timeout=10)
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if errors:
        raise errors[0]


def work_until_idle(_number):
    while process_some():
        pass


def test_the_same_event_posted_at_once_is_one_delivery():
    together(lambda _number: deliver(ended()))
    assert WebhookDelivery.objects.count() == 1


def test_many_events_of_one_unknown_caller_make_one_contact_counted_right(mapping):
    mapping("topic", "notes")
    deliver(*[{"event": "call_started", "call": call(f"call_{number}")} for number in range(6)])
    deliver(*[ended(f"call_{number}") for number in range(6)])
    deliver(*[analyzed(f"call_{number}", topic="Tea.") for number in range(6)])
    together(work_until_idle)
    work_until_idle(0)
    assert not WebhookDelivery.objects.exclude(state="done").exists()
    assert Contact.objects.get().conversation_count == 6
    assert Conversation.objects.count() == AppliedMapping.objects.count() == 6


def test_workers_that_log_at_once_log_each_conversation_once(connection, link, crm):
    deliver(*[analyzed(f"call_{number}") for number in range(8)])
    work_until_idle(0)
    link()
    together(lambda _number: [log_some() for _ in range(3)])
    while log_some():
        pass
    assert set(ActivityEntry.objects.values_list("state", flat=True)) == {"logged"}
    assert [len(crm.logged(f"call_{number}")) for number in range(8)] == [1] * 8
