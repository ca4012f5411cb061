"""One contact brought in step while somebody waits, whatever state it and its CRMs are in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.changes import create_contact
from contacts.models import Contact
from integrations.models import Connection
from integrations.providers.errors import AuthError, Transient
from sync.models import ExternalRecord, PendingPush
from sync.resync import Resynced, resync
from tests.fakes.crm import Fault
from tests.sync.world import ADA, GRACE, PERSON, LiveCrm, connect, contact, edit, push


def only(found: list[Resynced]) -> Resynced:
    [one] = found
    return one


def test_what_changed_on_either_side_is_taken_and_sent_at_once(linked: str, crm: LiveCrm) -> None:
    crm.edit(linked, last_name="King", plan="Pro")
    edit(first_name="Augusta")
    done = only(resync(contact()))
    assert done.taken == {"last_name": ("Lovelace", "King"), "plan": ("Free", "Pro")}
    assert done.sent == ["first_name"]
    assert not done.problem
    assert not done.in_step
    assert crm.value(linked, "first_name") == "Augusta"
    assert contact().value("plan") == "Pro"
    assert not PendingPush.objects.exists()


def test_a_contact_in_step_costs_one_call_and_changes_nothing(linked: str, crm: LiveCrm) -> None:
    crm.calls.clear()
    done = only(resync(contact()))
    assert done.in_step
    assert [name for name, _ in crm.calls] == ["read"]


def test_a_contact_without_a_record_is_looked_for_by_its_number_and_linked(
    connection: Connection, crm: LiveCrm
) -> None:
    grace = create_contact(GRACE, {"first_name": "Grace"}, source=PERSON).contact
    done = only(resync(grace))
    assert (done.found, done.linked, done.in_step) == (False, False, False)
    made = crm.add(last_name="Hopper", phone=GRACE)
    done = only(resync(grace))
    assert done.linked
    assert done.taken == {"last_name": (None, "Hopper")}
    assert ExternalRecord.objects.get(contact=grace).external_id == made
    assert crm.value(made, "first_name") == "Grace"


def test_what_the_crm_refuses_is_told_and_the_other_crm_is_done_all_the_same(
    linked: str, crm: LiveCrm, other_crm: LiveCrm, connection: Connection
) -> None:
    other = connect("two", rank=2)
    other_crm.add(last_name="Lovelace", phone=ADA, notes="likes mornings")
    crm.faults.append(Fault("read", AuthError("The CRM refuses the credentials.")))
    first, second = resync(contact())
    assert first.problem == "The CRM refuses the credentials."
    assert (second.connection, second.linked, second.problem) == (other, True, "")
    assert contact().value("notes") == "likes mornings"
    connection.refresh_from_db()
    assert connection.status == "error"
    assert resync(contact())[0].problem == "The CRM refuses the credentials."


def test_a_paused_or_disarmed_connection_says_until_when_or_what_waits(
    linked: str, connection: Connection, crm: LiveCrm
) -> None:
    edit(notes="wants a demo")
    Connection.objects.update(armed_at=None)
    assert "not armed" in only(resync(contact())).waits
    assert crm.value(linked, "notes") is None
    until = timezone.now() + timedelta(minutes=5)
    Connection.objects.update(paused_until=until, pause_reason="Too many calls.")
    crm.calls.clear()
    assert only(resync(contact())).problem.startswith("Too many calls. It goes on at ")
    assert not crm.calls
    Connection.objects.update(enabled=False)
    assert resync(contact()) == []


def test_a_value_that_the_crm_does_not_take_is_told_to_wait(linked: str, crm: LiveCrm) -> None:
    edit(notes="wants a demo")
    crm.faults.append(Fault("update", Transient("The CRM is down.")))
    done = only(resync(contact()))
    assert "tried again" in done.waits
    assert not done.sent
    PendingPush.objects.update(due_at=timezone.now())
    push()
    assert crm.value(linked, "notes") == "wants a demo"


@pytest.mark.parametrize("policy", ["unlink", "archive", "delete"])
def test_a_deleted_record_ends_as_the_connection_says(linked: str, crm: LiveCrm, policy: str) -> None:
    Connection.objects.update(delete_policy=policy)
    crm.delete(linked)
    done = only(resync(contact()))
    assert not done.found
    left = Contact.objects.filter(phone_number=ADA).first()
    assert (left is None) == (policy == "delete")
    assert left is None or bool(left.archived_at) == (policy == "archive")


def test_a_record_that_is_hidden_from_us_only_loses_its_link(linked: str, crm: LiveCrm) -> None:
    Connection.objects.update(delete_policy="delete")
    del crm.records[linked]
    assert not only(resync(contact())).found
    assert contact().first_name == "Ada"
