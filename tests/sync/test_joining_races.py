"""Merging two contacts while the workers are at both of them: nobody comes back, nothing is lost, nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import connection as database

from activity.models import Conversation
from activity.process import deliver_some
from contacts.changes import find_by_number
from contacts.models import Contact
from integrations.models import Connection
from sync.joining import CannotJoin, merge_contacts
from sync.models import ExternalRecord, RecordState
from tests.activity.payloads import deliver, ended
from tests.sync.world import LiveCrm, contact, edit, pull, push, sync

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 8


def together(*works: Callable[[], object]) -> None:
    """Run all at once, each on a connection of its own, and let errors through."""
    barrier, errors = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=10)
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if errors:
        raise errors[0]


@pytest.fixture
def twins(connection: Connection, crm: LiveCrm) -> Callable[[int], tuple[str, str, list[str]]]:
    """Two imported records of one person: (number to keep, number to merge, their ids), new ones for each round."""

    def make(number: int) -> tuple[str, str, list[str]]:
        kept, merged = f"+1415555{1000 + number}", f"+1415555{2000 + number}"
        ids = [crm.add(first_name="A", last_name="B", phone=phone) for phone in (kept, merged)]
        sync(connection)
        return kept, merged, ids

    return make


def merge(kept: str, merged: str) -> None:
    """As a person does, in whichever order their ids are."""
    merge_contacts(contact(kept), contact(merged), "olga")


def check(number: int, kept: str, merged: str) -> None:
    """One contact is left a round, and both numbers lead to it."""
    assert Contact.objects.count() == number + 1
    assert find_by_number(kept) == find_by_number(merged) == contact(kept)
    linked = ExternalRecord.objects.filter(contact=contact(kept), state=RecordState.LINKED)
    assert linked.count() == 1


def test_a_pull_of_both_records_brings_nobody_back(
    connection: Connection, crm: LiveCrm, twins: Callable[[int], tuple[str, str, list[str]]]
) -> None:
    for number in range(ROUNDS):
        kept, merged, ids = twins(number)
        for one in ids:
            crm.edit(one, notes=f"Round {number}")
        together(lambda: pull(connection), lambda kept=kept, merged=merged: merge(kept, merged))  # type: ignore[misc]
        sync(connection)
        pull(connection, full=True)
        check(number, kept, merged)
        assert contact(kept).value("notes") == f"Round {number}"


def test_a_push_of_both_is_settled_on_the_survivor(
    connection: Connection, crm: LiveCrm, twins: Callable[[int], tuple[str, str, list[str]]]
) -> None:
    for number in range(ROUNDS):
        kept, merged, ids = twins(number)
        edit(kept, notes="Kept.")
        edit(merged, notes="Merged.")
        together(push, lambda kept=kept, merged=merged: merge(kept, merged))  # type: ignore[misc]
        sync(connection)
        check(number, kept, merged)
        assert contact(kept).value("notes") == crm.value(ids[0], "notes") == "Kept."


def test_calls_that_come_in_meanwhile_count_on_the_survivor(
    connection: Connection, twins: Callable[[int], tuple[str, str, list[str]]]
) -> None:
    for number in range(ROUNDS):
        kept, merged, _ = twins(number)
        for phone in (kept, merged):
            deliver(ended(f"call_{phone}", from_number=phone))
        together(deliver_some, lambda kept=kept, merged=merged: merge(kept, merged))  # type: ignore[misc]
        while deliver_some():
            pass
        check(number, kept, merged)
        assert contact(kept).conversation_count == 2
        assert Conversation.objects.filter(contact=contact(kept)).count() == 2


def test_two_people_who_merge_the_same_two_both_ways_leave_one(
    connection: Connection, twins: Callable[[int], tuple[str, str, list[str]]]
) -> None:
    def attempt(kept: str, merged: str) -> None:
        with suppress(CannotJoin, Contact.DoesNotExist):
            merge(kept, merged)

    for number in range(ROUNDS):
        kept, merged, _ = twins(number)
        together(
            lambda kept=kept, merged=merged: attempt(kept, merged),  # type: ignore[misc]
            lambda kept=kept, merged=merged: attempt(merged, kept),  # type: ignore[misc]
        )
        assert Contact.objects.count() == number + 1
        assert find_by_number(kept) == find_by_number(merged)
