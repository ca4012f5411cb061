"""The top of the admin: API keys, the organisation, the connection's page, the history of the configuration."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from contacts import shown
from crmsync import admin_connection, admin_history, admin_people  # noqa: F401 (importing registers them)
from crmsync.api_keys import ApiKey, Scope, issue_key
from crmsync.organisation import DEFAULT_MEMORY_PROMPT, Organisation


class ApiKeyForm(forms.ModelForm):
    """Who uses the key and what for."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[s for s in Scope.values if s != Scope.EVENTS],
        help_text="What it may do. Give each script what it needs and no more; it can be changed later.",
    )
    signs = forms.BooleanField(
        required=False,
        label="Signs events",
        help_text="The agent platform signs its events with this key. Fixed once it exists.",
    )
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires at",
        help_text="In the time zone of your browser.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at", "rate")

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
            return ["name", "signs", "scopes", "expires_at", "rate"]
        return ["name", "webhook", "scopes", "expires_at", "rate", "prefix", "used", "revoked_at"]

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
            obj.save(update_fields=[name for name in form.changed_data if name in ApiKeyForm.Meta.fields])
            return
        values = form.cleaned_data
        key, secret = issue_key(
            values["name"],
            scopes=values["scopes"],
            webhook=values["signs"],
            expires_at=values["expires_at"],
            rate=values["rate"],
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
        if key.revoked_at:
            return shown.chip("revoked", "bad")
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return shown.chip("expired", "bad") if expired else shown.chip("active", "ok")

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString | str:
        """Its age."""
        return shown.moment(key.last_used_at)


class OrganisationForm(forms.ModelForm):
    """The settings that belong to no connection; each says what happens."""

    contact_memory_prompt = forms.CharField(
        required=False,
        empty_value=None,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=f"What the model is told when it rewrites a memory. Empty means: {DEFAULT_MEMORY_PROMPT}",
    )

    class Meta:
        model = Organisation
        fields = (
            "contact_memory",
            "contact_memory_reviewed",
            "contact_memory_prompt",
            "merge_budget",
            "reject_field",
        )
        help_texts = {
            "contact_memory": "After each conversation a language model rewrites what is known about the contact. The "
            "transcript and the contact's values go to that model; each conversation costs one request.",
            "contact_memory_reviewed": "A rewritten memory waits among the reviews, and replaces the old one once a "
            "person has accepted it. Otherwise it replaces the old one at once.",
            "merge_budget": "The most that requests to the model may cost in a calendar month (UTC). Once it is spent, "
            "both texts are kept unmerged until the next month. Empty: what CRMSYNC_MERGE_BUDGET says.",
            "reject_field": "The name of a true-or-false contact field, for example do_not_call. Inbound calls and SMS "
            "of contacts for whom it is true are rejected. Empty: none is rejected.",
        }  # fmt: skip


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):
    """One row, which is always there."""

    form = OrganisationForm

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """It is there."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """It stays."""
        return False

    def changelist_view(
        self,
        request: HttpRequest,
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """No list of one: its page."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:crmsync_organisation_change", Organisation.current().pk)
