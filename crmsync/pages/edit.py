"""Edit a contact, or add one, by hand; every value goes through the one door with the person as its source."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.changes import PhoneTaken, Source, change_contact, change_tags, create_contact
from contacts.models import Contact
from contacts.values import DoesNotFit
from crmsync.pages.contact_form import ContactForm
from crmsync.pages.guard import page, person
from sync.wake import wake


@page("contacts.change_contact", "GET", "POST")
def edit(request: HttpRequest, public_id: str) -> HttpResponse:
    """Change a contact's fields; what does not fit is said at its field and nothing is written."""
    contact = get_object_or_404(Contact, public_id=public_id)
    form = ContactForm(request.POST or None, contact=contact)
    if request.method == "POST" and form.is_valid() and _change(request, contact, form):
        return redirect("contact", contact.public_id)
    return render(request, "pages/contact_edit.html", {"form": form, "contact": contact})


@page("contacts.add_contact", "GET", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """Add a contact by number."""
    form = ContactForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and (contact := _create(request, form)):
        messages.success(request, f"Added {contact}.")
        return redirect("contact", contact.public_id)
    return render(request, "pages/contact_edit.html", {"form": form, "contact": None})


def _change(request: HttpRequest, contact: Contact, form: ContactForm) -> bool:
    source = _source(request, form.cleaned_data.get("reason", ""))
    try:
        with transaction.atomic():
            written = change_contact(
                contact.pk, form.values(), source=source, strict=True, expect=form.seen()
            )
            if written.refused:
                transaction.set_rollback(True)
            elif "tags" in form.changed_data:
                _tag(contact, form, source)
    except DoesNotFit as error:
        form.add_error(None, str(error))
        return False
    form.refuse(written.refused)
    if written.refused:
        return False
    if written.changed:
        wake()
    messages.success(request, "Saved." if written.changed or form.changed_data else "Nothing was changed.")
    return True


def _create(request: HttpRequest, form: ContactForm) -> Contact | None:
    try:
        with transaction.atomic():
            source = _source(request)
            made = create_contact(
                form.cleaned_data["phone_number"], form.values(), source=source, strict=True
            )
            _tag(made.contact, form, source)
    except PhoneTaken as taken:
        form.add_error("phone_number", f"{taken.contact.name} already has this number.")
        return None
    except DoesNotFit as error:
        form.add_error(None, str(error))
        return None
    wake()
    return made.contact


def _tag(contact: Contact, form: ContactForm, source: Source) -> None:
    wanted, held = set(form.cleaned_data.get("tags", [])), set(contact.tags.all())
    change_tags(contact, add=wanted - held, remove=held - wanted, source=source)


def _source(request: HttpRequest, reason: str = "") -> Source:
    user = person(request)
    label = f"{user.get_username()}: {reason}" if reason else user.get_username()
    detail = {"reason": reason} if reason else {}
    return Source(kind="person", ref=f"user:{user.pk}", label=label, detail=detail, may_clear_opt_out=True)
