"""Questions that only a person can answer: whose value stays, which of several records is the contact's, two CRMs at war.

Both sides are read from the CRM when the question is shown, and again when it is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import field_specs, snapshot
from contacts.values import DoesNotFit, FieldSpec
from crmsync.pages.contact_form import CanonicalField
from crmsync.pages.diffs import addresses
from crmsync.pages.guard import page, person
from crmsync.pages.issues import ASKED, back
from crmsync.pages.listing import chosen, listing
from crmsync.pages.provenance import Origin, named_conversations, origin_of
from crmsync.pages.queues import queues
from integrations.connections import open_provider
from integrations.models import Connection
from integrations.providers.base import Record
from integrations.providers.errors import ProviderError
from mappings.compile import Rules, compile_rules
from sync import issues
from sync.decisions import CannotDecide, Sides, candidates, choose_record, decide_conflict, rule_of
from sync.kinds import kind_of
from sync.models import ExternalRecord, RecordState, SyncIssue
from sync.thaw import decide_oscillation, values

AT_ONCE = 10  # questions a page: their records are read while the person waits
ALL_AT_ONCE = 50  # decided in one request


@dataclass(frozen=True, slots=True)
class Shown:
    """Both sides of a conflict, with the record's address in the CRM and when it was last changed there."""

    sides: Sides
    url: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Question:
    """One question as shown: both sides of a conflict, since when and by whom each is so, or why they cannot be shown."""

    issue: SyncIssue
    words: str
    field: FieldSpec | None = None
    shown: Shown | None = None
    problem: str = ""
    origin: Origin | None = None

    @property
    def sides(self) -> Sides | None:
        """Both values."""
        return self.shown.sides if self.shown else None


@page("sync.view_syncissue")
def questions(request: HttpRequest) -> HttpResponse:
    """The open questions, oldest first, narrowed by ?kind=, with both values of each conflict side by side."""
    kind = chosen(request, "kind", ASKED)
    rows = _open().filter(kind=kind) if kind else _open()
    shown = listing(request, rows.order_by("pk"), size=AT_ONCE)
    context = {
        "listing": shown,
        "questions": asked(list(shown.rows)),
        "kind": kind,
        "queues": queues(request, kind),
    }
    return render(request, "pages/questions.html", context)


@page("sync.view_syncissue")
def question(request: HttpRequest, pk: int) -> HttpResponse:
    """One question, with everything needed to answer it."""
    issue = get_object_or_404(
        SyncIssue.objects.select_related("connection", "contact"), pk=pk, kind__in=ASKED
    )
    return _show(request, issue, _value_form(issue))


def _show(request: HttpRequest, issue: SyncIssue, form: forms.Form | None) -> HttpResponse:
    context: dict[str, Any] = {
        "question": asked([issue])[0],
        "issue": issue,
        "open": issue.state in issues.OPEN,
        "form": form,
    }
    if context["open"]:
        context |= _MORE[issue.kind](issue)
    return render(request, "pages/question.html", context)


@page("sync.change_syncissue", "POST")
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Settle a conflict for one side; with all=1 every open conflict over this field and CRM."""
    issue = get_object_or_404(SyncIssue.objects.select_related("connection"), pk=pk, kind="conflict")
    rows = _open().filter(pk=pk)
    if "all" in request.POST:
        rows = _open().filter(kind="conflict", connection=issue.connection, field=issue.field)
    _decide(request, list(rows.order_by("pk")[:ALL_AT_ONCE]), request.POST.get("winner", ""))
    return redirect(back(request, "questions"))


@page("sync.change_syncissue", "POST")
def choose(request: HttpRequest, pk: int) -> HttpResponse:
    """Link the contact to one of several records, for good."""
    issue = get_object_or_404(
        SyncIssue.objects.select_related("connection", "contact"), pk=pk, kind="ambiguous"
    )
    try:
        choose_record(issue, request.POST.get("record", ""), person(request).get_username())
        messages.success(request, "Linked. The other records stay out.")
    except (CannotDecide, ProviderError) as error:
        messages.error(request, _said(error))
        return redirect("question", pk)
    return redirect("questions")


@page("sync.change_syncissue", "POST")
def thaw(request: HttpRequest, pk: int) -> HttpResponse:
    """End a fight of two CRMs over a field: the value that was typed goes everywhere, and the field is synced again."""
    issue = get_object_or_404(
        SyncIssue.objects.select_related("connection", "contact"), pk=pk, kind="oscillation"
    )
    form = _value_form(issue, request.POST)
    if form is None or not form.is_valid():
        return _show(request, issue, form)
    try:
        decide_oscillation(issue, form.cleaned_data["value"], person(request).get_username())
    except (CannotDecide, DoesNotFit, ProviderError) as error:
        form.add_error("value", _said(error))
        return _show(request, issue, form)
    messages.success(
        request,
        "The value goes to every CRM, and the field is synced again. Should they go on, you will be told.",
    )
    return redirect("questions")


def asked(rows: Sequence[SyncIssue]) -> list[Question]:
    """The questions with both sides of the conflicts among them; one read for each connection."""
    specs, both = field_specs(), _both_sides([row for row in rows if row.kind == "conflict"])
    stamps = {row.pk: row.contact.sources.get(row.field, {}) for row in rows if row.contact}
    named = named_conversations([str(stamp.get("ref", "")) for stamp in stamps.values()])
    return [
        Question(
            row,
            kind_of(row.kind).words,
            specs.get(row.field),
            *(both.get(row.pk, (None, "")) if row.kind == "conflict" else (None, "")),
            origin_of(stamps[row.pk], named) if stamps.get(row.pk) else None,
        )
        for row in rows
    ]


def _decide(request: HttpRequest, rows: Sequence[SyncIssue], winner: str) -> None:
    decided, refused = 0, ""
    for row in rows:
        try:
            decide_conflict(row, winner, person(request).get_username())
            decided += 1
        except CannotDecide as error:
            refused = str(error)
        except ProviderError as error:
            refused = _said(error)
            break
    if decided:
        messages.success(request, f"{decided} {'question' if decided == 1 else 'questions'} answered.")
    if refused or not decided:
        messages.warning(request, refused or "This has been decided already.")


def _open() -> QuerySet[SyncIssue]:
    rows = SyncIssue.objects.filter(state__in=issues.OPEN, kind__in=ASKED)
    return rows.select_related("connection", "contact")


def _both_sides(rows: Sequence[SyncIssue]) -> dict[int, tuple[Shown | None, str]]:
    found: dict[int, tuple[Shown | None, str]] = {}
    by_connection: dict[int, list[SyncIssue]] = {}
    for row in rows:
        by_connection.setdefault(row.connection_id, []).append(row)
    for some in by_connection.values():
        found |= _of_connection(some[0].connection, some)
    return found


def _of_connection(connection: Connection, rows: Sequence[SyncIssue]) -> dict[int, tuple[Shown | None, str]]:
    links = ExternalRecord.objects.filter(
        connection=connection, contact__in=[row.contact_id for row in rows], state=RecordState.LINKED
    )
    ids = dict(links.values_list("contact_id", "external_id"))
    rules = compile_rules(connection)
    try:
        with open_provider(connection) as provider:
            read = provider.read([one or "" for one in ids.values()], rules.external_names) if ids else {}
            urls = {one: provider.web_url(one) for one in read}
    except ProviderError as error:
        return {row.pk: (None, _said(error)) for row in rows}
    records = {row.pk: read.get(ids.get(row.contact_id or 0) or "") for row in rows}
    return {row.pk: _shown(row, rules, records[row.pk], urls) for row in rows}


def _shown(
    row: SyncIssue, rules: Rules, record: Record | None, urls: dict[str, str]
) -> tuple[Shown | None, str]:
    sides, problem = _sides(row, rules, record)
    if sides is None or record is None:
        return None, problem
    return Shown(sides, urls.get(record.external_id, ""), record.modified), ""


def _sides(row: SyncIssue, rules: Rules, record: Record | None) -> tuple[Sides | None, str]:
    if record is None or record.deleted or row.contact is None:
        return None, "The record is gone from the CRM, or no longer linked. The next sync follows it."
    try:
        rule = rule_of(rules, str(row.detail.get("key", "")))
    except CannotDecide as error:
        return None, str(error)
    ours, theirs = snapshot(row.contact).get(rule.contact.name), record.values.get(rule.external.name)
    try:
        return Sides(rule, ours, theirs, rule.inward(theirs)), ""
    except DoesNotFit as error:
        return Sides(rule, ours, theirs, None, str(error)), ""


def _value_form(issue: SyncIssue, data: Any = None) -> forms.Form | None:
    """The control for the field that two CRMs fight over, holding what the contact holds."""
    spec = field_specs().get(issue.field)
    if issue.kind != "oscillation" or spec is None or issue.contact is None:
        return None
    held = issue.contact.value(spec.name)
    form = forms.Form(data, initial={"value": held})
    form.fields["value"] = CanonicalField(spec, held)
    return form


def _same(issue: SyncIssue) -> dict[str, Any]:
    rows = _open().filter(kind="conflict", connection=issue.connection, field=issue.field)
    return {"same": rows.count()}


def _fight(issue: SyncIssue) -> dict[str, Any]:
    try:
        found = values(issue)
    except (CannotDecide, ProviderError) as error:
        return {"problem": _said(error)}
    return {"held": [(name or "Here", value) for name, value in found.items()]}


def _records(issue: SyncIssue) -> dict[str, Any]:
    """The candidates side by side: the mapped fields in lines, the records in columns."""
    try:
        found = candidates(issue)
    except ProviderError as error:
        return {"problem": _said(error)}
    rules = compile_rules(issue.connection)
    urls = addresses(issue.connection, [record.external_id for record in found])
    names = [*rules.phone_fields, *(rule.external.name for rule in rules.fields)]
    return {
        "records": [(record, urls.get(record.external_id, "")) for record in found],
        "table": [
            (name, [record.values.get(name) for record in found])
            for name in dict.fromkeys(names)
            if any(record.values.get(name) is not None for record in found)
        ],
    }


_MORE: dict[str, Callable[[SyncIssue], dict[str, Any]]] = {
    "conflict": _same,
    "ambiguous": _records,
    "oscillation": _fight,
}


def _said(error: Exception) -> str:
    return f"The CRM could not be asked: {error.message}" if isinstance(error, ProviderError) else str(error)
