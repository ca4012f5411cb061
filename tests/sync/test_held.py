"""What a pull leaves to a push is read even while nothing may be pushed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations.models import Connection
from integrations.providers.errors import Transient
from sync.arming import approve_outbound, disarm
from sync.held import read_held
from sync.models import PendingPush
from sync.touch import drain_touched
from tests.sync.world import LiveCrm, contact, edit, link, pull, push, waiting

pytestmark = pytest.mark.django_db


def shut(connection: Connection, how: str) -> None:
    if how == "disarmed":
        disarm(connection, by="Grace")
    else:
        Connection.objects.filter(pk=connection.pk).update(held_at=timezone.now())


@pytest.fixture
def left_over(connection: Connection, crm: LiveCrm, linked: str) -> str:
    """A record whose edits in the CRM were read while a push of it was in hand, which then was not made."""
    edit(plan="Pro")
    drain_touched()
    PendingPush.objects.update(claimed_until=timezone.now() + timedelta(minutes=3))
    crm.edit(linked, notes="After the push had read.", do_not_call=True)
    assert pull(connection).counts["left_to_push"] == 1
    crm.advance(hours=1)  # no overlap shows it again
    PendingPush.objects.update(claimed_until=None)
    return linked


@pytest.mark.parametrize("how", ["disarmed", "held"])
def test_an_edit_in_the_crm_waits_for_no_approval(
    connection: Connection, crm: LiveCrm, left_over: str, how: str
) -> None:
    shut(connection, how)
    assert read_held() == 1
    assert contact().do_not_call is True
    assert contact().custom_fields == {"plan": "Pro", "notes": "After the push had read."}
    assert crm.sent == []
    (still,) = waiting()
    assert (still.unread, still.claimed_until) == (False, None)
    assert read_held() == 0  # once is enough


def test_what_waits_goes_out_with_the_approval(connection: Connection, crm: LiveCrm, left_over: str) -> None:
    shut(connection, "disarmed")
    read_held()
    approve_outbound(connection, by="Grace")
    push()
    assert crm.value(left_over, "plan") == "Pro"
    assert crm.value(left_over, "notes") == "After the push had read."
    assert waiting() == []


def test_a_row_with_nothing_to_send_is_done(connection: Connection, crm: LiveCrm, left_over: str) -> None:
    shut(connection, "held")
    crm.edit(left_over, plan="Pro")
    read_held()
    assert waiting() == []


def test_while_pushes_may_be_made_they_read_it_themselves(connection: Connection, left_over: str) -> None:
    assert read_held() == 0


def test_a_record_that_is_gone_ends_its_link(connection: Connection, crm: LiveCrm, left_over: str) -> None:
    shut(connection, "held")
    crm.delete(left_over)
    read_held()
    assert link(left_over).contact is None


def test_a_read_that_fails_is_tried_again(connection: Connection, crm: LiveCrm, left_over: str) -> None:
    shut(connection, "held")
    crm.fail("read", Transient("The CRM did not answer."))
    read_held()
    (still,) = waiting()
    assert (still.unread, still.claimed_until, still.attempts) == (True, None, 1)
    assert still.due_at > timezone.now()


def test_left_again_meanwhile_it_is_read_again(connection: Connection, crm: LiveCrm, left_over: str) -> None:
    shut(connection, "held")

    def another_pull() -> None:
        crm.edit(left_over, notes="Newer still.")
        assert pull(connection).counts["left_to_push"] == 1
        crm.advance(hours=1)

    crm.then["read"].append(another_pull)
    read_held()
    read_held()
    assert contact().custom_fields["notes"] == "Newer still."


def test_a_contact_without_a_link_or_archived_is_left_alone(
    connection: Connection, crm: LiveCrm, left_over: str
) -> None:
    shut(connection, "held")
    ada = contact()
    ada.archived_at = timezone.now()
    ada.save()
    read_held()
    assert crm.count("read") == 0
    assert [row.unread for row in waiting()] == [False]
