"""Sync jobs as the API sees them: one job covers the runs of all connections that were started together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crmsync.api.base import ApiView, Choice, caller, documented, epoch_ms, without_blanks
from crmsync.api.errors import Refused
from crmsync.api_keys import Scope
from integrations.models import Connection
from sync.models import RunState, SyncRun
from sync.runs import RunOpen, request_run


class JobShape(serializers.Serializer):
    """Where the sync stands: what runs now, or with `idle` what the last one did."""

    status = Choice(["queued", "running", "idle"])
    succeeded = serializers.IntegerField(required=False, help_text="Records processed so far.")
    failed = serializers.IntegerField(
        required=False, help_text="Records skipped so far, such as those without a phone."
    )
    start_timestamp = serializers.IntegerField(required=False, help_text="Epoch milliseconds.")
    triggered_by = Choice(["manual", "cron"], required=False)


class RunSyncJob(ApiView):
    """A sync, now."""

    scopes = (Scope.RUN_JOBS,)

    @documented("run_sync_job", "crm", answer=JobShape, creates=True)
    def post(self, request: Request) -> Response:
        """Start a sync that re-reads everything from every connected CRM. Refused (400) while one runs."""
        with transaction.atomic():
            connections = list(Connection.objects.filter(enabled=True))
            if not connections:
                raise Refused("No CRM app is linked. Create one, or link it with app_id in the CRM config.")
            try:
                for connection in connections:
                    request_run(connection, full=True, trigger="manual", by=caller(request).name)
            except RunOpen as already:
                raise Refused(f"A sync job is already running: {already}") from None
        return Response(job_document())


class GetSyncJobStatus(ApiView):
    """The sync, watched."""

    scopes = (Scope.RUN_JOBS, Scope.CONFIGURE)

    @documented("get_sync_job_status", "crm", answer=JobShape)
    def get(self, _request: Request) -> Response:
        """Where the running or last sync stands, started by hand or by the clock."""
        return Response(job_document())


def job_document() -> dict[str, Any]:
    """The newest job: the last run of each syncing connection, as far as they overlapped in time."""
    runs = _newest_together()
    if not runs:
        return {"status": "idle"}
    states = {run.state for run in runs}
    status = "running" if RunState.RUNNING in states else "queued" if RunState.QUEUED in states else "idle"
    if status == "queued" and any(run.finished_at for run in runs):
        status = "running"  # one connection is done, the next one's turn comes
    starts = [run.started_at for run in runs if run.started_at]
    failed = sum(skipped(run) for run in runs)
    return without_blanks(
        {
            "status": status,
            "succeeded": sum(run.done for run in runs) - failed,
            "failed": failed,
            "start_timestamp": epoch_ms(min(starts)) if starts else None,
            "triggered_by": runs[0].trigger,
        }
    )


def _newest_together() -> Sequence[SyncRun]:
    last = SyncRun.objects.filter(connection__enabled=True).values("connection").annotate(last=Max("pk"))
    runs = list(SyncRun.objects.filter(pk__in=[row["last"] for row in last]).order_by("-created_at", "-pk"))
    since = min((run.created_at for run in runs if run.open), default=runs[0].created_at if runs else None)
    return [run for run in runs if run.finished_at is None or since is None or run.finished_at >= since]


def skipped(run: SyncRun) -> int:
    """How many records of a run could not be used, each with its reason on the run's page."""
    records: dict[str, int] = {
        name: n for name, n in run.counts.items() if name.startswith("skipped_") and name != "skipped_fields"
    }
    return min(sum(records.values()), run.done)
