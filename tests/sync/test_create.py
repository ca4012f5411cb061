"""CRM records for contacts that have none: exactly one, whatever is lost, late or repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contacts.changes import Source, create_contact
from contacts.models import Contact
from integrations.models import Connection
from integrations.providers.errors import AuthError, ProviderError, RateLimited, Rejected, Transient
from sync.links import link_for, want_record
from sync.models import ExternalRecord, PendingPush, RecordState, SyncIssue
from tests.fakes.provider import lost_answer
from tests.sync.conftest import make_fields
from tests.sync.world import (
    ADA,
    GRACE,
    PERSON,
    LiveCrm,
    connect,
    contact,
    edit,
    later,
    link,
    pull,
    push,
    waiting,
)


@pytest.fixture
def caller(connection: Connection) -> Contact:
    """Somebody who called and is in no CRM."""
    return create_contact(
        ADA, {"last_name": "Lovelace", "plan": "Pro", "do_not_call": True}, source=PERSON
    ).contact


def test_a_contact_without_a_record_gets_one_with_its_number(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    assert link_for(connection, caller) is None
    want_record(connection, caller)
    push()
    (record,) = crm.live()
    assert {name: value for name, value in record.values.items() if value is not None} == {
        "last_name": "Lovelace",
        "phone": ADA,
        "plan": "Pro",
        "do_not_call": True,
    }
    made = link_for(connection, caller)
    assert made is not None
    assert (made.external_id, made.created_here, made.number) == (record.external_id, True, ADA)
    assert waiting() == []
    crm.calls.clear()
    assert pull(connection).counts["unchanged"] == 1
    push()
    assert crm.count("update") == crm.count("create") == 0


def test_without_being_wanted_no_record_is_made(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    edit(notes="New.")
    push()
    assert crm.live() == []


def test_wanting_it_twice_makes_one(connection: Connection, crm: LiveCrm, caller: Contact) -> None:
    """Row 9."""
    want_record(connection, caller)
    want_record(connection, caller)
    push()
    want_record(connection, caller)
    push()
    assert len(crm.live()) == 1


def test_two_events_at_once_make_one_record(
    transactional_db: None, crm: LiveCrm, in_threads: Callable[..., list[object]]
) -> None:
    """Row 10."""
    make_fields()
    connection = connect()
    for index in range(10):
        ada = create_contact(f"+1415555{4000 + index}", {}, source=PERSON).contact
        in_threads(*[lambda ada=ada: want_record(connection, ada)] * 3)
        assert ExternalRecord.objects.filter(contact=ada).count() == 1
        assert PendingPush.objects.filter(contact=ada).count() == 1
    in_threads(push, push)
    assert len(crm.live()) == 10


def test_a_record_that_is_there_already_is_linked_and_not_made_again(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    there = crm.add(first_name="Ada", last_name="King", phone="(415) 555-0100")
    want_record(connection, caller)
    push()
    assert crm.count("create") == 0
    assert link(there).contact == caller
    assert contact().first_name == "Ada"
    assert crm.value(there, "plan") == "Pro"


def test_a_record_that_the_crm_answers_with_is_met_like_any_other(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    """Another number, the same e-mail address: it holds values of its own, and none of what was to be created."""
    crm.unique = "notes"  # stands for the e-mail address
    edit(notes="ada@example.com", first_name="Ada")
    there = crm.add(first_name="Augusta", last_name="Lovelace", notes="ada@example.com", value=7)
    want_record(connection, caller)
    push()
    assert link(there).contact == caller
    assert not link(there).created_here
    assert (contact().first_name, contact().value("lifetime")) == ("Augusta", 7)
    assert crm.value(there, "plan") == "Pro"
    assert crm.value(there, "do_not_call") is True
    assert waiting() == []
    crm.calls.clear()
    pull(connection)
    push()
    assert crm.count("update") == crm.count("create") == 0


@pytest.mark.parametrize("seen_by", ["search", "pull"])
def test_a_creation_whose_answer_was_lost_is_looked_for_and_not_sent_again(
    connection: Connection, crm: LiveCrm, caller: Contact, seen_by: str
) -> None:
    """Rows 7, 8: the record exists, the answer does not."""
    crm.fail("create", lost_answer(), applied=True)
    want_record(connection, caller)
    push()
    assert ExternalRecord.objects.get().state == RecordState.CREATING
    assert len(waiting()) == 1
    crm.unsearchable = {record.external_id for record in crm.live()}
    with later(seconds=10):
        push()
    assert crm.count("create") == 1  # the CRM's search lags: not to be found is no proof yet
    crm.unsearchable.clear()
    if seen_by == "pull":
        pull(connection)
    with later(minutes=2):
        push()
    (record,) = crm.live()
    assert crm.count("create") == 1
    assert link(record.external_id).contact == caller
    assert ExternalRecord.objects.count() == 1
    assert waiting() == []


def test_a_creation_that_never_arrived_is_sent_again(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    crm.fail("create", lost_answer(), applied=False)
    want_record(connection, caller)
    push()
    assert crm.live() == []
    with later(minutes=2):
        push()
    assert len(crm.live()) == 1


def test_a_worker_killed_between_the_creation_and_its_note_leaves_no_second_record(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    """Row 7."""

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    crm.then["create"].append(kill)
    want_record(connection, caller)
    with pytest.raises(Killed):
        push()
    assert len(crm.live()) == 1
    with later(minutes=4):
        push()
    assert len(crm.live()) == 1
    assert link(crm.live()[0].external_id).contact == caller


def test_a_pull_that_sees_the_new_record_first_adopts_it(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    """Row 9: the listing shows the record before the answer to its creation is noted."""
    crm.then["create"].append(lambda: pull(connection))
    want_record(connection, caller)
    push()
    assert len(crm.live()) == ExternalRecord.objects.count() == 1
    made = link_for(connection, caller)
    assert made is not None
    assert made.created_here
    assert waiting() == []


def test_an_edit_while_the_record_is_made_follows(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    crm.then["create"].append(lambda: edit(plan="Enterprise"))
    want_record(connection, caller)
    push()
    (record,) = crm.live()
    assert record.values["plan"] == "Enterprise"


def test_a_refused_creation_is_told_and_may_be_wanted_again(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    crm.fail("create", Rejected("A duplicate rule says no."))
    want_record(connection, caller)
    push()
    issue = SyncIssue.objects.get(kind="create_rejected")
    assert (issue.contact, "duplicate rule" in issue.message) == (caller, True)
    assert waiting() == []
    assert not ExternalRecord.objects.exists()
    want_record(connection, caller)
    push()
    assert len(crm.live()) == 1
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


@pytest.mark.parametrize(
    "error",
    [
        Transient("Unreachable."),
        RateLimited("Wait.", retry_after=60),
        AuthError("No."),
        ProviderError("What?"),
    ],
    ids=["transient", "limit", "auth", "unlisted"],
)
@pytest.mark.parametrize("call", ["find_by_phone", "create"])
def test_no_creation_is_lost_by_trouble(
    connection: Connection, crm: LiveCrm, caller: Contact, error: ProviderError, call: str
) -> None:
    crm.fail(call, error)
    want_record(connection, caller)
    push()
    assert crm.live() == []
    assert [row.claimed_until for row in waiting()] == [None]
    Connection.objects.update(status="connected")
    with later(minutes=5):
        push()
    assert len(crm.live()) == 1
    assert waiting() == []


def test_a_limit_in_the_midst_of_creations_pauses_and_keeps_the_rest(
    connection: Connection, crm: LiveCrm
) -> None:
    for index in range(5):
        ada = create_contact(f"+1415555{5000 + index}", {}, source=PERSON).contact
        want_record(connection, ada)
    crm.fail("create", RateLimited("Wait.", retry_after=90), skip=1)
    push()
    assert len(crm.live()) == 2
    connection.refresh_from_db()
    assert connection.paused_until is not None
    assert {row.attempts for row in waiting()} == {0}
    with later(seconds=91):
        push()
    assert len(crm.live()) == 5


def test_a_record_linked_to_somebody_else_is_not_taken_and_not_doubled(
    connection: Connection, crm: LiveCrm
) -> None:
    """Ada's record has Grace's number now, which Grace as a contact has as well."""
    there = crm.add(last_name="Lovelace", phone=ADA)
    pull(connection)
    grace = create_contact(GRACE, {}, source=PERSON).contact
    crm.edit(there, phone=GRACE)
    want_record(connection, grace)
    push()
    assert len(crm.live()) == 1
    assert SyncIssue.objects.get(kind="record_taken").contact == grace
    assert link(there).contact == contact(ADA)


def test_a_contact_deleted_meanwhile_gets_nothing(
    connection: Connection, crm: LiveCrm, caller: Contact
) -> None:
    want_record(connection, caller)
    caller.delete()
    push()
    assert crm.live() == []
    create_contact(ADA, {}, source=Source("person"))
    push()
    assert crm.live() == []
