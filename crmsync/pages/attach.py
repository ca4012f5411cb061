"""Say by hand whose conversation it was, where its number did not."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from activity.attach import HasContact
from activity.attach import attach as attach_to
from activity.models import Conversation
from contacts.changes import Source
from contacts.models import Contact
from crmsync.pages.guard import page, person
from crmsync.pages.search import matching

FOUND = 10


@page("activity.change_conversation", "GET", "POST")
def attach(request: HttpRequest, pk: int) -> HttpResponse:
    """Look for the contact by the posted `q`, which may be a number and so stands in no address; attach it to a `contact`."""
    conversation = get_object_or_404(Conversation.objects.select_related("contact").defer("payload"), pk=pk)
    if "contact" in request.POST:
        contact = get_object_or_404(Contact, public_id=request.POST.get("contact", ""))
        user = person(request)
        try:
            attach_to(conversation, contact, Source("person", f"user:{user.pk}", user.get_username()))
            messages.success(
                request, f"It belongs to {contact.name} now; its analysis is applied and logged."
            )
        except HasContact as error:
            messages.info(request, f"{error} It is {error.contact.name}’s.")
        return redirect("conversation", pk)
    query = request.POST.get("q", "").strip()[:200]
    rows = Contact.objects.defer("custom_fields", "sources", "contact_memory")
    found = matching(rows, query).order_by("last_name", "first_name", "id")[:FOUND] if query else []
    return render(
        request, "pages/attach.html", {"conversation": conversation, "query": query, "found": found}
    )
