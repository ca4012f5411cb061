"""The connection's page whole: settings from below, with mappings, health, runs and what a deletion means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from activity.log import word_anew
from crmsync import admin_mappings
from integrations.admin import ConnectionAdmin
from integrations.health import health_of
from integrations.models import Connection
from integrations.preflight import Level, Line
from integrations.providers.registry import PROVIDERS
from mappings.compatibility import PHONE
from mappings.models import InboundMapping
from mappings.ready import check_ready
from sync.issues import OPEN
from sync.models import ExternalRecord, PendingPush, RunState, SyncIssue, SyncRun


@admin.register(Connection)
class ConnectionPage(ConnectionAdmin):
    """A connection with everything that hangs on it."""

    change_form_template = "admin/integrations/connection/change_form.html"
    delete_confirmation_template = "admin/integrations/connection/delete_confirmation.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """With the end of the last good run."""
        good = SyncRun.objects.filter(connection=OuterRef("pk"), state=RunState.SUCCEEDED).order_by("-id")
        rows: QuerySet[Connection] = super().get_queryset(request)
        return rows.annotate(last_good=Subquery(good.values("finished_at")[:1]))

    def look_closer(self, connection: Connection) -> list[Line]:
        """What the pre-flight finds wanting, for the mappings there are."""
        return [line for line in check_ready(connection) if line.level is not Level.OK]

    def get_urls(self) -> list[URLPattern]:
        """The mapping editor beside the settings."""
        wrap, site = self.admin_site.admin_view, self.admin_site

        def editor(request: HttpRequest, pk: int) -> HttpResponse:
            return admin_mappings.editor(request, pk, site)

        return [
            path("<int:pk>/mappings/", wrap(editor), name="integrations_connection_mappings"),
            path(
                "<int:pk>/mappings/choices/",
                wrap(admin_mappings.choices),
                name="integrations_connection_choices",
            ),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: Connection, form: ModelForm, change: bool) -> None:
        """A new connection starts with the mapping that cannot be missing: the phone number."""
        super().save_model(request, obj, form, change)
        if change and {"activity_title", "activity_body"} & {*form.changed_data}:
            word_anew(obj)
        if not change:
            phone_field = PROVIDERS[obj.provider].phone_field
            InboundMapping.objects.get_or_create(
                connection=obj, contact_field=PHONE, defaults={"external_field": phone_field}
            )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the health box and the CRM's fields to choose from."""
        connection = self.get_object(request, object_id)
        context = (extra_context or {}) | (standing(connection) if connection else {})
        return super().change_view(request, object_id, form_url, context)

    def get_deleted_objects(self, objs: Iterable[Connection], request: HttpRequest) -> tuple[Any, ...]:
        """What goes, in numbers; listing a million links one by one would help nobody."""
        connections = list(objs)
        lines: list[Any] = []
        for connection in connections:
            lines += [
                connection.name,
                [f"{count:,} {words}" for words, count in goes_with(connection).items()],
            ]
        needed = set() if self.has_delete_permission(request) else {"connection"}
        return lines, {"connections": len(connections)}, needed, []


def standing(connection: Connection) -> dict[str, Any]:
    """What the status box shows."""
    issues = SyncIssue.objects.filter(connection=connection, state__in=OPEN)
    skipped = ExternalRecord.objects.filter(connection=connection, state="skipped").values_list("reason")
    return {
        "health": health_of(connection, getattr(connection, "last_good", None)),
        "last_run": connection.runs.defer("cursor", "cursor_before").first(),
        "issues": issues.order_by("-count")[:5],
        "pending": PendingPush.objects.filter(connection=connection).count(),
        "skipped": list(skipped.annotate(count=Count("id")).order_by("-count")),
        "inbound": connection.inbound_mappings.count(),
        "outbound": connection.outbound_mappings.count(),
    }


def goes_with(connection: Connection) -> dict[str, int]:
    """What ends with the connection, by what it is."""
    return {
        "inbound mappings": connection.inbound_mappings.count(),
        "outbound mappings": connection.outbound_mappings.count(),
        "links to CRM records": connection.records.count(),
        "runs": connection.runs.count(),
        "issues": connection.issues.count(),
        "notes of what was logged there": connection.entries.count(),
    }
