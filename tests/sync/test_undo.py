"""Undo: what one change, one conversation or one run wrote is taken back, here and in the CRM, without a trace of force."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import transaction

from contacts.changes import (
    Edit,
    Source,
    change_contact,
    change_contacts,
    change_numbers,
    change_tags,
    create_contact,
    create_contacts,
    lock_contacts,
)
from contacts.models import Contact, ContactAlias, ContactChange, ContactTag, CustomField
from integrations.models import Connection
from sync import undo as undoing
from sync.models import SyncRun, UndoRequest
from sync.undo import preview_undo, undo, undo_change, undo_conversation, undo_run
from sync.undo_plan import of_change, of_run
from sync.undo_requests import UndoOpen, request_undo, undo_some
from tests.sync.world import ADA, GRACE, LINUS, LiveCrm, connect, contact, edit, pull, push, sync

CALL = Source("conversation", "conversation:7", "phone call c7")


def latest(number: str = ADA) -> ContactChange:
    """The newest row of a contact's history."""
    return ContactChange.objects.filter(contact=contact(number)).order_by("-id")[0]


def opt_out(kind: str, value: bool) -> ContactChange:
    """Ada's opt-out, set or cleared by a source of this kind."""
    source = Source(kind, f"{kind}:1", kind, may_clear_opt_out=True)
    change_contact(contact().pk, {"do_not_call": value}, source=source)
    return latest()


def test_undo_of_a_change_restores_the_old_values_and_reaches_the_crm(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(first_name="Augusta", plan="Pro")
    push()
    assert crm.value(linked, "first_name") == "Augusta"
    result = undo_change(latest(), "olga")
    assert (result.restored, result.contacts, result.skipped, result.stays_here) == (2, 1, {}, {})
    assert (contact().first_name, contact().value("plan")) == ("Ada", "Free")
    push()
    assert (crm.value(linked, "first_name"), crm.value(linked, "plan")) == ("Ada", "Free")
    assert (latest().source_kind, latest().source_label) == ("undo", "Undo of “olga” by olga")


def test_undo_leaves_what_changed_since_and_says_so(linked: str) -> None:
    edit(first_name="Augusta", last_name="King")
    change = latest()
    edit(last_name="Noel")
    result = undo_change(change, "olga")
    assert (contact().first_name, contact().last_name) == ("Ada", "Noel")
    skipped = [(row.field, row.reason, row.why) for row in result.rows if row.reason]
    assert skipped == [("last_name", "changed_since", "It has been changed since.")]


def test_undoing_twice_does_nothing_even_when_the_value_came_back(linked: str) -> None:
    edit(first_name="Augusta")
    change = latest()
    undo_change(change, "olga")
    assert undo_change(change, "olga").skipped == {"undone": 1}
    edit(first_name="Augusta")
    result = undo_change(change, "olga")
    assert (result.restored, result.skipped, contact().first_name) == (0, {"undone": 1}, "Augusta")


def test_an_undo_can_be_undone(linked: str) -> None:
    edit(first_name="Augusta")
    undo_change(latest(), "olga")
    assert undo_change(latest(), "olga").restored == 1
    assert contact().first_name == "Augusta"


def test_undo_of_a_run_restores_all_it_wrote_and_keeps_whom_it_created(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, first_name="Augusta", notes="Likes tea.")
    crm.add(first_name="Grace", last_name="Hopper", phone=GRACE)
    run = pull(connection)
    seen = preview_undo(of_run(run))
    assert contact().first_name == "Augusta"
    result = undo_run(run, "olga")
    assert (seen.rows, seen.skipped, seen.restored) == (result.rows, result.skipped, result.restored)
    assert (result.restored, result.skipped) == (2, {"creation": 1})
    assert (contact().first_name, contact().value("notes")) == ("Ada", None)
    assert contact(GRACE).first_name == "Grace"
    assert result.stays_here == {"CRM one": 1}, "a blank is not carried out by default"
    push()
    assert crm.value(linked, "first_name") == "Ada"


def test_a_cleared_field_reaches_a_crm_whose_mapping_clears(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    connection.outbound_mappings.update(blank_policy="clear_if_emptied")
    crm.edit(linked, notes="Likes tea.")
    result = undo_run(pull(connection), "olga")
    push()
    assert (result.stays_here, crm.value(linked, "notes")) == ({}, None)


def test_a_preview_writes_nothing_and_says_what_the_undo_then_does(linked: str) -> None:
    edit(first_name="Augusta", last_name="King")
    change, count = latest(), ContactChange.objects.count()
    edit(last_name="Noel")
    seen = preview_undo(of_change(change))
    assert ContactChange.objects.count() == count + 1
    assert seen.rows == undo_change(change, "olga").rows


def test_a_restored_value_stays_here_where_the_crm_only_gives_it(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    giving = connect(outbound={})
    pull(giving)
    crm.edit(ada, first_name="Augusta")
    result = undo_run(pull(giving), "olga")
    assert (result.restored, result.stays_here) == (1, {"CRM one": 1})
    sync(giving)
    pull(giving, full=True)
    assert (contact().first_name, crm.value(ada, "first_name")) == ("Ada", "Augusta")


def test_undo_of_a_conversation_goes_back_over_several_writes(linked: str) -> None:
    for notes in ("Asked for a call.", "Wants a discount."):
        change_contact(contact().pk, {"notes": notes, "vip": True}, source=CALL)
    result = undo_conversation("conversation:7", "olga")
    assert (contact().value("notes"), contact().value("vip"), result.restored) == (None, None, 2)
    assert latest().source_label == "Undo of conversation 7 by olga"


def test_a_change_there_and_back_is_nothing_to_restore(linked: str) -> None:
    for notes in ("Asked for a call.", None):
        change_contact(contact().pk, {"notes": notes}, source=CALL)
    result = undo_conversation("conversation:7", "olga")
    assert (result.restored, result.skipped) == (0, {})


@pytest.mark.parametrize(
    ("kind", "to", "after"),
    [
        ("person", True, False),
        ("person", False, True),
        ("api_key", True, True),
        ("crm", True, True),
        ("conversation", True, True),
        ("undo", True, True),
        ("api_key", False, True),
    ],
)
def test_only_undo_of_a_persons_change_clears_an_opt_out(
    linked: str, kind: str, to: bool, after: bool
) -> None:
    if not to:
        opt_out("person", True)
    result = undo_change(opt_out(kind, to), "olga")
    assert contact().do_not_call is after
    assert result.skipped == ({"opt_out_kept": 1} if to is after else {})


def test_a_former_value_that_does_not_fit_any_more_is_skipped(linked: str) -> None:
    edit(plan="Pro")
    CustomField.objects.filter(name="plan").update(options=["Pro"])
    result = undo_change(latest(), "olga")
    assert (result.skipped, contact().value("plan")) == ({"unknown_option": 1}, "Pro")
    CustomField.objects.filter(name="plan").delete()
    assert undo_change(latest(), "olga").skipped == {"unknown_field": 1}


def test_a_phone_number_comes_back_when_it_is_free(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, phone=GRACE)
    result = undo_run(pull(connection), "olga")
    assert (result.restored, contact(ADA).first_name) == (1, "Ada")
    assert ContactAlias.objects.get().phone_number == GRACE
    assert result.stays_here == {"CRM one": 1}
    pull(connection, full=True)
    assert contact(ADA).first_name == "Ada"


def test_a_phone_number_that_another_contact_has_now_is_not_taken(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, phone=GRACE, first_name="Augusta")
    run = pull(connection)
    create_contact(ADA, {"first_name": "Somebody"}, source=Source("person"))
    result = undo_run(run, "olga")
    assert result.skipped == {"number_taken": 1}
    assert (contact(GRACE).first_name, contact(ADA).first_name) == ("Ada", "Somebody")


@pytest.mark.parametrize("batch", [1, 200])
def test_swapped_numbers_are_swapped_back(fields: None, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(undoing, "BATCH", batch)
    run = SyncRun.objects.create(connection=connect())
    people = [
        create_contact(number, {}, source=Source("person")).contact.pk for number in (ADA, GRACE, LINUS)
    ]
    with transaction.atomic():
        moved = lock_contacts(people[:2])
        change_numbers(dict(zip(moved, [GRACE, ADA], strict=True)), source=Source("crm", run.ref))
    seen = preview_undo(of_run(run))
    result = undo_run(run, "olga")
    assert (result.restored, result.skipped, result.contacts) == (2, {}, 2)
    assert seen.rows == result.rows
    assert [Contact.objects.get(pk=pk).phone_number for pk in people] == [ADA, GRACE, LINUS]


def test_undo_of_a_run_goes_on_after_the_last_batch(
    connection: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "BATCH", 2)
    ids = [crm.add(first_name="One", last_name="Of many", phone=f"+1415555020{i}") for i in range(5)]
    pull(connection)
    for one in ids:
        crm.edit(one, first_name="Other")
    run = pull(connection)
    steps: list[int] = []

    class Killed(Exception):
        pass

    def kill(result: undoing.UndoResult) -> None:
        steps.append(result.position)
        if len(steps) == 2:
            raise Killed

    with pytest.raises(Killed):
        undo_run(run, "olga", progress=kill)
    assert Contact.objects.filter(first_name="One").count() == 4
    assert undo_run(run, "olga", after=steps[-1]).restored == 1
    assert Contact.objects.filter(first_name="One").count() == 5
    assert undo_run(run, "olga").skipped == {"undone": 5}


def test_workers_undo_a_run_and_keep_the_counts(
    connection: Connection, crm: LiveCrm, linked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "BATCH", 1)
    grace = crm.add(first_name="Grace", last_name="Hopper", phone=GRACE)
    pull(connection)
    for one in (linked, grace):
        crm.edit(one, notes="Call back.", last_name="Byron")
    request = request_undo(of_run(pull(connection)), "olga")
    with pytest.raises(UndoOpen):
        request_undo(of_run(connection.runs.all()[0]), "grace")
    edit(GRACE, last_name="Murray")
    assert undo_some() == 2
    request.refresh_from_db()
    assert (request.state, request.contacts, request.restored) == (UndoRequest.State.DONE, 2, 3)
    assert request.skipped == {"changed_since": 1}
    assert undo_some() == 0
    assert (contact().last_name, contact(GRACE).last_name) == ("Lovelace", "Murray")
    assert request.stays_here == {"CRM one": 2}
    push()
    assert crm.value(grace, "notes") == "Call back.", "the mapping ignores blanks, which the result says"


def test_undo_of_a_large_run_keeps_memory_flat(fields: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undoing, "BATCH", 25)
    run = SyncRun.objects.create(connection=connect())

    def peak(start: int, count: int) -> int:
        numbers = [f"+1415{start + number:07d}" for number in range(count)]
        with transaction.atomic():
            made = create_contacts([{"phone_number": one} for one in numbers], source=Source("import"))
            locked = lock_contacts([row.contact.pk for row in made])
            change_contacts(
                locked, [Edit(pk, {"notes": "x" * 200}) for pk in locked], source=Source("crm", run.ref)
            )
        tracemalloc.start()
        result = undo(of_run(run), "olga", limit=10)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.restored == count
        return high

    peak(5540000, 25)  # what is loaded once is loaded now
    small = peak(5550000, 100)
    assert peak(5560000, 400) < small * 2


def test_an_undo_that_breaks_is_given_up_and_holds_back_no_other(
    connection: Connection, crm: LiveCrm, linked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(first_name="Augusta")
    request, whole = request_undo(of_change(latest()), "olga"), undoing.undo_batch

    def breaks(*_: object) -> None:
        raise ValueError("Ada's number")

    monkeypatch.setattr("sync.undo_requests.undo_batch", breaks)
    for _ in range(5):
        assert request.state != UndoRequest.State.FAILED
        assert undo_some() == 1
        assert undo_some() == 0, "it waits before the next try"
        UndoRequest.objects.update(claimed_until=None)
        request.refresh_from_db()
    assert (request.state, "Ada" in request.error) == (UndoRequest.State.FAILED, False)
    assert undo_some() == 0
    monkeypatch.setattr("sync.undo_requests.undo_batch", whole)
    again = request_undo(of_change(latest()), "olga")
    undo_some()
    again.refresh_from_db()
    assert (again.state, again.attempts, contact().first_name) == (UndoRequest.State.DONE, 0, "Ada")


def test_tags_are_told_as_not_taken_back(connection: Connection, linked: str) -> None:
    change_tags(
        contact(), add=[ContactTag.objects.create(label="VIP")], source=Source("person", "user:1", "olga")
    )
    row = ContactChange.objects.get(diff__has_key="contact_tags")
    result = undo_change(row, "ada")
    assert (result.restored, dict(result.skipped)) == (0, {"tags": 1})
    assert contact().tags.count() == 1
