"""Is it alive, is it ready, and how is it doing: /healthz, /readyz and /metrics, for probes and monitoring.

/healthz answers while the process can answer at all. /readyz says in words what keeps the system from doing
its job: no database, migrations missing, no sign of life from the worker.
"""

from datetime import timedelta
from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST

from crmsync.metrics import exposition
from crmsync.models import Heartbeat

SILENCE_ALLOWED = timedelta(minutes=3)


def database_problem() -> str | None:
    """Words when the database does not answer, else None."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    return None


class MigrationsMissing(Exception):
    """Raised inside the cache so that only a complete schema is remembered."""


@cache
def _schema_is_complete() -> None:
    executor = MigrationExecutor(connection)
    if count := len(executor.migration_plan(executor.loader.graph.leaf_nodes())):
        raise MigrationsMissing(f"{count} migrations are not applied: run manage.py migrate")


def schema_problem() -> str | None:
    """Words when migrations are missing, else None."""
    try:
        _schema_is_complete()
    except MigrationsMissing as missing:
        return str(missing)
    return None


def worker_problem() -> str | None:
    """Words when the worker gave no sign of life for SILENCE_ALLOWED, else None."""
    age = Heartbeat.age()
    if age is None:
        return "the worker has never run: start manage.py worker"
    if age > SILENCE_ALLOWED:
        return f"the worker has been silent for {int(age.total_seconds())} seconds: restart manage.py worker"
    return None


def problems() -> dict[str, str]:
    """What keeps the system from doing its job, by part; later parts need earlier ones. Empty when ready."""
    for part, look in (
        ("database", database_problem),
        ("migrations", schema_problem),
        ("worker", worker_problem),
    ):
        if words := look():
            return {part: words}
    return {}


def healthz(_request: HttpRequest) -> HttpResponse:
    """200 while this process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when all parts work, else 503 and the reason in words."""
    found = problems()
    return JsonResponse({"ready": not found, "problems": found}, status=503 if found else 200)


def metrics(_request: HttpRequest) -> HttpResponse:
    """Everything monitoring asks for, as Prometheus reads it."""
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)
