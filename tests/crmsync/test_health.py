"""Probes and monitoring: what they answer when all is well, and the words when it is not."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from activity.models import WebhookDelivery
from crmsync import health, metrics
from crmsync.management.commands import worker_health
from crmsync.models import Heartbeat
from crmsync.schedules import SCHEDULES, ensure_schedules
from integrations.models import Connection
from sync.models import SyncRun


def beat(minutes_ago: float) -> None:
    Heartbeat.beat()
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(minutes=minutes_ago))


def scraped(client: Client) -> dict[str, float]:
    text = client.get("/metrics").content.decode()
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def test_the_process_answers_without_a_database(client: Client) -> None:
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_ready_when_the_worker_beats(client: Client) -> None:
    Heartbeat.beat()

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "problems": {}})


@pytest.mark.django_db
def test_not_ready_before_the_worker_ever_ran(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "never run" in answer.json()["problems"]["worker"]


@pytest.mark.django_db
def test_not_ready_when_the_worker_went_silent(client: Client) -> None:
    beat(minutes_ago=3.1)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "silent for 186 seconds" in answer.json()["problems"]["worker"]


@pytest.mark.django_db
def test_not_ready_while_migrations_are_missing(client: Client) -> None:
    health._schema_is_complete.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'crmsync'")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["problems"]["migrations"]


@pytest.mark.django_db
def test_not_ready_without_a_database_and_the_address_stays_private(client: Client) -> None:
    def refuse(*_: Any) -> None:
        raise DatabaseError("connection to server at 10.0.0.7, user ada failed")

    with connection.execute_wrapper(refuse):
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["problems"] == {"database": "the database does not answer (DatabaseError)"}


@pytest.mark.django_db
def test_worker_health_fails_only_after_three_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    beat(minutes_ago=2.9)
    call_command(worker_health.Command())
    assert "alive" in capsys.readouterr().out

    beat(minutes_ago=3.1)
    with pytest.raises(CommandError, match="silent for 186 seconds"):
        call_command(worker_health.Command())


@pytest.mark.django_db
def test_metrics_show_what_waits_and_since_when(client: Client) -> None:
    async_task("crmsync.tasks.sweep")
    async_task("crmsync.tasks.sweep")
    OrmQ.objects.filter(pk=OrmQ.objects.latest("pk").pk).update(lock=timezone.now() - timedelta(seconds=90))
    beat(minutes_ago=1)

    seen = scraped(client)

    assert seen["crmsync_queue_depth"] == 2
    assert 90 <= seen["crmsync_queue_oldest_seconds"] < 95
    assert 60 <= seen["crmsync_heartbeat_age_seconds"] < 65


@pytest.mark.django_db
def test_metrics_show_overdue_work_and_the_freshness_of_each_connection(client: Client) -> None:
    now = timezone.now()
    sales = Connection.objects.create(name="Sales", provider="salesforce", status="connected")
    Connection.objects.create(name="Support", provider="hubspot", status="error")
    SyncRun.objects.create(connection=sales, state="succeeded", finished_at=now - timedelta(minutes=4))
    SyncRun.objects.create(connection=sales, state="failed", finished_at=now)
    for event, due in (
        ("call_ended", now - timedelta(seconds=30)),
        ("call_analyzed", now + timedelta(hours=1)),
    ):
        WebhookDelivery.objects.create(event=event, body_hash="a", body=b"{}", due_at=due)

    seen = scraped(client)

    assert seen['crmsync_due{kind="webhook deliveries"}'] == 1
    assert 30 <= seen['crmsync_due_oldest_seconds{kind="webhook deliveries"}'] < 35
    assert seen['crmsync_due_oldest_seconds{kind="pushes"}'] == 0
    assert 240 <= seen['crmsync_sync_age_seconds{connection="Sales"}'] < 245
    assert 'crmsync_sync_age_seconds{connection="Support"}' not in seen
    assert seen['crmsync_connection_up{connection="Sales"}'] == 1
    assert seen['crmsync_connection_up{connection="Support"}'] == 0


@pytest.mark.django_db
def test_a_measure_that_cannot_be_read_costs_only_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> metrics.Readings:
        raise DatabaseError("no such table")

    monkeypatch.setattr(
        metrics, "MEASURES", [metrics.Measure("broken", "-", (), unreadable), *metrics.MEASURES]
    )

    seen = scraped(client)

    assert seen['crmsync_measure_failed{measure="broken"}'] == 1
    assert seen["crmsync_queue_depth"] == 0


@pytest.mark.django_db
def test_requests_are_counted_by_route_not_by_path(client: Client) -> None:
    name = 'crmsync_request_seconds_count{method="GET",route="healthz",status="200"}'
    before = scraped(client).get(name, 0)

    client.get("/healthz?number=+14155550100")
    seen = scraped(client)

    assert seen[name] == before + 1
    assert not any("4155550100" in line for line in seen)


def test_every_answer_carries_a_request_id_and_a_strict_content_policy(client: Client) -> None:
    answer = client.get("/healthz")

    assert len(answer["X-Request-Id"]) == 32
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.django_db
def test_migrate_leaves_each_schedule_once_and_corrects_it() -> None:
    Schedule.objects.filter(name="crmsync sweep").update(minutes=30, func="gone.after.a.rename")
    due = Schedule.objects.get(name="crmsync sweep").next_run

    ensure_schedules()
    ensure_schedules()

    rows = Schedule.objects.filter(name__startswith="crmsync ")
    assert sorted(rows.values_list("name", "func")) == sorted((n, r["func"]) for n, r in SCHEDULES.items())
    sweep = rows.get(name="crmsync sweep")
    assert (sweep.minutes, sweep.repeats, sweep.next_run) == (1, -1, due)


@pytest.mark.django_db
def test_a_migrate_without_the_queues_table_writes_no_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule._meta, "db_table", "not_there_yet")

    ensure_schedules()
