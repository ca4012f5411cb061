"""Failure mode 37: a backlog never starves fresh calls. A large import runs while a conversation's values are pushed."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connections
from django.db import connection as database
from django.utils import timezone

from contacts.changes import Source, change_contact
from contacts.models import Contact, ContactTouched
from crmsync import tasks
from integrations.models import Connection
from integrations.providers.base import Page, Record
from integrations.providers.registry import PROVIDERS, ProviderEntry
from integrations.providers.setup import Setup
from sync import pull as pulling
from sync.models import PendingPush, RunState, SyncRun
from sync.pull import pull_some
from sync.runs import request_run
from sync.touch import drain_touched
from sync.wake import awake, wake
from tests.fakes.provider import CRMS
from tests.sync.conftest import make_fields
from tests.sync.world import ADA, LiveCrm, LiveProvider, connect, contact, pull

COUNT, PAGE = 20_000, 1000
ENTRY = ProviderEntry("Fake", "tests.sync.test_priority:slow_provider", ("key",), "phone", "")
CONVERSATION = Source("conversation", "conversation:1", "call")
STAMP = datetime(2026, 1, 1, tzinfo=UTC)


class SlowProvider(LiveProvider):
    """Pages of a thousand people, each of which takes the CRM a moment."""

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """A large listing, in the order of its numbers."""
        start = int(cursor or 0)
        while True:
            self._begin("changes", ())
            time.sleep(0.1)  # the CRM's own time
            people = [self._person(place, fields) for place in range(start, start + PAGE)]
            start += PAGE
            yield Page(people, str(start), last=start >= COUNT, total=COUNT)
            if start >= COUNT:
                return

    @staticmethod
    def _person(place: int, fields: Sequence[str]) -> Record:
        values = {"last_name": f"Lovelace {place}", "phone": f"+1212{5_000_000 + place}", "plan": "Free"}
        named = {name: values.get(name) for name in fields}
        return Record(f"P{place:06d}", named, STAMP + timedelta(seconds=place))


def slow_provider(setup: Setup) -> SlowProvider:
    """For the registry."""
    crm = CRMS.setdefault(setup.tenant_url, LiveCrm())
    assert isinstance(crm, LiveCrm)
    return SlowProvider(crm)


@pytest.fixture
def importing(transactional_db: None, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Ada is linked, and an import of 20,000 people is queued."""
    make_fields()
    connection = connect()
    crm.add(first_name="Ada", last_name="Lovelace", phone=ADA, plan="Free")
    pull(connection)
    ContactTouched.objects.all().delete()
    monkeypatch.setitem(PROVIDERS, "fake", ENTRY)
    Connection.objects.update(cursor="", first_full_run_at=None)
    request_run(Connection.objects.get())
    awake()
    return connection


def in_a_thread(work: Callable[[], Any]) -> threading.Thread:
    """Start work that closes its database connection when it is done."""

    def whole() -> None:
        close_old_connections()
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=whole)
    thread.start()
    return thread


def test_37_a_call_is_pushed_within_seconds_while_a_large_import_runs(
    importing: Connection, crm: LiveCrm, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set() and SyncRun.objects.filter(state__in=["queued", "running"]).exists():
            tasks.drain()

    worker = in_a_thread(work)
    waits: list[float] = []
    try:
        run = SyncRun.objects.latest("pk")
        for turn in range(3):
            until = time.monotonic() + 30
            while SyncRun.objects.get(pk=run.pk).done < PAGE * (turn + 1) and time.monotonic() < until:
                time.sleep(0.02)
            began = time.monotonic()
            change_contact(contact(ADA).pk, {"notes": f"Call {turn}"}, source=CONVERSATION)
            wake()
            while crm.value("R000001", "notes") != f"Call {turn}" and time.monotonic() < until:
                time.sleep(0.01)
            waits.append(time.monotonic() - began)
            assert crm.value("R000001", "notes") == f"Call {turn}"
        still_importing = SyncRun.objects.get(pk=run.pk).state == RunState.RUNNING
    finally:
        stop.set()
        worker.join(60)
    with capsys.disabled():
        sys.stdout.write(
            f"\n  one worker, import running: pushed after {statistics.median(waits):.2f} s (median), {max(waits):.2f} s\n"
        )
    assert still_importing
    assert max(waits) < 10
    assert not worker.is_alive()


def test_37_one_worker_does_what_is_urgent_before_the_next_page(
    importing: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "STRETCH", 1.0)
    monkeypatch.setattr(pulling, "STRETCH", 1.0)
    change_contact(contact(ADA).pk, {"notes": "Call"}, source=CONVERSATION)
    wake()
    tasks.drain()
    order = [name for name, _ in crm.calls]
    after = order[len(order) - order[::-1].index("update") - 1 :]
    assert crm.value("R000001", "notes") == "Call"
    assert "changes" in after
    # Nothing of the import was read before the call's values were written.
    assert crm.sent[0].values == {"notes": "Call"}
    assert SyncRun.objects.latest("pk").done > 0
    assert order.index("update") < max(place for place, name in enumerate(order) if name == "changes")


def test_37_a_run_stops_at_its_page_when_something_more_urgent_has_come(importing: Connection) -> None:
    wake()
    pull_some()
    assert SyncRun.objects.latest("pk").done == PAGE
    awake()


def test_37_the_order_of_a_drain_puts_calls_first_and_imports_last(db: None) -> None:
    names = [getattr(step, "__name__", "") for step in tasks.STEPS]
    assert names[:3] == ["process_some", "touched_by_people", "push_urgent"]
    assert names.index("log_some") < names.index("drain_touched")
    assert names.index("push_some") < names.index("pull_some")
    assert names.index("log_some") < names.index("push_some")


def test_37_urgent_pushes_go_before_older_ones(importing: Connection, crm: LiveCrm) -> None:
    many = [f"+1212{5_000_000 + place}" for place in range(300)]
    wake()
    pull_some()
    for number in many:
        change_contact(
            Contact.objects.get(phone_number=number).pk,
            {"notes": "Bulk"},
            source=Source("import", urgent=False),
        )
    change_contact(contact(ADA).pk, {"notes": "Call"}, source=CONVERSATION)
    drain_touched()
    PendingPush.objects.filter(urgent=False).update(due_at=timezone.now() - timedelta(hours=1))
    for step in tasks.STEPS[2:3]:
        step()
    assert [one.values for one in crm.sent] == [{"notes": "Call"}]


def test_no_chunk_of_an_import_holds_its_transaction_long(
    importing: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    held: list[float] = []
    run = SyncRun.objects.latest("pk")
    with database.execute_wrapper(_Transactions(held)):
        while run.state in (RunState.QUEUED, RunState.RUNNING) and run.done < 4 * PAGE:
            wake()
            pull_some()
            run.refresh_from_db()
    with capsys.disabled():
        sys.stdout.write(
            f"\n  write transactions of an import: {len(held)}, median {statistics.median(held) * 1000:.0f} ms,"
            f" longest {max(held) * 1000:.0f} ms\n"
        )
    assert statistics.median(held) < 1.0


class _Transactions:
    """Measures a chunk's transaction: from its first statement to the one that stores the run's progress, its last."""

    def __init__(self, held: list[float]) -> None:
        self.held, self.began = held, 0.0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        inside = context["connection"].in_atomic_block
        self.began = (self.began or time.perf_counter()) if inside else 0.0
        result = execute(sql, params, many, context)
        if inside and sql.startswith('UPDATE "sync_syncrun"') and '"counts"' in sql:
            self.held.append(time.perf_counter() - self.began)
            self.began = 0.0
        return result
