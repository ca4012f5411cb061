"""What one bad row, a mapping out of work, or a long wait must not do to all the others."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from crmsync import tasks
from integrations.models import Connection
from sync import push as pushing
from sync.backoff import next_attempt, next_retry
from sync.models import PendingPush
from sync.push import push_some
from sync.touch import drain_touched
from tests.sync.world import LiveCrm, connect, contact, edit, pull, push, sync


def test_however_often_something_was_tried_there_is_a_next_time() -> None:
    for attempts in (0, 1, 10, 1_025, 10**6):
        assert 0 < (next_attempt(attempts) - timezone.now()).total_seconds() <= 3600 * 1.25
        assert 0 < (next_retry(attempts) - timezone.now()).total_seconds() <= 24 * 3600 * 1.25


def test_one_contact_that_breaks_our_code_takes_no_other_with_it(
    fields: None, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    numbers = [f"+1415555{1000 + place}" for place in range(5)]
    ids = [crm.add(last_name="Hopper", phone=number, plan="Free") for number in numbers]
    sync(connection)
    for number in numbers:
        edit(number, plan="Pro")
    drain_touched()
    poison = contact(numbers[2]).pk
    real = pushing._plan_one

    def plan_one(ctx: Any, one: Any, *rest: Any) -> Any:
        if one.pk == poison:
            raise ZeroDivisionError
        return real(ctx, one, *rest)

    monkeypatch.setattr(pushing, "_plan_one", plan_one)
    with pytest.raises(ZeroDivisionError):
        push_some()
    assert [crm.value(one, "plan") for one in ids] == ["Pro", "Pro", "Free", "Pro", "Pro"]
    assert [row.contact_id for row in PendingPush.objects.all()] == [poison]


def test_an_edit_made_while_its_field_was_hidden_is_pushed_when_it_is_back(
    fields: None, crm: LiveCrm
) -> None:
    connection = connect()
    record = crm.add(last_name="Lovelace", phone="+14155550101", plan="Free")
    sync(connection)
    shown = list(crm.fields)
    crm.hide("plan")
    Connection.objects.update(schema_at=None)
    pull(connection)
    edit("+14155550101", plan="Pro")
    push()
    assert not PendingPush.objects.exists()
    crm.fields = shown
    Connection.objects.update(schema_at=None)
    pull(connection)
    push()
    assert crm.value(record, "plan") == "Pro"


@pytest.mark.django_db
def test_a_step_that_breaks_holds_up_no_other_and_is_loud() -> None:
    done: list[str] = []

    def broken() -> int:
        raise ZeroDivisionError

    def works() -> int:
        done.append("worked")
        return 1 if len(done) < 3 else 0

    with pytest.raises(ZeroDivisionError):
        tasks.drain((broken, works))
    assert done == ["worked"] * 3
