"""What /metrics tells Prometheus: gauges read from the database at each scrape, and request times.

A gauge is a `Measure` in MEASURES: the parts of the house that keep queues or links add theirs there. Labels
and values are counts, ages and states, never a person's data.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError
from django.db.models import Max, Min, QuerySet
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from activity import asking
from activity.models import ActivityEntry, WebhookDelivery
from crmsync.models import Heartbeat
from integrations.models import Connection
from sync.models import PendingPush

log = structlog.get_logger(__name__)

# Kept out of the global registry: in several web processes it is read back through their shared directory.
_REQUESTS = CollectorRegistry()
REQUEST_SECONDS = Histogram(
    "crmsync_request_seconds",
    "Time to answer a request, by method, route and status.",
    ["method", "route", "status"],
    registry=_REQUESTS,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

Readings = Mapping[tuple[str, ...], float]


class Measure(NamedTuple):
    """One gauge: `read` returns a value per tuple of label values (the empty tuple when it has no labels)."""

    name: str
    words: str
    labels: tuple[str, ...]
    read: Callable[[], Readings]


def _queue_depth() -> Readings:
    return {(): float(OrmQ.objects.count())}


def _queue_age() -> Readings:
    # A row waits from its lock time: enqueued then, or due again then.
    oldest = (
        OrmQ.objects.filter(lock__lte=timezone.now()).order_by("lock").values_list("lock", flat=True).first()
    )
    return {(): (timezone.now() - oldest).total_seconds() if oldest else 0.0}


def _heartbeat_age() -> Readings:
    age = Heartbeat.age()
    return {} if age is None else {(): age.total_seconds()}


def _waiting() -> dict[str, QuerySet[Any]]:
    """The rows that are due now, by what they are."""
    now = timezone.now()
    return {
        "webhook deliveries": WebhookDelivery.objects.filter(state="pending", due_at__lte=now),
        "pushes": PendingPush.objects.filter(due_at__lte=now),
        "activity entries": ActivityEntry.objects.open().filter(due_at__lte=now),
    }


def _due() -> Readings:
    return {(kind,): float(rows.count()) for kind, rows in _waiting().items()}


def _due_age() -> Readings:
    oldest = {kind: rows.aggregate(at=Min("due_at"))["at"] for kind, rows in _waiting().items()}
    return {(kind,): (timezone.now() - at).total_seconds() if at else 0.0 for kind, at in oldest.items()}


def _sync_age() -> Readings:
    """By connection; one that never finished a run is left out, and shows in crmsync_connection_up."""
    done = Connection.objects.filter(enabled=True, runs__state="succeeded")
    rows = done.annotate(at=Max("runs__finished_at")).values_list("name", "at")
    return {(name,): (timezone.now() - at).total_seconds() for name, at in rows if at}


def _connection_up() -> Readings:
    rows = Connection.objects.filter(enabled=True).values_list("name", "status")
    return {(name,): float(status == "connected") for name, status in rows}


def _merge_cost() -> Readings:
    return {(): float(asking.spent())}


def _merge_budget() -> Readings:
    limit = asking.budget()
    return {} if limit is None else {(): float(limit)}


MEASURES: list[Measure] = [
    Measure("crmsync_queue_depth", "Tasks in the queue, running ones included.", (), _queue_depth),
    Measure("crmsync_queue_oldest_seconds", "Age of the oldest task that waits.", (), _queue_age),
    Measure("crmsync_heartbeat_age_seconds", "Time since the worker's last sweep.", (), _heartbeat_age),
    Measure("crmsync_due", "Rows that wait for a worker.", ("kind",), _due),
    Measure("crmsync_due_oldest_seconds", "How long the oldest of them has been due.", ("kind",), _due_age),
    Measure(
        "crmsync_sync_age_seconds", "Time since a connection's last good run.", ("connection",), _sync_age
    ),
    Measure("crmsync_merge_cost", "What merges have cost this month (UTC).", (), _merge_cost),
    Measure("crmsync_merge_budget", "What they may cost; missing: no limit.", (), _merge_budget),
    Measure("crmsync_connection_up", "1 while a connection works.", ("connection",), _connection_up),
]


class DatabaseGauges(Collector):
    """Reads every measure; one that cannot be read is left out, logged, and counted as failed."""

    def collect(self) -> Iterator[Metric]:
        """The gauges of this moment."""
        failed = GaugeMetricFamily(
            "crmsync_measure_failed", "1 where a measure could not be read.", labels=["measure"]
        )
        for measure in MEASURES:
            try:
                readings = measure.read()
            except DatabaseError:
                log.exception("measure failed", measure=measure.name)
                failed.add_metric([measure.name], 1)
                continue
            family = GaugeMetricFamily(measure.name, measure.words, labels=measure.labels)
            for labels, value in readings.items():
                family.add_metric(labels, value)
            yield family
        yield failed


def exposition() -> bytes:
    """The answer to a scrape, in Prometheus' text format."""
    gauges = CollectorRegistry()
    gauges.register(DatabaseGauges())
    requests = _REQUESTS
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        requests = CollectorRegistry()
        MultiProcessCollector(requests)  # type: ignore[no-untyped-call]
    return generate_latest(gauges) + generate_latest(requests)
