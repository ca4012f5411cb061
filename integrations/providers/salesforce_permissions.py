"""What a Salesforce integration user may do, read from the describes of Contact and Task. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from integrations.providers.base import Permissions
from integrations.providers.salesforce_tasks import CALL_FIELDS

# Without these a conversation cannot be shown as one.
_NEEDED = ("Subject", "Status", "ActivityDate", "Description", "WhoId")
Describe = Mapping[str, Any]


def permissions_of(contact: Describe, task: Describe, options: Mapping[str, str]) -> Permissions:
    """The permissions, with what is missing in words."""
    writable = {field["name"] for field in task["fields"] if field["createable"]}
    lacking = [name for name in _NEEDED if name not in writable]
    hints = [*_key_hints(task, options.get("activity_key_field", "")), *_defaults(contact, options)]
    if not set(CALL_FIELDS) <= writable:
        hints.append("The org has no call fields on tasks; duration and outcome go into the description.")
    return Permissions(
        create_contacts=bool(contact.get("createable")),
        update_contacts=bool(contact.get("updateable")),
        log_activities=bool(task.get("createable")) and not lacking,
        lacking=tuple(f"Task.{name}" for name in lacking),
        hints=tuple(hints),
    )


def _key_hints(task: Describe, name: str) -> Iterable[str]:
    if not name:
        return
    found = next((field for field in task["fields"] if field["name"] == name), None)
    if found is None or not found["createable"]:
        yield f"The option activity_key_field names {name}, which the integration user cannot write on tasks."
    elif not found.get("externalId") or not found.get("unique"):
        yield f"{name} must be a unique external id to keep conversations from being logged twice."


def _defaults(contact: Describe, options: Mapping[str, str]) -> Iterable[str]:
    writable = {field["name"] for field in contact["fields"] if field["createable"]}
    for name in options:
        field = name.removeprefix("default.")
        if field != name and field not in writable:
            yield f"The option {name} names a field that the integration user cannot set on new contacts."
