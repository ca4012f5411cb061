"""Sync runs: the list, and one with its progress, outcome, what waits and what it wrote; approve, reject, cancel, export."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import ContactChange
from contacts.values import as_text
from crmsync.pages.diffs import lines_held
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONNECTION, OF_ITS_CONTACT, chosen, listing
from integrations.models import Connection
from sync.breaker import approve_run, reject_run
from sync.issues import OPEN
from sync.models import RunState, SyncIssue, SyncRun
from sync.runs import NotWaiting, RunOver, cancel_run

LONG = ("held", "cursor", "cursor_before")
COLUMNS = ("at", "contact", "number", "created", "field", "old", "new")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `percent` and `rate` (records a second) are None where they cannot be known."""

    run: SyncRun
    percent: int | None
    rate: int | None


def progress_of(found: SyncRun) -> Progress:
    """The progress of a run, as every page shows it."""
    percent = min(100, 100 * found.done // found.total) if found.total else None
    return Progress(found, percent, _rate(found))


@page("sync.view_syncrun")
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs, the latest first, narrowed by ?connection=, ?state= and ?kind=."""
    connections = list(Connection.objects.only("pk", "name"))
    rows = SyncRun.objects.select_related("connection").defer(*OF_ITS_CONNECTION, *LONG)
    filters = {
        "connection": chosen(request, "connection", [connection.pk for connection in connections]),
        "state": chosen(request, "state", RunState.values),
        "kind": chosen(request, "kind", SyncRun.Kind.values),
    }
    rows = rows.filter(**{name: value for name, value in filters.items() if value})
    context = {
        "listing": listing(request, rows), "filters": filters, "connections": connections, "states": RunState.choices,
        "kinds": SyncRun.Kind.choices,
    }  # fmt: skip
    return render(request, "pages/runs.html", context)


@page("sync.view_syncrun")
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run. While it is open the page asks for itself again every few seconds."""
    found = get_object_or_404(SyncRun.objects.select_related("connection"), pk=pk)
    changes = ContactChange.objects.filter(source_ref=found.ref).select_related("contact")
    issues = SyncIssue.objects.filter(connection=found.connection, state__in=OPEN)
    waits = found.state == RunState.WAITING
    context = {
        "run": found,
        "waits": waits,
        "live": found.open and not waits,
        "lines": lines_held(found.connection, found.held, side="contact") if found.held else [],
        "progress": progress_of(found),
        "changes": changes.defer(*OF_ITS_CONTACT)[:20],
        "issues": issues.select_related("contact")[:20],
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
    answer = StreamingHttpResponse(_csv(found), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="run-{found.pk}.csv"'
    return answer  # type: ignore[return-value]  # one of Django's two kinds of answer


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


class _Line:
    """A file for the CSV writer that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(found: SyncRun) -> Iterator[str]:
    writer: Any = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    rows = ContactChange.objects.filter(source_ref=found.ref).select_related("contact")
    for change in rows.defer(*OF_ITS_CONTACT).order_by("pk").iterator(chunk_size=500):
        who = [change.at.isoformat(), change.contact.name, change.contact.phone_number, change.created]
        for name, pair in change.diff.items() or [("", [])]:
            old, new = pair if len(pair) == 2 else ("", "")
            yield writer.writerow([*map(_safe, (*who, name, old, new))])


def _safe(value: Any) -> str:
    """Text that no spreadsheet takes for a formula; numbers with their plus sign are left as they are."""
    text = as_text(value) if not isinstance(value, str) else value
    risky = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if risky and not text[1:].isdigit() else text
