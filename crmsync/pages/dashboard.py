"""The first page: is everything in step, and if not, where to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Subquery, Sum, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from activity.models import ActivityEntry, Conversation, MergeReview, WebhookDelivery
from crmsync.pages.chart import charts
from crmsync.pages.guard import page
from crmsync.pages.listing import OF_ITS_CONNECTION, UNSHOWN
from crmsync.pages.runs import LONG, Progress, progress_of
from integrations.health import Health, health_of, overall
from integrations.models import Connection
from sync.issues import OPEN
from sync.kinds import Category, kind_of
from sync.models import PendingPush, RunState, SyncIssue, SyncRun


@dataclass(frozen=True, slots=True)
class Panel:
    """One connection as the dashboard shows it."""

    connection: Connection
    health: Health
    last_run: SyncRun | None
    last_good: datetime | None
    pending: int
    oldest: datetime | None
    issues: int
    waiting: list[tuple[str, str]]
    share: int | None
    quota: tuple[int, int] | None
    progress: Progress | None


@page("integrations.view_connection")
def dashboard(request: HttpRequest) -> HttpResponse:
    """Connections with their health, today's figures, last runs, open issues by kind."""
    issues, shown = open_issues(), panels()
    context = {
        "verdict": overall([(panel.connection.name, panel.health) for panel in shown]),
        "panels": shown,
        "live": any(panel.progress for panel in shown),
        "charts": charts(),
        "runs": SyncRun.objects.select_related("connection").defer(*OF_ITS_CONNECTION, *LONG)[:8],
        "issues": issues,
        "issue_count": sum(row["issues"] for row in issues),
        "today": today(shown),
        "now": timezone.now(),
    }
    return render(request, "pages/dashboard.html", context)


def panels() -> list[Panel]:
    """Every connection with its freshness, backlog and what waits for a person; four queries however many there are."""
    runs = SyncRun.objects.filter(connection=OuterRef("pk")).order_by("-id")
    good = runs.filter(state=RunState.SUCCEEDED)
    connections = Connection.objects.defer(*UNSHOWN).annotate(
        last_run_id=Subquery(runs.values("pk")[:1]), last_good=Subquery(good.values("finished_at")[:1])
    )
    last_runs = SyncRun.objects.defer(*LONG).in_bulk(
        [row.last_run_id for row in connections if row.last_run_id]
    )
    pending: dict[int, Any] = {
        row["connection"]: row
        for row in PendingPush.objects.values("connection").annotate(
            count=Count("id"), oldest=Min("created_at")
        )
    }
    issues = _counts(SyncIssue.objects.filter(state__in=OPEN).values_list("connection").annotate(Count("id")))
    return [
        Panel(
            connection=row,
            health=health_of(row, row.last_good),
            last_run=last_runs.get(row.last_run_id or 0),
            last_good=row.last_good,
            pending=pending.get(row.pk, {}).get("count", 0),
            oldest=pending.get(row.pk, {}).get("oldest"),
            issues=issues.get(row.pk, 0),
            waiting=_waiting(
                row, last_runs.get(row.last_run_id or 0), pending.get(row.pk, {}).get("count", 0)
            ),
            share=_share(row),
            quota=_quota(row),
            progress=_running(last_runs.get(row.last_run_id or 0)),
        )
        for row in connections
    ]


def _waiting(row: Connection, last: SyncRun | None, pending: int) -> list[tuple[str, str]]:
    """What only a person can set going again, in words and with the page for it."""
    here = reverse("connection", args=[row.public_id])
    found = []
    if row.first_full_run_at is None and not (last and last.open):
        found.append(("The set-up is not finished", reverse("setup-connection", args=[row.public_id])))
    if last and last.state == RunState.WAITING:
        found.append((f"Run {last.pk} waits for approval", reverse("run", args=[last.pk])))
    if row.held_at:
        found.append(("Writing to the CRM is held", here))
    if row.armed_at is None and pending:
        found.append(("Outbound is not armed: changes wait", reverse("outbound", args=[row.public_id])))
    return found


def _quota(row: Connection) -> tuple[int, int] | None:
    """The day's API calls, used and allowed, where the CRM tells."""
    used, total = row.quota.get("used"), row.quota.get("total")
    return (used, total) if total and used is not None else None


def _share(row: Connection) -> int | None:
    """How much of them is used, in percent."""
    known = _quota(row)
    return round(100 * known[0] / known[1]) if known else None


def _running(run: SyncRun | None) -> Progress | None:
    """How far the last run is, while it works."""
    return progress_of(run) if run and run.state in {RunState.QUEUED, RunState.RUNNING} else None


def open_issues() -> list[dict[str, Any]]:
    """Open issues by kind, the most common first: kind, words, issues, records, and whether it asks for an approval."""
    rows = (
        SyncIssue.objects.filter(state__in=OPEN)
        .values("kind")
        .annotate(issues=Count("id"), records=Sum("count"))
    )
    return [
        {
            **row,
            "words": kind_of(row["kind"]).words,
            "asks": kind_of(row["kind"]).category is Category.APPROVAL,
        }
        for row in rows.order_by("-records", "kind")
    ]


def today(shown: Sequence[Panel]) -> dict[str, Any]:
    """The figures of the reader's day and what waits, over all connections; one query."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    deliveries = WebhookDelivery.objects.all()
    counted = {
        "conversations": Conversation.objects.filter(started_at__gte=midnight),
        "logged": ActivityEntry.objects.filter(logged_at__gte=midnight),
        "deliveries_waiting": deliveries.filter(state=WebhookDelivery.State.PENDING),
        "deliveries_parked": deliveries.filter(state=WebhookDelivery.State.PARKED),
        "reviews": MergeReview.objects.filter(state=MergeReview.State.WAITING),
    }
    first, *others = [
        rows.order_by().annotate(name=Value(name)).values_list("name").annotate(count=Count("pk"))
        for name, rows in counted.items()
    ]
    return {
        **dict.fromkeys(counted, 0),
        **_counts(first.union(*others, all=True)),
        "pending": sum(panel.pending for panel in shown),
        "oldest": min((panel.oldest for panel in shown if panel.oldest), default=None),
    }


def _counts(rows: Any) -> dict[Any, int]:
    return dict(rows)
