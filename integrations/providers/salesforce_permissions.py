"""What a Salesforce integration user may do, read from the describes of Contact and Task; and whether options hold. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from integrations.providers.activity_owners import OPTION as OWNER
from integrations.providers.base import Permissions
from integrations.providers.salesforce_ids import is_id, long_id
from integrations.providers.salesforce_queries import records_query
from integrations.providers.salesforce_tasks import CALL_FIELDS, status_of

# Without these a conversation cannot be shown as one.
_NEEDED = ("Subject", "Status", "ActivityDate", "Description", "WhoId")
_USER = "005"  # a task may belong to a queue as well
Describe = Mapping[str, Any]


def permissions_of(
    contact: Describe, task: Describe, options: Mapping[str, str], usable: Mapping[str, Collection[str]]
) -> Permissions:
    """The permissions, with what is missing in words. `usable`: the ids that the queries of `queries_for` have found."""
    writable = {field["name"] for field in task["fields"] if field["createable"]}
    lacking = [name for name in _NEEDED if name not in writable]
    hints = [
        *_key_hints(task, options.get("activity_key_field", "")),
        *_status_hints(task, options),
        *_default_hints(contact, options),
        *_reference_hints(options, usable),
    ]
    if not set(CALL_FIELDS) <= writable:
        hints.append("The org has no call fields on tasks; duration and outcome go into the description.")
    return Permissions(
        create_contacts=bool(contact.get("createable")),
        update_contacts=bool(contact.get("updateable")),
        log_activities=bool(task.get("createable")) and not lacking,
        lacking=tuple(f"Task.{name}" for name in lacking),
        hints=tuple(hints),
        activity_fields=tuple(writable),
    )


def queries_for(options: Mapping[str, str]) -> dict[str, str]:
    """By object, a query for the records that options name and that can be used."""
    named: dict[str, set[str]] = {}
    for _, name, value in _references(options):
        if is_id(value):
            named.setdefault(name, set()).add(value)
    return {name: records_query(name, sorted(ids)) for name, ids in named.items()}


def _references(options: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Option, object and id of everything that must exist in the org."""
    for option, value in options.items():
        if (option == OWNER or option.startswith(f"{OWNER}.") or option == "default.OwnerId") and value:
            if value.startswith(_USER) or not is_id(value):
                yield option, "User", value
        elif option == "default.AccountId" and value:
            yield option, "Account", value


def _reference_hints(options: Mapping[str, str], usable: Mapping[str, Collection[str]]) -> Iterable[str]:
    what = {"User": "a user who is inactive or does not exist", "Account": "an account that is not there"}
    for option, name, value in _references(options):
        if not is_id(value):
            yield f"The option {option} is no Salesforce id."
        elif long_id(value) not in usable.get(name, ()):
            yield f"The option {option} names {what[name]}."


def _key_hints(task: Describe, name: str) -> Iterable[str]:
    if not name:
        return
    found = next((field for field in task["fields"] if field["name"] == name), None)
    if found is None or not found["createable"]:
        yield f"The option activity_key_field names {name}, which the integration user cannot write on tasks."
    elif not found.get("externalId") or not found.get("unique"):
        yield f"{name} must be a unique external id to keep conversations from being logged twice."


def _status_hints(task: Describe, options: Mapping[str, str]) -> Iterable[str]:
    status = next((field for field in task["fields"] if field["name"] == "Status"), None)
    if status is not None and (wanted := status_of(options)) not in _values(status):
        yield f"The org has no task status “{wanted}”; name one of its own with the option task_status."


def _default_hints(contact: Describe, options: Mapping[str, str]) -> Iterable[str]:
    writable = {field["name"]: field for field in contact["fields"] if field["createable"]}
    for option, value in options.items():
        name = option.removeprefix("default.")
        if name == option or not value:
            continue
        if name not in writable:
            yield f"The option {option} names a field that the integration user cannot set on new contacts."
        elif writable[name].get("restrictedPicklist") and value not in _values(writable[name]):
            yield f"The option {option} is not one of the picklist's values."
        elif name == "RecordTypeId" and long_id(value) not in _record_types(contact):
            yield f"The option {option} names a record type that the integration user may not use."


def _values(field: Describe) -> list[str]:
    return [one["value"] for one in field.get("picklistValues") or () if one.get("active", True)]


def _record_types(contact: Describe) -> list[str]:
    infos = contact.get("recordTypeInfos") or ()
    return [
        long_id(str(one["recordTypeId"])) for one in infos if one.get("available") and one.get("active", True)
    ]
