"""One connection for those who run it: how it is, what waits for a person, what it maps, what it leaves out and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import field_specs
from crmsync.pages.diffs import Line, addresses, lines_held
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONNECTION, chosen, listing
from integrations.health import health_of
from integrations.models import Connection
from integrations.preflight import Level
from integrations.quota import usage
from mappings.models import InboundMapping
from mappings.ready import check_ready
from mappings.review import Finding, review
from mappings.unknown import Suggestion, add_option, map_value, suggestions
from sync import breaker
from sync.issues import OPEN
from sync.kinds import kind_of
from sync.models import ExternalRecord, PendingPush, RecordState, RunState, SyncIssue, SyncRun
from sync.reconcile import backfill_offer
from sync.report import never_match
from sync.runs import RunOpen, request_run


@dataclass(frozen=True, slots=True)
class Mapped:
    """One line of the mapping table; `policies` are those that differ from the ordinary, in words."""

    external: str
    label: str
    field: str
    inbound: bool
    outbound: bool
    policies: list[str]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Unknown:
    """CRM values that a mapping does not know, and what the contact field could hold instead."""

    mapping: InboundMapping
    field: str
    options: Sequence[str]
    found: list[Suggestion]


@page("integrations.view_connection")
def connection(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everything about one connection on one page."""
    found = _found(public_id)
    runs = (
        SyncRun.objects.filter(connection=found)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION, "held")
    )
    last_good = runs.filter(state=RunState.SUCCEEDED).values_list("finished_at", flat=True).first()
    pending = PendingPush.objects.filter(connection=found).aggregate(
        count=Count("id"), oldest=Min("created_at")
    )
    held, rows = held_pushes(found)
    findings = review(found)
    context = {
        "connection": found,
        "health": health_of(found, last_good),
        "last_good": last_good,
        "pending": pending,
        "linked": found.records.filter(state=RecordState.LINKED).count(),
        "limit": breaker.limit_of(found),
        "usage": usage(found),
        "open_run": runs.filter(state__in=[RunState.QUEUED, RunState.RUNNING, RunState.WAITING]).first(),
        "runs": runs[:5],
        "offer": backfill_offer(found),
        "held": held,
        "lines": rows,
        "mapped": mapped(found, findings),
        "findings": [one for one in findings if not one.mapping],
        "unknown": unknown_values(found),
        "left_out": never_match(found, examples=0),
        "issues": issues_of(found),
    }
    return render(request, "pages/connection.html", context)


@page("sync.add_syncrun", "POST")
def sync_now(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask for an inbound sync (with full=1 of everything, with reconcile=1 also of what is gone) and show its run."""
    found = get_object_or_404(Connection, public_id=public_id)
    full, reconcile = "full" in request.POST, "reconcile" in request.POST
    try:
        run = request_run(found, full=full, reconcile=reconcile, by=person(request).get_username())
    except RunOpen as already:
        messages.info(request, str(already))
        run = already.run
    return redirect("run", run.pk)


@page("integrations.change_connection", "POST")
def test(request: HttpRequest, public_id: str) -> HttpResponse:
    """Test the credentials, read the CRM's fields anew, and check everything that the connection needs."""
    found = _found(public_id)
    lines = check_ready(found)
    wrong = [line for line in lines if line.level == Level.ERROR]
    if wrong:
        messages.error(request, f"{found.name}: {wrong[0].what} {wrong[0].fix}".strip())
    else:
        messages.success(request, f"{found.name} answers; {len(found.schema)} fields were read.")
    return redirect("connection", public_id)


@page("integrations.change_connection", "POST")
def release(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let held pushes go."""
    found = get_object_or_404(Connection, public_id=public_id)
    breaker.approve_pushes(found, by=person(request).get_username())
    messages.success(request, f"What waited for {found.name} is written now.")
    return redirect("connection", public_id)


@page("mappings.change_inboundmapping", "POST")
def unknown_value(request: HttpRequest, public_id: str, pk: int) -> HttpResponse:
    """Say what a CRM value means, or make it an option of the contact field."""
    mapping = get_object_or_404(InboundMapping, pk=pk, connection__public_id=public_id)
    by, value = person(request).get_username(), request.POST.get("value", "")
    try:
        if "add" in request.POST:
            add_option(mapping, value=value, by=by)
            messages.success(
                request,
                f"“{value}” is an option now. Records that have it come in when they change, or by a full sync.",
            )
        else:
            map_value(mapping, value=value, to=request.POST.get("to", ""), by=by)
            messages.success(request, f"“{value}” means “{request.POST.get('to')}” from now on.")
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("connection", public_id)


@page("sync.view_externalrecord")
def records_left_out(request: HttpRequest, public_id: str) -> HttpResponse:
    """The records that are not linked, one by one, with their place in the CRM; narrowed by ?reason=."""
    found = _found(public_id)
    groups = never_match(found, examples=0)
    reason = chosen(request, "reason", [group.reason for group in groups])
    rows = ExternalRecord.objects.filter(connection=found, state=RecordState.SKIPPED).defer("settled")
    shown = listing(request, (rows.filter(reason=reason) if reason else rows).order_by("-id"))
    urls = addresses(found, [row.external_id or "" for row in shown.rows])
    words = {group.reason: group for group in groups}
    context = {
        "connection": found,
        "groups": groups,
        "reason": reason,
        "listing": shown,
        "rows": [(row, urls.get(row.external_id or "", ""), words.get(row.reason)) for row in shown.rows],
    }
    return render(request, "pages/left_out.html", context)


def held_pushes(found: Connection) -> tuple[SyncIssue | None, list[Line]]:
    """The issue about pushes that wait for approval, with the first values that they would overwrite."""
    if found.held_at is None:
        return None, []
    issue = SyncIssue.objects.filter(connection=found, kind="push_held", state__in=OPEN).first()
    rows = issue.detail.get("rows", []) if issue else []
    return issue, lines_held(found, rows, side="crm")


def mapped(found: Connection, findings: Sequence[Finding]) -> list[Mapped]:
    """Both directions of each pair of fields in one line, the phone number first, with what there is to say about them."""
    schema, specs = found.external_fields(), field_specs()
    said: dict[str, list[Finding]] = {}
    for finding in findings:
        said.setdefault(finding.mapping, []).append(finding)
    inbound = {(row.external_field, row.contact_field): row for row in found.inbound_mappings.all()}
    outbound = {(row.external_field, row.contact_field): row for row in found.outbound_mappings.all()}
    return [
        Mapped(
            external=external,
            label=schema[external].label if external in schema else "",
            field=specs[field].label if field in specs else field,
            inbound=(external, field) in inbound,
            outbound=(external, field) in outbound,
            policies=_policies(inbound.get((external, field)), "in")
            + _policies(outbound.get((external, field)), "out"),
            findings=said.get(f"{external} → {field}", []) + said.get(f"{field} → {external}", []),
        )
        for external, field in dict.fromkeys([*inbound, *outbound])
    ]


def _policies(row: Any, way: str) -> list[str]:
    if row is None:
        return []
    words = []
    if way == "in" and row.conflict_policy != "crm_wins":
        words.append(row.get_conflict_policy_display())
    if row.blank_policy != "ignore":
        words.append(f"{way}: {row.get_blank_policy_display()}")
    if row.case:
        words.append(f"{way}: {row.get_case_display()}")
    if row.value_map:
        words.append(f"{way}: {len(row.value_map)} values mapped")
    if row.default_value:
        words.append(f"{way}: “{row.default_value}” when blank")
    return words


def unknown_values(found: Connection) -> list[Unknown]:
    """Mappings that met values which are no option of their contact field."""
    specs = field_specs()
    rows = [row for row in found.inbound_mappings.all() if row.unknown_values and row.contact_field in specs]
    return [
        Unknown(row, specs[row.contact_field].label, specs[row.contact_field].options, some)
        for row in rows
        if (some := suggestions(row))
    ]


def issues_of(found: Connection) -> list[dict[str, Any]]:
    """The connection's open issues by kind, in words."""
    rows = SyncIssue.objects.filter(connection=found, state__in=OPEN).order_by().values("kind")
    return [
        {"kind": row["kind"], "words": kind_of(row["kind"]).words, "count": row["count"]}
        for row in rows.annotate(count=Count("id")).order_by("-count", "kind")
    ]


def _found(public_id: str) -> Connection:
    return get_object_or_404(
        Connection.objects.prefetch_related("inbound_mappings", "outbound_mappings"), public_id=public_id
    )
