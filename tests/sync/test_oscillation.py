"""Two CRMs whose automations fight over a field: frozen after a few rounds, and one question for a person."""

from __future__ import annotations

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from contacts.values import DoesNotFit
from integrations.models import Connection
from sync.decisions import CannotDecide
from sync.models import ExternalRecord, SyncIssue
from sync.thaw import decide_oscillation, values
from tests.sync.world import ADA, LiveCrm, connect, contact, edit, later, pull, push, sync


class Fight:
    """Ada in two CRMs; each of them writes the first name its own way whenever it is changed."""

    def __init__(self, crm: LiveCrm, other_crm: LiveCrm) -> None:
        self.crms = (crm, other_crm)
        self.connections: tuple[Connection, ...] = (connect("one"), connect("two", rank=2))
        self.ids = [
            one.add(first_name=name, last_name="Lovelace", phone=ADA)
            for one, name in zip(self.crms, ("Ada", "Ada"), strict=True)
        ]
        sync(*self.connections)

    def automate(self) -> None:
        """Let the automations run: upper case here, lower case there."""
        for crm, external_id, write in zip(self.crms, self.ids, (str.upper, str.lower), strict=True):
            now = str(crm.value(external_id, "first_name"))
            if now != write(now):
                crm.edit(external_id, first_name=write(now))

    def rounds(self, count: int) -> None:
        """So many cycles of syncs, automations running in between."""
        for _ in range(count):
            for connection in self.connections:
                self.automate()
                sync(connection)

    @property
    def names(self) -> list[object]:
        """What the CRMs hold."""
        return [
            crm.value(external_id, "first_name") for crm, external_id in zip(self.crms, self.ids, strict=True)
        ]


@pytest.fixture
def fight(fields: None, crm: LiveCrm, other_crm: LiveCrm) -> Fight:
    """Two quarrelling CRMs."""
    return Fight(crm, other_crm)


def questions() -> list[SyncIssue]:
    """The open questions about fights."""
    return list(SyncIssue.objects.filter(kind="oscillation", state="open"))


def test_a_field_that_goes_round_is_frozen_with_one_question(fight: Fight) -> None:
    fight.rounds(10)
    (issue,) = questions()
    assert issue.message == (
        "CRM one and CRM two keep changing “first_name” of this contact against each other."
    )
    assert (issue.contact, issue.field) == (contact(), "first_name")
    sent = sum(len(crm.sent) for crm in fight.crms)
    changes = contact().changes.count()
    fight.rounds(3)
    assert sum(len(crm.sent) for crm in fight.crms) == sent
    assert contact().changes.count() == changes
    assert len(questions()) == 1


def test_the_reason_stands_on_the_links_and_other_fields_go_on(fight: Fight) -> None:
    fight.rounds(6)
    fight.crms[0].edit(fight.ids[0], notes="Likes tea.")
    sync(*fight.connections)
    for one in ExternalRecord.objects.all():
        assert one.skipped_fields == {"first_name:first_name": "oscillation"}
    assert fight.crms[1].value(fight.ids[1], "notes") == "Likes tea."


def test_a_few_edits_on_both_sides_are_peoples_work(fight: Fight) -> None:
    for turn in range(4):
        fight.crms[turn % 2].edit(fight.ids[turn % 2], first_name=f"Ada {turn}")
        sync(*fight.connections)
    assert questions() == []
    assert fight.names == ["Ada 3", "Ada 3"]


def test_many_edits_in_one_crm_are_no_fight(fight: Fight) -> None:
    for turn in range(10):
        fight.crms[0].edit(fight.ids[0], first_name=f"Ada {turn}")
        sync(*fight.connections)
    assert (questions(), fight.names) == ([], ["Ada 9", "Ada 9"])


def test_flips_that_are_hours_apart_are_no_fight(fight: Fight) -> None:
    for turn in range(8):
        with later(minutes=25 * turn):
            fight.crms[turn % 2].edit(fight.ids[turn % 2], first_name=f"Ada {turn}")
            sync(*fight.connections)
    assert questions() == []


def test_the_chosen_value_goes_everywhere_and_the_field_is_synced_again(fight: Fight) -> None:
    fight.rounds(6)
    (issue,) = questions()
    assert values(issue) == {"": contact().first_name, "CRM one": fight.names[0], "CRM two": fight.names[1]}
    assert decide_oscillation(issue, "Ada", "olga") == "Ada"
    push()
    assert (contact().first_name, fight.names) == ("Ada", ["Ada", "Ada"])
    fight.crms[1].edit(fight.ids[1], first_name="Adah")
    sync(*fight.connections)
    pull(fight.connections[0], full=True)
    assert (contact().first_name, fight.names, questions()) == ("Adah", ["Adah", "Adah"], [])
    assert contact().sources["first_name"]["kind"] == "crm"


def test_an_automation_that_goes_on_is_frozen_again(fight: Fight) -> None:
    fight.rounds(6)
    decide_oscillation(questions()[0], "Ada", "olga")
    fight.rounds(8)
    assert len(questions()) == 1
    assert SyncIssue.objects.filter(kind="oscillation").count() == 2


def test_an_ignored_question_leaves_the_field_frozen(fight: Fight) -> None:
    fight.rounds(6)
    SyncIssue.objects.filter(kind="oscillation").update(state="ignored")
    edit(first_name="Augusta")
    fight.rounds(2)
    assert "Augusta" not in fight.names
    assert SyncIssue.objects.filter(kind="oscillation").count() == 1


def test_what_cannot_be_decided_says_why(fight: Fight) -> None:
    fight.rounds(6)
    (issue,) = questions()
    with pytest.raises(DoesNotFit):
        decide_oscillation(issue, "x" * 300, "olga")
    assert len(questions()) == 1
    decide_oscillation(issue, "Ada", "olga")
    with pytest.raises(CannotDecide, match="already"):
        decide_oscillation(issue, "Ada", "olga")


def test_looking_for_fights_costs_one_query_a_chunk(fight: Fight) -> None:
    def queries(count: int) -> int:
        for one in range(count):
            for crm in fight.crms:
                crm.add(first_name="A", last_name="B", phone=f"+141555502{count}{one}")
        sync(*fight.connections)
        for record in fight.crms[0].live():
            fight.crms[0].edit(record.external_id, notes=f"{count}")
        with CaptureQueriesContext(database) as captured:
            pull(fight.connections[0])
        return sum("contacts_contactchange" in row["sql"] and "SELECT" in row["sql"][:7] for row in captured)

    assert queries(1) == 1
    assert queries(2) <= 2, "four records are two pages of three"
