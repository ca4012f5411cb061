"""Take back one change, one conversation, one run or one import: first what would be restored and what not, then do it."""

from __future__ import annotations

import time

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from activity.models import Conversation
from contacts.models import ContactChange, field_specs
from crmsync.pages.diffs import shown_as
from crmsync.pages.guard import page, person
from sync.models import ContactImport, SyncRun, UndoRequest
from sync.undo import UndoResult, preview_undo
from sync.undo_plan import WHY, Undone, of_change, of_conversation, of_import, of_run
from sync.undo_requests import UndoOpen, request_undo

SECONDS = 8.0
ROWS = 100
OTHER = "The former value does not fit the field any more."


class Enough(Exception):
    """A person waits: the rest is not looked at."""


@page("contacts.change_contact", "GET", "POST")
def undo(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Show what an undo would do, of a change also of one ?field= alone; a POST has the workers do it."""
    undone, back = _what(request, kind, pk)
    if request.method == "POST":
        try:
            asked = request_undo(undone, person(request).get_username())
        except UndoOpen as already:
            asked = already.request
            messages.info(request, str(already))
        return redirect("undo-request", asked.pk)
    result, cut = _look(undone)
    specs = field_specs()
    context = {
        "undone": undone,
        "only": shown_as(undone.field, specs)[0] if undone.field else "",
        "back": back,
        "result": result,
        "cut": cut,
        "skipped": [(WHY.get(reason, OTHER), count) for reason, count in result.skipped.most_common()],
        "stays_here": dict(result.stays_here),
        "rows": [(row, *shown_as(row.field, specs)) for row in result.rows if row.field],
    }
    return render(request, "pages/undo.html", context)


@page("contacts.view_contactchange")
def undo_request(request: HttpRequest, pk: int) -> HttpResponse:
    """How far an undo is, and what it did; asks for itself again until it is done."""
    found = get_object_or_404(UndoRequest, pk=pk)
    context = {
        "undo": found,
        "live": found.state in (UndoRequest.State.QUEUED, UndoRequest.State.RUNNING),
        "skipped": [(WHY.get(reason, OTHER), count) for reason, count in found.skipped.items()],
        "back": _back(*found.ref.partition(":")[::2]),
    }
    return render(request, "pages/undo_request.html", context)


def _what(request: HttpRequest, kind: str, pk: int) -> tuple[Undone, str]:
    """What is to be taken back, and the page that it belongs to. A whole run is for those who run the system."""
    if kind == "change":
        found, field = get_object_or_404(ContactChange, pk=pk), request.GET.get("field", "")
        if field and field not in found.diff:
            raise Http404
        return of_change(found, field), _back(kind, str(pk))
    if kind == "conversation":
        return of_conversation(get_object_or_404(Conversation.objects.only("pk"), pk=pk).ref), _back(
            kind, str(pk)
        )
    if kind == "run":
        if not request.user.has_perm("sync.change_syncrun"):
            raise PermissionDenied
        return of_run(get_object_or_404(SyncRun.objects.select_related("connection"), pk=pk)), _back(
            kind, str(pk)
        )
    if kind == "import":
        if not request.user.has_perm("sync.change_contactimport"):
            raise PermissionDenied
        return of_import(get_object_or_404(ContactImport, pk=pk)), _back(kind, str(pk))
    raise Http404


def _back(kind: str, number: str) -> str:
    """The page that "change:7", "change:7:plan" or "run:12" belongs to."""
    number = number.partition(":")[0]
    if kind == "change":
        change = ContactChange.objects.filter(pk=int(number)).select_related("contact").first()
        return change.contact.get_absolute_url() if change else reverse("contacts")
    return reverse(kind, args=[int(number)])


def _look(undone: Undone) -> tuple[UndoResult, bool]:
    """The preview as far as patience allows, and whether that is not all."""
    until, seen = time.monotonic() + SECONDS, UndoResult(0)

    def watch(result: UndoResult) -> None:
        nonlocal seen
        seen = result
        if time.monotonic() > until and not result.done:
            raise Enough

    try:
        return preview_undo(undone, progress=watch, limit=ROWS), False
    except Enough:
        return seen, True
