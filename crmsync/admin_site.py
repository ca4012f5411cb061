"""The admin site: our models grouped in the order one works with them, and the pages' own sign-in."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from crmsync.config_history import ConfigChange

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

# What each thing is for, in the words of whoever works with it.
ABOUT = {
    "Organisation": "Rules of no single CRM: the memory of contacts, what merges may cost, whose calls are rejected.",
    "Connection": "An account in Salesforce or HubSpot: its access, its mappings, and what it reads, writes and logs.",
    "CustomField": "What is kept of a contact beside name and number; agents read it, mappings fill it.",
    "AnalysisMapping": "What the analysis of a conversation writes into the contact.",
    "ContactTag": "Labels that group contacts.",
    "Contact": "Everybody, by their number. A contact opens on its own page.",
    "ContactImport": "Contacts from CSV files, row by row, and how to take an import back.",
    "ContactChange": "Every write to a contact: what, when and from where.",
    "Conversation": "Calls and chats with what was said and what came of it.",
    "MergeReview": "Old and new text put together by the language model, at what price, and who let it through.",
    "AppliedMapping": "What each analysis mapping did after each conversation, and why not.",
    "ActivityEntry": "What is logged of conversations in the CRMs, and what is stuck.",
    "WebhookDelivery": "Every signed request of an agent platform, with what was done. Can be replayed.",
    "Backfill": "Mappings that were applied to conversations of the past.",
    "SyncRun": "Each reading of a CRM, with its counts and its outcome.",
    "SyncIssue": "What needed a person or a retry, also when it is settled.",
    "ExternalRecord": "The CRM record of each contact, or why a record has none.",
    "PendingPush": "Contacts whose changes are on their way to a CRM.",
    "UndoRequest": "What people took back, and what became of it.",
    "User": "People who sign in, and their role.",
    "Group": "The roles, and groups of your own with the permissions you choose.",
    "ApiKey": "Scripts and agent platforms that call in, and what each may do.",
    "ConfigChange": "Who changed which setting, when, from what to what.",
    "Failure": "Wake-ups of the workers that failed. The work itself is kept elsewhere and goes on.",
    "OrmQ": "Wake-ups that no worker has taken yet.",
    "Schedule": "When the workers wake up by themselves. Made anew after every update.",
    "Success": "Wake-ups that went well; none are kept by default.",
}
SEEN = 8  # changes of the configuration on the first page


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
        found = [group for group in [*grouped, *rest] if group["models"]]
        for model in (model for group in found for model in group["models"]):
            model["about"] = ABOUT.get(model["object_name"], "")
        return found

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The first page, with what was changed last and by whom."""
        may = request.user.has_perm("crmsync.view_configchange")
        changes = ConfigChange.objects.all()[:SEEN] if may else []
        return super().index(request, {**(extra_context or {}), "latest_changes": changes})

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
