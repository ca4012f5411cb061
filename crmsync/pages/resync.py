"""Bring one contact in step with its CRMs now, and show on its page what that did."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from contacts.models import Contact, field_specs
from contacts.values import Value
from crmsync.pages.guard import page
from crmsync.pages.profile import profile_of
from sync.resync import Resynced, resync


@dataclass(frozen=True, slots=True)
class Told:
    """One CRM's part of the result, as the page shows it: `tone` and `word` fit a chip, `taken` is (label, kind, old, new)."""

    name: str
    tone: str
    word: str
    said: str
    taken: list[tuple[str, str, Value, Value]]


@page("contacts.change_contact", "GET", "POST")
def resync_now(request: HttpRequest, public_id: str) -> HttpResponse:
    """Do it on a POST and show the contact's page with the result; an address that was kept leads to the page."""
    contact = get_object_or_404(Contact, public_id=public_id)
    if request.method != "POST":
        return redirect(contact)
    results = resync(contact)
    now = Contact.objects.filter(pk=contact.pk).first()
    if now is None:
        messages.warning(
            request, "The CRM had deleted this record, and the connection deletes contacts along with it."
        )
        return redirect("contacts")
    if not results:
        messages.info(request, "No CRM is connected that this contact could be in.")
        return redirect(now)
    context = profile_of(now) | {"resynced": [told(one) for one in results]}
    return render(request, "pages/contact.html", context)


def told(one: Resynced) -> Told:
    """A result in words."""
    specs = field_specs()

    def label(name: str) -> str:
        return specs[name].label if name in specs else name

    said = " ".join(filter(None, [_said(one, [label(name) for name in one.sent]), one.waits, one.problem]))
    taken = [
        (label(name), specs[name].type.value if name in specs else "string", *pair)
        for name, pair in one.taken.items()
    ]
    return Told(one.connection.name, *_judged(one), said, taken)


def _judged(one: Resynced) -> tuple[str, str]:
    if one.problem:
        return "bad", "not done"
    if one.waits:
        return "warn", "partly done"
    if not one.found:
        return "calm", "no record"
    return ("ok", "in step") if one.in_step else ("ok", "brought in step")


def _said(one: Resynced, sent: list[str]) -> str:
    if one.problem:
        return ""
    if not one.found:
        return "It has no record that belongs to this contact."
    words = ["A record with this number was found and linked."] if one.linked else []
    if one.taken:
        words.append(f"{len(one.taken)} value{'s' if len(one.taken) > 1 else ''} taken from it.")
    if sent:
        words.append(f"Written to it: {', '.join(sent)}.")
    if one.in_step:
        words.append("Both sides held the same.")
    return " ".join(words)
