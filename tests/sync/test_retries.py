"""Issues are tried again where that can help, at most ten times, and no retry does anything twice (failure modes 32, 33)."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from contacts.changes import create_contact
from contacts.models import Contact, CustomField
from contacts.values import FieldType
from crmsync.tasks import drain
from integrations.models import Connection
from integrations.providers.base import ExternalField, Record
from integrations.providers.errors import AuthError, RateLimited, Transient
from mappings.models import InboundMapping
from sync import issues
from sync.backoff import MAX_ATTEMPTS, next_retry
from sync.chunks import TooManyBad
from sync.kinds import KINDS, Retry
from sync.links import want_record
from sync.models import ExternalRecord, PendingPush, RunState, SyncIssue, SyncRun
from sync.retries import CannotRetry, can_ignore, ignore, retry, retry_all, retry_some
from sync.runs import RunOver, cancel_run, end_disabled, request_run
from tests.conftest import ROOT
from tests.sync.world import GRACE, PERSON, LiveCrm, contact, edit, later, link, pull, push

State = SyncIssue.State


def issue(kind: str) -> SyncIssue:
    """The latest issue of a kind."""
    return SyncIssue.objects.filter(kind=kind).latest("pk")


def refuse(crm: LiveCrm, **values: str) -> None:
    """Let the CRM refuse these values by a rule of its own."""
    crm.refused.update({name: {value} for name, value in values.items()})


@pytest.fixture
def rejected(connection: Connection, crm: LiveCrm, linked: str) -> SyncIssue:
    """A value that the CRM refuses, and the issue about it."""
    refuse(crm, notes="Forbidden")
    edit(notes="Forbidden", plan="Pro")
    push()
    return issue("push_rejected")


def test_a_refused_field_is_retried_by_itself_with_growing_pauses_and_heals(
    crm: LiveCrm, linked: str, rejected: SyncIssue
) -> None:
    assert (rejected.attempts, rejected.state) == (0, State.OPEN)
    assert rejected.next_retry_at is not None
    assert retry_some() == 0
    with later(minutes=7):
        assert retry_some() == 1
        push()
        rejected.refresh_from_db()
        assert (rejected.attempts, rejected.state) == (1, State.OPEN)
        assert rejected.next_retry_at > timezone.now() + timedelta(minutes=9)
    crm.refused.clear()
    with later(hours=1):
        drain()
    rejected.refresh_from_db()
    assert rejected.state == State.RESOLVED
    assert crm.value(linked, "notes") == "Forbidden"
    assert contact().value("notes") == "Forbidden"


def test_the_pauses_double_up_to_a_day() -> None:
    minutes = [(next_retry(attempts) - timezone.now()).total_seconds() / 60 for attempts in range(12)]
    assert 4.9 < minutes[0] < 6.4
    assert all(minutes[place] < minutes[place + 2] for place in range(7))
    assert max(minutes) <= 24 * 60 * 1.25


def test_after_ten_tries_an_issue_is_parked(crm: LiveCrm, rejected: SyncIssue) -> None:
    for day in range(1, MAX_ATTEMPTS + 3):
        with later(days=2 * day):
            retry_some()
            push()
    rejected.refresh_from_db()
    assert (rejected.state, rejected.attempts, rejected.next_retry_at) == (State.PARKED, MAX_ATTEMPTS, None)
    assert retry_some() == 0
    assert len([one for one in crm.sent if "notes" in one.values]) == MAX_ATTEMPTS + 1


def test_a_person_can_retry_a_parked_issue(crm: LiveCrm, linked: str, rejected: SyncIssue) -> None:
    SyncIssue.objects.filter(pk=rejected.pk).update(state=State.PARKED, attempts=10, next_retry_at=None)
    crm.refused.clear()
    retry(rejected, by="olga")
    assert (rejected.state, rejected.acted_by) == (State.OPEN, "olga")
    drain()
    assert crm.value(linked, "notes") == "Forbidden"
    assert issue("push_rejected").state == State.RESOLVED


def test_33_retrying_twice_is_two_attempts_and_no_double_effect(
    crm: LiveCrm, linked: str, rejected: SyncIssue
) -> None:
    before = len(crm.sent)
    for _ in range(2):
        retry(rejected, by="olga")
        drain()
    assert len(crm.sent) == before + 2
    crm.refused.clear()
    for _ in range(2):
        retry(rejected, by="olga") if issue("push_rejected").state == State.OPEN else None
        drain()
    assert len(crm.sent) == before + 3
    assert crm.needless == []


def test_33_two_clicks_before_a_worker_comes_are_one_attempt(crm: LiveCrm, rejected: SyncIssue) -> None:
    before = len(crm.sent)
    retry(rejected, by="olga")
    retry(rejected, by="olga")
    drain()
    assert len(crm.sent) == before + 1


def test_a_retry_sends_what_the_contact_holds_now_and_keeps_a_fresher_edit_of_the_crm(
    crm: LiveCrm, linked: str, rejected: SyncIssue
) -> None:
    crm.edit(linked, notes="The CRM's own")
    retry(rejected, by="olga")
    drain()
    assert crm.value(linked, "notes") == contact().value("notes") == "The CRM's own"
    with later(hours=1):
        retry_some()
    assert issue("push_rejected").state == State.RESOLVED


def test_a_refused_clear_can_be_retried(connection: Connection, crm: LiveCrm, linked: str) -> None:
    connection.outbound_mappings.filter(contact_field="plan").update(blank_policy="clear")
    crm.refused["plan"] = {None}
    edit(plan=None)
    push()
    assert crm.value(linked, "plan") == "Free"
    crm.refused.clear()
    retry(issue("push_rejected"), by="olga")
    drain()
    assert crm.value(linked, "plan") is None
    assert issue("push_rejected").state == State.RESOLVED


def test_what_could_not_be_pushed_in_ten_attempts_is_pushed_by_a_retry(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.fail("update", Transient("The CRM is unavailable."), times=99)
    edit(plan="Pro")
    for attempt in range(MAX_ATTEMPTS):
        with later(hours=2 * attempt):
            push()
    assert PendingPush.objects.count() == 0
    crm.faults.clear()
    retry(issue("push_failed"), by="olga")
    drain()
    assert crm.value(linked, "plan") == "Pro"
    assert issue("push_failed").state == State.RESOLVED


def test_a_refused_creation_is_reserved_again_and_made_once(connection: Connection, crm: LiveCrm) -> None:
    grace = create_contact(GRACE, {"last_name": "Hopper", "notes": "Forbidden"}, source=PERSON).contact
    refuse(crm, notes="Forbidden")
    want_record(connection, grace)
    push()
    assert issue("create_rejected").state == State.OPEN
    assert not ExternalRecord.objects.filter(contact=grace).exists()
    crm.refused.clear()
    retry_all(connection, "create_rejected", by="olga")
    retry_all(connection, "create_rejected", by="olga")
    drain()
    assert issue("create_rejected").state == State.RESOLVED
    assert len(crm.live()) == 1


def test_a_phone_clash_heals_when_the_number_is_free(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    create_contact(GRACE, {"first_name": "Grace"}, source=PERSON)
    crm.edit(linked, phone=GRACE)
    pull(connection)
    clash = issue("phone_clash")
    retry(clash, by="olga")
    drain()
    clash.refresh_from_db()
    assert clash.state == State.OPEN
    Contact.objects.get(phone_number=GRACE).delete()
    retry(clash, by="olga")
    drain()
    clash.refresh_from_db()
    assert clash.state == State.RESOLVED
    assert contact(GRACE).first_name == "Ada"


class Unreadable(str):
    """A value that our own code cannot digest."""

    __slots__ = ()

    def strip(self, *_args: Any) -> str:
        """As a bug of ours would."""
        raise LookupError("an error of our own")


def test_30_a_record_that_breaks_our_code_holds_back_no_other_and_is_read_again(
    connection: Connection, crm: LiveCrm
) -> None:
    ids = [crm.add(last_name="Lovelace", phone=f"+1415555{1000 + place}") for place in range(8)]
    good = crm.records[ids[3]]
    crm.records[ids[3]] = Record(ids[3], {**good.values, "last_name": Unreadable("Poison")}, good.modified)
    run = pull(connection)
    assert (run.state, run.error_code) == (RunState.PARTIAL, "record_failed")
    assert (run.counts["failed"], run.counts["created"], run.done) == (1, 7, 8)
    bad = issue("record_failed")
    assert (bad.external_id, bad.state) == (ids[3], State.OPEN)
    crm.records[ids[3]] = good
    with later(minutes=10):
        drain()
    bad.refresh_from_db()
    assert bad.state == State.RESOLVED
    assert link(ids[3]).contact is not None
    assert Connection.objects.get().cursor != ""


def test_30_a_record_that_is_read_well_later_closes_its_issue(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    issues.report(connection, "record_failed", external_id=ada, count=1)
    pull(connection)
    assert issue("record_failed").state == State.RESOLVED


def test_where_every_record_breaks_the_run_fails_loudly(connection: Connection, crm: LiveCrm) -> None:
    for place in range(9):
        crm.add(last_name=Unreadable("Poison"), phone=f"+1415555{1000 + place}")
    with pytest.raises(TooManyBad):
        pull(connection)
    run = SyncRun.objects.latest("pk")
    assert (run.state, run.error_code) == (RunState.FAILED, "internal")
    assert Connection.objects.get().cursor == ""


def test_a_failed_run_is_retried_as_a_run(connection: Connection, crm: LiveCrm, ada: str) -> None:
    crm.fail("changes", AuthError("The credentials are refused."))
    assert pull(connection).state == RunState.FAILED
    retry(issue("run_failed"), by="olga")
    retry_some()
    assert SyncRun.objects.latest("pk").requested_by == "olga"
    drain()
    assert SyncRun.objects.latest("pk").state == RunState.SUCCEEDED
    assert issue("run_failed").state == State.RESOLVED


def test_a_broken_mapping_is_mended_by_reading_the_fields_again(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    new = ExternalField("twitter", "Twitter", FieldType.STRING)
    InboundMapping.objects.create(
        connection=connection, external_field="twitter", contact_field="first_name_2"
    )
    CustomField.objects.create(name="first_name_2", type="string")
    run = pull(connection)
    assert run.state == RunState.PARTIAL
    broken = issue("broken_mapping")
    crm.fields.append(new)
    retry(broken, by="olga")
    drain()
    broken.refresh_from_db()
    assert broken.state == State.RESOLVED


def test_a_limit_costs_a_retry_no_attempt(connection: Connection, crm: LiveCrm, ada: str) -> None:
    issues.report(connection, "record_failed", external_id=ada, count=1)
    crm.fail("read", RateLimited("Slow down.", retry_after=30.0))
    retry(issue("record_failed"), by="olga")
    retry_some()
    assert (issue("record_failed").attempts, issue("record_failed").state) == (0, State.OPEN)


def test_refused_credentials_are_not_hammered_by_retries(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    Connection.objects.update(status="error")
    issues.report(connection, "record_failed", external_id=ada, count=1)
    with later(days=1):
        assert retry_some() == 0
    assert crm.count("read") == 0


# Ignoring


def test_an_ignored_issue_stays_closed_for_the_same_cause_and_opens_for_another(
    connection: Connection, crm: LiveCrm, linked: str, rejected: SyncIssue
) -> None:
    ignore(rejected, by="olga")
    assert (rejected.state, rejected.acted_by) == (State.IGNORED, "olga")
    with later(days=1):
        assert retry_some() == 0
    cause: dict[str, Any] = {"contact": contact(), "external_id": linked, "field": "notes"}
    again = issues.report(connection, "push_rejected", message=rejected.message, **cause)
    assert again == rejected
    assert SyncIssue.objects.get().state == State.IGNORED
    assert SyncIssue.objects.get().count == 2
    other = issues.report(connection, "push_rejected", message="Another reason.", **cause)
    assert (other.state, other.pk != rejected.pk) == (State.OPEN, True)


def test_an_ignored_aggregate_stays_closed_whatever_its_count_until_it_heals(connection: Connection) -> None:
    def tell(count: int) -> SyncIssue:
        return issues.report(connection, "no_phone", message=f"{count} records have no phone.", count=count)

    ignore(tell(3), by="olga")
    assert tell(4).state == State.IGNORED
    issues.resolve(connection, kind="no_phone")
    assert tell(2).state == State.OPEN


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("run_held", "Approve or reject"),
        ("push_held", "Approve or reject"),
        ("outbound_not_armed", "Approve or reject"),
        ("oscillation", "ends the freeze"),
    ],
)
def test_what_is_held_back_cannot_be_ignored(connection: Connection, kind: str, words: str) -> None:
    held = issues.report(connection, kind, message="Held.")
    assert not can_ignore(held)
    with pytest.raises(CannotRetry, match=words):
        ignore(held, by="rita")
    assert SyncIssue.objects.get(pk=held.pk).state == State.OPEN


def test_what_is_settled_can_be_neither_ignored_nor_retried(
    connection: Connection, rejected: SyncIssue
) -> None:
    issues.resolve(connection, pk=rejected.pk)
    with pytest.raises(CannotRetry, match="settled"):
        ignore(rejected, by="olga")
    with pytest.raises(CannotRetry, match="settled"):
        retry(rejected, by="olga")


def test_a_question_is_not_retried_but_answered(connection: Connection, linked: str) -> None:
    asked = issues.report(connection, "conflict", contact=contact(), field="plan")
    with pytest.raises(CannotRetry, match="Choose which value"):
        retry(asked, by="olga")
    with pytest.raises(CannotRetry, match="Choose which value"):
        retry_all(connection, "conflict", by="olga")


def test_an_ignored_issue_can_be_retried_unless_a_newer_one_is_open(
    connection: Connection, crm: LiveCrm, linked: str, rejected: SyncIssue
) -> None:
    ignore(rejected, by="olga")
    issues.report(
        connection,
        "push_rejected",
        contact=contact(),
        external_id=linked,
        field="notes",
        message="Another reason.",
    )
    with pytest.raises(CannotRetry, match="newer issue"):
        retry(rejected, by="olga")


# Runs that are cut short


def test_a_run_whose_connection_is_switched_off_midway_ends_cleanly(
    connection: Connection, crm: LiveCrm
) -> None:
    for place in range(9):
        crm.add(last_name="Lovelace", phone=f"+1415555{1000 + place}")
    crm.then["changes"] += [lambda: None, lambda: Connection.objects.update(enabled=False)]
    run = pull(connection)
    assert (run.state, run.error) == (RunState.CANCELLED, "The connection was switched off.")
    assert run.claimed_until is None
    assert Contact.objects.count() == 6
    assert Connection.objects.get().cursor == ""
    Connection.objects.update(enabled=True)
    assert pull(connection).state == RunState.SUCCEEDED
    assert Contact.objects.count() == 9


def test_a_queued_run_of_a_connection_that_is_off_is_ended_by_the_sweep(connection: Connection) -> None:
    run = request_run(connection)
    Connection.objects.update(enabled=False)
    assert end_disabled() == 1
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED


def test_a_cancelled_run_stops_at_its_next_chunk(connection: Connection, crm: LiveCrm) -> None:
    for place in range(9):
        crm.add(last_name="Lovelace", phone=f"+1415555{1000 + place}")
    run = request_run(connection)
    crm.then["changes"] += [lambda: None, lambda: cancel_run(SyncRun.objects.get(pk=run.pk), by="olga")]
    drain()
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.CANCELLED, "Cancelled by olga.")
    assert Contact.objects.count() == 3
    with pytest.raises(RunOver):
        cancel_run(run, by="olga")


def test_a_run_says_how_often_it_asked_the_crm_and_where_it_began_and_ended(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    first = pull(connection)
    asked = len(crm.calls)
    assert first.api_calls == asked
    second = pull(connection)
    assert second.api_calls == len(crm.calls) - asked == 1
    assert (first.cursor_before, second.cursor_before) == ("", first.cursor)
    assert Connection.objects.get().cursor == second.cursor


# The table of kinds


def reported_kinds() -> set[str]:
    """Every kind that our code reports, by the literal or the module's constant in the call."""
    found: set[str] = set()
    for app in ("sync", "activity", "integrations", "mappings"):
        for path in Path(ROOT, app).glob("*.py"):
            tree = ast.parse(path.read_text())
            named = {
                target.id: node.value
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "attr", "") == "report"
                    and len(node.args) > 1
                ):
                    kind = node.args[1]
                    kind = named.get(kind.id, kind) if isinstance(kind, ast.Name) else kind
                    found |= {str(kind.value)} if isinstance(kind, ast.Constant) else set()
    return found


def test_every_kind_that_is_reported_has_its_row_in_the_table() -> None:
    assert reported_kinds() <= set(KINDS)
    assert {"push_failed", "run_failed", "activity_failed", "outbound_not_armed"} <= reported_kinds()


def test_every_kind_says_what_to_do() -> None:
    assert all(kind.words and kind.advice.endswith(".") for kind in KINDS.values())
    assert all(kind.retry is not Retry.NONE for kind in KINDS.values() if kind.automatic)


def test_unarmed_retries_wait(connection: Connection, crm: LiveCrm, linked: str, rejected: SyncIssue) -> None:
    Connection.objects.update(armed_at=None)
    before = len(crm.sent)
    retry(rejected, by="olga")
    drain()
    assert len(crm.sent) == before
    assert PendingPush.objects.count() == 1
