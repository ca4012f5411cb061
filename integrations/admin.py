"""Connections in the admin: settings, credentials, the test. The layers above add the mappings and the syncs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from contacts import shown
from integrations.connection_form import SECRET, TEMPLATE_HELP, ConnectionForm, form_for
from integrations.connections import set_credentials, test_connection
from integrations.health import health_of
from integrations.models import Connection
from integrations.preflight import Level, Line, preflight
from integrations.providers.registry import PROVIDERS


class ConnectionAdmin(admin.ModelAdmin):
    """One authorised account in a CRM."""

    list_display = ("name", "provider", "rank", "health", "account_name", "checked")
    list_display_links = ("name",)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """In the order one sets a connection up; the secrets are those of its provider."""
        secrets = [SECRET + name for name in PROVIDERS[_provider(request, obj)].every_credential]
        behaviour = ["enabled", "interval_minutes", "sync_conversation_activity", "sync_new_contacts"]
        return [
            (None, {"fields": ["provider", "name", "tenant_url", *secrets]}),
            ("What it does", {"fields": behaviour}),
            (
                "What is logged",
                {"fields": ["activity_title", "activity_body"], "description": TEMPLATE_HELP},
            ),
            ("When records meet", {"fields": ["rank", "phone_fields", "duplicate_policy", "delete_policy"]}),
            ("When to ask a person", {"fields": ["overwrite_floor", "overwrite_percent"]}),
            ("Details", {"fields": ["phone_region", "reconcile_hours", "options"], "classes": ["collapse"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """The provider is chosen once."""
        return ("provider",) if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        """The form with the provider's secret fields."""
        kwargs["form"] = form_for(_provider(request, obj))
        return super().get_form(request, obj, change, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """The test beside the usual ones."""
        view = self.admin_site.admin_view(self.test_view)
        return [path("<int:pk>/test/", view, name="integrations_connection_test"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """First the provider, then its form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if _asked_provider(request) is None:
            context = {
                **self.admin_site.each_context(request),
                "title": "Connect a CRM",
                "opts": self.opts,
                "providers": PROVIDERS,
            }
            return TemplateResponse(request, "admin/integrations/connection/choose.html", context)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Connection, form: ModelForm, change: bool) -> None:
        """Write only what was edited: workers write to the same row. New access is stored encrypted and untested."""
        if not change:
            super().save_model(request, obj, form, change)
        else:
            columns = {field.name for field in self.opts.concrete_fields}
            edited = [name for name in form.changed_data if name in columns]
            obj.save(update_fields=[*edited, "updated_at"])
        if isinstance(form, ConnectionForm) and form.access_changed:
            obj.refresh_from_db()
            set_credentials(obj, form.chosen())

    def response_add(
        self,
        request: HttpRequest,
        obj: Connection,
        post_url_continue: str | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """On to the connection's page, where the test and the mappings are."""
        messages.success(
            request, f"{obj.name} is added. Test the connection next: it also reads which fields the CRM has."
        )
        return redirect(self.page_of(obj))

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Test the connection and say what came out."""
        connection = get_object_or_404(Connection, pk=pk)
        if not self.has_change_permission(request, connection):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if test_connection(connection):
            account = f" as {connection.account_name}" if connection.account_name else ""
            messages.success(
                request, f"{connection.name} answers{account}; {len(connection.schema)} fields were read."
            )
            for line in self.look_closer(connection):
                tell = messages.error if line.level is Level.ERROR else messages.warning
                tell(request, f"{line.what} {line.fix}".strip())
        else:
            messages.error(request, f"{connection.name}: {connection.status_reason}")
        return redirect(self.page_of(connection))

    def look_closer(self, connection: Connection) -> list[Line]:
        """What the pre-flight finds wanting. The layers above know the mappings and look at them too."""
        return [line for line in preflight(connection) if line.level is not Level.OK]

    def page_of(self, connection: Connection) -> str:
        """The connection's page in the admin."""
        return reverse("admin:integrations_connection_change", args=[connection.pk])

    @admin.display(description="health")
    def health(self, connection: Connection) -> SafeString:
        """In one word."""
        health = health_of(connection, getattr(connection, "last_good", None))
        return shown.chip(health.word, health.tone)

    @admin.display(description="checked", ordering="checked_at")
    def checked(self, connection: Connection) -> SafeString | str:
        """When the credentials were last tested."""
        return shown.moment(connection.checked_at)


def _asked_provider(request: HttpRequest) -> str | None:
    asked = request.POST.get("provider") or request.GET.get("provider")
    return asked if asked in PROVIDERS else None


def _provider(request: HttpRequest, obj: Any) -> str:
    return str(obj.provider) if obj else _asked_provider(request) or next(iter(PROVIDERS))
