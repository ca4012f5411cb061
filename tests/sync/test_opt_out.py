"""`do_not_call` only tightens: true from any side wins, nothing automatic clears it, a person can, with a reason."""

from __future__ import annotations

import pytest

from activity.analysis import apply as apply_analysis
from activity.models import AppliedMapping, Conversation
from contacts.changes import Source, change_contact, create_contact
from contacts.models import ContactChange
from integrations.models import Connection
from mappings.models import AnalysisMapping
from sync.joining import merge_contacts
from sync.undo import undo_change, undo_run
from tests.sync.world import ADA, GRACE, LiveCrm, connect, contact, edit, pull, push, sync


def source(kind: str, *, clears: bool = False) -> Source:
    """A source of this kind; `clears`: a will of its own, which only a person and an explicit false of a key have."""
    return Source(kind, f"{kind}:1", kind, may_clear_opt_out=clears)


@pytest.mark.parametrize(
    "kind", ["crm", "conversation", "import", "merge", "system", "person", "api_key", "undo"]
)
def test_true_from_any_source_wins(linked: str, kind: str) -> None:
    change_contact(contact().pk, {"do_not_call": True}, source=source(kind))
    assert contact().do_not_call is True


@pytest.mark.parametrize("blank", [False, None, "", "  ", "false", "0"])
@pytest.mark.parametrize(
    ("kind", "clears", "after"),
    [
        ("crm", False, True),
        ("conversation", False, True),
        ("import", False, True),
        ("merge", False, True),
        ("system", False, True),
        ("api_key", False, True),
        ("api_key", True, False),
        ("person", True, False),
    ],
)
def test_who_may_clear_it(linked: str, kind: str, clears: bool, after: bool, blank: object) -> None:
    edit(do_not_call=True)
    written = change_contact(contact().pk, {"do_not_call": blank}, source=source(kind, clears=clears))
    assert contact().do_not_call is after
    assert [error.reason for error in written.refused.values()] == (["opt_out_kept"] if after else [])


def test_a_persons_reason_stays_in_the_history(linked: str) -> None:
    edit(do_not_call=True)
    who = Source(
        "person", "user:1", "olga: asked for a call back", {"reason": "asked for a call back"},
        may_clear_opt_out=True,
    )  # fmt: skip
    change_contact(contact().pk, {"do_not_call": False}, source=who)
    row = ContactChange.objects.filter(contact=contact())[0]
    assert (row.source_label, row.diff) == ("olga: asked for a call back", {"do_not_call": [True, False]})
    assert contact().sources["do_not_call"]["reason"] == "asked for a call back"


@pytest.mark.parametrize("policy", ["crm_wins", "ours_wins", "ask"])
@pytest.mark.parametrize("later", [False, None])
def test_no_crm_clears_what_was_set_and_gets_it_back(
    fields: None, crm: LiveCrm, policy: str, later: bool | None
) -> None:
    """Row 40: true on the first pull, blank or false later, whatever the stamps and the policies say."""
    connection = connect(policy=policy)
    connection.inbound_mappings.update(blank_policy="clear")
    ada = crm.add(last_name="Lovelace", phone=ADA, do_not_call=True)
    sync(connection)
    crm.edit(ada, do_not_call=later)
    sync(connection)
    pull(connection, full=True)
    push()
    assert contact().do_not_call is True
    assert crm.value(ada, "do_not_call") is True


@pytest.mark.parametrize(("here", "there"), [(True, False), (True, None), (False, True)])
@pytest.mark.parametrize("rank", [1, 2])
def test_true_wins_at_first_link_against_rank(
    fields: None, crm: LiveCrm, other_crm: LiveCrm, rank: int, here: bool, there: bool | None
) -> None:
    first, second = connect("one", rank=rank), connect("two", rank=3 - rank)
    ours = crm.add(last_name="Lovelace", phone=ADA, do_not_call=here)
    theirs = other_crm.add(last_name="Lovelace", phone=ADA, do_not_call=there)
    sync(first, second)
    sync(first, second)
    assert contact().do_not_call is True
    assert crm.value(ours, "do_not_call") is other_crm.value(theirs, "do_not_call") is True


def test_a_person_clears_it_everywhere(fields: None, crm: LiveCrm, other_crm: LiveCrm) -> None:
    connections = connect("one"), connect("two", rank=2)
    ids = [one.add(last_name="Lovelace", phone=ADA, do_not_call=True) for one in (crm, other_crm)]
    sync(*connections)
    edit(do_not_call=False)
    push()
    sync(*connections)
    assert contact().do_not_call is False
    held = [one.value(pk, "do_not_call") for one, pk in zip((crm, other_crm), ids, strict=True)]
    assert held == [False, False]


def test_an_analysis_sets_it_and_cannot_clear_it(linked: str) -> None:
    mapping = AnalysisMapping.objects.create(analysis_field="stop", contact_field="do_not_call")
    for key, said in (("c1", True), ("c2", False)):
        talk = Conversation.objects.create(
            key=key, kind="call", channel="phone", contact=contact(), analysis={"stop": said}
        )
        apply_analysis(talk)
        assert contact().do_not_call is True
    outcomes = AppliedMapping.objects.filter(mapping=mapping).order_by("id")
    assert [row.outcome for row in outcomes] == ["written", "kept"]


def test_a_merge_of_two_contacts_keeps_either_opt_out(linked: str) -> None:
    for number, opted_out in ((GRACE, True), ("+14155550155", False)):
        other = create_contact(number, {"do_not_call": opted_out}, source=source("person")).contact
        merge_contacts(contact(), other, "olga")
        assert contact().do_not_call is True


def test_undo_of_a_persons_change_gives_it_back_and_reaches_the_crm(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(do_not_call=True)
    push()
    assert crm.value(linked, "do_not_call") is True
    undo_change(ContactChange.objects.filter(contact=contact())[0], "olga")
    push()
    assert (contact().do_not_call, crm.value(linked, "do_not_call")) == (False, False)


def test_undo_of_a_run_never_clears_it(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, do_not_call=True, first_name="Adah")
    result = undo_run(pull(connection), "olga")
    assert (contact().do_not_call, contact().first_name) == (True, "Ada")
    assert result.skipped == {"opt_out_kept": 1}
