"""The contact list: search, filters, sort, page by page."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from contacts.models import Contact, ContactTag
from crmsync.pages.guard import page
from crmsync.pages.listing import chosen, listing
from crmsync.pages.search import matching

SORTS: dict[str, tuple[str, list[Any]]] = {
    "newest": ("Newest first", ["-created_at", "-id"]),
    "name": ("Name", ["last_name", "first_name", "id"]),
    "changed": ("Last changed", ["-updated_at", "-id"]),
    "conversation": ("Last conversation", [F("last_conversation_at").desc(nulls_last=True), "-id"]),
    "conversations": ("Most conversations", ["-conversation_count", "-id"]),
}
CALLING = {"no": "Do not call", "yes": "May be called"}


@page("contacts.view_contact")
def contact_list(request: HttpRequest) -> HttpResponse:
    """Contacts that match ?q=, ?tag=, ?calling= in the order of ?sort=."""
    tags = list(ContactTag.objects.filter(listed=True))
    filters = {
        "q": request.GET.get("q", "")[:200],
        "tag": chosen(request, "tag", [tag.pk for tag in tags]),
        "calling": chosen(request, "calling", list(CALLING)),
        "sort": chosen(request, "sort", list(SORTS)) or "newest",
    }
    context = {
        "listing": listing(request, _rows(filters)),
        "filters": filters,
        "filtered": any(filters[name] for name in ("q", "tag", "calling")),
        "tags": tags,
        "sorts": [(key, label) for key, (label, _) in SORTS.items()],
        "calling": CALLING.items(),
    }
    return render(request, "pages/contacts.html", context)


def _rows(filters: dict[str, str]) -> QuerySet[Contact]:
    rows = Contact.objects.defer("sources", "custom_fields", "contact_memory").prefetch_related("tags")
    if filters["tag"]:
        rows = rows.filter(tags=filters["tag"])
    if filters["calling"]:
        rows = rows.filter(do_not_call=filters["calling"] == "no")
    return matching(rows, filters["q"]).order_by(*SORTS[filters["sort"]][1])
