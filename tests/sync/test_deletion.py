"""A contact that is deleted here stays deleted, whatever the CRMs that had its record do later."""

from __future__ import annotations

import pytest
from django.utils import timezone

from activity.models import Conversation
from contacts.changes import create_contact
from contacts.models import Contact, ContactChange
from integrations.models import Connection
from sync.deletion import StillLinked, delete_contact
from sync.models import ExternalRecord, PendingPush, RecordState
from tests.sync.world import ADA, PERSON, LiveCrm, contact, edit, link, pull, push, sync


def switch(connection: Connection, *, on: bool) -> None:
    Connection.objects.filter(pk=connection.pk).update(enabled=on)
    connection.refresh_from_db()


def test_a_contact_whose_crm_syncs_is_not_deleted_and_the_crm_is_named(
    connection: Connection, linked: str
) -> None:
    with pytest.raises(StillLinked, match="CRM one"):
        delete_contact(contact().pk, by="ada")
    assert contact()


@pytest.mark.parametrize("full", [False, True])
def test_deleted_while_the_connection_was_off_it_is_not_made_again_by_an_edit_in_the_crm(
    connection: Connection, crm: LiveCrm, linked: str, full: bool
) -> None:
    switch(connection, on=False)
    delete_contact(contact().pk, by="ada")
    tombstone = link(linked)
    assert (tombstone.state, tombstone.reason, tombstone.number) == (RecordState.GONE, "deleted_here", "")
    assert tombstone.settled == {}
    switch(connection, on=True)
    crm.edit(linked, last_name="Byron")
    run = pull(connection, full=full)
    push()
    assert not Contact.objects.exists()
    assert run.counts["skipped_deleted_here"] == 1
    assert crm.value(linked, "last_name") == "Byron"


def test_who_makes_the_contact_anew_gets_its_record_back(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    switch(connection, on=False)
    delete_contact(contact().pk, by="ada")
    switch(connection, on=True)
    anew = create_contact(ADA, {}, source=PERSON).contact
    crm.edit(linked, last_name="Byron")
    sync(connection)
    assert (link(linked).contact, link(linked).state, link(linked).reason) == (anew, RecordState.LINKED, "")
    assert contact().last_name == "Byron"


def test_what_waited_for_it_ends_and_what_was_said_stays(connection: Connection, linked: str) -> None:
    edit(last_name="Byron")
    PendingPush.objects.get_or_create(connection=connection, contact=contact())
    talk = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", contact=contact(), started_at=timezone.now()
    )
    switch(connection, on=False)
    delete_contact(contact().pk, by="ada")
    talk.refresh_from_db()
    assert talk.contact is None
    assert not PendingPush.objects.exists()
    assert not ContactChange.objects.exists()


def test_a_creation_that_was_only_wanted_leaves_nothing(connection: Connection, crm: LiveCrm) -> None:
    made = create_contact(ADA, {}, source=PERSON).contact
    ExternalRecord.objects.create(connection=connection, contact=made, state=RecordState.CREATING)
    with pytest.raises(StillLinked):
        delete_contact(made.pk, by="ada")
    switch(connection, on=False)
    delete_contact(made.pk, by="ada")
    assert not ExternalRecord.objects.exists()


def test_deleting_twice_says_that_it_is_gone(connection: Connection) -> None:
    made = create_contact(ADA, {}, source=PERSON).contact
    delete_contact(made.pk, by="ada")
    with pytest.raises(Contact.DoesNotExist):
        delete_contact(made.pk, by="ada")
