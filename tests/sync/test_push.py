"""Outbound sync: only what changed, read before it is written, and nothing lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactChange, ContactTouched
from integrations import connections
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import ExternalField
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)
from mappings.models import OutboundMapping
from sync.models import PendingPush, RecordState, SyncIssue
from sync.push import claim, push_some
from sync.touch import drain_touched
from tests.fakes.provider import lost_answer
from tests.sync.conftest import make_fields
from tests.sync.world import (
    ADA,
    GRACE,
    LiveCrm,
    connect,
    contact,
    edit,
    later,
    link,
    pull,
    push,
    steps,
    sync,
    waiting,
)


def many(crm: LiveCrm, connection: Connection, count: int) -> list[str]:
    """So many linked records with numbers of their own."""
    ids = [crm.add(last_name=f"L{i}", phone=f"+1415555{2000 + i}") for i in range(count)]
    sync(connection)
    crm.calls.clear()
    return ids


def test_only_the_changed_fields_are_written(crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro", first_name="Ada")
    push()
    assert [(update.external_id, update.values) for update in crm.sent] == [(linked, {"plan": "Pro"})]
    assert waiting() == []


def test_values_of_all_six_types_go_out(crm: LiveCrm, linked: str) -> None:
    values: dict[str, Any] = {
        "plan": "Pro", "lifetime": 0, "renewal": "2026-05-14", "visited": "2026-05-14T09:30:00Z", "vip": False, "notes": "Tea.",
    }  # fmt: skip
    edit(**values)
    push()
    record = crm.records[linked].values
    assert {name: record[{"lifetime": "value"}.get(name, name)] for name in values} == values


def test_the_second_poll_after_a_push_writes_nothing(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 1: our own write comes back with a newer stamp."""
    edit(plan="Pro", notes="Tea.")
    push()
    crm.calls.clear()
    changes = ContactChange.objects.count()
    for _ in range(2):
        sync(connection)
    assert crm.count("update") == 0
    assert ContactChange.objects.count() == changes
    crm.edit(linked, plan="Starter")
    sync(connection)
    assert contact().custom_fields["plan"] == "Starter"  # a different value is taken at once


def test_ten_edits_are_one_push_of_the_last_value(crm: LiveCrm, linked: str) -> None:
    """Row 3."""
    for plan in ("Pro", "Starter", "Enterprise") * 3:
        edit(plan=plan)
        drain_touched()
    edit(plan="Pro")
    push()
    assert [update.values for update in crm.sent] == [{"plan": "Pro"}]


def test_an_edit_that_is_taken_back_before_it_went_out_writes_nothing(crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro")
    drain_touched()
    edit(plan="Free")
    crm.calls.clear()
    push()
    assert crm.count("update") == 0
    assert waiting() == []


def test_a_fresher_edit_in_the_crm_is_seen_before_the_write(crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, first_name="Augusta")
    edit(plan="Pro")
    push()
    assert contact().first_name == "Augusta"
    assert crm.records[linked].values["first_name"] == "Augusta"
    assert crm.value(linked, "plan") == "Pro"


def test_a_conflict_found_by_the_push_follows_the_policy(crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, plan="Enterprise")
    edit(plan="Pro")
    push()
    assert contact().custom_fields["plan"] == "Enterprise"
    assert crm.sent == []
    change = ContactChange.objects.order_by("-pk").first()
    assert change is not None
    assert change.diff == {"plan": ["Pro", "Enterprise"]}


@pytest.mark.parametrize("moment", ["read", "update"])
def test_an_edit_during_a_push_is_pushed_again(crm: LiveCrm, linked: str, moment: str) -> None:
    edit(plan="Pro")
    crm.then[moment].append(steps(lambda: edit(plan="Enterprise"), drain_touched))
    push()
    assert crm.value(linked, "plan") == "Enterprise"
    assert contact().custom_fields["plan"] == "Enterprise"
    assert waiting() == []


def test_a_clear_of_ours_is_ignored_by_default_and_carried_out_where_the_mapping_says_so(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 5."""
    edit(plan=None)
    sync(connection)
    assert crm.value(linked, "plan") == "Free"
    assert "plan" not in contact().custom_fields
    OutboundMapping.objects.filter(contact_field="plan").update(blank_policy="clear")
    edit(plan="Pro")
    sync(connection)
    edit(plan=None)
    sync(connection)
    assert crm.value(linked, "plan") is None


def test_several_records_cost_the_same_queries_and_few_calls(connection: Connection, crm: LiveCrm) -> None:
    def cost(ids: list[int]) -> int:
        for pk in ids:
            change_contact(pk, {"notes": f"Note {timezone.now()}"}, source=Source("person"))
        drain_touched()
        with CaptureQueriesContext(database) as captured:
            push_some()
        assert waiting() == []
        return len(captured)

    many(crm, connection, 30)
    ids = list(Contact.objects.values_list("pk", flat=True))
    cost(ids)  # from now on every value is overwritten, and counted as such
    assert cost(ids[:2]) == cost(ids)


# --- refusals --------------------------------------------------------------------------------------


def test_one_refused_field_does_not_hold_back_the_others(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 15: the refusal is on record and in an issue that names the field; the CRM's value is not taken for news."""
    crm.fields = [
        ExternalField(one.name, one.label, one.type, max_length=5) if one.name == "notes" else one
        for one in crm.fields
    ]
    crm.edit(linked, notes="short")
    sync(connection)
    edit(notes="Too long for the CRM.", plan="Pro")
    push()
    assert crm.value(linked, "plan") == "Pro"
    issue = SyncIssue.objects.get(kind="push_rejected")
    assert (issue.field, issue.contact) == ("notes", contact())
    assert link(linked).skipped_fields == {"notes:notes": "TOO_LONG"}
    assert waiting() == []
    crm.sent.clear()
    for _ in range(2):
        sync(connection)
    assert crm.sent == []
    assert contact().custom_fields["notes"] == "Too long for the CRM."
    edit(notes="fits")
    sync(connection)
    assert crm.value(linked, "notes") == "fits"
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED
    assert link(linked).skipped_fields == {}


def test_a_refused_first_push_does_not_let_the_crm_overwrite_what_was_typed(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    connection = connect(both={"last_name": "last_name", "notes": "notes"}, policy="ours_wins")
    crm.edit(ada, notes="Theirs.")
    crm.fields = [
        ExternalField(one.name, one.label, one.type, max_length=8) if one.name == "notes" else one
        for one in crm.fields
    ]
    create_contact(ADA, {"notes": "Ours, far too long."}, source=Source("person"))
    for _ in range(3):
        sync(connection)
    assert contact().custom_fields["notes"] == "Ours, far too long."
    assert crm.value(ada, "notes") == "Theirs."


def test_a_record_whose_only_field_is_refused_is_done(crm: LiveCrm, linked: str) -> None:
    crm.fail("update", Rejected("No.", code="NO", field="plan"))
    edit(plan="Pro")
    push()
    assert waiting() == []
    assert [update.values for update in crm.sent] == [{"plan": "Pro"}]


def test_a_refused_record_becomes_an_issue_and_holds_nobody_back(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 30: of six records one is refused; five are written, one issue is opened, nothing loops."""
    ids = many(crm, connection, 6)

    for pk in Contact.objects.values_list("pk", flat=True):
        change_contact(pk, {"notes": "New."}, source=Source("person"))
    with refusing(crm, ids[2]):
        push()
    assert [crm.value(one, "notes") for one in ids] == ["New.", "New.", None, "New.", "New.", "New."]
    issue = SyncIssue.objects.get(kind="push_failed")
    assert issue.external_id == ids[2]
    assert "A rule of the CRM says no." in issue.message
    assert waiting() == []
    pull(connection, full=True)  # a full run tries again what was never settled
    push()
    assert crm.value(ids[2], "notes") == "New."
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


class refusing:  # noqa: N801 - reads as a word
    """While it lasts, the CRM refuses every edit of one record through the API."""

    def __init__(self, crm: LiveCrm, external_id: str) -> None:
        self.crm, self.external_id, self.edit = crm, external_id, crm.edit

    def __enter__(self) -> None:
        def edit_or_refuse(external_id: str, **values: object) -> None:
            if external_id == self.external_id:
                raise Rejected("A rule of the CRM says no.", code="RULE")
            self.edit(external_id, **values)  # type: ignore[arg-type]

        self.crm.edit = edit_or_refuse  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self.crm.edit = self.edit  # type: ignore[method-assign]


def test_a_field_that_the_crm_hides_now_is_left_out_and_the_others_go(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 22: the schema is read anew, once."""
    crm.hide("notes")
    edit(notes="New.", plan="Pro")
    with later(minutes=5):
        push()
        assert crm.value(linked, "plan") == "Pro"
        assert waiting() == []
    assert crm.count("fields") == 2


def test_a_configuration_that_stays_broken_is_told_and_the_pushes_wait(crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro")
    crm.fail("read", ConfigError("The field “plan” is hidden.", field="plan"), times=20)
    push()
    assert len(waiting()) == 1
    assert SyncIssue.objects.get(kind="push_blocked").field == "plan"
    assert crm.count("read") <= 2
    crm.faults.clear()
    with later(minutes=20):
        push()
    assert crm.value(linked, "plan") == "Pro"
    assert SyncIssue.objects.get(kind="push_blocked").state == SyncIssue.State.RESOLVED


# --- trouble on the way ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["read", "update"])
def test_a_rate_limit_pauses_the_connection_and_costs_no_attempt(
    connection: Connection, crm: LiveCrm, linked: str, call: str
) -> None:
    """Row 18."""
    edit(plan="Pro")
    crm.fail(call, RateLimited("Wait.", retry_after=90))
    push()
    connection.refresh_from_db()
    assert connection.paused_until is not None
    assert (connection.paused_until - timezone.now()).total_seconds() > 80
    assert [(row.attempts, row.claimed_until) for row in waiting()] == [(0, None)]
    assert push() == 0
    with later(seconds=91):
        push()
    assert crm.value(linked, "plan") == "Pro"


def test_a_rate_limit_in_the_midst_of_a_batch_keeps_what_was_written_and_pauses(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 17: the pause is not forgotten at the end of the batch, and no success is sent again."""
    ids = many(crm, connection, 6)
    for pk in Contact.objects.values_list("pk", flat=True):
        change_contact(pk, {"notes": "New."}, source=Source("person"))
    crm.fail("update", RateLimited("Wait.", retry_after=90), skip=1)
    push()
    connection.refresh_from_db()
    assert connection.paused_until is not None
    written = [one for one in ids if crm.value(one, "notes") == "New."]
    assert len(written) == 2
    assert [(row.attempts, row.claimed_until) for row in waiting()] == [(0, None)] * 4
    crm.sent.clear()
    with later(seconds=91):
        push()
    assert {update.external_id for update in crm.sent} == set(ids) - set(written)


def test_refused_credentials_stop_the_connection_and_lose_nothing(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 20: one call, then none until somebody reconnects; the queue is kept."""
    edit(plan="Pro")
    crm.fail("read", AuthError("The credentials were refused."), times=99)
    crm.calls.clear()
    push()
    connection.refresh_from_db()
    assert (connection.status, connection.status_reason) == (
        ConnectionStatus.ERROR,
        "The credentials were refused.",
    )
    with later(hours=5):
        assert push() == 0
    assert crm.count("read") == 1
    crm.faults.clear()
    assert connections.test_connection(connection)
    with later(minutes=5):
        push()
    assert crm.value(linked, "plan") == "Pro"


def test_credentials_refused_in_the_midst_of_a_batch_are_not_forgotten(
    connection: Connection, crm: LiveCrm
) -> None:
    many(crm, connection, 4)
    for pk in Contact.objects.values_list("pk", flat=True):
        change_contact(pk, {"notes": "New."}, source=Source("person"))
    crm.fail("update", AuthError("The credentials were refused."), skip=1)
    push()
    connection.refresh_from_db()
    assert connection.status == ConnectionStatus.ERROR
    assert len(waiting()) == 2


@pytest.mark.parametrize(
    "error", [Transient("Unreachable."), ProviderError("What?")], ids=["known", "unknown"]
)
def test_trouble_is_tried_again_ten_times_and_then_a_person_is_asked(
    crm: LiveCrm, linked: str, error: ProviderError
) -> None:
    """Row 32."""
    edit(plan="Pro")
    crm.fail("read", error, times=99)
    crm.calls.clear()
    push()
    assert [row.attempts for row in waiting()] == [1]
    assert push() == 0  # not before its time
    for attempt in range(2, 13):
        with later(hours=2 * attempt):
            push()
    assert crm.count("read") == 10
    assert waiting() == []
    assert SyncIssue.objects.get(kind="push_failed").contact == contact()
    crm.faults.clear()
    edit(notes="Again.")
    push()
    assert crm.value(linked, "plan") == "Pro"  # the next touch sends what was left


def test_an_edit_after_nine_failures_starts_anew(crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro")
    drain_touched()
    PendingPush.objects.update(attempts=9)
    crm.fail("update", Transient("Unreachable."))
    crm.then["read"].append(steps(lambda: edit(plan="Starter"), drain_touched))
    push()
    assert crm.value(linked, "plan") == "Starter"
    assert waiting() == []


def test_an_answer_that_was_lost_is_sent_again_and_harmless(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 8."""
    edit(plan="Pro")
    crm.fail("update", lost_answer(), applied=True)
    push()
    assert crm.value(linked, "plan") == "Pro"
    assert len(waiting()) == 1
    with later(minutes=2):
        crm.sent.clear()
        push()
    assert waiting() == []
    assert crm.sent == []  # the read before the write showed that it had arrived
    assert not SyncIssue.objects.exists()


def test_a_bug_of_ours_is_loud_and_loses_nothing(crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro")

    def break_down() -> None:
        raise ZeroDivisionError

    crm.then["read"].append(break_down)
    drain_touched()
    with pytest.raises(ZeroDivisionError):
        push_some()
    assert [(row.attempts, row.claimed_until) for row in waiting()] == [(1, None)]
    with later(minutes=1):
        push()
    assert crm.value(linked, "plan") == "Pro"


def test_a_killed_workers_push_is_taken_up_after_its_lease(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 32: the worker died with the row in hand."""
    edit(plan="Pro")
    drain_touched()
    assert len(claim(connection)) == 1
    assert push() == 0
    with later(minutes=4):
        push()
    assert crm.value(linked, "plan") == "Pro"


# --- records that end, and races with the inbound sync ---------------------------------------------


@pytest.mark.parametrize("seen", ["by the read", "by the write"])
def test_a_record_deleted_in_the_crm_ends_the_push(crm: LiveCrm, linked: str, seen: str) -> None:
    edit(plan="Pro")
    if seen == "by the read":
        crm.delete(linked)
    else:
        crm.then["read"].append(lambda: crm.delete(linked))
    push()
    for attempt in range(1, 4):
        with later(minutes=attempt):
            push()
    assert link(linked).state == RecordState.GONE
    assert waiting() == []
    assert contact().custom_fields["plan"] == "Pro"


def test_a_record_merged_in_the_crm_is_pushed_to_the_winner(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 24."""
    winner = crm.add(last_name="King")
    sync(connection)
    edit(plan="Pro")
    crm.merge(winner, linked)
    push()
    assert link(winner).contact == contact()
    assert crm.value(winner, "plan") == "Pro"


def test_a_merge_followed_between_read_and_write_is_no_deletion(fields: None, crm: LiveCrm, ada: str) -> None:
    """The link has moved to the winner since the CRM was asked: the contact is not deleted, the winner gets the push."""
    connection = connect(delete_policy="delete")
    sync(connection)
    winner = crm.add(last_name="King")
    sync(connection)
    edit(plan="Pro")
    crm.then["read"].append(steps(lambda: crm.merge(winner, ada), lambda: follow(connection)))
    push()
    assert contact().custom_fields["plan"] == "Pro"
    assert link(winner).contact == contact()
    assert crm.value(winner, "plan") == "Pro"


def test_a_merge_followed_between_write_and_answer_leaves_the_winner_to_be_pushed(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """What was written is in the loser: the winner has not got it, and the push is not done."""
    winner = crm.add(last_name="King")
    sync(connection)
    edit(plan="Pro")
    crm.then["update"].append(steps(lambda: crm.merge(winner, linked), lambda: follow(connection)))
    push()
    assert link(winner).contact == contact()
    assert crm.value(winner, "plan") == "Pro"
    assert waiting() == []


def follow(connection: Connection) -> None:
    """A run of another worker, seen from within a push."""
    PendingPush.objects.update(claimed_until=None)  # else the record would be left to the push
    pull(connection)
    PendingPush.objects.update(claimed_until=timezone.now())


def test_a_page_older_than_a_push_does_not_bring_the_old_value_back(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 3: the page was read before the push and is applied after it."""
    crm.touch(linked)
    edit(plan="Pro")
    crm.then["changes"].append(lambda: push())
    run = pull(connection)
    assert run.counts["left_to_push"] == 1
    push()
    assert contact().custom_fields["plan"] == "Pro"
    assert crm.value(linked, "plan") == "Pro"


def test_what_a_page_left_to_a_push_is_read_by_it(connection: Connection, crm: LiveCrm, linked: str) -> None:
    """The page held an edit in the CRM as well; the push that was to read it had read before that edit."""

    def push_then_edit() -> None:
        push()
        crm.edit(linked, notes="Newer than the push.")

    crm.touch(linked)
    edit(plan="Pro")
    crm.then["changes"].append(push_then_edit)
    run = pull(connection)
    assert run.counts["left_to_push"] == 1
    crm.advance(hours=1)  # no overlap shows it again
    push()
    assert contact().custom_fields == {"plan": "Pro", "notes": "Newer than the push."}


def test_a_push_in_hand_while_a_page_is_applied_reads_what_the_page_had(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(plan="Pro")

    def pull_a_newer_edit() -> None:
        crm.edit(linked, notes="After the push had read.")
        assert pull(connection).counts["left_to_push"] == 1
        crm.advance(hours=1)

    crm.then["read"].append(pull_a_newer_edit)
    push()
    assert contact().custom_fields == {"plan": "Pro", "notes": "After the push had read."}
    assert crm.value(linked, "plan") == "Pro"
    assert waiting() == []


# --- what makes a push -----------------------------------------------------------------------------


def test_what_an_import_wrote_makes_no_push_to_its_own_crm(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, plan="Pro")
    pull(connection)
    assert ContactTouched.objects.count() == 1
    drain_touched()
    assert waiting() == []


def test_edits_made_while_the_connection_is_off_are_kept_for_it(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 35: a pause loses nothing."""
    Connection.objects.update(enabled=False)
    edit(plan="Pro")
    assert push() == 1  # the note is read, nothing is sent
    assert crm.sent == []
    Connection.objects.update(enabled=True)
    push()
    assert crm.value(linked, "plan") == "Pro"


def test_urgent_pushes_go_first_and_alone_where_asked(connection: Connection, crm: LiveCrm) -> None:
    """Row 37."""
    ids = many(crm, connection, 3)
    first, second, third = Contact.objects.order_by("pk").values_list("pk", flat=True)
    for pk in (first, second):
        change_contact(pk, {"notes": "Import."}, source=Source("import", urgent=False))
    change_contact(third, {"notes": "Typed."}, source=Source("person"))
    drain_touched()
    assert push_some(urgent_only=True) == 1
    assert [update.external_id for update in crm.sent] == [ids[2]]
    assert push_some(urgent_only=True) == 0
    assert push_some() == 2


def test_a_backlog_of_one_connection_does_not_starve_another(
    connection: Connection, crm: LiveCrm, other_crm: LiveCrm, linked: str
) -> None:
    second = connect("two", rank=2)
    other_crm.add(last_name="Lovelace", phone=ADA)
    sync(second, connection)
    grace = crm.add(last_name="Hopper", phone=GRACE)
    sync(connection)
    edit(GRACE, notes="New.")
    drain_touched()
    PendingPush.objects.update(due_at=timezone.now() - timedelta(seconds=1), urgent=False)
    edit(ADA, notes="Old.")
    drain_touched()
    PendingPush.objects.filter(connection=second).update(
        due_at=timezone.now() - timedelta(minutes=1), urgent=False
    )
    PendingPush.objects.update(urgent=False)
    other_crm.sent.clear()
    push_some()
    assert len(other_crm.sent) == 1
    assert crm.value(grace, "notes") is None


def test_several_threads_push_each_contact_once(
    transactional_db: None, crm: LiveCrm, in_threads: Callable[..., list[object]]
) -> None:
    """Claims in real threads: nobody gets a row twice."""
    make_fields()
    connection = connect()
    many(crm, connection, 12)
    for pk in Contact.objects.values_list("pk", flat=True):
        change_contact(pk, {"notes": "New."}, source=Source("person"))
    drain_touched()
    lock = threading.Lock()
    taken: list[int] = []

    def take() -> None:
        for _ in range(6):
            rows = claim(connection, limit=2)
            with lock:
                taken.extend(row.pk for row in rows)

    in_threads(take, take)
    assert sorted(taken) == sorted(PendingPush.objects.values_list("pk", flat=True))


def test_record_gone_from_the_write_costs_attempts_and_ends(crm: LiveCrm, linked: str) -> None:
    """A CRM that shows a record but calls it gone when it is written: no endless loop."""
    edit(plan="Pro")
    crm.fail("update", RecordGone("Gone."), times=99)
    push()
    for attempt in range(1, 14):
        with later(hours=2 * attempt):
            push()
    assert waiting() == []
    assert SyncIssue.objects.get(kind="push_failed").contact == contact()
