"""Sync runs: the list, and one with its progress, counts and what it left open."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from contacts.models import ContactChange
from crmsync.pages.guard import page
from crmsync.pages.listing import OF_ITS_CONNECTION, OF_ITS_CONTACT, chosen, listing
from integrations.models import Connection
from sync.issues import OPEN
from sync.models import RunState, SyncIssue, SyncRun


@page("sync.view_syncrun")
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs, the latest first, narrowed by ?connection= and ?state=."""
    connections = list(Connection.objects.only("pk", "name"))
    rows = SyncRun.objects.select_related("connection").defer(*OF_ITS_CONNECTION)
    filters = {
        "connection": chosen(request, "connection", [connection.pk for connection in connections]),
        "state": chosen(request, "state", RunState.values),
    }
    rows = rows.filter(**{name: value for name, value in filters.items() if value})
    context = {
        "listing": listing(request, rows), "filters": filters, "connections": connections, "states": RunState.choices,
    }  # fmt: skip
    return render(request, "pages/runs.html", context)


@page("sync.view_syncrun")
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """One run. While it is open the page asks for itself again every few seconds."""
    found = get_object_or_404(SyncRun.objects.select_related("connection").defer(*OF_ITS_CONNECTION), pk=pk)
    changes = ContactChange.objects.filter(source_ref=found.ref).select_related("contact")
    issues = SyncIssue.objects.filter(connection=found.connection, state__in=OPEN)
    context = {
        "run": found,
        "percent": min(100, 100 * found.done // found.total) if found.total else None,
        "changes": changes.defer(*OF_ITS_CONTACT)[:20],
        "issues": issues.select_related("contact")[:20],
    }
    return render(request, "pages/run.html", context)
