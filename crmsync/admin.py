"""The top of the admin: API keys, the history of every configuration change, and the connection's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from contacts import shown
from contacts.ledger import Ledger
from crmsync import admin_connection  # noqa: F401 (importing registers it)
from crmsync.api_keys import ApiKey, Scope, issue_key


class ApiKeyForm(forms.ModelForm):
    """Who uses the key and what for."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[s for s in Scope.values if s != Scope.EVENTS],
    )
    signs = forms.BooleanField(
        required=False,
        label="Signs events",
        help_text="The agent platform signs its events with this key. Fixed once it exists.",
    )
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires at (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        """Only a key that signs can have the scope for events; it is given it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        signs = self.instance.webhook if self.instance.pk else bool(cleaned.get("signs"))
        scopes = [scope for scope in cleaned.get("scopes", []) if scope != Scope.EVENTS]
        cleaned["scopes"] = [*scopes, Scope.EVENTS] if signs else scopes
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """A key is shown once, when it is made."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "webhook", "condition", "used", "expires_at")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:  # noqa: ARG002
        """A key that exists also tells what became of it."""
        if obj is None:
            return ["name", "signs", "scopes", "expires_at"]
        return ["name", "webhook", "scopes", "expires_at", "prefix", "used", "revoked_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:  # noqa: ARG002
        """What is fixed once the key exists."""
        return ("webhook", "prefix", "used", "revoked_at") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """Without the signing secrets."""
        return super().get_queryset(request).defer("secret", "key_hash")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """Histories point at keys: they are revoked, not deleted."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm, change: bool) -> None:
        """A new key is issued; its secret travels to the answer of this request and nowhere else."""
        if change:
            obj.save(
                update_fields=[name for name in form.changed_data if name in ("name", "scopes", "expires_at")]
            )
            return
        values = form.cleaned_data
        key, secret = issue_key(
            values["name"], scopes=values["scopes"], webhook=values["signs"], expires_at=values["expires_at"]
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        request.META["crmsync.issued"] = secret

    def response_add(
        self,
        request: HttpRequest,
        obj: ApiKey,
        post_url_continue: str | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Show the key, this once."""
        context = {
            **self.admin_site.each_context(request), "title": f"The key of {obj.name}", "opts": self.opts, "key": obj,
            "secret": request.META.pop("crmsync.issued"),
        }  # fmt: skip
        return TemplateResponse(request, "admin/crmsync/apikey/issued.html", context)

    @admin.action(description="Revoke: end them at once", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """End the chosen keys."""
        for key in queryset.usable():  # type: ignore[attr-defined]
            key.revoke()
            self.log_change(request, key, "Revoked.")

    @admin.display(description="state")
    def condition(self, key: ApiKey) -> SafeString:
        """Works, or not any more."""
        return shown.chip("revoked", "bad") if key.revoked_at else shown.chip("active", "ok")

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString | str:
        """Its age."""
        return shown.moment(key.last_used_at)


@admin.register(LogEntry)
class LogEntryAdmin(Ledger):
    """Who changed what in the setup, and when."""

    list_display = ("when", "user", "what", "object_repr", "change")
    list_filter = ("action_flag",)
    list_select_related = ("user", "content_type")

    @admin.display(description="at", ordering="action_time")
    def when(self, entry: LogEntry) -> SafeString | str:
        """Its age."""
        return shown.moment(entry.action_time)

    @admin.display(description="kind", ordering="content_type")
    def what(self, entry: LogEntry) -> str:
        """The kind of object."""
        return str(entry.content_type.name) if entry.content_type else "–"

    @admin.display(description="change")
    def change(self, entry: LogEntry) -> str:
        """What was changed, in words."""
        return entry.get_change_message() or entry.get_action_flag_display()
