"""What an agent would see if this number called now: the variables, where they come from, and whether it may be called."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from activity.variables import Preview, preview
from contacts.phone import BadPhone
from crmsync.pages.guard import page
from crmsync.pages.provenance import named_conversations, origin_of


@page("contacts.view_contact", "GET", "POST")
def agent_view(request: HttpRequest) -> HttpResponse:
    """For the posted number, in any usual spelling; an address that held it would stand in logs and histories."""
    number = request.POST.get("number", "").strip()[:60]
    context: dict[str, Any] = {"number": number}
    if number:
        try:
            context |= _seen(preview(number))
        except BadPhone as error:
            context["problem"] = str(error)
    return render(request, "pages/agent_view.html", context)


def _seen(found: Preview) -> dict[str, Any]:
    """What the agent reads, each variable with its origin (None: nobody has said)."""
    sources = found.contact.sources if found.contact else {}
    named = named_conversations(str(stamp.get("ref", "")) for stamp in sources.values())
    told = [
        (one, origin_of(sources[one.name], named) if one.name in sources else None) for one in found.variables
    ]
    return {"preview": found, "told": told}
