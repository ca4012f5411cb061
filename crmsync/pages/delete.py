"""Delete a contact by hand, through the one door for it, after a look at what goes and what stays."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import Contact
from crmsync.pages.guard import page, person
from sync.deletion import StillLinked, delete_contact, linked_to


@page("contacts.delete_contact", "GET", "POST")
def delete(request: HttpRequest, public_id: str) -> HttpResponse:
    """Say what would go; a POST deletes. While a CRM that syncs has the record, say what to do first instead."""
    contact = get_object_or_404(Contact, public_id=public_id)
    if request.method == "POST":
        try:
            delete_contact(contact.pk, by=person(request).get_username())
        except StillLinked as linked:
            messages.error(request, str(linked))
            return redirect("contact-delete", public_id)
        except Contact.DoesNotExist:
            messages.info(request, "The contact was gone already.")
        else:
            messages.success(request, f"Deleted {contact}.")
        return redirect("contacts")
    context = {"contact": contact, "holder": linked_to(contact)}
    return render(request, "pages/contact_delete.html", context)
