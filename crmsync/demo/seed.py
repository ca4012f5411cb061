"""What the demo sets up: people, fields, two connections with their mappings, and analysis mappings in all three modes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone

from contacts.models import CustomField
from crmsync.api_keys import Scope, issue_key
from crmsync.demo.processes import DemoProblem
from crmsync.roles import OPERATOR, STAFF
from integrations.connections import test_connection
from integrations.models import Connection
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping

PASSWORD = "demo"  # noqa: S105 - shown to everybody who starts the demo
FIELDS: tuple[tuple[str, str, str, str, list[str]], ...] = (
    ("plan", "Plan", "enum", "The plan the customer is on.", ["Free", "Starter", "Pro", "Enterprise"]),
    ("lifetime_value", "Lifetime value", "number", "What the customer has paid so far.", []),
    ("renewal_date", "Renewal date", "date", "When the contract renews.", []),
    ("last_visit", "Last visit", "datetime", "When the customer was last here.", []),
    ("vip", "VIP", "boolean", "Whether the customer is a VIP.", []),
    ("notes", "Notes", "string", "What we know about the customer, in short sentences.", []),
    ("interests", "Interests", "string", "Products the customer has shown interest in.", []),
    ("nickname", "Nickname", "string", "How the customer likes to be called.", []),
)
# Contact field → CRM field; the first is read only, the others are kept in step both ways.
SALESFORCE = {
    "phone_number": "Phone", "first_name": "FirstName", "last_name": "LastName", "do_not_call": "DoNotCall", "plan": "Plan__c",
    "lifetime_value": "Lifetime_Value__c", "renewal_date": "Renewal_Date__c", "last_visit": "Last_Visit__c", "vip": "VIP__c",
    "notes": "Notes__c", "interests": "Interests__c", "nickname": "Nickname__c",
}  # fmt: skip
HUBSPOT = {
    "phone_number": "phone", "first_name": "firstname", "last_name": "lastname", "do_not_call": "do_not_call", "plan": "plan",
    "lifetime_value": "lifetime_value", "renewal_date": "renewal_date", "last_visit": "last_visit", "vip": "vip",
    "notes": "notes_summary", "interests": "interests", "nickname": "nickname",
}  # fmt: skip
ANALYSIS = (
    ("plan_interest", "plan", "overwrite"),
    ("preferred_name", "nickname", "fill_if_empty"),
    ("topics", "notes", "merge"),
)


def people() -> None:
    """An administrator, an operator and a member of staff."""
    User.objects.create_superuser("admin", password=PASSWORD)
    for name, role, admin_site in (("operator", OPERATOR, True), ("staff", STAFF, False)):
        user = User.objects.create_user(name, password=PASSWORD, is_staff=admin_site)
        user.groups.add(Group.objects.get(name=role))


def fields() -> None:
    """Custom fields of all six types."""
    for position, (name, label, kind, description, options) in enumerate(FIELDS):
        field = CustomField(
            name=name, label=label, type=kind, description=description, options=options, position=position
        )
        field.full_clean()
        field.save()


def analysis_mappings(without: Collection[str]) -> None:
    """One in each update mode."""
    for position, (analysis_field, contact_field, mode) in enumerate(ANALYSIS):
        if mode not in without:
            mapping = AnalysisMapping(
                analysis_field=analysis_field,
                contact_field=contact_field,
                update_mode=mode,
                position=position,
            )
            mapping.full_clean()
            mapping.save()


def connection(
    provider: str, rank: int, sandbox_url: str, credentials: dict[str, str], without: Collection[str]
) -> Connection:
    """A tested connection to a sandbox CRM with its mappings both ways."""
    name = {"salesforce": "Salesforce", "hubspot": "HubSpot"}[provider]
    made = Connection.objects.create(
        provider=provider, name=name, rank=rank, tenant_url=sandbox_url, credentials=credentials,
        sync_conversation_activity=f"{provider}-activity" not in without, interval_minutes=1,
        # The demo says itself when to sync, until it serves.
        next_sync_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    if not test_connection(made):
        raise DemoProblem(f"The sandbox {name} does not let us in: {made.status_reason}")
    for contact_field, external_field in {"salesforce": SALESFORCE, "hubspot": HUBSPOT}[provider].items():
        rows: list[InboundMapping | OutboundMapping] = [
            InboundMapping(connection=made, contact_field=contact_field, external_field=external_field)
        ]
        if contact_field != "phone_number" and f"{provider}-push" not in without:
            rows.append(
                OutboundMapping(connection=made, contact_field=contact_field, external_field=external_field)
            )
        for row in rows:
            row.full_clean()
            row.save()
    return made


def signing_key() -> str:
    """The secret that the demo's agent platform signs its events with."""
    return issue_key("Demo agent platform", scopes=[Scope.EVENTS], webhook=True)[1]


def script_key() -> str:
    """A key of the REST API for whoever tries the demo with a script."""
    return issue_key("Demo script")[1]
