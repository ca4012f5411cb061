"""The doors' one statement: turns on SQLite, a dead connection on PostgreSQL, and a wake-up that is never missed."""

import threading

import pytest
from django.db import DatabaseError, transaction
from django.db import connection as database
from django_q.models import OrmQ

from activity.models import WebhookDelivery
from activity.receive import Received, store_and_wake
from activity.statement import read
from sync.wake import awake

pytestmark = pytest.mark.django_db(transaction=True)


def event(number: int) -> Received:
    return Received("call_ended", f"call_{number}", {}, b"{}")


def test_every_event_that_no_drain_will_see_wakes_one():
    assert [store_and_wake(event(1)), store_and_wake(event(2)), store_and_wake(event(2))] == [
        True,
        True,
        False,
    ]
    assert OrmQ.objects.count() == 1
    awake()
    assert not store_and_wake(event(2))
    assert OrmQ.objects.count() == 1, "what is known already wakes nobody"
    store_and_wake(event(3))
    assert OrmQ.objects.count() == 2
    assert WebhookDelivery.objects.count() == 3


def test_within_a_transaction_nobody_waits_for_a_turn():
    """The other thread has the turn and waits for SQLite's writer, which is ours: we must not wait for the turn."""
    begun = threading.Event()

    def other() -> None:
        begun.set()
        store_and_wake(event(1))
        database.close()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        WebhookDelivery.objects.create(event="call_ended", body=b"")
        thread.start()
        begun.wait()
        thread.join(timeout=0.2)
        store_and_wake(event(2))
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert WebhookDelivery.objects.count() == 3


def test_what_is_wrong_with_the_statement_is_not_tried_again():
    with pytest.raises(DatabaseError, match="no_such_table"):
        read("SELECT * FROM no_such_table", [])


@pytest.mark.postgres
def test_a_connection_that_died_between_two_events_is_opened_anew():
    store_and_wake(event(1))
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    killer = database.copy()
    with killer.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
    killer.close()
    database.health_check_done = False  # type: ignore[attr-defined]
    store_and_wake(event(2))
    assert WebhookDelivery.objects.count() == 2
