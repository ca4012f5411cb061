"""Runs: one at a time, resumed where they stood, paused by limits, ended with words."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.models import Contact
from integrations.connections import test_connection as try_connection
from integrations.models import Connection, ConnectionStatus
from integrations.providers.errors import AuthError, ProviderError, RateLimited, Transient
from sync import pull as pulling
from sync.models import RunState, SyncIssue, SyncRun
from sync.pull import pull_some, run_now, work_on
from sync.runs import RunOpen, request_due_runs, request_run
from sync.wake import awake, wake
from tests.sync.conftest import make_fields
from tests.sync.world import ADA, LiveCrm, connect, contact, edit, later, pull


def fill(crm: LiveCrm, count: int = 9) -> None:
    """So many people, three to a page."""
    for index in range(count):
        crm.add(last_name=f"L{index}", phone=f"+1415555{3000 + index}")


class Killed(BaseException):
    """What a worker feels when it is killed: nothing of ours may catch it."""


def kill() -> None:
    """The end of the worker."""
    raise Killed


def test_a_second_run_is_refused_and_says_which_one_is_open(connection: Connection, crm: LiveCrm) -> None:
    """Row 42."""
    run = request_run(connection)
    with pytest.raises(RunOpen, match=f"run {run.pk}, queued") as refused:
        request_run(connection, full=True)
    assert refused.value.run == run
    assert run_now(run).state == RunState.SUCCEEDED
    assert request_run(connection) != run


def test_two_requests_at_once_make_one_run(
    transactional_db: None, crm: LiveCrm, in_threads: Callable[..., list[object]]
) -> None:
    """Row 42: for real, on the database's constraint."""
    make_fields()
    connection = connect()

    def ask() -> object:
        try:
            return request_run(connection)
        except RunOpen as refused:
            return refused

    for _ in range(10):
        answers = in_threads(ask, ask, ask)
        runs = [one for one in answers if isinstance(one, SyncRun)]
        assert len(runs) == 1
        assert all(one.run == runs[0] for one in answers if isinstance(one, RunOpen))
        SyncRun.objects.update(state=RunState.CANCELLED)


def test_two_workers_never_work_on_one_run(
    transactional_db: None, crm: LiveCrm, in_threads: Callable[..., list[object]]
) -> None:
    """Row 42: a claim is given once; the counts are right."""
    make_fields()
    connection = connect()
    fill(crm)
    run = request_run(connection)
    awake()
    handled = in_threads(pull_some, pull_some, pull_some)
    assert sorted(map(str, handled)) == ["0", "0", "1"]
    run.refresh_from_db()
    assert (run.state, run.done, run.counts) == (RunState.SUCCEEDED, 9, {"created": 9})


def test_the_cursor_is_stored_with_its_page_and_never_before(connection: Connection, crm: LiveCrm) -> None:
    """Row 45: the second page fails; what is stored covers the first page only."""
    fill(crm)
    crm.fail("changes", Transient("Unreachable."), skip=1)
    run = request_run(connection)
    assert work_on(run)
    run.refresh_from_db()
    assert (run.done, run.attempts, run.claimed_until) == (3, 1, None)
    assert Contact.objects.count() == 3
    connection.refresh_from_db()
    assert connection.cursor == ""  # the connection's moves only when the run is complete


def test_a_killed_run_resumes_at_its_last_page(connection: Connection, crm: LiveCrm) -> None:
    """Row 32: its lease runs out, another worker goes on, and no page is read twice."""
    fill(crm)
    crm.then["changes"] += [lambda: None, kill]
    run = request_run(connection)
    with pytest.raises(Killed):
        work_on(run)
    run.refresh_from_db()
    assert (run.state, run.done) == (RunState.RUNNING, 3)
    assert pull_some() == 0  # nobody takes it while the lease lasts
    crm.calls.clear()
    awake()
    with later(minutes=4):
        assert pull_some() == 1
    run.refresh_from_db()
    assert (run.state, run.done, run.counts["created"]) == (RunState.SUCCEEDED, 9, 9)
    assert crm.count("changes") == 2


def test_a_worker_that_lost_its_lease_leaves_the_run_alone(connection: Connection, crm: LiveCrm) -> None:
    """It slept through its lease while another finished the run: it neither fails the run nor counts twice."""
    fill(crm)
    run = request_run(connection)

    def finish_elsewhere() -> None:
        SyncRun.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        awake()
        assert pull_some() == 1

    crm.then["changes"] += [lambda: None, finish_elsewhere]
    assert work_on(run)
    run.refresh_from_db()
    assert (run.state, run.done, run.counts["created"]) == (RunState.SUCCEEDED, 9, 9)
    assert not SyncIssue.objects.exists()


def test_a_run_that_a_person_cancelled_stays_cancelled(connection: Connection, crm: LiveCrm) -> None:
    fill(crm)
    run = request_run(connection)
    crm.then["changes"] += [lambda: None, lambda: SyncRun.objects.update(state=RunState.CANCELLED)]
    work_on(run)
    run.refresh_from_db()
    assert (run.state, run.done) == (RunState.CANCELLED, 3)


def test_a_rate_limit_pauses_the_connection_and_costs_no_attempt(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 18: the run waits as long as the CRM asked and goes on where it was."""
    fill(crm)
    crm.fail("changes", RateLimited("Wait.", retry_after=300), skip=1)
    run = pull(connection)
    assert (run.state, run.attempts, run.done) == (RunState.RUNNING, 0, 3)
    connection.refresh_from_db()
    assert connection.paused_until is not None
    assert (connection.paused_until - timezone.now()).total_seconds() > 290
    assert pull_some() == 0
    with later(seconds=301):
        assert run_now(run).state == RunState.SUCCEEDED
    assert run.counts["created"] == 9
    connection.refresh_from_db()
    assert connection.paused_until is None


def test_running_now_returns_when_it_would_have_to_wait_for_long(
    connection: Connection, crm: LiveCrm
) -> None:
    """No command hangs on a connection that is off or paused."""
    run = request_run(connection)
    begun = time.monotonic()
    Connection.objects.update(enabled=False)
    assert run_now(run).state == RunState.QUEUED
    Connection.objects.update(enabled=True, paused_until=timezone.now() + timedelta(hours=9))
    assert run_now(run).state == RunState.QUEUED
    assert time.monotonic() - begun < 2
    Connection.objects.update(paused_until=None)
    assert run_now(run).state == RunState.SUCCEEDED


def test_trouble_is_tried_again_with_growing_distance_and_ends_after_ten(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 16: the end is a failure with its reason, never a success."""
    crm.fail("changes", Transient("The CRM does not answer."), times=99)
    run = request_run(connection)
    waits = []
    for attempt in range(1, 11):
        with later(hours=attempt):
            assert work_on(run)
            run.refresh_from_db()
            waits.append((run.next_attempt_at - timezone.now()).total_seconds())
    assert (run.state, run.error) == (RunState.FAILED, "The CRM does not answer.")
    assert waits[:3] == pytest.approx([5.6, 11, 22], rel=0.2)
    assert crm.count("changes") == 10
    assert SyncIssue.objects.get(kind="run_failed").message == "The sync stopped: The CRM does not answer."
    crm.faults.clear()
    assert pull(connection).state == RunState.SUCCEEDED
    assert SyncIssue.objects.get(kind="run_failed").state == SyncIssue.State.RESOLVED


def test_a_page_that_arrives_sets_the_attempts_back(connection: Connection, crm: LiveCrm) -> None:
    fill(crm, 12)
    run = request_run(connection)
    for page in range(3):
        crm.fail("changes", Transient("Unreachable."), skip=1)
        with later(minutes=page):
            work_on(run)
        run.refresh_from_db()
        assert run.attempts == 1
        assert run.done == 3 * (page + 1)


def test_refused_credentials_end_the_run_and_put_the_connection_into_error(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Rows 16, 20, 21: a clear reason, no further calls, mappings and cursor kept, and a reconnect goes on."""
    connection.refresh_from_db()
    cursor = connection.cursor
    crm.edit(linked, plan="Pro")
    crm.fail("changes", AuthError("The user of this connection was deactivated."), times=99)
    run = pull(connection)
    assert run.state == RunState.FAILED
    connection.refresh_from_db()
    assert (connection.status, connection.status_reason) == (ConnectionStatus.ERROR, run.error)
    with later(hours=1):
        assert request_due_runs() == 0
    crm.faults.clear()
    assert try_connection(connection)
    connection.refresh_from_db()
    assert (connection.status, connection.cursor) == (ConnectionStatus.CONNECTED, cursor)
    assert pull(connection).state == RunState.SUCCEEDED
    assert contact().custom_fields["plan"] == "Pro"


@pytest.mark.parametrize(
    ("error", "code"),
    [(ProviderError("Strange.", code="odd"), "odd"), (AuthError("No."), "AuthError")],
    ids=["unlisted", "auth"],
)
def test_a_run_that_had_done_something_is_called_partly_done(
    connection: Connection, crm: LiveCrm, error: ProviderError, code: str
) -> None:
    """Row 16."""
    fill(crm)
    crm.fail("changes", error, skip=1)
    run = pull(connection)
    assert (run.state, run.error_code, run.error, run.done) == (RunState.PARTIAL, code, error.message, 3)
    assert run.finished_at is not None
    assert run.claimed_until is None


def test_a_bug_of_ours_is_loud_and_names_no_secret(connection: Connection, crm: LiveCrm) -> None:
    fill(crm)
    crm.then["changes"].append(lambda: 1 // 0)
    run = request_run(connection)
    with pytest.raises(ZeroDivisionError):
        work_on(run)
    run.refresh_from_db()
    assert (run.state, run.error_code) == (RunState.FAILED, "internal")
    assert "server's log" in run.error


def test_a_long_run_gives_way_after_each_stretch(
    connection: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 37: an import never holds a worker for long; it goes on later where it stood."""
    monkeypatch.setattr(pulling, "STRETCH", -1.0)
    fill(crm)
    run = request_run(connection)
    done = []
    while run.open:
        assert pull_some() == 1
        run.refresh_from_db()
        done.append(run.done)
    assert done == [3, 6, 9]
    assert run.counts == {"created": 9}


def test_a_long_run_gives_way_to_whoever_calls(connection: Connection, crm: LiveCrm) -> None:
    """Row 37: a fresh conversation does not wait for the end of the stretch."""
    fill(crm)
    run = request_run(connection)
    awake()
    crm.then["changes"].append(wake)
    assert pull_some() == 1
    run.refresh_from_db()
    assert (run.done, run.claimed_until) == (3, None)


def test_an_edit_here_between_two_stretches_is_seen(
    connection: Connection, crm: LiveCrm, linked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "STRETCH", -1.0)
    fill(crm, 3)
    crm.edit(linked, plan="Pro")
    run = request_run(connection)
    pull_some()
    edit(ADA, notes="Between.")
    run_now(run)
    assert contact().custom_fields == {"plan": "Pro", "notes": "Between."}


# --- the clock -------------------------------------------------------------------------------------


def test_the_sweep_queues_what_is_due_and_keeps_the_rhythm(connection: Connection, crm: LiveCrm) -> None:
    due = timezone.now() - timedelta(seconds=20)
    Connection.objects.update(next_sync_at=due, interval_minutes=5)
    assert request_due_runs() == 1
    run = SyncRun.objects.get()
    assert (run.trigger, run.state) == (SyncRun.Trigger.CRON, RunState.QUEUED)
    connection.refresh_from_db()
    assert connection.next_sync_at == due + timedelta(minutes=5)
    assert request_due_runs() == 0
    with later(minutes=5):
        assert request_due_runs() == 0  # the first is still open: no second one


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"paused_until": timezone.now() + timedelta(days=1)},
        {"status": ConnectionStatus.ERROR},
    ],
    ids=["off", "paused", "in error"],
)
def test_the_sweep_leaves_connections_alone_that_cannot_run(
    connection: Connection, change: dict[str, object]
) -> None:
    Connection.objects.update(**change)
    assert request_due_runs() == 0


def test_a_connection_without_mappings_is_not_synced_by_the_clock(
    connection: Connection, crm: LiveCrm
) -> None:
    connection.inbound_mappings.all().delete()
    assert request_due_runs() == 0


def test_a_server_that_slept_syncs_once_and_not_for_every_missed_time(
    connection: Connection, crm: LiveCrm
) -> None:
    Connection.objects.update(next_sync_at=timezone.now() - timedelta(days=3))
    assert request_due_runs() == 1
    connection.refresh_from_db()
    assert connection.next_sync_at > timezone.now()


def test_a_request_reads_the_cursor_as_it_is_now(connection: Connection, linked: str) -> None:
    """A connection loaded before the first run finished does not cause a second full one."""
    assert connection.cursor == ""  # as it was loaded
    assert request_run(connection).kind == SyncRun.Kind.INCREMENTAL
