"""The mapping editor: a page of the connection in the admin, with pickers over the CRM's fields and a trial on a real contact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from contacts import phone
from contacts.models import Contact, field_specs
from crmsync.pages.search import matching
from integrations.connections import record_failure, refresh_schema
from integrations.models import Connection
from integrations.providers.errors import ProviderError
from mappings.compile import compile_rules
from mappings.editing import PairFormSet, pairs_of, save_pairs
from mappings.offers import Way
from mappings.picker import Choice, Choices, contact_choices, crm_choices, meant
from mappings.review import Finding, review
from mappings.unknown import suggestions
from sync.trial import NotLinked, Tried, linked_contact, try_rules

MAY = "mappings.change_inboundmapping"
FRESH = timedelta(minutes=10)  # the CRM's fields are read anew when they are older than this
FOUND = 10


def editor(request: HttpRequest, pk: int, site: AdminSite) -> HttpResponse:
    """Every mapping of the connection, to edit; a POST saves, with `_check` it only says what it would do.

    With `_told` the answer is that part of the page alone: what stands beside each row while one edits.
    """
    connection = _connection(request, pk)
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "POST"])
    saving = request.method == "POST" and not {"_check", "_told"} & request.POST.keys()
    if "_told" not in request.POST:
        _freshen(request, connection)
    form = pairs_of(connection, request.POST if request.method == "POST" else None)
    if saving and form.is_valid() and _saved(request, form):
        return redirect("admin:integrations_connection_mappings", pk)
    if saving:
        messages.error(request, "Nothing is saved yet: mend what is marked.")
    trial = _trial(connection, form, request.POST.get("person", ""))
    context = {"form": form, "connection": connection, **trial, "rows": _rows(form, trial["tried"])}
    if "_told" in request.POST:
        return TemplateResponse(request, "admin/integrations/connection/told.html", context)
    context |= site.each_context(request) | {
        "title": f"Mappings of {connection.name}", "opts": Connection._meta, "original": connection,
        "is_nav_sidebar_enabled": False, "unknown": _unknown(connection),
    }  # fmt: skip
    return TemplateResponse(request, "admin/integrations/connection/mappings.html", context)


def choices(request: HttpRequest, pk: int) -> HttpResponse:
    """What a picker offers for what was typed: fields of one side that fit the other, or contacts to try the mappings on."""
    connection = _connection(request, pk)
    if request.method != "POST":  # a number may be typed, and addresses are logged
        return HttpResponseNotAllowed(["POST"])
    sent = request.POST
    asked, side = sent.get("q", "")[:200], sent.get("side", "")
    if side == "person":
        return _answer(request, {"people": _people(connection, asked)})
    found = _fields(connection, side, asked, sent.get("other", ""), sent.get("way", ""))
    return _answer(request, {"found": found})


def _connection(request: HttpRequest, pk: int) -> Connection:
    if not request.user.has_perm(MAY):
        raise PermissionDenied
    return get_object_or_404(
        Connection.objects.prefetch_related("inbound_mappings", "outbound_mappings"), pk=pk
    )


def _freshen(request: HttpRequest, connection: Connection) -> None:
    """The editor works on the CRM's fields as they are now; where it cannot be asked, on those of last time."""
    asked = "_refresh" in request.GET
    stale = connection.schema_at is None or connection.schema_at < timezone.now() - FRESH
    if not (asked or stale) or not connection.credentials:
        return
    try:
        refresh_schema(connection)
    except ProviderError as error:
        record_failure(connection, error)
        messages.warning(request, f"{connection.name} does not tell its fields now: {error.message}")
    else:
        if asked:
            messages.success(request, f"{len(connection.schema)} fields were read.")


def _saved(request: HttpRequest, form: PairFormSet) -> bool:
    try:
        save_pairs(form)
    except ValidationError as error:
        messages.error(
            request, f"Somebody else has changed the mappings meanwhile. {' '.join(error.messages)}"
        )
        return False
    messages.success(
        request, "Saved. Records that change are read with these mappings from now on; reading everything again brings them "
        "to all.",
    )  # fmt: skip
    return True


def _trial(connection: Connection, form: PairFormSet, person: str) -> dict[str, Any]:
    """The mappings as typed, tried on the chosen contact. Rows that are wrong are left out."""
    person_found = linked_contact(connection, person) or linked_contact(connection)
    context: dict[str, Any] = {"person": person_found, "tried": {}, "problem": ""}
    if person_found is None:
        return context
    if form.is_bound:
        form.is_valid()
        rules = compile_rules(connection, inbound=form.inbound, outbound=form.outbound)
    else:
        rules = compile_rules(connection)
    try:
        context["tried"] = try_rules(connection, person_found, rules)
    except NotLinked:
        context["problem"] = "The record is gone from the CRM. Choose another contact."
    except ProviderError as error:
        record_failure(connection, error)
        context["problem"] = f"The CRM could not be asked: {error.message}"
    return context


def _rows(form: PairFormSet, tried: dict[str, Tried]) -> list[dict[str, Any]]:
    """Each row with what stands beside it, the removed ones included; of saved rows what is known of them is said at once."""
    said: dict[str, list[Finding]] = {}
    for finding in () if form.is_bound else review(form.connection):
        said.setdefault(finding.mapping, []).append(finding)
    return [
        {
            "form": row,
            "said": [one for words in row.as_words for one in said.get(words, ())],
            "tried": tried.get(f"{row.external.name}:{row.contact.name}")
            if row.external and row.contact and not row.errors
            else None,
            "kind": "phone"
            if row.contact and row.contact.name == "phone_number"
            else row.contact and row.contact.type,
        }
        for row in form.forms
    ]


def _fields(connection: Connection, side: str, asked: str, other: str, way: str) -> Choices:
    schema, specs = connection.external_fields(), field_specs()
    goes = Way(way) if way in set(Way) else Way.BOTH
    if side == "contact":
        external = meant(other, {name: field.label for name, field in schema.items()})
        taken = {row.contact_field for row in connection.inbound_mappings.all()}
        return contact_choices(specs, schema, asked=asked, way=goes, external=external, taken=taken)
    contact = specs.get(meant(other, {name: spec.label for name, spec in specs.items()}))
    used = {row.external_field for row in connection.inbound_mappings.all()}
    used |= {row.external_field for row in connection.outbound_mappings.all()}
    return crm_choices(schema, asked=asked, way=goes, contact=contact, taken=used)


def _people(connection: Connection, asked: str) -> list[Choice]:
    """Contacts that have a record there, found by name or number."""
    linked = Contact.objects.filter(records__connection=connection, records__state="linked")
    rows = matching(linked.defer("custom_fields", "sources", "contact_memory"), asked).order_by("-id")
    return [
        Choice(row.public_id, row.name, row.name, phone.for_people(row.phone_number)) for row in rows[:FOUND]
    ]


def _answer(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, "admin/integrations/connection/choices.html", context)


def _unknown(connection: Connection) -> list[tuple[Any, list[Any]]]:
    """Mappings that met CRM values they do not know, with what can be done."""
    rows = [row for row in connection.inbound_mappings.all() if row.unknown_values]
    return [(row, found[:FOUND]) for row in rows if (found := suggestions(row))]
