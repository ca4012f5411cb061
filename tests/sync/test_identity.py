"""Who a CRM record is: numbers that change, swap, clash and come again; duplicates, deletes and merges."""

from __future__ import annotations

import pytest

from contacts.changes import find_by_number
from contacts.models import Contact, ContactAlias
from integrations.models import Connection
from sync import chunks
from sync.models import ExternalRecord, RecordState, SyncIssue
from tests.sync.world import (
    ADA,
    GRACE,
    LINUS,
    MARGARET,
    LiveCrm,
    connect,
    contact,
    edit,
    link,
    pull,
    push,
    steps,
    sync,
)

SPELLINGS = (
    "+14155550100", "(415) 555-0100", "415-555-0100", "415.555.0100", "4155550100", "+1 415 555 0100", "1-415-555-0100",
    "011 1 415 555 0100", "001 415 555 0100", "+1 (415) 555-0100 ext. 12", "415\u2011555\u20110100", "415-555-0100 (home)",
    "415 555 0100 / 415 555 0199", "tel:+1-415-555-0100",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_number_is_the_same_contact(
    connection: Connection, crm: LiveCrm, spelling: str
) -> None:
    """Row 13."""
    crm.add(last_name="Lovelace", phone=spelling)
    pull(connection)
    assert contact().last_name == "Lovelace"


def test_the_connections_country_reads_national_numbers(fields: None, crm: LiveCrm) -> None:
    """Row 13: a missing country code."""
    connection = connect(phone_region="GB")
    crm.add(last_name="Turing", phone="020 7946 0018")
    pull(connection)
    assert contact("+442079460018").last_name == "Turing"


# --- a number changes in the CRM -----------------------------------------------------------------


def test_a_changed_number_is_the_same_contact_and_the_old_one_an_alias(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 11: the CRM's id outranks the phone."""
    ada = contact()
    crm.edit(linked, phone="415-555-0101")
    run = pull(connection)
    assert run.counts["updated"] == 1
    assert contact(GRACE).pk == ada.pk
    assert find_by_number(ADA) == ada
    change = ada.changes.first()
    assert change is not None
    assert change.diff == {"phone_number": [ADA, GRACE]}
    assert pull(connection).counts == {"unchanged": 1}


def test_the_phone_of_an_existing_record_is_never_written(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(notes="Changed.")
    push()
    assert [set(update.values) for update in crm.sent] == [{"notes"}]
    assert crm.value(linked, "phone") == "(415) 555-0100"


def test_a_record_that_loses_its_number_keeps_its_contact(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, phone=None, first_name="Augusta")
    pull(connection)
    assert contact().first_name == "Augusta"


def test_two_contacts_swap_numbers_in_one_page(connection: Connection, crm: LiveCrm, linked: str) -> None:
    grace = crm.add(last_name="Hopper", phone=GRACE)
    pull(connection)
    crm.edit(linked, phone=GRACE)
    crm.edit(grace, phone=ADA)
    pull(connection)
    assert (contact(GRACE).last_name, contact(ADA).last_name) == ("Lovelace", "Hopper")
    assert not ContactAlias.objects.exists()
    assert not SyncIssue.objects.exists()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_numbers_that_go_round_arrive_whatever_the_chunks(
    connection: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    """A swap told in several transactions: the first ones wait, the last one moves all."""
    monkeypatch.setattr(chunks, "CHUNK", 1)
    numbers = [ADA, GRACE, LINUS]
    records = [crm.add(last_name=f"L{i}", phone=number) for i, number in enumerate(numbers)]
    pull(connection)
    for index in order:
        crm.edit(records[index], phone=numbers[(index + 1) % 3])
    pull(connection)
    assert [contact(number).last_name for number in numbers] == ["L2", "L0", "L1"]
    assert not SyncIssue.objects.filter(state=SyncIssue.State.OPEN).exists()
    assert pull(connection, full=True).counts == {"unchanged": 3}


def test_a_number_that_another_contact_keeps_is_a_clash_until_it_is_free(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    grace = crm.add(last_name="Hopper", phone=GRACE)
    pull(connection)
    crm.edit(linked, phone=GRACE, first_name="Augusta")
    run = pull(connection)
    assert run.counts["phone_clash"] == 1
    assert contact(ADA).first_name == "Augusta"  # the other fields go on
    issue = SyncIssue.objects.get(kind="phone_clash")
    assert issue.contact == contact(ADA)
    crm.advance(hours=1)
    pull(connection)
    crm.edit(grace, phone=LINUS)
    pull(connection)  # Ada's own record is not in this listing any more
    assert contact(GRACE).first_name == "Augusta"
    assert contact(LINUS).last_name == "Hopper"
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


def test_a_recycled_number_goes_to_its_new_owner_in_the_same_page(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    ada = contact()
    for order in ("left first", "taken first"):
        number, free = (ADA, GRACE) if order == "left first" else (GRACE, LINUS)
        if order == "left first":
            crm.edit(linked, phone=free)
            fresh = crm.add(last_name=order, phone=number)
        else:
            fresh = crm.add(last_name=order, phone=number)
            crm.edit(linked, phone=free)
        pull(connection)
        ada.refresh_from_db()
        assert ada.phone_number == free
        assert contact(number).last_name == order
        assert link(fresh).contact != ada
        assert find_by_number(number) == contact(number)


def test_a_former_number_matches_events_but_no_new_record(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, phone=GRACE)
    pull(connection)
    ada = contact(GRACE)
    assert find_by_number(ADA) == ada
    crm.add(last_name="Newcomer", phone=ADA)
    pull(connection)
    assert contact(ADA) != ada
    assert find_by_number(ADA) == contact(ADA)


# --- one number on several records ---------------------------------------------------------------


@pytest.mark.parametrize(("policy", "winner"), [("latest", "Third"), ("oldest", "First"), ("ask", "Third")])
def test_of_several_records_with_one_number_the_policy_chooses_while_the_first_run_lasts(
    fields: None, crm: LiveCrm, policy: str, winner: str
) -> None:
    """Row 14: one record is linked and gives all values; the others say why not."""
    connection = connect(duplicate_policy=policy)
    ids = {
        name: crm.add(last_name=name, phone=ADA, notes=f"{name}'s note")
        for name in ("First", "Second", "Third")
    }
    pull(connection)
    assert contact().last_name == winner
    assert contact().custom_fields["notes"] == f"{winner}'s note"
    states = {name: (link(one).state, link(one).reason) for name, one in ids.items()}
    assert states.pop(winner) == (RecordState.LINKED, "")
    assert set(states.values()) == {(RecordState.SKIPPED, "duplicate_number")}
    assert SyncIssue.objects.get(kind="duplicate_number").count == 2


def test_what_only_the_losing_record_knew_does_not_stay(fields: None, crm: LiveCrm) -> None:
    connection = connect()
    crm.add(last_name="First", phone=ADA, notes="Of the first.")
    crm.add(last_name="Second", phone=ADA)
    pull(connection)
    assert contact().last_name == "Second"
    assert "notes" not in contact().custom_fields


def test_after_the_first_full_run_the_choice_is_sticky(connection: Connection, crm: LiveCrm) -> None:
    """Row 14."""
    first = crm.add(last_name="First", phone=ADA)
    crm.add(last_name="Second", phone=ADA)
    pull(connection)
    crm.edit(first, notes="Newer than the second.")
    pull(connection)
    assert contact().last_name == "Second"
    pull(connection, full=True)
    assert contact().last_name == "Second"


def test_a_winner_that_moves_away_leaves_the_number_to_the_other_at_the_next_full_run(
    connection: Connection, crm: LiveCrm
) -> None:
    crm.add(last_name="First", phone=ADA)
    second = crm.add(last_name="Second", phone=ADA)
    pull(connection)
    crm.edit(second, phone=GRACE)
    pull(connection, full=True)
    assert contact(ADA).last_name == "First"
    assert contact(GRACE).last_name == "Second"


def test_a_linked_record_without_number_and_a_newcomer_with_it_in_one_page(
    fields: None, crm: LiveCrm, caplog: pytest.LogCaptureFixture
) -> None:
    """Both mean the same contact: it is written once each, in turn."""
    connection = connect()
    first = crm.add(last_name="First", phone=ADA)
    for number in (GRACE, LINUS, MARGARET):
        crm.add(last_name="Other", phone=number)
    crm.then["changes"].append(
        steps(
            lambda: crm.edit(first, phone=None, notes="Of the first."),
            lambda: crm.add(last_name="Second", phone=ADA),
        )
    )
    pull(connection)
    assert "records_broke" not in caplog.text  # PostgreSQL writes no row twice in one statement
    assert contact().last_name == "Second"
    assert ExternalRecord.objects.filter(contact=contact()).count() == 1


# --- records end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["unlink", "archive", "delete"])
def test_a_deleted_record_follows_the_policy(fields: None, crm: LiveCrm, ada: str, policy: str) -> None:
    """Row 23."""
    connection = connect(delete_policy=policy)
    pull(connection)
    crm.delete(ada)
    assert pull(connection).counts["deleted"] == 1
    assert link(ada).state == RecordState.GONE
    assert Contact.objects.filter(archived_at=None).count() == (1 if policy == "unlink" else 0)
    assert Contact.objects.count() == (0 if policy == "delete" else 1)
    assert "deleted" not in pull(connection).counts


def test_a_late_update_does_not_revive_a_deleted_record(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 4: the listing shows an older state of it once more."""
    old = crm.records[linked]
    crm.delete(linked)
    pull(connection)
    crm.records[linked] = old
    run = pull(connection, full=True)
    assert run.counts == {"skipped_deleted": 1}
    assert link(linked).state == RecordState.GONE


def test_a_record_listed_live_and_deleted_in_one_page_stays_deleted(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 4: it was deleted while the page was read."""
    from mappings.compile import compile_rules
    from sync.apply import apply_records
    from sync.settling import applying

    record = crm.add(last_name="Lovelace", phone=ADA)
    live = crm.records[record]
    crm.delete(record)
    apply_records(applying(connection, compile_rules(connection), "run:1"), [live, crm.records[record]])
    assert not Contact.objects.exists()


def test_a_record_out_of_the_bin_with_a_later_stamp_is_linked_again(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    ada = contact()
    crm.delete(linked)
    pull(connection)
    crm.restore(linked)
    pull(connection)
    assert link(linked).contact == ada
    assert link(linked).state == RecordState.LINKED


def test_a_deletion_leaves_nothing_to_push(connection: Connection, crm: LiveCrm, linked: str) -> None:
    edit(notes="Typed.")
    crm.delete(linked)
    pull(connection)
    push()
    assert crm.sent == []
    assert contact().custom_fields["notes"] == "Typed."


def test_a_merge_in_the_crm_takes_the_link_to_the_winner(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 24: the winner was not known to us."""
    ada = contact()
    winner = crm.add(last_name="King", phone=None)
    pull(connection)
    edit(notes="Typed before the merge was seen.")
    crm.merge(winner, linked)
    sync(connection)
    assert link(winner).contact == ada
    assert (link(linked).state, link(linked).reason) == (RecordState.GONE, "merged")
    ada.refresh_from_db()
    assert ada.last_name == "King"
    assert crm.value(winner, "notes") == "Typed before the merge was seen."
    assert pull(connection).counts["unchanged"] == 1


def test_a_merge_of_two_linked_records_leaves_one_link_and_both_contacts(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 24: the loser's contact keeps its history; nothing is pushed twice."""
    winner = crm.add(last_name="King", phone=GRACE)
    pull(connection)
    crm.merge(winner, linked)
    sync(connection)
    assert link(winner).contact == contact(GRACE)
    assert link(linked).contact is None
    assert Contact.objects.count() == 2
    assert crm.sent == []


def test_the_delete_policy_spares_a_contact_whose_record_is_only_hidden(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    """Row 23: a record that is not found is no record that was deleted."""
    connection = connect(delete_policy="delete")
    pull(connection)
    hidden = crm.records[ada]
    crm.purge(ada)
    edit(notes="Typed.")
    push()
    assert contact().custom_fields["notes"] == "Typed."
    assert (link(ada).state, link(ada).reason) == (RecordState.GONE, "missing")
    crm.records[ada] = hidden
    sync(connection)
    pull(connection, full=True)
    push()
    assert link(ada).contact == contact()
    assert crm.value(ada, "notes") == "Typed."
