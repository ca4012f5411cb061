"""What the tests of pages and admin share: people with roles, a small world with one of everything."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import NamedTuple

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from activity.models import ActivityEntry, Backfill, Conversation, MergeReview, WebhookDelivery
from contacts.changes import Source, create_contact
from contacts.models import Contact, CustomField
from contacts.values import FieldType
from crmsync.roles import give_role
from integrations.models import Connection, dump_field
from integrations.providers.base import ExternalField
from mappings.models import AnalysisMapping, InboundMapping
from sync.models import ContactImport, ExternalRecord, PendingPush, RunState, SyncIssue, SyncRun, UndoRequest

SCHEMA = [
    ExternalField("Phone", "Business Phone", FieldType.STRING, phone=True),
    ExternalField("FirstName", "First Name", FieldType.STRING),
    ExternalField("CreatedDate", "Created", FieldType.DATETIME, createable=False, updateable=False),
]


class World(NamedTuple):
    """One of everything that a page shows."""

    connection: Connection
    contact: Contact
    run: SyncRun
    conversation: Conversation
    delivery: WebhookDelivery
    question: SyncIssue
    undo: UndoRequest
    backfill: Backfill
    imported: ContactImport


def client_of(role: str, name: str = "") -> Client:
    """A browser in which a person of this role is signed in; "" is a person without a role."""
    user = User.objects.create_user(name or role or "nobody")
    if role:
        give_role(user, role)
    client = Client()
    client.force_login(user)
    return client


def connection(name: str = "Salesforce EU") -> Connection:
    """A connection whose schema has been read."""
    made: Connection = Connection.objects.create(
        provider="salesforce",
        name=name,
        tenant_url="https://acme.my.salesforce.com",
        credentials={"client_id": "the-id", "client_secret": "the-secret"},
        status="connected",
        schema=[dump_field(field) for field in SCHEMA],
    )
    InboundMapping.objects.create(connection=made, external_field="Phone", contact_field="phone_number")
    return made


def contact(
    number: str = "+14155550100", first_name: str = "Ada", last_name: str = "Lovelace", **custom: object
) -> Contact:
    """A contact that an import made."""
    values = {"first_name": first_name, "last_name": last_name, **custom}
    return create_contact(number, values, source=Source("crm", "run:1", "Salesforce EU")).contact


def world() -> World:
    """A linked contact with a call, its delivery and log entry, a run, an issue, a pending push."""
    now = timezone.now()
    CustomField.objects.create(name="city", label="City", type="string")
    crm, ada = connection(), contact(city="London")
    run = SyncRun.objects.create(
        connection=crm, state=RunState.SUCCEEDED, counts={"created": 12345}, started_at=now, finished_at=now
    )
    ExternalRecord.objects.create(connection=crm, contact=ada, external_id="0035g00000AbCdEAAV")
    call = Conversation.objects.create(
        key="call_1", kind="call", channel="phone", contact=ada, summary="Wants a quote.", sentiment="Positive",
        started_at=now, duration_ms=65_000, transcript="Agent: Hello.\nUser: <b>Hi</b>", analyzed=True,
    )  # fmt: skip
    ActivityEntry.objects.create(
        conversation=call, connection=crm, state="logged", kind="call", external_id="00T1", logged_at=now
    )
    MergeReview.objects.create(
        conversation=call, contact=ada, contact_field="city", old="a", new="b", merged="ab", state="applied"
    )
    delivery = WebhookDelivery.objects.create(
        event="call_analyzed", conversation_key="call_1", body_hash="h", state="parked", note="The analysis did not fit.",
        body=json.dumps({"call": {"call_id": "call_1"}}).encode(),
    )  # fmt: skip
    SyncIssue.objects.create(
        connection=crm, kind="no_phone", message="18 records have no phone number.", count=18
    )
    question = SyncIssue.objects.create(
        connection=crm,
        kind="oscillation",
        contact=ada,
        field="city",
        message="Two CRMs keep changing “city”.",
    )
    undo = UndoRequest.objects.create(
        ref=run.ref, words="run 1", requested_by="olga", state="done", restored=3
    )
    backfill = Backfill.objects.create(state="done", open=None, contacts=1, done=1)
    imported = ContactImport.objects.create(
        file_name="people.csv",
        encoding="utf-8",
        delimiter=",",
        header=["Phone"],
        rows=1,
        created=1,
        state="done",
    )
    PendingPush.objects.create(connection=crm, contact=ada, created_at=now - timedelta(minutes=9))
    AnalysisMapping.objects.create(analysis_field="town", contact_field="city")
    return World(crm, ada, run, call, delivery, question, undo, backfill, imported)


def text(response: object) -> str:
    """The page as text."""
    return response.content.decode()  # type: ignore[attr-defined,no-any-return]
