"""What an agent would see if this number called now: the variables, where they come from, and whether it may be called."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from activity.variables import preview
from contacts.models import field_specs
from contacts.phone import BadPhone
from crmsync.pages.guard import page


@page("contacts.view_contact", "GET", "POST")
def agent_view(request: HttpRequest) -> HttpResponse:
    """For the posted number, in any usual spelling; an address that held it would stand in logs and histories."""
    number = request.POST.get("number", "").strip()[:60]
    context: dict[str, Any] = {"number": number}
    if number:
        try:
            context["preview"] = preview(number)
            context["labels"] = {name: spec.label for name, spec in field_specs().items()}
        except BadPhone as error:
            context["problem"] = str(error)
    return render(request, "pages/agent_view.html", context)
