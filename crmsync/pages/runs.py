"""Sync runs: the list, and one with its progress, its outcome row by row, and what waits; approve, reject, cancel, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from contacts.models import ContactChange, field_specs
from contacts.values import Value
from crmsync.export import csv_answer, run_rows
from crmsync.pages.diffs import lines_held, shown_as
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONNECTION, OF_ITS_CONTACT, chosen, listing
from integrations.models import Connection
from sync.breaker import approve_run, reject_run
from sync.issues import OPEN
from sync.models import RunState, SyncIssue, SyncRun
from sync.report import REASONS
from sync.runs import NotWaiting, RunOver, cancel_run

LONG = ("held", "cursor", "cursor_before")
OUTCOMES = ("created", "updated")  # of a row, as the page narrows them
SHOWN = 6  # values of a row; the export has all
_LEFT_OUT = "skipped_"  # counts of records that have no contact, by reason


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `percent`, `rate` (records a second) and `left` (to its end) are None where they cannot be known."""

    run: SyncRun
    percent: int | None
    rate: int | None
    left: timedelta | None = None


def progress_of(found: SyncRun) -> Progress:
    """The progress of a run, as every page shows it."""
    percent = min(100, 100 * found.done // found.total) if found.total else None
    rate, more = _rate(found), (found.total or 0) - found.done
    left = (
        timedelta(seconds=round(more / rate))
        if rate and found.state == RunState.RUNNING and more > 0
        else None
    )
    return Progress(found, percent, rate, left)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many records ended one way, and where they are shown; "" where nowhere."""

    words: str
    count: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What a run did to one contact: its values as (label, kind, old, new), and how many more there are."""

    change: ContactChange
    values: list[tuple[str, str, Value, Value]]
    more: int


@page("sync.view_syncrun")
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs, the latest first, narrowed by ?connection=, ?state=, ?kind= and ?until= (a day); ?news=1: those with news."""
    connections = list(Connection.objects.only("pk", "name"))
    rows = SyncRun.objects.select_related("connection").defer(*OF_ITS_CONNECTION, *LONG)
    filters = {
        "connection": chosen(request, "connection", [connection.pk for connection in connections]),
        "state": chosen(request, "state", RunState.values),
        "kind": chosen(request, "kind", SyncRun.Kind.values),
    }
    rows = rows.filter(**{name: value for name, value in filters.items() if value})
    filters |= {"news": chosen(request, "news", ["1"]), "until": request.GET.get("until", "")[:10]}
    if filters["news"]:
        rows = rows.exclude(state=RunState.SUCCEEDED, done=0)
    if until := _day(filters["until"]):
        end = datetime.combine(until + timedelta(days=1), time.min, timezone.get_current_timezone())
        rows = rows.filter(created_at__lt=end)
    shown = listing(request, rows)
    context = {
        "listing": shown, "filters": filters, "connections": connections, "states": RunState.choices,
        "kinds": SyncRun.Kind.choices, "live": any(_live(one) for one in shown.rows),
        "progress": {one.pk: progress_of(one) for one in shown.rows if _live(one)},
    }  # fmt: skip
    return render(request, "pages/runs.html", context)


@page("sync.view_syncrun")
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run with its rows, narrowed by ?outcome=. While it is open the page asks for itself again every few seconds."""
    found = get_object_or_404(SyncRun.objects.select_related("connection"), pk=pk)
    outcome = chosen(request, "outcome", OUTCOMES)
    issues = SyncIssue.objects.filter(connection=found.connection, state__in=OPEN)
    changes = ContactChange.objects.filter(source_ref=found.ref)
    rows = changes.filter(created=outcome == "created") if outcome else changes
    shown = listing(request, rows.select_related("contact").defer(*OF_ITS_CONTACT).order_by("-pk"))
    context = {
        "run": found,
        "waits": found.state == RunState.WAITING,
        "live": _live(found),
        "lines": lines_held(found.connection, found.held, side="contact") if found.held else [],
        "progress": progress_of(found),
        "outcomes": outcomes_of(found),
        "outcome": outcome,
        "listing": shown,
        "rows": _rows(shown.rows),
        "changed": bool(shown.rows) or changes.exists(),
        "issues": issues.order_by("-last_at")[:5],
        "held_for": issues.filter(kind="run_held").first() if found.state == RunState.WAITING else None,
    }
    return render(request, "pages/run.html", context)


@page("sync.change_syncrun", "POST")
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a waiting run go on to its end."""
    return _decided(request, pk, approve_run, "The run goes on and is not stopped again.")


@page("sync.change_syncrun", "POST")
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    """End a waiting run; what was held back is not applied."""
    return _decided(request, pk, reject_run, "Rejected: what was held back has not been applied.")


@page("sync.change_syncrun", "POST")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """End an open run; what it has applied stays."""
    return _decided(request, pk, cancel_run, "Cancelled. What it had applied stays, and can be undone here.")


@page("contacts.view_contactchange")
def export(request: HttpRequest, pk: int) -> HttpResponse:  # noqa: ARG001
    """Every value that the run wrote, as CSV, row by row."""
    found = get_object_or_404(SyncRun.objects.only("pk"), pk=pk)
    return csv_answer(run_rows(found), f"run-{found.pk}")  # type: ignore[return-value]  # one of Django's two kinds of answer


def outcomes_of(found: SyncRun) -> list[Outcome]:
    """The run's counts in words, each leading to the records it counts."""
    here = reverse("run", args=[found.pk])
    left_out = reverse("left-out", args=[found.connection.public_id])
    pages = {
        "created": f"{here}?outcome=created#rows",
        "updated": f"{here}?outcome=updated#rows",
        "conflicts": f"{reverse('questions')}?kind=conflict",
    }
    reasons = {f"{_LEFT_OUT}{reason}": f"{left_out}?reason={reason}" for reason in REASONS}
    return [
        Outcome(name.replace("_", " "), figure, (pages | reasons).get(name, "") if figure else "")
        for name, figure in found.counts.items()
    ]


def _rows(changes: Sequence[ContactChange]) -> list[Row]:
    specs, found = field_specs(), []
    for change in changes:
        # The row of a contact that a first import made holds names without values.
        pairs = [(name, pair) for name, pair in change.diff.items() if len(pair) == 2]
        values = [(*shown_as(name, specs), old, new) for name, (old, new) in pairs[:SHOWN]]
        found.append(Row(change, values, max(0, len(pairs) - SHOWN)))
    return found


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _live(found: SyncRun) -> bool:
    """Whether it moves by itself: what waits for a person does not."""
    return found.open and found.state != RunState.WAITING


def _decided(request: HttpRequest, pk: int, decide: Callable[..., None], words: str) -> HttpResponse:
    found = get_object_or_404(SyncRun.objects.select_related("connection"), pk=pk)
    try:
        decide(found, by=person(request).get_username())
        messages.success(request, words)
    except (NotWaiting, RunOver) as over:
        messages.info(request, str(over))
    return redirect("run", pk)


def _rate(found: SyncRun) -> int | None:
    """Records a second, once that says something."""
    took = found.duration
    seconds = took.total_seconds() if took else 0.0
    return round(found.done / seconds) if seconds >= 1 and found.done else None
