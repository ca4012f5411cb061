"""The workers' tasks: most urgent first, in small portions, and nothing left lying."""

# ruff: noqa: F401, F811 - fixtures of the sync tests

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from activity.models import WebhookDelivery
from crmsync import tasks
from crmsync.api_keys import issue_key
from crmsync.models import Heartbeat, KeptAnswer
from integrations.models import Connection
from sync.models import RunState, SyncRun, WakeUp
from sync.runs import request_run
from tests.sync.conftest import ada, connection, crm, fields, linked
from tests.sync.world import ADA, LiveCrm, contact, edit, waiting


def test_draining_does_everything_that_is_due(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, first_name="Augusta")
    edit(plan="Pro")
    request_run(connection)
    handled = tasks.drain()
    assert handled >= 3
    assert contact().first_name == "Augusta"
    assert crm.value(linked, "plan") == "Pro"
    assert SyncRun.objects.filter(state=RunState.SUCCEEDED).count() == 2
    assert waiting() == []
    assert tasks.drain() == 0


def test_a_persons_edit_goes_out_before_a_run_comes_in(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 37."""
    request_run(connection)
    edit(plan="Pro")
    crm.calls.clear()
    tasks.drain()
    names = [name for name, _ in crm.calls]
    assert names.index("update") < names.index("changes")


def test_the_steps_are_in_the_order_of_urgency() -> None:
    names = [getattr(step, "__name__", "") for step in tasks.STEPS]
    assert names[:2] == ["process_some", "touched_by_people"]
    assert names.index("push_some") < names.index("pull_some")
    assert names[-1] == "check_some"
    assert names.index("log_some") < names.index("push_some")


def test_work_that_takes_longer_is_left_to_a_new_task(
    connection: Connection, crm: LiveCrm, linked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    OrmQ.objects.all().delete()
    WakeUp.objects.all().delete()
    monkeypatch.setattr(tasks, "STRETCH", -1.0)
    edit(plan="Pro")
    assert tasks.drain() == 0
    assert OrmQ.objects.count() == 1


def test_a_step_that_takes_long_starves_no_other(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 37: with a language model that hardly answers, fields are pushed and calls are logged all the same."""
    monkeypatch.setattr(tasks, "QUICK", 0.02)
    monkeypatch.setattr(tasks, "STRETCH", 0.02)
    done = []

    def step(name: str, seconds: float) -> Callable[[], int]:
        def work() -> int:
            time.sleep(seconds)
            done.append(name)
            return 1

        return work

    tasks.drain([step("merges", 0.05), step("pushes", 0), step("logging", 0)])
    assert done == ["merges", "pushes", "logging"]
    monkeypatch.setattr(tasks, "LONGEST", 0.02)
    done.clear()
    tasks.drain([step("merges", 0.05), step("pushes", 0)])
    assert done == ["merges"], "the queue would end a task that takes too long"


def test_a_drain_hears_wake_ups_that_come_after_it_began(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    request_run(connection)
    assert WakeUp.objects.get().pending
    tasks.drain()
    assert not WakeUp.objects.get().pending


def test_the_sweep_beats_queues_and_wakes(connection: Connection, crm: LiveCrm) -> None:
    OrmQ.objects.all().delete()
    tasks.sweep()
    assert Heartbeat.objects.exists()
    assert SyncRun.objects.get().trigger == SyncRun.Trigger.CRON
    assert OrmQ.objects.count() >= 1
    tasks.drain()
    assert SyncRun.objects.get().state == RunState.SUCCEEDED


def test_pruning_drops_old_rows_and_keeps_young_ones(connection: Connection, crm: LiveCrm) -> None:
    now = timezone.now()
    ages = {"quiet": 8, "busy": 60, "ancient": 91, "today": 0}
    runs = {}
    for name, days in ages.items():
        runs[name] = SyncRun.objects.create(
            connection=connection,
            state=RunState.SUCCEEDED,
            done=0 if name == "quiet" else 5,
            finished_at=now - timedelta(days=days),
        )
    old = WebhookDelivery.objects.count()
    key, _ = issue_key("script")
    for days in (0, 2):
        KeptAnswer.objects.create(
            api_key=key, key_hash=str(days), claimed_until=now, created_at=now - timedelta(days=days)
        )
    dropped = tasks.prune()
    assert (dropped["runs"], dropped["answers"]) == (2, 1)
    assert KeptAnswer.objects.get().key_hash == "0"
    assert set(SyncRun.objects.values_list("pk", flat=True)) == {runs["busy"].pk, runs["today"].pk}
    assert WebhookDelivery.objects.count() == old
