"""The guided set-up: from a CRM's credentials to the first sync. Nothing is read on schedule, and nothing is written, before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from crmsync.models import Heartbeat
from crmsync.pages.guard import page, person
from crmsync.pages.previews import RECORDS, ROWS, looked, sign_seen, when_seen
from crmsync.pages.runs import progress_of
from crmsync.pages.setup_form import AccessForm, Choices, access_form_for, rows_of, sets_of
from crmsync.pages.setup_steps import may_enter, next_of, reached, steps_of, unfinished
from integrations.connections import set_credentials, test_connection
from integrations.models import Connection
from integrations.providers.registry import PROVIDERS
from mappings.compatibility import PHONE
from mappings.offers import addable, adopt, offers, phone_fields, phone_of
from mappings.ready import check_ready
from sync.arming import approve_outbound
from sync.models import SyncRun
from sync.preview import preview
from sync.runs import RunOpen, request_run

RUNS = "integrations.change_connection"
SILENT = timedelta(minutes=3)


@page("integrations.add_connection")
def setup(request: HttpRequest) -> HttpResponse:
    """Which CRM, or which set-up to take up again."""
    context = {
        "providers": PROVIDERS,
        "begun": [(row, *reached(row)) for row in unfinished()[:20]],
    }
    return render(request, "pages/setup/choose.html", context)


@page("integrations.add_connection", "GET", "POST")
def new(request: HttpRequest, provider: str) -> HttpResponse:
    """The credentials of a new connection. It is kept switched off until its first sync is started."""
    if provider not in PROVIDERS:
        raise Http404
    label = PROVIDERS[provider].label
    data = request.POST.copy() if request.method == "POST" else None
    if data is not None:
        data["provider"] = provider
    form = access_form_for(provider)(data, initial={"provider": provider, "name": label})
    if data is not None and form.is_valid():
        connection = _added(form)
        _try(request, connection)
        return redirect("setup-access", connection.public_id)
    return _access(request, form, provider)


@page(RUNS, "GET", "POST")
def access(request: HttpRequest, public_id: str) -> HttpResponse:
    """The credentials, and what the test and the pre-flight found; entering others keeps everything else."""
    connection = get_object_or_404(Connection, public_id=public_id)
    data = request.POST.copy() if request.method == "POST" else None
    if data is not None:
        data["provider"] = connection.provider
    form = access_form_for(connection.provider)(data, instance=connection)
    if data is not None and form.is_valid():
        _changed(connection, form)
        _try(request, connection)
        return redirect("setup-access", public_id)
    return _access(request, form, connection.provider, Connection.objects.get(pk=connection.pk))


@page(RUNS)
def go_on(request: HttpRequest, public_id: str) -> HttpResponse:  # noqa: ARG001
    """Where this set-up was left."""
    return redirect(next_of(get_object_or_404(Connection, public_id=public_id)))


@page(RUNS, "GET", "POST")
def mappings(request: HttpRequest, public_id: str) -> HttpResponse:
    """Suggested pairs to tick, and CRM fields to make contact fields for."""
    connection = get_object_or_404(Connection, public_id=public_id)
    if not may_enter(connection, "setup-mappings"):
        return redirect(next_of(connection))
    sent, errors = None, {}
    if request.method == "POST":
        sent = Choices(request.POST)
        try:
            _adopt(connection, sent)
            if "stay" in request.POST:
                messages.success(request, "Saved. You can leave now, and go on with the dry run later.")
            return redirect("setup-dry-run" if "stay" not in request.POST else "setup-mappings", public_id)
        except ValidationError as error:
            errors = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            messages.error(request, "Nothing is saved yet: mend what is marked, or untick it.")
    shown = offers(connection)
    fresh = not connection.inbound_mappings.filter(contact_field=PHONE).exists()
    context = _at(connection, "setup-mappings") | {
        "rows": rows_of(shown, sent.chosen if sent else None, errors, fresh=fresh),
        "more": rows_of(addable(connection, shown), sent.made if sent else None, errors, fresh=fresh),
        "phones": phone_fields(connection),
        "phone": sent.phone if sent else phone_of(connection),
        "phone_errors": errors.get("phone", []),
        "other_errors": errors.get("", []),
        "switches": sent.switches if sent else None,
    }
    return render(request, "pages/setup/mappings.html", context)


@page(RUNS, "GET", "POST")
def dry_run(request: HttpRequest, public_id: str) -> HttpResponse:
    """What the first sync would do on both sides; whoever has seen it may approve it."""
    connection = get_object_or_404(Connection, public_id=public_id)
    if not may_enter(connection, "setup-dry-run"):
        return redirect(next_of(connection))
    context = _at(connection, "setup-dry-run") | {"most": RECORDS}
    context["writes"] = connection.outbound_mappings.exists() or connection.sync_new_contacts
    if request.method == "POST":
        at = timezone.now()
        found = looked(
            connection, lambda watch: preview(connection, full=True, limit=ROWS, progress=watch), RECORDS
        )
        context |= found
        if "result" in found:
            context["seen"] = sign_seen(connection, at)
    return render(request, "pages/setup/dry_run.html", context)


@page(RUNS, "POST")
def start(request: HttpRequest, public_id: str) -> HttpResponse:
    """Switch the connection on and begin the first sync; with "arm", also let changes be written to the CRM."""
    connection = get_object_or_404(Connection, public_id=public_id)
    at = when_seen(connection, request.POST.get("seen", ""))
    if at is None or not may_enter(connection, "setup-dry-run"):
        messages.warning(request, "Look at the dry run again: what was shown is too old to be approved.")
        return redirect("setup-dry-run", public_id)
    by = person(request).get_username()
    _switch_on(connection, by=by, armed=at if "arm" in request.POST else None)
    return redirect("setup-sync", public_id)


@page(RUNS)
def first_sync(request: HttpRequest, public_id: str) -> HttpResponse:
    """The first sync as it goes, and what to do next."""
    connection = get_object_or_404(Connection, public_id=public_id)
    run = SyncRun.objects.filter(connection=connection).defer("held", "cursor", "cursor_before").first()
    if run is None and not may_enter(connection, "setup-sync"):
        return redirect(next_of(connection))
    silence = Heartbeat.age()
    context = _at(connection, "setup-sync") | {
        "run": run,
        "live": run is not None and run.open and run.state != "waiting",
        "progress": progress_of(run) if run else None,
        "silent": silence is None or silence > SILENT,
    }
    return render(request, "pages/setup/first_sync.html", context)


def _at(connection: Connection, step: str) -> dict[str, Any]:
    return {
        "connection": connection,
        "steps": steps_of(connection, step),
        "entry": PROVIDERS[connection.provider],
    }


def _access(
    request: HttpRequest, form: AccessForm, provider: str, connection: Connection | None = None
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "sets": sets_of(form), "entry": PROVIDERS[provider]}
    context |= _at(connection, "setup-access") if connection else {}
    return render(request, "pages/setup/access.html", context)


def _added(form: AccessForm) -> Connection:
    """The new connection, switched off, last in rank, with its credentials and without a mapping."""
    connection: Connection = form.save(commit=False)
    worst = Connection.objects.aggregate(worst=Max("rank"))["worst"]
    connection.rank = 10 if worst is None else worst + 10
    connection.enabled = False
    with transaction.atomic():
        set_credentials(connection, form.chosen())
    return connection


def _changed(connection: Connection, form: AccessForm) -> None:
    """Store what was edited; credentials only when they or the address are new."""
    columns = {field.name for field in Connection._meta.concrete_fields}
    edited = [name for name in form.changed_data if name in columns]
    with transaction.atomic():
        connection.save(update_fields=[*edited, "updated_at"])
        if form.access_changed:
            connection.refresh_from_db()
            set_credentials(connection, form.chosen())


def _try(request: HttpRequest, connection: Connection) -> None:
    """Test the credentials, and look at everything else when they are good."""
    if test_connection(connection):
        check_ready(connection)
        messages.success(request, f"{connection.name} answers; {len(connection.schema)} fields were read.")


def _adopt(connection: Connection, sent: Choices) -> None:
    with transaction.atomic():
        adopt(connection, phone=sent.phone, listed=sent.listed, chosen=sent.chosen, made=sent.made)
        for name, value in sent.switches.items():
            setattr(connection, name, value)
        connection.save(update_fields=[*sent.switches, "updated_at"])


def _switch_on(connection: Connection, *, by: str, armed: datetime | None) -> None:
    # The clock starts with this run: none by schedule gets between it and the person who watches it.
    connection.enabled, connection.next_sync_at = True, timezone.now() + connection.interval
    connection.save(update_fields=["enabled", "next_sync_at", "updated_at"])
    if armed is not None:
        approve_outbound(connection, by=by, previewed_at=armed)
    try:
        request_run(connection, full=True, by=by)
    except RunOpen:
        return  # it is the one to watch
