"""What needs a person: sync issues in plain words, with what to do about them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from crmsync.pages.guard import page
from crmsync.pages.listing import OF_ITS_CONNECTION, OF_ITS_CONTACT, chosen, listing
from integrations.models import Connection
from sync.issues import OPEN
from sync.models import SyncIssue

STATES = {"open": "Open", "parked": "Parked", "ignored": "Ignored", "resolved": "Resolved", "all": "All"}


@page("sync.view_syncissue")
def issue_list(request: HttpRequest) -> HttpResponse:
    """Issues, the latest first; the open ones unless ?state= asks for others; narrowed by ?kind= and ?connection=."""
    connections = list(Connection.objects.only("pk", "name"))
    kinds = sorted(set(SyncIssue.objects.order_by().values_list("kind", flat=True).distinct()))
    filters = {
        "state": chosen(request, "state", list(STATES)),
        "kind": chosen(request, "kind", kinds),
        "connection": chosen(request, "connection", [connection.pk for connection in connections]),
    }
    rows = SyncIssue.objects.filter(**_wanted(filters)).select_related("connection", "contact")
    rows = rows.defer(*OF_ITS_CONNECTION, *OF_ITS_CONTACT)
    context = {
        "listing": listing(request, rows), "filters": filters, "connections": connections, "kinds": kinds,
        "states": STATES.items(),
    }  # fmt: skip
    return render(request, "pages/issues.html", context)


def _wanted(filters: dict[str, str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: filters[name] for name in ("kind", "connection") if filters[name]}
    if not filters["state"]:
        wanted["state__in"] = OPEN
    elif filters["state"] != "all":
        wanted["state"] = filters["state"]
    return wanted
