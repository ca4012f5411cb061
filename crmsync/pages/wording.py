"""What is logged of a conversation: the connection's templates, tried on a real conversation before they are saved."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from activity.log import word_anew
from activity.models import Conversation
from activity.wording_preview import latest, preview
from crmsync.pages.guard import page
from integrations.activity_templates import DEFAULT_BODY, DEFAULT_TITLE, TEMPLATE_LIMIT, problem_of
from integrations.models import Connection
from integrations.template_language import FILTERS, VARIABLES


class TemplateField(forms.CharField):
    """A template, kept as it was typed; one that cannot be used is refused with its line and what to do."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, **kwargs)

    def validate(self, value: str) -> None:
        """Refuse what the language does not let in."""
        super().validate(value)
        if problem := problem_of(value):
            raise forms.ValidationError(problem)


class WordingForm(forms.Form):
    """Both templates; blank ones stand for the usual words."""

    activity_title = TemplateField(
        label="Title", max_length=500, widget=forms.TextInput(attrs={"spellcheck": "false"})
    )
    activity_body = TemplateField(
        label="Text",
        help_text="An empty field stands for the usual words.",
        max_length=TEMPLATE_LIMIT,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false"}),
    )


@page("integrations.change_connection", "GET", "POST")
def wording(request: HttpRequest, public_id: str) -> HttpResponse:
    """The templates with what they say of one conversation; `save` keeps them."""
    connection = get_object_or_404(Connection, public_id=public_id)
    stored = {"activity_title": connection.activity_title, "activity_body": connection.activity_body}
    usual = {"activity_title": DEFAULT_TITLE, "activity_body": DEFAULT_BODY}
    shown = {name: text or usual[name] for name, text in stored.items()}
    form = WordingForm(request.POST if request.method == "POST" else None, initial=shown)
    if form.is_valid():
        given = {name: text.replace("\r\n", "\n") for name, text in form.cleaned_data.items()}
        # What is still in the usual words is not kept: it goes on to be whatever is usual.
        shown = {name: "" if text == usual[name] else text for name, text in given.items()}
        if "save" in request.POST:
            return _saved(request, connection, shown)
    chosen = _chosen(request)
    trial = preview(chosen, connection, **_templates(shown)) if chosen and not form.errors else None
    context = {
        "connection": connection,
        "form": form,
        "conversations": latest(),
        "chosen": chosen,
        "trial": trial,
        "variables": VARIABLES,
        "filters": ", ".join(sorted(FILTERS)),
    }
    return render(request, "pages/wording.html", context)


def _templates(shown: dict[str, str]) -> dict[str, str]:
    return {"title": shown["activity_title"], "body": shown["activity_body"]}


def _saved(request: HttpRequest, connection: Connection, templates: dict[str, str]) -> HttpResponse:
    Connection.objects.filter(pk=connection.pk).update(**templates, updated_at=timezone.now())
    connection.refresh_from_db()
    again = word_anew(connection)
    words = f" {again} that had to be logged in the usual words will be worded anew." if again else ""
    messages.success(request, f"Conversations are logged in these words from now on.{words}")
    return redirect("connection", connection.public_id)


def _chosen(request: HttpRequest) -> Conversation | None:
    """The conversation to try it on: the one that was asked for, else the latest that has been analysed."""
    asked = request.POST.get("conversation") or request.GET.get("conversation") or ""
    rows = Conversation.objects.select_related("contact")
    if asked.isdecimal():
        return rows.filter(pk=asked).first()
    return rows.filter(pk__in=[one.pk for one in latest()[:1]]).first()
