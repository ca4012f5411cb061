"""Records that end in the CRM: chains of merges, archived contacts that stay out of the way and come back."""

from __future__ import annotations

import itertools

import pytest

from activity.models import Conversation
from activity.process import deliver_some
from contacts.archive import bring_back
from contacts.changes import Source, create_contact
from contacts.models import Contact
from integrations.models import Connection
from mappings.compile import compile_rules
from sync.apply import apply_records
from sync.links import want_record
from sync.models import ExternalRecord, RecordState
from sync.settling import applying
from tests.activity.payloads import deliver, ended
from tests.fakes.provider import FakeProvider
from tests.sync.world import (
    ADA,
    GRACE,
    LINUS,
    LiveCrm,
    connect,
    contact,
    edit,
    link,
    pull,
    push,
    sync,
    waiting,
)


def people(crm: LiveCrm, *numbers: str) -> list[str]:
    """One record for each number."""
    return [crm.add(first_name="One", last_name=f"Of {number}", phone=number) for number in numbers]


def live_links() -> dict[str, str]:
    """CRM id → number of the contact, for what is linked."""
    rows = ExternalRecord.objects.filter(state=RecordState.LINKED).select_related("contact")
    return {row.external_id or "": row.contact.phone_number for row in rows if row.contact}


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_a_chain_of_merges_is_followed_to_its_end_in_any_order(
    connection: Connection, crm: LiveCrm, order: tuple[int, ...]
) -> None:
    """Row 24: Ada's record was merged into a second, that one into a third, and one page tells of both."""
    (first,) = people(crm, ADA)
    pull(connection)
    second, third = crm.add(last_name="B", phone="1"), crm.add(last_name="C", phone="2")
    crm.merge(second, first)
    crm.merge(third, second)
    rules = compile_rules(connection)
    read = FakeProvider(crm).read([first, second, third], rules.external_names)
    page = [read[[first, second, third][place]] for place in order]
    apply_records(applying(connection, rules, "run:0"), page)
    assert live_links() == {third: ADA}
    assert link(first).state == RecordState.GONE


def test_where_two_in_a_chain_are_linked_the_last_winners_link_goes_on(
    connection: Connection, crm: LiveCrm
) -> None:
    first, second = people(crm, ADA, GRACE)
    pull(connection)
    third = crm.add(last_name="C", phone="2")
    crm.merge(second, first)
    crm.merge(third, second)
    before = len(crm.sent)
    sync(connection)
    sync(connection)
    assert live_links() == {third: GRACE}
    assert (Contact.objects.count(), len(crm.sent)) == (2, before)


def test_all_three_linked_leaves_the_winners_link_and_every_contact(
    connection: Connection, crm: LiveCrm
) -> None:
    first, second, third = people(crm, ADA, GRACE, LINUS)
    pull(connection)
    edit(ADA, notes="Typed before.")
    crm.merge(second, first)
    crm.merge(third, second)
    sync(connection)
    sync(connection)
    assert live_links() == {third: LINUS}
    assert Contact.objects.count() == 3
    assert not [update for update in crm.sent if update.external_id != third]
    assert not waiting()


def test_a_merge_of_an_unknown_loser_changes_nothing(connection: Connection, crm: LiveCrm) -> None:
    (winner,) = people(crm, ADA)
    sync(connection)
    crm.merge(winner, crm.add(last_name="Unknown", phone="junk"))
    before = len(crm.sent)
    sync(connection)
    assert (live_links(), len(crm.sent)) == ({winner: ADA}, before)


def test_a_merge_that_goes_in_circles_ends(connection: Connection, crm: LiveCrm) -> None:
    """Nothing a CRM tells may hang a worker."""
    first, second = people(crm, ADA, GRACE)
    pull(connection)
    crm.merge(second, first)
    crm.merge(first, second)
    pull(connection)
    assert Contact.objects.count() == 2


@pytest.fixture
def archived(fields: None, crm: LiveCrm) -> tuple[Connection, str]:
    """Ada, archived because her record was deleted."""
    connection = connect(delete_policy="archive")
    (ada,) = people(crm, ADA)
    sync(connection)
    crm.delete(ada)
    pull(connection)
    assert contact().archived_at
    return connection, ada


def test_an_archived_contact_gets_no_record(archived: tuple[Connection, str], crm: LiveCrm) -> None:
    want_record(archived[0], contact())
    push()
    assert len(crm.records) == 1


def test_a_reservation_of_an_archived_contact_is_let_go(connection: Connection, crm: LiveCrm) -> None:
    person = create_contact(ADA, {}, source=Source("person")).contact
    want_record(connection, person)
    Contact.objects.update(archived_at=person.created_at)
    push()
    assert (len(crm.records), ExternalRecord.objects.count(), waiting()) == (0, 0, [])


def test_an_archived_contact_is_not_pushed_until_it_is_back(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    Contact.objects.update(archived_at=contact().created_at)
    edit(notes="Typed.")
    push()
    assert (crm.value(linked, "notes"), waiting()) == (None, [])
    bring_back([contact().pk])
    push()
    assert crm.value(linked, "notes") == "Typed."


def test_a_record_that_lives_again_brings_its_contact_back(
    archived: tuple[Connection, str], crm: LiveCrm
) -> None:
    connection, ada = archived
    crm.restore(ada)
    pull(connection)
    assert (contact().archived_at, live_links()) == (None, {ada: ADA})


def test_a_new_record_with_the_number_brings_the_contact_back(
    archived: tuple[Connection, str], crm: LiveCrm
) -> None:
    connection, _ = archived
    (again,) = people(crm, ADA)
    pull(connection)
    assert (contact().archived_at, live_links()) == (None, {again: ADA})


def test_a_conversation_brings_the_contact_back(archived: tuple[Connection, str]) -> None:
    deliver(ended(from_number=ADA))
    assert deliver_some() == 1
    assert Conversation.objects.get().contact == contact()
    assert contact().archived_at is None


@pytest.mark.parametrize("policy", ["archive", "delete"])
def test_a_contact_that_another_crm_has_stays(
    fields: None, crm: LiveCrm, other_crm: LiveCrm, policy: str
) -> None:
    first, second = connect("one", delete_policy=policy), connect("two", rank=2)
    (here,) = people(crm, ADA)
    people(other_crm, ADA)
    sync(first, second)
    crm.delete(here)
    sync(first, second)
    assert contact().archived_at is None
    assert ExternalRecord.objects.get(state=RecordState.LINKED).connection == second
