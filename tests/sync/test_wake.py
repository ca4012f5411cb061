"""Wake-ups: one serves many rows, and none starts before the rows it is for can be seen."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from contacts.models import ContactTouched
from sync.models import WakeUp
from sync.wake import awake, wake, wake_again


@pytest.mark.django_db
def test_many_wake_ups_are_one_task() -> None:
    for _ in range(5):
        wake()
    assert OrmQ.objects.count() == 1
    awake()
    wake()
    assert OrmQ.objects.count() == 2


@pytest.mark.django_db
def test_a_lost_task_is_made_up_for_by_the_sweep() -> None:
    wake()
    OrmQ.objects.all().delete()  # the worker died with it
    wake()
    assert OrmQ.objects.count() == 0
    wake_again()
    assert OrmQ.objects.count() == 0  # it may yet be heard
    WakeUp.objects.update(at=timezone.now() - timedelta(minutes=3))
    wake_again()
    wake_again()
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_goes_with_the_transaction_that_asked_for_it() -> None:
    with transaction.atomic():
        wake()
        transaction.set_rollback(True)
    assert OrmQ.objects.count() == 0
    with transaction.atomic():
        wake()
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_drain_on_its_way_waits_for_rows_that_rely_on_it() -> None:
    """A row written while a wake-up is pending is seen by it, though its transaction ends later."""
    WakeUp.objects.create(pk=1, pending=True)
    written, seen = threading.Event(), []

    def drain() -> None:
        try:
            written.wait(10)
            awake()
            seen.append(ContactTouched.objects.count())
        finally:
            database.close()

    worker = threading.Thread(target=drain)
    worker.start()
    with transaction.atomic():
        ContactTouched.objects.create(contact_id=1)
        wake()
        written.set()
        worker.join(0.3)
        assert seen == []  # it has not looked yet
    worker.join(10)
    assert seen == [1]
