"""Decisions: a person picks once, what was picked holds until a side changes, and what lost stays readable."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import transaction

from contacts.models import Contact, ContactChange, snapshot
from integrations.models import Connection
from mappings.compile import compile_rules
from sync.apply import apply_records
from sync.decisions import CannotDecide, candidates, choose_record, decide_conflict, sides
from sync.links import want_record
from sync.models import ExternalRecord, RecordState, SyncIssue
from sync.settling import applying
from sync.undo import undo_change
from tests.fakes.provider import FakeProvider
from tests.sync.world import ADA, GRACE, LiveCrm, connect, contact, edit, link, pull, push, sync


def question(kind: str = "conflict") -> SyncIssue:
    """The one open question of a kind."""
    return SyncIssue.objects.get(kind=kind, state=SyncIssue.State.OPEN)


def open_questions() -> int:
    """How many questions are open."""
    return SyncIssue.objects.filter(kind__in=["conflict", "ambiguous"], state="open").count()


def history(kind: str) -> list[dict[str, Any]]:
    """The diffs of a kind of history rows."""
    return [row.diff for row in ContactChange.objects.filter(source_kind=kind).order_by("id")]


@pytest.fixture
def asking(fields: None, crm: LiveCrm, ada: str) -> Connection:
    """A connection that asks, and Ada's first name changed on both sides."""
    connection = connect(policy="ask")
    pull(connection)
    edit(first_name="Augusta")
    crm.edit(ada, first_name="Adah")
    sync(connection)
    assert (contact().first_name, crm.value(ada, "first_name")) == ("Augusta", "Adah")
    return connection


def test_a_question_shows_both_sides(asking: Connection) -> None:
    seen = sides(question())
    assert (seen.ours, seen.theirs, seen.incoming, seen.problem) == ("Augusta", "Adah", "Adah", "")


def test_the_crm_wins_and_our_value_stays_in_the_history(asking: Connection, crm: LiveCrm, ada: str) -> None:
    decided = decide_conflict(question(), "crm", "olga")
    assert (decided.value, decided.written, decided.pushed) == ("Adah", True, False)
    assert contact().first_name == "Adah"
    assert history("crm")[-1] == {"first_name": ["Augusta", "Adah"]}
    assert contact().sources["first_name"]["label"] == "CRM one, chosen by olga"
    before = len(crm.sent)
    sync(asking)
    assert (len(crm.sent), open_questions()) == (before, 0)


def test_our_value_wins_and_the_crms_stays_in_the_history(asking: Connection, crm: LiveCrm, ada: str) -> None:
    decided = decide_conflict(question(), "ours", "olga")
    assert (decided.value, decided.written, decided.pushed) == ("Augusta", False, True)
    assert history("conflict") == [{"first_name": ["Adah", "Augusta"]}]
    sync(asking)
    assert crm.value(ada, "first_name") == "Augusta"
    pull(asking, full=True)
    assert (contact().first_name, open_questions()) == ("Augusta", 0)


def test_a_pull_before_the_push_does_not_ask_again(asking: Connection, crm: LiveCrm, ada: str) -> None:
    decide_conflict(question(), "ours", "olga")
    pull(asking, full=True)
    assert (open_questions(), contact().first_name) == (0, "Augusta")
    push()
    assert crm.value(ada, "first_name") == "Augusta"


@pytest.mark.parametrize("winner", ["crm", "ours"])
def test_a_decision_holds_until_a_side_changes_again(
    asking: Connection, crm: LiveCrm, ada: str, winner: str
) -> None:
    decide_conflict(question(), winner, "olga")
    sync(asking)
    crm.edit(ada, first_name="Ada B.")
    sync(asking)
    assert (contact().first_name, open_questions()) == ("Ada B.", 0)
    edit(first_name="Ada K.")
    crm.edit(ada, first_name="Ada L.")
    sync(asking)
    assert open_questions() == 1


def test_the_decision_is_made_on_what_the_crm_holds_now(asking: Connection, crm: LiveCrm, ada: str) -> None:
    issue = question()
    crm.edit(ada, first_name="Ada Augusta")
    decide_conflict(issue, "crm", "olga")
    assert contact().first_name == "Ada Augusta"


def test_inbound_only_ours_stays_here(fields: None, crm: LiveCrm, ada: str) -> None:
    connection = connect(policy="ask", outbound={})
    pull(connection)
    edit(first_name="Augusta")
    crm.edit(ada, first_name="Adah")
    pull(connection)
    assert not decide_conflict(question(), "ours", "olga").pushed
    sync(connection)
    pull(connection, full=True)
    assert (contact().first_name, crm.value(ada, "first_name"), open_questions()) == ("Augusta", "Adah", 0)


def test_a_value_that_does_not_fit_cannot_win(fields: None, crm: LiveCrm, ada: str) -> None:
    connection = connect(policy="ask")
    pull(connection)
    edit(lifetime=5)
    crm.edit(ada, value=7)
    sync(connection)
    crm.edit(ada, value=10**19)
    with pytest.raises(CannotDecide, match="cannot be taken"):
        decide_conflict(question(), "crm", "olga")
    decide_conflict(question(), "ours", "olga")
    push()
    assert crm.value(ada, "value") == 5


def test_what_cannot_be_decided_says_why(asking: Connection, crm: LiveCrm, ada: str) -> None:
    issue = question()
    with pytest.raises(CannotDecide, match="Choose"):
        decide_conflict(issue, "both", "olga")
    crm.delete(ada)
    with pytest.raises(CannotDecide, match="gone from the CRM"):
        decide_conflict(issue, "crm", "olga")
    crm.restore(ada)
    asking.outbound_mappings.filter(contact_field="first_name").delete()
    asking.inbound_mappings.filter(contact_field="first_name").delete()
    with pytest.raises(CannotDecide, match="mapping is gone"):
        decide_conflict(issue, "crm", "olga")
    SyncIssue.objects.update(state="resolved")
    with pytest.raises(CannotDecide, match="decided already"):
        decide_conflict(issue, "crm", "olga")


@pytest.mark.parametrize("policy", ["crm_wins", "ours_wins"])
def test_an_automatic_winner_leaves_the_loser_in_the_history(
    fields: None, crm: LiveCrm, ada: str, policy: str
) -> None:
    connection = connect(policy=policy)
    pull(connection)
    edit(first_name="Augusta")
    crm.edit(ada, first_name="Adah")
    sync(connection)
    sync(connection)
    won = "Adah" if policy == "crm_wins" else "Augusta"
    assert contact().first_name == crm.value(ada, "first_name") == won
    lost = history("crm") if policy == "crm_wins" else history("conflict")
    assert lost[-1] == {"first_name": ["Augusta", "Adah"] if policy == "crm_wins" else ["Adah", "Augusta"]}
    assert sum("first_name" in diff for diff in history("conflict")) == (policy == "ours_wins")


def test_a_note_of_a_loss_is_nothing_to_undo(asking: Connection) -> None:
    decide_conflict(question(), "ours", "olga")
    row = ContactChange.objects.get(source_kind="conflict")
    assert undo_change(row, "olga").skipped == {"not_written": 1}
    assert contact().first_name == "Augusta"


# Which of several records.


@pytest.fixture
def twins(crm: LiveCrm) -> list[str]:
    """Three records with Ada's number, changed one after the other."""
    names = [("Ada", "Free"), ("Adah", None), ("Augusta", "Pro")]
    return [crm.add(first_name=name, last_name="L", phone=ADA, plan=plan) for name, plan in names]


@pytest.mark.parametrize("policy", ["latest", "oldest", "ask"])
def test_the_order_of_pages_does_not_decide_which_record_is_linked(
    fields: None, crm: LiveCrm, twins: list[str], policy: str
) -> None:
    results = set()
    for order in itertools.permutations(twins):
        with transaction.atomic():
            connection = connect(duplicate_policy=policy)
            rules = compile_rules(connection)
            read = FakeProvider(crm).read(twins, rules.external_names)
            for external_id in order:
                apply_records(applying(connection, rules, "run:0"), [read[external_id]])
            linked = ExternalRecord.objects.get(state=RecordState.LINKED)
            assert linked.contact == contact()
            values = {name: value for name, value in snapshot(contact()).items() if value is not None}
            results.add((linked.external_id, repr(sorted(values.items()))))
            transaction.set_rollback(True)
    assert len(results) == 1
    assert results.pop()[0] == (twins[0] if policy == "oldest" else twins[2])


def test_after_the_first_full_run_the_choice_is_sticky(fields: None, crm: LiveCrm, twins: list[str]) -> None:
    connection = connect(duplicate_policy="latest")
    pull(connection)
    crm.edit(twins[0], first_name="Newest")
    pull(connection)
    pull(connection, full=True)
    assert link(twins[2]).contact == contact()
    assert contact().first_name == "Augusta"


def test_asking_makes_one_question_with_all_candidates(fields: None, crm: LiveCrm, twins: list[str]) -> None:
    connection = connect(duplicate_policy="ask")
    pull(connection)
    pull(connection, full=True)
    issue = question("ambiguous")
    assert issue.detail["candidates"] == twins
    assert issue.contact == contact()
    assert [record.external_id for record in candidates(issue)] == twins


@pytest.mark.parametrize("choice", [0, 1, 2])
def test_the_chosen_record_is_linked_for_good(
    fields: None, crm: LiveCrm, twins: list[str], choice: int
) -> None:
    connection = connect(duplicate_policy="ask")
    pull(connection)
    chosen = twins[choice]
    assert choose_record(question("ambiguous"), chosen, "olga").external_id == chosen
    assert contact().first_name == crm.value(chosen, "first_name")
    for one in twins:
        crm.edit(one, notes=f"Note on {one}")
    sync(connection)
    pull(connection, full=True)
    assert (link(chosen).contact, contact().value("notes")) == (contact(), f"Note on {chosen}")
    assert {link(one).reason for one in twins if one != chosen} == {"not_chosen"}
    assert (open_questions(), Contact.objects.count()) == (0, 1)


def test_values_of_the_record_that_was_not_chosen_go_with_it(
    fields: None, crm: LiveCrm, twins: list[str]
) -> None:
    connection = connect(duplicate_policy="ask")
    pull(connection)
    edit(notes="Typed here.")
    choose_record(question("ambiguous"), twins[1], "olga")
    assert (contact().value("plan"), contact().value("notes")) == (None, "Typed here.")


def test_a_further_record_with_the_number_asks_again(fields: None, crm: LiveCrm, twins: list[str]) -> None:
    connection = connect(duplicate_policy="ask")
    pull(connection)
    choose_record(question("ambiguous"), twins[0], "olga")
    fourth = crm.add(last_name="L", phone=ADA)
    pull(connection)
    assert fourth in question("ambiguous").detail["candidates"]
    assert link(twins[0]).contact == contact()


def test_a_question_closes_itself_when_one_record_is_left(
    fields: None, crm: LiveCrm, twins: list[str]
) -> None:
    connection = connect(duplicate_policy="ask")
    pull(connection)
    assert open_questions() == 1
    crm.merge(twins[2], twins[0])
    crm.edit(twins[1], phone=GRACE)
    pull(connection)
    assert open_questions() == 0


def test_what_cannot_be_chosen_says_why(fields: None, crm: LiveCrm, twins: list[str]) -> None:
    connection = connect(duplicate_policy="ask")
    grace = crm.add(last_name="Hopper", phone=GRACE)
    pull(connection)
    issue = question("ambiguous")
    with pytest.raises(CannotDecide, match="not one of the candidates"):
        choose_record(issue, grace, "olga")
    crm.edit(twins[0], phone="+14155550111")
    with pytest.raises(CannotDecide, match="number"):
        choose_record(issue, twins[0], "olga")
    crm.delete(twins[1])
    with pytest.raises(CannotDecide, match="gone"):
        choose_record(issue, twins[1], "olga")
    choose_record(issue, twins[2], "olga")
    with pytest.raises(CannotDecide, match="already"):
        choose_record(issue, twins[2], "olga")


def test_a_reserved_creation_gets_the_chosen_record_instead(
    fields: None, crm: LiveCrm, twins: list[str]
) -> None:
    connection = connect(duplicate_policy="ask")
    Contact.objects.create(phone_number=ADA)
    want_record(connection, contact())
    push()
    choose_record(question("ambiguous"), twins[1], "olga")
    push()
    assert (link(twins[1]).contact, len(crm.records)) == (contact(), 3)
    assert ExternalRecord.objects.filter(state=RecordState.CREATING).count() == 0
