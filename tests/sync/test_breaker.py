"""The circuit breaker: mass overwrites, clears and deletes wait for a person, and the approved ones go on to their end."""

from __future__ import annotations

import pytest

from contacts.changes import Source
from contacts.models import Contact, ContactChange
from crmsync.tasks import drain
from integrations.models import Connection
from mappings.models import InboundMapping
from sync.breaker import approve_pushes, approve_run, limit_of, reject_run
from sync.models import RunState, SyncIssue, SyncRun
from sync.pull import run_now
from sync.push import push_some
from sync.runs import NotWaiting, RunOpen, cancel_run, request_due_runs, request_run
from tests.fakes.provider import CRMS
from tests.sync.world import LiveCrm, connect, contact, edit, later, pull, push, sync, waiting

BULK = Source("import", "import:1", "a list of customers", urgent=False)


def number(place: int) -> str:
    """The number of one of many people."""
    return f"+1415555{1000 + place}"


def people(crm: LiveCrm, count: int) -> list[str]:
    """Records with values in them; returns their ids."""
    return [
        crm.add(first_name="Ada", last_name="Lovelace", phone=number(place), plan="Free", notes="Old")
        for place in range(count)
    ]


@pytest.fixture
def strict(fields: None, crm: LiveCrm) -> Connection:
    """A connection that asks after five overwrites."""
    return connect(overwrite_floor=5, overwrite_percent=0)


def values(name: str) -> list[object]:
    """One field of every contact, in the order of their numbers."""
    return [one.value(name) for one in Contact.objects.order_by("phone_number")]


def test_the_chunk_that_would_exceed_the_limit_is_not_applied_and_the_run_waits(
    strict: Connection, crm: LiveCrm
) -> None:
    ids = people(crm, 12)
    sync(strict)
    before = Connection.objects.get(pk=strict.pk).cursor
    for one in ids:
        crm.edit(one, plan="Pro")
    run = pull(strict)
    assert run.state == RunState.WAITING
    # Pages hold three records: two would be six values, so one page was applied.
    assert values("plan").count("Pro") == 3
    assert run.overwrites == 3
    assert Connection.objects.get(pk=strict.pk).cursor == before
    held = [row for row in run.held if not row["applied"]]
    assert [(row["field"], row["old"], row["new"], row["rule"]) for row in held] == [
        ("plan", "Free", "Pro", "plan:plan")
    ] * 3
    assert {row["record"] for row in held} == set(ids[3:6])
    assert {row["record"] for row in run.held if row["applied"]} == set(ids[:3])
    issue = SyncIssue.objects.get(kind="run_held")
    assert "6 values" in issue.message
    assert "limit is 5" in issue.message


def test_what_waits_is_shown_under_the_name_that_the_contact_has_until_then(
    strict: Connection, crm: LiveCrm
) -> None:
    ids = people(crm, 12)
    sync(strict)
    for one in ids:
        crm.edit(one, first_name="Augusta", last_name="King")
    run = pull(strict)
    assert {row["contact"] for row in run.held if not row["applied"]} == {"Ada Lovelace"}


def test_an_approved_run_goes_on_to_its_end_without_the_breaker(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 12)
    sync(strict)
    for one in ids:
        crm.edit(one, plan="Pro")
    run = pull(strict)
    approve_run(run, by="olga")
    run_now(run)
    assert run.state == RunState.SUCCEEDED
    assert values("plan") == ["Pro"] * 12
    assert (run.overwrites, run.approved_by) == (12, "olga")
    assert SyncIssue.objects.get(kind="run_held").state == "resolved"
    assert ContactChange.objects.filter(source_ref=run.ref).count() == 12
    with pytest.raises(NotWaiting):
        approve_run(run, by="olga")


def test_an_approved_run_is_taken_up_by_the_workers(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 7)
    sync(strict)
    for one in ids:
        crm.edit(one, plan="Pro")
    run = pull(strict)
    approve_run(run, by="olga")
    drain()
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED


def test_a_rejected_run_applies_nothing_more_and_moves_no_cursor(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 12)
    sync(strict)
    before = Connection.objects.get(pk=strict.pk).cursor
    for one in ids:
        crm.edit(one, plan="Pro")
    run = pull(strict)
    reject_run(run, by="olga")
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.CANCELLED, "Rejected by olga.")
    assert values("plan").count("Pro") == 3
    assert Connection.objects.get(pk=strict.pk).cursor == before
    assert SyncIssue.objects.get(kind="run_held").state == "resolved"
    with pytest.raises(NotWaiting):
        reject_run(run, by="olga")


def test_while_a_run_waits_other_syncs_are_refused_with_the_reason(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 7)
    sync(strict)
    for one in ids:
        crm.edit(one, plan="Pro")
    run = pull(strict)
    with pytest.raises(RunOpen, match=f"Run {run.pk} of CRM one waits for approval"):
        request_run(strict)
    Connection.objects.update(next_sync_at=run.created_at)
    assert request_due_runs() == 0


def test_a_waiting_run_can_be_cancelled(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 7)
    sync(strict)
    for one in ids:
        crm.edit(one, plan="Pro")
    cancel_run(pull(strict), by="olga")
    assert SyncRun.objects.latest("pk").error == "Cancelled by olga."
    assert SyncIssue.objects.get(kind="run_held").state == "resolved"


def test_a_first_import_of_any_size_trips_nothing(strict: Connection, crm: LiveCrm) -> None:
    people(crm, 30)
    run = pull(strict)
    assert (run.state, run.overwrites) == (RunState.SUCCEEDED, 0)


def test_the_first_import_may_change_the_contacts_that_it_created_itself(
    strict: Connection, crm: LiveCrm
) -> None:
    for place in range(8):
        crm.add(last_name="Older", phone=number(place), plan="Free")
    for place in range(8):
        crm.add(last_name="Newer", phone=number(place), plan="Pro")
    run = pull(strict)
    assert (run.state, run.overwrites) == (RunState.SUCCEEDED, 0)
    assert values("last_name") == ["Newer"] * 8


def test_the_first_import_may_not_overwrite_what_people_had_written(strict: Connection, crm: LiveCrm) -> None:
    other = connect("two", overwrite_floor=5, overwrite_percent=0, rank=9)
    people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), plan="Enterprise")
    CRMS["two"] = second = LiveCrm()
    for place in range(8):
        second.add(last_name="Lovelace", phone=number(place), plan="Pro")
    run = pull(other)
    assert run.state == RunState.WAITING
    assert values("plan").count("Enterprise") >= 3


def test_filling_blanks_is_no_overwrite(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 9)
    sync(strict)
    for one in ids:
        crm.edit(one, vip=True, value=12.5)
    run = pull(strict)
    assert (run.state, run.overwrites) == (RunState.SUCCEEDED, 0)


def test_opt_outs_are_never_held_back(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 9)
    sync(strict)
    for one in ids:
        crm.edit(one, do_not_call=True)
    assert pull(strict).state == RunState.SUCCEEDED
    assert values("do_not_call") == [True] * 9


def test_clears_count(strict: Connection, crm: LiveCrm) -> None:
    InboundMapping.objects.filter(contact_field="notes").update(blank_policy="clear")
    ids = people(crm, 9)
    sync(strict)
    for one in ids:
        crm.edit(one, notes=None)
    run = pull(strict)
    assert run.state == RunState.WAITING
    assert values("notes").count(None) == 3
    assert (run.held[0]["old"], run.held[0]["new"]) == ("Old", None)


@pytest.mark.parametrize("policy", ["unlink", "archive", "delete"])
def test_deletes_count_and_are_shown(fields: None, crm: LiveCrm, policy: str) -> None:
    strict = connect(overwrite_floor=5, overwrite_percent=0, delete_policy=policy)
    ids = people(crm, 9)
    sync(strict)
    for one in ids:
        crm.delete(one)
    run = pull(strict)
    assert run.state == RunState.WAITING
    assert Contact.objects.filter(archived_at=None, records__isnull=False).count() == 6
    held = [row for row in run.held if not row["applied"]]
    assert [(row["record"], row["field"], row["old"], row["rule"]) for row in held] == [
        (one, "", "Ada Lovelace", policy) for one in ids[3:6]
    ]


def test_changed_numbers_count(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 9)
    sync(strict)
    for place, one in enumerate(ids):
        crm.edit(one, phone=number(500 + place))
    run = pull(strict)
    assert run.state == RunState.WAITING
    assert {row["field"] for row in run.held} == {"phone_number"}


def test_the_limit_is_the_larger_of_floor_and_share(strict: Connection, crm: LiveCrm) -> None:
    people(crm, 20)
    sync(strict)
    assert limit_of(strict) == 5
    strict.overwrite_percent = 50
    assert limit_of(strict) == 10


def test_the_diff_of_a_waiting_run_has_at_most_200_rows(fields: None, crm: LiveCrm) -> None:
    strict = connect(overwrite_floor=235, overwrite_percent=0)
    ids = people(crm, 60)
    sync(strict)
    for one in ids:
        crm.edit(one, plan="Pro", notes="New", last_name="King", first_name="Augusta", vip=True)
    run = pull(strict)
    assert run.state == RunState.WAITING
    assert len(run.held) == 200


# Outbound


def test_the_batch_that_would_exceed_the_limit_is_put_back_and_the_connection_held(
    strict: Connection, crm: LiveCrm
) -> None:
    ids = people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), source=BULK, plan="Pro")
    push()
    strict.refresh_from_db()
    assert strict.held_at is not None
    assert crm.count("update") == 0
    assert len(waiting()) == 8
    assert all(row.claimed_until is None for row in waiting())
    issue = SyncIssue.objects.get(kind="push_held")
    assert (issue.state, issue.count, issue.detail["overwrites"]) == ("open", 8, 8)
    assert issue.detail["rows"][0]["old"] == "Free"
    assert {row["contact"] for row in issue.detail["rows"]} == {"Ada Lovelace"}
    assert crm.value(ids[0], "plan") == "Free"


def test_approved_pushes_go_on_and_the_count_starts_anew(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), source=BULK, plan="Pro")
    push()
    approve_pushes(strict, by="olga")
    push()
    assert [crm.value(one, "plan") for one in ids] == ["Pro"] * 8
    strict.refresh_from_db()
    assert (strict.held_at, strict.overwrites) == (None, 0)
    assert SyncIssue.objects.get(kind="push_held").acted_by == "olga"
    for place in range(6):
        edit(number(place), source=BULK, plan="Starter")
    push()
    strict.refresh_from_db()
    assert strict.held_at is not None


def test_what_a_person_or_a_conversation_just_changed_is_not_held(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), plan="Pro")
    push()
    strict.refresh_from_db()
    assert (strict.overwrites, strict.held_at) == (0, None)
    assert [crm.value(one, "plan") for one in ids] == ["Pro"] * 8


def test_pushes_are_counted_over_an_hour(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 8)
    sync(strict)
    for place in range(4):
        edit(number(place), source=BULK, plan="Pro")
    push()
    strict.refresh_from_db()
    assert (strict.overwrites, strict.held_at) == (4, None)
    with later(minutes=61):
        for place in range(4, 8):
            edit(number(place), source=BULK, plan="Pro")
        push()
    strict.refresh_from_db()
    assert (strict.overwrites, strict.held_at) == (4, None)
    assert [crm.value(one, "plan") for one in ids] == ["Pro"] * 8


def test_filling_blanks_in_the_crm_is_not_counted(strict: Connection, crm: LiveCrm) -> None:
    people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), source=BULK, vip=True, do_not_call=True)
    push()
    strict.refresh_from_db()
    assert (strict.overwrites, strict.held_at) == (0, None)


def test_while_it_is_held_nothing_is_pushed_and_inbound_goes_on(strict: Connection, crm: LiveCrm) -> None:
    ids = people(crm, 8)
    sync(strict)
    for place in range(8):
        edit(number(place), source=BULK, plan="Pro")
    push()
    edit(number(0), notes="Newer")
    assert push_some(urgent_only=True) == 0
    crm.edit(ids[7], last_name="Byron")
    pull(strict)
    assert contact(number(7)).last_name == "Byron"
    assert crm.count("update") == 0
