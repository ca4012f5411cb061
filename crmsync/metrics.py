"""What /metrics tells Prometheus: gauges read from the database at each scrape, and request times.

A gauge is a `Measure` in MEASURES: the parts of the house that keep queues or links add theirs there. Labels
and values are counts, ages and states, never a person's data.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import structlog
from django.db import DatabaseError
from django.utils import timezone
from django_q.models import OrmQ
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from crmsync.models import Heartbeat

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


MEASURES: list[Measure] = [
    Measure("crmsync_queue_depth", "Tasks in the queue, running ones included.", (), _queue_depth),
    Measure("crmsync_queue_oldest_seconds", "Age of the oldest task that waits.", (), _queue_age),
    Measure("crmsync_heartbeat_age_seconds", "Time since the worker's last sweep.", (), _heartbeat_age),
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
