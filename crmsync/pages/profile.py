"""One contact: who it is, what is known and from where, what was said, and where it lives in the CRMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from activity.models import ActivityEntry, Conversation
from activity.variables import dynamic_variables
from contacts.changes import TAGS
from contacts.models import Contact, ContactChange, CustomField, FormerContactId
from contacts.values import BUILT_IN, FieldSpec, Value
from crmsync.pages.guard import page
from crmsync.pages.listing import OF_ITS_CONNECTION
from crmsync.pages.provenance import Origin, link_to, origin_of, words_for
from integrations.connections import web_url
from integrations.providers.errors import ProviderError
from sync.issues import OPEN
from sync.models import ExternalRecord, RecordState, SyncIssue

SHOWN = 25


@dataclass(frozen=True, slots=True)
class Line:
    """One field of the profile."""

    name: str
    label: str
    kind: str
    value: Value
    description: str
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Step:
    """One write in the history: its source, and what it changed as (label, kind, old, new); None = not recorded."""

    change: ContactChange
    words: str
    url: str
    fields: list[tuple[str, str, Value, Value]]
    names: list[str]


@page("contacts.view_contact")
def profile(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everything about one contact on one page; the address of one that was merged leads to the one that survives."""
    merged = FormerContactId.objects.filter(public_id=public_id).select_related("contact").first()
    if merged:
        return redirect(merged.contact)
    contact = get_object_or_404(Contact.objects.prefetch_related("tags", "aliases"), public_id=public_id)
    return render(request, "pages/contact.html", profile_of(contact))


def profile_of(contact: Contact) -> dict[str, Any]:
    """What the page of one contact shows."""
    fields = list(CustomField.objects.all())
    specs = BUILT_IN | {field.name: field.spec for field in fields}
    records = records_of(contact)
    return {
        "contact": contact,
        "lines": lines(contact, fields),
        "records": records,
        "conversations": conversations_of(contact),
        "history": history(contact, specs),
        "issues": SyncIssue.objects.filter(contact=contact, state__in=OPEN)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION)[:10],
        "variables": dynamic_variables(contact),
        "shown": SHOWN,
    }


def lines(contact: Contact, fields: list[CustomField]) -> list[Line]:
    """Built-in fields first, then the custom ones in their order, each with its origin."""
    kinds = {"phone_number": "phone"}
    specs = [(spec, "") for spec in BUILT_IN.values()] + [(field.spec, field.description) for field in fields]
    return [
        Line(
            name=spec.name,
            label=spec.label,
            kind=kinds.get(spec.name, spec.type.value),
            value=contact.value(spec.name),
            description=description,
            origin=origin_of(contact.sources[spec.name]) if spec.name in contact.sources else None,
        )
        for spec, description in specs
    ]


def records_of(contact: Contact) -> list[dict[str, Any]]:
    """The contact's CRM records with their addresses."""
    rows = ExternalRecord.objects.filter(contact=contact).select_related("connection")
    return [{"record": row, "url": _address(row)} for row in rows.defer("settled", "connection__schema")]


def conversations_of(contact: Contact) -> list[Conversation]:
    """The latest conversations, with what was logged of them."""
    rows = Conversation.objects.filter(contact=contact).defer("payload").order_by("-started_at", "-id")
    found = list(rows[: SHOWN + 1])
    entries: dict[int, list[ActivityEntry]] = {}
    for entry in (
        ActivityEntry.objects.filter(conversation__in=found)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION)
    ):
        entries.setdefault(entry.conversation_id, []).append(entry)
    for row in found:
        row.logged = entries.get(row.pk, [])  # type: ignore[attr-defined]
    return found


def history(contact: Contact, specs: dict[str, FieldSpec]) -> list[Step]:
    """The latest writes, newest first."""
    return [_step(change, specs) for change in ContactChange.objects.filter(contact=contact)[: SHOWN + 1]]


def _step(change: ContactChange, specs: dict[str, FieldSpec]) -> Step:
    def label(name: str) -> str:
        return specs[name].label if name in specs else "Tags" if name == TAGS else name

    def kind(name: str) -> str:
        return specs[name].type.value if name in specs else "string"

    return Step(
        change=change,
        words=words_for(change.source_kind, change.source_label),
        url=link_to(change.source_ref),
        fields=[(label(name), kind(name), *pair) for name, pair in change.diff.items() if len(pair) == 2],
        names=[label(name) for name, pair in change.diff.items() if len(pair) != 2],
    )


def _address(row: ExternalRecord) -> str:
    """Where the record is seen in the CRM; "" when it is not there or the connection is not set up to tell."""
    if not row.external_id or row.state not in {RecordState.LINKED, RecordState.SKIPPED}:
        return ""
    try:
        return web_url(row.connection, row.external_id)
    except ProviderError:
        return ""
