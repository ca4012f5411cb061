"""What needs a person: sync issues in plain words, with buttons to retry, ignore, or go where they can be mended."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from crmsync.pages.diffs import addresses
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONTACT, chosen, listing
from integrations.models import Connection
from sync.issues import OPEN
from sync.kinds import KINDS, Category, Retry, kind_of
from sync.models import ExternalRecord, RunState, SyncIssue, SyncRun
from sync.retries import CannotRetry, can_ignore, ignore, retry, retry_all

STATES = {"open": "Open", "parked": "Parked", "ignored": "Ignored", "resolved": "Resolved", "all": "All"}
_SYNCS = (Retry.RUN, Retry.FULL, Retry.SCHEMA)  # a retry of these starts a sync, or reads the CRM's fields
ASKED = ("conflict", "ambiguous", "oscillation")


@page("sync.view_syncissue")
def issue_list(request: HttpRequest) -> HttpResponse:
    """Issues, the latest first; the open ones unless ?state= asks for others; narrowed by ?kind= and ?connection=."""
    connections = list(Connection.objects.defer("credentials", "token", "schema", "cursor"))
    kinds = sorted(KINDS, key=lambda kind: kind_of(kind).words)
    filters = {
        "state": chosen(request, "state", list(STATES)),
        "kind": chosen(request, "kind", kinds),
        "connection": chosen(request, "connection", [connection.pk for connection in connections]),
    }
    rows = SyncIssue.objects.filter(**_wanted(filters)).select_related("contact").defer(*OF_ITS_CONTACT)
    shown, groups = listing(request, rows), by_kind(request, connections)
    context = {
        "listing": shown,
        "rows": _lines(request, list(shown.rows), connections),
        "filters": filters,
        "connections": connections,
        "kinds": [(kind, kind_of(kind).words) for kind in kinds],
        "states": STATES.items(),
        "asked": sum(one["issues"] for one in groups if one["kind"] in ASKED),
        "groups": groups,
        "all_of": _all_of(request, filters),
    }
    return render(request, "pages/issues.html", context)


def by_kind(request: HttpRequest, connections: list[Connection]) -> list[dict[str, Any]]:
    """What is open, by kind and connection, the most first: in words, how many, and whether all can be tried again."""
    names = {connection.pk: connection.name for connection in connections}
    rows = SyncIssue.objects.filter(state__in=OPEN).order_by().values("kind", "connection_id")
    return [
        {
            "kind": row["kind"],
            "connection": row["connection_id"],
            "name": names[row["connection_id"]],
            "about": kind_of(row["kind"]),
            "issues": row["issues"],
            "count": row["records"] if kind_of(row["kind"]).category is Category.NUMBER else row["issues"],
            "can_retry": _may_retry(request, row["kind"]),
        }
        for row in rows.annotate(issues=Count("pk"), records=Sum("count")).order_by("-issues", "kind")
        if row["connection_id"] in names
    ]


@page("sync.change_syncissue", "POST")
def retry_one(request: HttpRequest, pk: int) -> HttpResponse:
    """Have one issue tried again."""
    issue = get_object_or_404(SyncIssue.objects.select_related("connection"), pk=pk)
    _hold_to_syncs(request, issue.kind)
    try:
        retry(issue, by=person(request).get_username())
        messages.success(request, "It is tried again now. When it heals, the issue closes by itself.")
    except CannotRetry as reason:
        messages.warning(request, str(reason))
    return redirect(back(request))


@page("sync.change_syncissue", "POST")
def retry_kind(request: HttpRequest) -> HttpResponse:
    """Have all open issues of one kind and connection tried again."""
    pk = request.POST.get("connection", "")
    number = int(pk) if pk.isascii() and pk.isdigit() and len(pk) < 19 else 0
    connection, kind = get_object_or_404(Connection, pk=number), request.POST.get("kind", "")
    _hold_to_syncs(request, kind)
    try:
        count = retry_all(connection, kind, by=person(request).get_username())
        messages.success(request, f"{count} {'issue is' if count == 1 else 'issues are'} tried again now.")
    except CannotRetry as reason:
        messages.warning(request, str(reason))
    return redirect(back(request))


@page("sync.change_syncissue", "POST")
def ignore_one(request: HttpRequest, pk: int) -> HttpResponse:
    """Close one issue without mending it."""
    issue = get_object_or_404(SyncIssue, pk=pk)
    try:
        ignore(issue, by=person(request).get_username())
        messages.success(request, "Ignored. The same cause does not open it again.")
    except CannotRetry as reason:
        messages.warning(request, str(reason))
    return redirect(back(request))


def back(request: HttpRequest, otherwise: str = "issues") -> str:
    """Where the person came from, as the form says, if that is a place of ours."""
    asked = request.POST.get("back", "")
    ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/")
    return asked if ours else otherwise


def _may_retry(request: HttpRequest, kind: str) -> bool:
    """Whether trying again helps, and is the person's to ask for: a retry that syncs is for those who start syncs."""
    how = kind_of(kind).retry
    return how is not Retry.NONE and (how not in _SYNCS or person(request).has_perm("sync.add_syncrun"))


def _hold_to_syncs(request: HttpRequest, kind: str) -> None:
    if kind_of(kind).retry is not Retry.NONE and not _may_retry(request, kind):
        raise PermissionDenied


def _lines(
    request: HttpRequest, rows: list[SyncIssue], connections: list[Connection]
) -> list[dict[str, Any]]:
    """Each issue with its kind's words and the record's address, read once for each connection."""
    by_id = {connection.pk: connection for connection in connections}
    records, waiting = _records(rows), _waiting(rows)
    urls: dict[int, dict[str, str]] = {}
    for pk in {row.connection_id for row in rows if records.get(row.pk)}:
        urls[pk] = addresses(by_id[pk], [records[row.pk] for row in rows if row.connection_id == pk])
    return [
        {
            "issue": row,
            "connection": by_id[row.connection_id],
            "kind": kind_of(row.kind),
            "url": urls.get(row.connection_id, {}).get(records[row.pk], ""),
            "approve_at": _approve_at(row, by_id[row.connection_id], waiting) if row.state in OPEN else "",
            "can_retry": row.state != SyncIssue.State.RESOLVED and _may_retry(request, row.kind),
            "can_ignore": can_ignore(row),
            "asked": row.kind in ASKED and row.state in OPEN,
        }
        for row in rows
    ]


def _records(rows: list[SyncIssue]) -> dict[int, str]:
    """The CRM record that each issue is about: its own, or its contact's; "" for none. One query."""
    lacking = [row for row in rows if not row.external_id and row.contact_id]
    links = ExternalRecord.objects.filter(
        contact__in={row.contact_id for row in lacking}, connection__in={row.connection_id for row in lacking}
    )
    linked = {
        (pk, contact): one
        for pk, contact, one in links.values_list("connection_id", "contact_id", "external_id")
    }
    return {
        row.pk: row.external_id or linked.get((row.connection_id, row.contact_id or 0)) or "" for row in rows
    }


def _waiting(rows: list[SyncIssue]) -> dict[int, int]:
    """The run that waits for approval, by connection."""
    asked = {row.connection_id for row in rows if row.kind == "run_held"}
    found = SyncRun.objects.filter(connection__in=asked, state=RunState.WAITING)
    return dict(found.values_list("connection_id", "pk")) if asked else {}


def _approve_at(row: SyncIssue, connection: Connection, waiting: dict[int, int]) -> str:
    """Where what waits for approval is looked at and decided; "" for what does not."""
    if row.kind == "run_held" and connection.pk in waiting:
        return reverse("run", args=[waiting[connection.pk]])
    if row.kind == "outbound_not_armed":
        return reverse("outbound", args=[connection.public_id])
    approval = kind_of(row.kind).category is Category.APPROVAL
    return reverse("connection", args=[connection.public_id]) if approval else ""


def _all_of(request: HttpRequest, filters: dict[str, str]) -> str:
    """The kind whose issues can be retried together: one connection and one kind are chosen, and retrying helps."""
    narrowed = filters["kind"] and filters["connection"] and filters["state"] in {"", "open", "parked"}
    return filters["kind"] if narrowed and _may_retry(request, filters["kind"]) else ""


def _wanted(filters: dict[str, str]) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: filters[name] for name in ("kind", "connection") if filters[name]}
    if not filters["state"]:
        wanted["state__in"] = OPEN
    elif filters["state"] != "all":
        wanted["state"] = filters["state"]
    return wanted
