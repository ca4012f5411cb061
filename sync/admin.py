"""The sync's ledgers in the admin, read-only."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString

from contacts import shown
from contacts.ledger import Ledger, known
from integrations.models import Connection
from sync.kinds import KINDS
from sync.models import (
    ContactImport,
    ExternalRecord,
    PendingPush,
    SyncIssue,
    SyncRun,
    UndoRequest,
    counts_in_words,
)
from sync.report import REASONS

OF_CONNECTION = ("connection__schema", "connection__credentials", "connection__token")


class ByConnection(admin.RelatedFieldListFilter):
    """The filter by connection, without loading secrets to name them."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:  # noqa: ARG002
        """Id and name of every connection."""
        return list(Connection.objects.values_list("pk", "name"))


class SyncLedger(Ledger):
    """A ledger whose rows belong to a connection."""

    list_select_related: ClassVar[bool | tuple[str, ...]] = ("connection",)
    list_filter: ClassVar[Any] = (("connection", ByConnection),)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Without the connection's secrets and schema."""
        return super().get_queryset(request).defer(*OF_CONNECTION)

    def searched(self) -> QuerySet:
        """Of every connection by its key: that is how the indexes of these tables begin."""
        return super().searched().filter(connection__in=list(Connection.objects.values_list("pk", flat=True)))


@admin.register(SyncRun)
class SyncRunAdmin(SyncLedger):
    """One execution of an inbound sync."""

    list_display = ("id", "connection", "chip", "kind", "outcome", "started", "took")
    list_filter = (("connection", ByConnection), "state", "kind", "trigger")

    def view_on_site(self, run: SyncRun) -> str:
        """The run's page."""
        return reverse("run", args=[run.pk])

    @admin.display(description="state", ordering="state")
    def chip(self, run: SyncRun) -> SafeString:
        """In colour."""
        return shown.chip(run.get_state_display(), run.state)

    @admin.display(description="counts")
    def outcome(self, run: SyncRun) -> str:
        """Counts, or what went wrong."""
        return run.error or counts_in_words(run.counts)

    @admin.display(description="started", ordering="started_at")
    def started(self, run: SyncRun) -> SafeString | str:
        """Its age."""
        return shown.moment(run.started_at)

    @admin.display(description="took")
    def took(self, run: SyncRun) -> str:
        """Its duration."""
        return shown.duration(run.duration)


@admin.register(SyncIssue)
class SyncIssueAdmin(SyncLedger):
    """What needs a person or a retry."""

    list_display = ("message", "connection", "kind", "chip", "count", "last")
    list_filter = (
        "state",
        known("kind", lambda: [(name, kind.words) for name, kind in KINDS.items()]),
        ("connection", ByConnection),
    )
    search_fields = ("external_id__exact", "field__exact")
    search_help_text = "A CRM record's id, or a field's name."

    @admin.display(description="state", ordering="state")
    def chip(self, issue: SyncIssue) -> SafeString:
        """In colour."""
        return shown.chip(issue.get_state_display(), issue.state)

    @admin.display(description="last", ordering="last_at")
    def last(self, issue: SyncIssue) -> SafeString | str:
        """Its age."""
        return shown.moment(issue.last_at)


@admin.register(ExternalRecord)
class ExternalRecordAdmin(SyncLedger):
    """The remembered link between a contact and a CRM record, or why there is none."""

    list_display = ("external_id", "connection", "chip", "reason", "number", "contact", "seen")
    list_display_links = ("external_id", "connection")
    list_filter = (
        ("connection", ByConnection),
        "state",
        known("reason", lambda: [(reason, reason.replace("_", " ")) for reason in REASONS]),
    )
    list_select_related = ("connection", "contact")
    search_fields = ("external_id__exact", "number__exact")
    search_help_text = "A CRM record's id, or a number in E.164."

    @admin.display(description="state", ordering="state")
    def chip(self, record: ExternalRecord) -> SafeString:
        """In colour."""
        return shown.chip(record.get_state_display(), record.state)

    @admin.display(description="changed in the CRM", ordering="remote_modified_at")
    def seen(self, record: ExternalRecord) -> SafeString | str:
        """Its age."""
        return shown.moment(record.remote_modified_at)


@admin.register(PendingPush)
class PendingPushAdmin(SyncLedger):
    """Contacts that may have to be pushed."""

    list_display = ("contact", "connection", "urgent", "attempts", "waiting", "due")
    list_filter = (("connection", ByConnection), "urgent")
    list_select_related = ("connection", "contact")

    @admin.display(description="waits", ordering="created_at")
    def waiting(self, push: PendingPush) -> SafeString | str:
        """Since when."""
        return shown.moment(push.created_at)

    @admin.display(description="due", ordering="due_at")
    def due(self, push: PendingPush) -> SafeString | str:
        """From when on it is tried."""
        return shown.moment(push.due_at)


@admin.register(ContactImport)
class ContactImportAdmin(Ledger):
    """Files of contacts and what became of their rows. A new one is uploaded on the pages."""

    list_display = ("file_name", "chip", "rows", "created", "updated", "rejected", "by", "uploaded")
    list_filter = ("state",)
    exclude = ("open", "tag_ids", "claimed_until")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Whoever may import."""
        return bool(request.user.has_perm("sync.add_contactimport"))

    def add_view(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Where a file is uploaded, mapped, previewed and started."""
        return redirect("imports")

    def view_on_site(self, job: ContactImport) -> str:
        """Its page, with the progress."""
        return reverse("import", args=[job.pk])

    @admin.display(description="state", ordering="state")
    def chip(self, job: ContactImport) -> SafeString:
        """In colour."""
        return shown.chip(job.get_state_display(), job.state)

    @admin.display(description="uploaded", ordering="created_at")
    def uploaded(self, job: ContactImport) -> SafeString | str:
        """Its age."""
        return shown.moment(job.created_at)


@admin.register(UndoRequest)
class UndoRequestAdmin(Ledger):
    """What people took back."""

    list_display = ("words", "chip", "requested_by", "restored", "contacts", "asked")
    list_filter = ("state",)

    def view_on_site(self, undo: UndoRequest) -> str:
        """Its page."""
        return reverse("undo-request", args=[undo.pk])

    @admin.display(description="state", ordering="state")
    def chip(self, undo: UndoRequest) -> SafeString:
        """In colour."""
        return shown.chip(undo.get_state_display(), undo.state)

    @admin.display(description="asked for", ordering="created_at")
    def asked(self, undo: UndoRequest) -> SafeString | str:
        """Its age."""
        return shown.moment(undo.created_at)
