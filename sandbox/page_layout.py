"""Which fields a CRM's contact page lets its user edit, and how each is typed and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.seed import PLANS


@dataclass(frozen=True, slots=True)
class Layout:
    """One field of the edit form: `kind` is text, long, number, date, datetime, flag or choice."""

    name: str
    label: str
    kind: str = "text"
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CrmLayout:
    """How one CRM's pages look: its title, the words of its contact list, and the fields of the form."""

    title: str
    first_name: str
    last_name: str
    phone: str
    email: str
    plan: str
    fields: tuple[Layout, ...]
    native: Callable[[Layout, str], Any]


def _salesforce_value(layout: Layout, text: str) -> Any:
    """Typed text as Salesforce's JSON value; a number that is none stays text, to be refused by the CRM."""
    text = text.replace("\r\n", "\n")
    if layout.kind == "flag":
        return text == "true"
    if not text.strip():
        return None
    if layout.kind == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _hubspot_value(_layout: Layout, text: str) -> str:
    """HubSpot keeps text; an empty one clears the property."""
    return text.replace("\r\n", "\n") if text.strip() else ""


_FLAGS = (("", "—"), ("true", "Yes"), ("false", "No"))
LAYOUTS = {
    "salesforce": CrmLayout(
        "Salesforce",
        "FirstName",
        "LastName",
        "Phone",
        "Email",
        "Plan__c",
        (
            Layout("FirstName", "First name"),
            Layout("LastName", "Last name"),
            Layout("Phone", "Phone"),
            Layout("MobilePhone", "Mobile phone"),
            Layout("Email", "Email"),
            Layout("Title", "Title"),
            Layout("DoNotCall", "Do not call", "flag", _FLAGS[1:]),
            Layout("Plan__c", "Plan", "choice", (("", "—"), *((plan, plan) for plan in PLANS))),
            Layout("Lifetime_Value__c", "Lifetime value", "number"),
            Layout("Renewal_Date__c", "Renewal date", "date"),
            Layout("Last_Visit__c", "Last visit", "datetime"),
            Layout("VIP__c", "VIP", "flag", _FLAGS[1:]),
            Layout("Nickname__c", "Nickname"),
            Layout("Interests__c", "Interests"),
            Layout("Notes__c", "Notes", "long"),
        ),
        _salesforce_value,
    ),
    "hubspot": CrmLayout(
        "HubSpot",
        "firstname",
        "lastname",
        "phone",
        "email",
        "plan",
        (
            Layout("firstname", "First name"),
            Layout("lastname", "Last name"),
            Layout("phone", "Phone"),
            Layout("mobilephone", "Mobile phone"),
            Layout("email", "Email"),
            Layout("jobtitle", "Job title"),
            Layout("do_not_call", "Do not call", "flag", _FLAGS),
            Layout("plan", "Plan", "choice", (("", "—"), *((plan.lower(), plan) for plan in PLANS))),
            Layout("lifetime_value", "Lifetime value", "number"),
            Layout("renewal_date", "Renewal date", "date"),
            Layout("last_visit", "Last visit", "datetime"),
            Layout("vip", "VIP", "flag", _FLAGS),
            Layout("nickname", "Nickname"),
            Layout("interests", "Interests"),
            Layout("notes_summary", "Notes", "long"),
        ),
        _hubspot_value,
    ),
}


NOT_ON_TIMELINE = frozenset({
    "hs_object_id", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_createdate",
    "hs_lastmodifieddate", "Id", "IsDeleted", "WhoId", "WhoCount", "WhatCount", "OwnerId", "CreatedById",
    "CreatedDate", "LastModifiedById", "LastModifiedDate", "SystemModstamp", "IsClosed", "IsHighPriority",
    "IsArchived", "IsReminderSet", "IsRecurrence",
})  # fmt: skip


def typed(value: Any) -> str:
    """A native value as the form shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def changes(layout: CrmLayout, fields: dict[str, Any], form: dict[str, str]) -> dict[str, Any]:
    """What a submitted form changes, as native values: only fields whose text differs from what was shown."""
    changed: dict[str, Any] = {}
    for field in layout.fields:
        text = form.get(field.name)
        if text is not None and text.replace("\r\n", "\n") != typed(fields.get(field.name)).replace(
            "\r\n", "\n"
        ):
            changed[field.name] = layout.native(field, text)
    return changed
