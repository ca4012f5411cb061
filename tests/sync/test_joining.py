"""Merging two of our contacts: one survives, and nothing of the other is lost or comes back."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from activity.models import Conversation, MergeReview
from contacts.changes import Source, create_contact, find_by_number
from contacts.models import Contact, ContactAlias, ContactChange, ContactTag, by_public_id
from integrations.models import Connection
from sync import issues
from sync.joining import CannotJoin, merge_contacts
from sync.models import ExternalRecord, PendingPush, RecordState, SyncIssue
from tests.sync.world import ADA, GRACE, LiveCrm, connect, contact, edit, link, pull, push, sync, waiting

TYPED = Source("person", "user:1", "olga")


@pytest.fixture
def twins(connection: Connection, crm: LiveCrm) -> tuple[str, str]:
    """Two records of one person under two numbers, both imported; the ids of the one to keep and the other."""
    ids = (
        crm.add(first_name="Ada", last_name="Lovelace", phone=ADA, plan="Free"),
        crm.add(
            first_name="Augusta", last_name="King", phone=GRACE, plan="Pro", notes="Likes tea.", vip=True
        ),
    )
    sync(connection)
    return ids


def test_the_winner_keeps_its_values_and_fills_its_blanks(twins: tuple[str, str]) -> None:
    edit(GRACE, do_not_call=True)
    joined = merge_contacts(contact(ADA), contact(GRACE), "olga")
    kept = contact(ADA)
    assert (kept.first_name, kept.last_name, kept.value("plan")) == ("Ada", "Lovelace", "Free")
    assert joined.filled == {"notes": "Likes tea.", "vip": True, "do_not_call": True}
    assert (kept.value("notes"), kept.value("vip"), kept.do_not_call) == ("Likes tea.", True, True)
    assert kept.sources["notes"]["kind"] == "merge"
    assert Contact.objects.count() == 1


def test_number_and_id_of_the_other_lead_to_the_survivor(twins: tuple[str, str]) -> None:
    former = contact(GRACE).public_id
    kept = merge_contacts(contact(ADA), contact(GRACE), "olga").contact
    assert find_by_number(GRACE) == kept
    assert by_public_id(former) == by_public_id(kept.public_id) == kept
    other = create_contact("+14155550177", {}, source=TYPED).contact
    merge_contacts(other, kept, "olga")
    assert by_public_id(former) == by_public_id(kept.public_id) == find_by_number(GRACE) == other


def test_history_conversations_tags_and_issues_join(connection: Connection, twins: tuple[str, str]) -> None:
    winner, loser = contact(ADA), contact(GRACE)
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2)]
    for who, day, key in ((winner, days[0], "c1"), (loser, days[1], "c2")):
        talk = Conversation.objects.create(key=key, kind="call", channel="phone", contact=who)
        MergeReview.objects.create(conversation=talk, contact=who, contact_field="notes", state="applied")
        Contact.objects.filter(pk=who.pk).update(conversation_count=2, last_conversation_at=day)
        who.refresh_from_db()
    loser.tags.add(ContactTag.objects.create(label="vip"))
    for who in (winner, loser):
        issues.report(connection, "phone_clash", contact=who)
    issues.report(connection, "create_failed", contact=loser)
    changes = ContactChange.objects.count()
    merge_contacts(winner, loser, "olga")
    kept = contact(ADA)
    assert ContactChange.objects.filter(contact=kept).count() == changes + 1
    assert set(kept.conversations.values_list("key", flat=True)) == {"c1", "c2"}
    assert MergeReview.objects.filter(contact=kept).count() == 2
    assert (kept.conversation_count, kept.last_conversation_at) == (4, days[1])
    assert [tag.label for tag in kept.tags.all()] == ["vip"]
    still_open = SyncIssue.objects.filter(contact=kept, state=SyncIssue.State.OPEN)
    assert sorted(still_open.values_list("kind", flat=True)) == ["create_failed", "phone_clash"]
    assert SyncIssue.objects.filter(contact=kept).count() == 3


def test_every_relation_to_a_contact_is_joined(twins: tuple[str, str]) -> None:
    """A table that is added later is met by its foreign key alone; none may be lost with the merged contact."""
    known = {relation.related_model.__name__ for relation in Contact._meta.related_objects}
    assert {"Conversation", "ContactChange", "ExternalRecord", "SyncIssue", "PendingPush"} <= known
    loser = contact(GRACE).pk
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    for relation in Contact._meta.related_objects:
        rows = relation.related_model._default_manager.filter(**{relation.field.attname: loser})
        assert not rows.exists(), relation.related_model


def test_both_linked_in_one_crm_keeps_the_winners_record_only(
    connection: Connection, crm: LiveCrm, twins: tuple[str, str]
) -> None:
    joined = merge_contacts(contact(ADA), contact(GRACE), "olga")
    assert joined.released == [("CRM one", twins[1])]
    assert link(twins[0]).contact == contact(ADA)
    assert (link(twins[1]).state, link(twins[1]).reason) == (RecordState.SKIPPED, "joined")
    before = len(crm.sent)
    crm.edit(twins[1], first_name="Countess")
    sync(connection)
    pull(connection, full=True)
    assert Contact.objects.count() == 1, "the released record must not bring its contact back"
    assert contact(ADA).first_name == "Ada"
    assert {update.external_id for update in crm.sent[before:]} == {twins[0]}
    assert SyncIssue.objects.get(kind="joined").count == 1


def test_a_released_record_with_a_new_number_is_a_new_person(
    connection: Connection, crm: LiveCrm, twins: tuple[str, str]
) -> None:
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    crm.edit(twins[1], phone="+14155550188")
    pull(connection)
    assert contact("+14155550188").first_name == "Augusta"


def test_merging_the_records_in_the_crm_as_well_changes_nothing_more(
    connection: Connection, crm: LiveCrm, twins: tuple[str, str]
) -> None:
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    push()
    crm.merge(twins[0], twins[1])
    before = len(crm.sent)
    sync(connection)
    assert (Contact.objects.count(), len(crm.sent)) == (1, before)
    assert link(twins[0]).contact == contact(ADA)


def test_a_record_that_only_the_loser_has_goes_on_with_the_winner(
    connection: Connection, crm: LiveCrm
) -> None:
    record = crm.add(first_name="Augusta", last_name="King", phone=GRACE, plan="Pro")
    sync(connection)
    create_contact(ADA, {"first_name": "Ada"}, source=TYPED)
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    sync(connection)
    assert link(record).contact == contact(ADA)
    assert (crm.value(record, "first_name"), crm.value(record, "last_name")) == ("Ada", "King")
    assert crm.value(record, "phone") == GRACE, "the number of an existing record is never written"
    crm.edit(record, notes="Called back.")
    pull(connection)
    assert contact(ADA).value("notes") == "Called back."


def test_records_of_different_crms_meet_in_the_survivor(
    fields: None, crm: LiveCrm, other_crm: LiveCrm
) -> None:
    first, second = connect("one"), connect("two", rank=2)
    here = crm.add(first_name="Ada", last_name="Lovelace", phone=ADA)
    there = other_crm.add(first_name="Augusta", last_name="King", phone=GRACE, notes="Likes tea.")
    sync(first, second)
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    push()
    assert (crm.value(here, "notes"), other_crm.value(there, "first_name")) == ("Likes tea.", "Ada")
    sync(first, second)
    assert not waiting()


def test_pending_pushes_coalesce(connection: Connection, twins: tuple[str, str]) -> None:
    for number in (ADA, GRACE):
        edit(number, notes="New.")
        PendingPush.objects.create(connection=connection, contact=contact(number))
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    assert [row.contact_id for row in waiting()] == [contact(ADA).pk]


@pytest.mark.parametrize(("winner_waits", "loser_waits"), [*itertools.product([True, False], repeat=2)])
def test_reserved_creations_end_as_one(
    connection: Connection, crm: LiveCrm, winner_waits: bool, loser_waits: bool
) -> None:
    for number, waits in ((ADA, winner_waits), (GRACE, loser_waits)):
        person = create_contact(number, {"last_name": "Known"}, source=TYPED).contact
        state = RecordState.CREATING if waits else RecordState.LINKED
        external_id = None if waits else crm.add(last_name="Known", phone=number)
        ExternalRecord.objects.create(
            connection=connection, contact=person, state=state, external_id=external_id
        )
        PendingPush.objects.create(connection=connection, contact=person)
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    push()
    linked = ExternalRecord.objects.filter(contact=contact(ADA))
    assert [row.state for row in linked] == [RecordState.LINKED]
    assert len(crm.records) == (1 if winner_waits and loser_waits else 2 - winner_waits - loser_waits)


def test_no_merge_while_a_record_is_being_created(connection: Connection) -> None:
    people = [create_contact(number, {}, source=TYPED).contact for number in (ADA, GRACE)]
    ExternalRecord.objects.create(
        connection=connection,
        contact=people[1],
        state=RecordState.CREATING,
        create_sent_at=datetime.now(UTC),
    )
    with pytest.raises(CannotJoin, match="just being created"):
        merge_contacts(people[0], people[1], "olga")
    with pytest.raises(CannotJoin, match="itself"):
        merge_contacts(people[0], people[0], "olga")
    people[1].delete()
    with pytest.raises(CannotJoin, match="gone"):
        merge_contacts(people[0], Contact(pk=10**9), "olga")


def test_aliases_join_and_none_shadows_the_survivors_number(
    connection: Connection, crm: LiveCrm, twins: tuple[str, str]
) -> None:
    crm.edit(twins[1], phone="+14155550190")
    pull(connection)
    ContactAlias.objects.create(contact=contact("+14155550190"), phone_number=ADA)
    merge_contacts(contact(ADA), contact("+14155550190"), "olga")
    numbers = set(ContactAlias.objects.filter(contact=contact(ADA)).values_list("phone_number", flat=True))
    assert numbers == {GRACE, "+14155550190"}


@pytest.mark.parametrize(
    ("one", "other", "after"), [(0, 0, False), (1, 0, False), (0, 1, False), (1, 1, True)]
)
def test_the_survivor_is_archived_only_if_both_were(
    twins: tuple[str, str], one: int, other: int, after: bool
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    for number, archived in ((ADA, one), (GRACE, other)):
        Contact.objects.filter(phone_number=number).update(archived_at=at if archived else None)
    merge_contacts(contact(ADA), contact(GRACE), "olga")
    assert bool(contact(ADA).archived_at) is after
