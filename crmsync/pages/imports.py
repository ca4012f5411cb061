"""CSV imports for people: upload a file, say which column goes where, look at what it would do, start it, watch it."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from contacts.csv_reading import BadFile
from contacts.import_rows import Decision
from contacts.models import field_specs
from crmsync.export import csv_answer, rejected_rows
from crmsync.pages.diffs import shown_as
from crmsync.pages.guard import page, person
from crmsync.pages.import_form import ImportForm
from crmsync.pages.listing import listing
from sync import imports
from sync.import_store import store_upload
from sync.models import ContactImport

ADD = "sync.add_contactimport"
State = ContactImport.State


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(label="CSV file", widget=forms.FileInput(attrs={"accept": ".csv,text/csv,.txt"}))


@page("sync.view_contactimport", "GET", "POST")
def import_list(request: HttpRequest) -> HttpResponse:
    """The imports of the past, and a form for the next file; its columns are chosen on its own page."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST":
        _must_import(request)
        if form.is_valid() and (job := _stored(request, form)):
            return redirect("import", job.pk)
    rows = ContactImport.objects.exclude(state=State.RECEIVING)
    return render(request, "pages/imports.html", {"form": form, "listing": listing(request, rows)})


@page("sync.view_contactimport", "GET", "POST")
def import_job(request: HttpRequest, pk: int) -> HttpResponse:
    """One file: before its import the choice of columns with a preview, then how far it is and what it did."""
    job = get_object_or_404(ContactImport.objects.exclude(state=State.RECEIVING), pk=pk)
    if request.method == "POST" or (job.state == State.UPLOADED and request.user.has_perm(ADD)):
        _must_import(request)
        return _chosen(request, job)
    context = {
        "job": job,
        "percent": min(100, 100 * job.done // job.rows) if job.rows else None,
        "rate": _rate(job),
        "live": job.state in (State.QUEUED, State.RUNNING),
    }
    return render(request, "pages/import.html", context)


@page(ADD, "POST")
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop after the rows in hand."""
    job = get_object_or_404(ContactImport, pk=pk)
    if imports.cancel_import(job):
        messages.success(request, "Stopped. What was imported stays, and can be undone here.")
    return redirect("import", pk)


@page(ADD)
def rejected(request: HttpRequest, pk: int) -> HttpResponse:  # noqa: ARG001
    """The rows that were not taken, each with its line and the reason, as a file to be mended and imported again."""
    job = get_object_or_404(ContactImport, pk=pk)
    # One of Django's two kinds of answer:
    return csv_answer(rejected_rows(job), f"rejected-{job.pk}")  # type: ignore[return-value]


def _must_import(request: HttpRequest) -> None:
    if not request.user.has_perm(ADD):
        raise PermissionDenied


def _stored(request: HttpRequest, form: UploadForm) -> ContactImport | None:
    file = form.cleaned_data["file"]
    try:
        by = person(request).get_username()
        return store_upload(cast("BinaryIO", file.file), name=file.name or "", size=file.size or 0, by=by)
    except BadFile as error:
        form.add_error("file", str(error))
        return None


def _chosen(request: HttpRequest, job: ContactImport) -> HttpResponse:
    """The choice of columns; a POST shows what the first rows would do, or with start=1 begins."""
    specs = field_specs()
    form = ImportForm(job, specs, request.POST or None)
    context: dict[str, Any] = {"job": job, "form": form}
    if request.method == "POST" and form.is_valid():
        try:
            if "start" in request.POST:
                imports.request_import(job, form.wish(), by=person(request).get_username())
                return redirect("import", job.pk)
            found = imports.preview(job, form.wish())
            context |= {"found": found, "lines": [_line(one, specs) for one in found.decisions]}
        except imports.BadWish as error:
            form.refuse(error)
        except (imports.ImportBegun, imports.ImportOpen) as error:
            messages.info(request, str(error))
            return redirect("import", error.job.pk)
    return render(request, "pages/import_columns.html", context)


def _line(one: Decision, specs: Any) -> dict[str, Any]:
    """One row of the preview."""
    changes = [(*shown_as(name, specs), old, new) for name, (old, new) in one.changes.items()]
    kept = [(shown_as(name, specs)[0], why) for name, why in one.kept.items()]
    fault = shown_as(one.fault, specs)[0] if one.fault else ""
    return {"row": one, "changes": changes, "kept": kept, "fault": fault}


def _rate(job: ContactImport) -> int | None:
    """Rows a second, once that says something."""
    if not job.started_at or not job.done:
        return None
    seconds = ((job.finished_at or timezone.now()) - job.started_at).total_seconds()
    return round(job.done / seconds) if seconds >= 1 else None
