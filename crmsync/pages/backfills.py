"""Apply analysis mappings to conversations of the past: choose, see what it would do, start it, watch it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from activity.backfill import BackfillOpen, NothingToApply, cancel, planned, preview, request_backfill
from activity.models import Backfill
from contacts.models import field_specs
from crmsync.pages.diffs import shown_as
from crmsync.pages.guard import page, person
from crmsync.pages.listing import listing
from mappings.models import AnalysisMapping


class BackfillForm(forms.Form):
    """Which mappings, and which conversations by the day they began (UTC)."""

    mappings = forms.ModelMultipleChoiceField(
        AnalysisMapping.objects.all(), required=False, widget=forms.CheckboxSelectMultiple
    )
    memory = forms.BooleanField(required=False, label="Rewrite the memory of the contacts too")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        required=False, label="Up to and with", widget=forms.DateInput(attrs={"type": "date"})
    )

    def wanted(self) -> dict[str, Any]:
        """The arguments of a backfill."""
        chosen = self.cleaned_data
        times = []
        if chosen["since"]:
            times.append(("ge", _milliseconds(datetime.combine(chosen["since"], time.min, UTC))))
        if chosen["until"]:
            times.append(("le", _milliseconds(datetime.combine(chosen["until"], time.max, UTC))))
        return {"mappings": list(chosen["mappings"]), "memory": chosen["memory"], "times": times}


@page("activity.add_backfill", "GET", "POST")
def backfill_list(request: HttpRequest) -> HttpResponse:
    """Choose and preview a backfill; with start=1 begin it. Below, those of the past."""
    form = BackfillForm(request.POST or None)
    context: dict[str, Any] = {"form": form, "listing": listing(request, Backfill.objects.all())}
    if request.method == "POST" and form.is_valid():
        try:
            if "start" in request.POST:
                job = request_backfill(**form.wanted(), by=person(request).get_username())
                return redirect("backfill", job.pk)
            specs = field_specs()
            found = preview(planned(**form.wanted()))
            context["found"] = found
            context["changes"] = [(one, *shown_as(one.field, specs)) for one in found.changes]
        except NothingToApply as error:
            form.add_error("mappings", str(error))
        except BackfillOpen as already:
            messages.info(request, str(already))
            return redirect("backfill", already.job.pk)
    return render(request, "pages/backfills.html", context)


@page("activity.add_backfill")
def backfill(request: HttpRequest, pk: int) -> HttpResponse:
    """How far one is; asks for itself again until it has ended."""
    job = get_object_or_404(Backfill, pk=pk)
    context = {
        "job": job,
        "mappings": AnalysisMapping.objects.filter(pk__in=job.mappings),
        "percent": min(100, 100 * job.done // job.contacts) if job.contacts else None,
    }
    return render(request, "pages/backfill.html", context)


@page("activity.add_backfill", "POST")
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop one after the contact in hand."""
    job = get_object_or_404(Backfill, pk=pk)
    if cancel(job):
        messages.success(request, "Stopped. What was done stays.")
    return redirect("backfill", pk)


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
