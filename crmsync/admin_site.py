"""The admin site: our models grouped in the order one works with them, and the pages' own sign-in."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

GROUPS = (
    ("setup", "Set up", ("Organisation", "Connection", "CustomField", "AnalysisMapping", "ContactTag")),
    ("contacts", "Contacts", ("Contact", "ContactImport", "ContactChange")),
    (
        "conversations",
        "Conversations",
        ("Conversation", "MergeReview", "AppliedMapping", "ActivityEntry", "WebhookDelivery", "Backfill"),
    ),
    ("sync", "Sync", ("SyncRun", "SyncIssue", "ExternalRecord", "PendingPush", "UndoRequest")),
    ("access", "Access", ("User", "Group", "ApiKey", "ConfigChange")),
)


class House(AdminSite):
    """Django's admin under our roof."""

    site_header = "crmsync setup"
    site_title = "crmsync"
    index_title = "Setup"
    site_url = "/"
    empty_value_display = "–"
    enable_nav_sidebar = True

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """The models by GROUPS; whatever is not named there comes last, by app."""
        apps = super().get_app_list(request, app_label)
        if app_label:
            return apps
        models = {model["object_name"]: model for app in apps for model in app["models"]}
        grouped = [
            _group(slug, name, [models.pop(m) for m in members if m in models])
            for slug, name, members in GROUPS
        ]
        rest = [{**app, "models": [m for m in app["models"] if m["object_name"] in models]} for app in apps]
        return [group for group in [*grouped, *rest] if group["models"]]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # noqa: ARG002
        """Send strangers to the pages' sign-in; refuse people who may not enter here."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))


def _group(slug: str, name: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "app_label": slug,
        "app_url": f"{reverse('admin:index')}#{slug}",
        "has_module_perms": True,
        "models": models,
    }
