"""The four roles, as Django groups whose permissions this page decides. Made anew after every migrate.

Whoever needs another cut makes a group of their own; these four are always what is written here.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from crmsync.config_watch import unwatched

ADMINISTRATOR, OPERATOR, REVIEWER, STAFF = "administrator", "operator", "reviewer", "staff"
ROLES = (ADMINISTRATOR, OPERATOR, REVIEWER, STAFF)
OUR_APPS = ("contacts", "integrations", "mappings", "sync", "activity", "crmsync")

# What everybody with a role may see. Connections are seen with their settings, never with their secrets.
_SEEN = (
    "contacts.contact", "contacts.customfield", "contacts.contacttag", "contacts.contactchange", "contacts.contactalias",
    "integrations.connection", "mappings.inboundmapping", "mappings.outboundmapping", "mappings.analysismapping",
    "sync.externalrecord", "sync.syncrun", "sync.syncissue", "sync.pendingpush", "sync.undorequest", "sync.contactimport",
    "activity.conversation", "activity.webhookdelivery", "activity.activityentry", "activity.appliedmapping",
    "activity.mergereview",
)  # fmt: skip
_REVIEWED = (
    "activity.change_mergereview",
    "activity.change_conversation",
    "sync.change_syncissue",
    "contacts.change_contact",
)
# Operators run the system and change the organisation's rules, but do not hand out access: API keys, people, groups.
_KEPT_FROM_OPERATORS = ("crmsync.", "auth.", "admin.")
_YET_OPERATORS = {"crmsync.view_organisation", "crmsync.change_organisation", "crmsync.view_configchange"}


def _all_of_ours() -> dict[str, Permission]:
    rows = Permission.objects.filter(content_type__app_label__in=(*OUR_APPS, "auth", "admin")).select_related(
        "content_type"
    )
    return {f"{row.content_type.app_label}.{row.codename}": row for row in rows}


def permissions_of(role: str, names: set[str]) -> set[str]:
    """The permissions of a role among all `names`, as "app.codename"."""
    seen = {f"{model.split('.')[0]}.view_{model.split('.')[1]}" for model in _SEEN}
    if role == STAFF:
        return seen & names
    if role == REVIEWER:
        return (seen | set(_REVIEWED)) & names
    if role == OPERATOR:
        return {name for name in names if not name.startswith(_KEPT_FROM_OPERATORS)} | (
            _YET_OPERATORS & names
        )
    return names


def ensure_roles(using: str = "default", **_: Any) -> None:
    """Make the groups and give them exactly their permissions; cheap when nothing has changed."""
    for config in apps.get_app_configs():
        # Ours is the first app to hear of a migrate: the permissions of the others may not be there yet.
        create_permissions(config, verbosity=0, using=using)
    known = _all_of_ours()
    with transaction.atomic(using=using), unwatched():
        for role in ROLES:
            group, _made = Group.objects.get_or_create(name=role)
            wanted = {known[name].pk for name in permissions_of(role, set(known))}
            if wanted != set(group.permissions.values_list("pk", flat=True)):
                group.permissions.set(wanted)


def give_role(user: User, role: str) -> None:
    """Make `role` the only one of the four that the person has; all but staff may enter the admin."""
    user.groups.remove(*user.groups.filter(name__in=ROLES).exclude(name=role))
    user.groups.add(Group.objects.get(name=role))
    user.is_staff = role != STAFF
    user.save(update_fields=["is_staff"])


def role_of(user: User) -> str:
    """The person's strongest role in one word, "" when they have none."""
    if user.is_superuser:
        return ADMINISTRATOR
    held = {group.name for group in user.groups.all()}
    return next((role for role in ROLES if role in held), "")
