"""The contact list: search, filters by tag, CRM and custom field, chosen columns, sort, page by page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from crmsync import export
from crmsync.pages.book import CALLING, KEPT, NO_CRM, Asked, asked, headings, with_everything
from crmsync.pages.guard import page
from crmsync.pages.listing import listing

_COLUMNS = "contact_columns"  # where a person's session remembers them


@page("contacts.view_contact")
def contact_list(request: HttpRequest) -> HttpResponse:
    """Contacts as the address asks for them (see book.asked); the columns chosen last are remembered for the next visit."""
    found = asked(request.GET, columns=request.session.get(_COLUMNS, ()))
    shown = [column.name for column in found.columns]
    if request.GET.getlist("column") and request.session.get(_COLUMNS) != shown:
        request.session[_COLUMNS] = shown
    context = {
        "listing": listing(request, found.rows, counted_by=("-created_at", "-id")),
        "found": found,
        "headings": headings(found),
        "filters": found.filters,
        "narrowings": found.narrowings,
        "calling": CALLING.items(),
        "kept": KEPT.items(),
        "no_crm": NO_CRM,
        "active": _active(found),
        "open": any(found.filters[name] for name in ("crm", "kept"))
        or any(one.active for one in found.narrowings),
        "shown": shown,
        "export": _export_query(request, shown),
    }
    return render(request, "pages/contacts.html", context)


@page("contacts.view_contact")
def contact_export(request: HttpRequest) -> HttpResponse:
    """The whole list as the address asks for it, as CSV: who they are and the chosen columns, or with ?all=1 everything."""
    found = asked(request.GET)
    known = {column.header: column for column in export.every_column()}
    if request.GET.get("all"):
        rows, columns = with_everything(found.rows), list(known.values())
    else:
        chosen = {column.name.removeprefix("f."): column.value for column in found.columns}
        identity = {column.header: column for column in export.IDENTITY}
        more = {
            name: known.get(name, export.Column(name, value))
            for name, value in chosen.items()
            if name != "name"
        }
        rows, columns = found.rows, list((identity | more).values())
    # One of Django's two kinds of answer:
    return export.csv_answer(export.contact_rows(rows, columns), "contacts")  # type: ignore[return-value]


def _export_query(request: HttpRequest, columns: list[str]) -> str:
    """The query string of the same list as CSV: the columns are named, whatever a session remembers."""
    query = request.GET.copy()
    query.pop("page", None)
    query.setlist("column", columns)
    return query.urlencode()


def _active(found: Asked) -> list[dict[str, Any]]:
    """The filters that are on, in words, each with the parameters whose removal takes it off."""
    filters, names = found.filters, {str(one.pk): one.name for one in found.connections}
    labels = {
        "tag": {tag.pk: f"Tag: {tag.label}" for tag in found.tags},
        "calling": CALLING,
        "crm": {NO_CRM: "In no CRM"} | {pk: f"In {name}" for pk, name in names.items()},
        "kept": KEPT,
    }
    chips = [
        {"words": words[filters[name]], "without": (name,)}
        for name, words in labels.items()
        if filters[name] in words
    ]
    return chips + [{"words": one.words, "without": one.parameters} for one in found.narrowings if one.active]
