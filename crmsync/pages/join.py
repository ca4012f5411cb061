"""Merge two contacts that are one person: find the other one, see both side by side, confirm."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import Contact, by_public_id, field_specs
from contacts.values import Value, same
from crmsync.pages.guard import page, person
from crmsync.pages.search import matching
from sync.joining import CannotJoin, merge_contacts
from sync.models import ExternalRecord

FOUND = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One field of both contacts. `kept`: what the one that survives will hold."""

    label: str
    kind: str
    first: Value
    second: Value
    kept: Value


@page("contacts.delete_contact", "GET", "POST")
def join(request: HttpRequest, public_id: str) -> HttpResponse:
    """Merge ?with= into this contact; with ?q= look for it."""
    winner = _contact(public_id)
    other = request.POST.get("with") or request.GET.get("with", "")
    loser = _contact(other) if other else None
    if request.method == "POST" and loser is not None:
        try:
            joined = merge_contacts(winner, loser, person(request).get_username())
        except CannotJoin as error:
            messages.error(request, str(error))
        else:
            _tell(request, loser, joined.released)
            return redirect(joined.contact)
    query = request.GET.get("q", "").strip()[:200]
    context = {
        "contact": winner,
        "other": loser,
        "query": query,
        "found": _others(winner, query) if query and loser is None else [],
        "lines": _lines(winner, loser) if loser else [],
        "records": [_records(one) for one in (winner, loser) if one],
    }
    return render(request, "pages/join.html", context)


def _contact(public_id: str) -> Contact:
    try:
        return by_public_id(public_id)
    except Contact.DoesNotExist:
        return get_object_or_404(Contact, public_id=public_id)


def _others(winner: Contact, query: str) -> list[Contact]:
    rows = Contact.objects.exclude(pk=winner.pk).defer("custom_fields", "sources", "contact_memory")
    return list(matching(rows, query).order_by("last_name", "first_name", "id")[:FOUND])


def _lines(winner: Contact, loser: Contact) -> list[Line]:
    """Every field that one of them has; where both do and differ, the first one's stays."""
    found = []
    for name, spec in field_specs().items():
        first, second = winner.value(name), loser.value(name)
        if first is None and second is None:
            continue
        opted_out = name == "do_not_call" and second is True
        kept = second if first is None or opted_out else first
        kind = "phone" if name == "phone_number" else spec.type.value
        found.append(Line(spec.label, kind, first, second, kept))
    return sorted(found, key=lambda line: same(line.first, line.second))


def _records(contact: Contact) -> list[str]:
    rows = ExternalRecord.objects.filter(contact=contact).select_related("connection")
    return [
        f"{row.connection.name} {row.external_id or '(being created)'}"
        for row in rows.defer("connection__schema")
    ]


def _tell(request: HttpRequest, loser: Contact, released: list[tuple[str, str]]) -> None:
    messages.success(request, f"Merged. {loser.phone_number} leads to this contact from now on.")
    for name, external_id in released:
        messages.info(
            request,
            f"{name} still has two records; {external_id} is no longer linked. Merge them there as well.",
        )
