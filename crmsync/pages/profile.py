"""One contact: who it is, what is known and from where, what was said, and where it lives in the CRMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from activity.models import ActivityEntry, Conversation
from activity.variables import dynamic_variables
from contacts.models import Contact, ContactChange, CustomField, FormerContactId
from contacts.values import BUILT_IN, Value
from crmsync.pages.crm_links import activity_urls, record_urls
from crmsync.pages.guard import page
from crmsync.pages.history import steps
from crmsync.pages.listing import OF_ITS_CONNECTION
from crmsync.pages.provenance import Named, Origin, named_conversations, origin_of
from sync.issues import OPEN
from sync.models import ExternalRecord, SyncIssue

CONVERSATIONS, WRITES = 25, 10
IDENTITY = ("first_name", "last_name", "phone_number", "do_not_call")
MEMORY = "contact_memory"


@dataclass(frozen=True, slots=True)
class Line:
    """One field of the profile."""

    name: str
    label: str
    kind: str
    value: Value
    description: str
    origin: Origin | None

    @property
    def blank(self) -> bool:
        """Whether there is nothing to tell: no value, and nobody who took it away."""
        return self.value in (None, "") and self.origin is None


@page("contacts.view_contact")
def profile(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everything about one contact on one page; the address of one that was merged leads to the one that survives."""
    rows = Contact.objects.prefetch_related("tags", "aliases")
    contact = rows.filter(public_id=public_id).first()
    if contact is None:
        former = FormerContactId.objects.select_related("contact")
        return redirect(get_object_or_404(former, public_id=public_id).contact)
    return render(request, "pages/contact.html", profile_of(contact))


def profile_of(contact: Contact) -> dict[str, Any]:
    """What the page of one contact shows."""
    fields = list(CustomField.objects.all())
    specs = BUILT_IN | {field.name: field.spec for field in fields}
    changes = list(ContactChange.objects.filter(contact=contact).order_by("-id")[: WRITES + 1])
    refs = [str(stamp.get("ref", "")) for stamp in contact.sources.values()]
    named = named_conversations([*refs, *(change.source_ref for change in changes)])
    of_name = {line.name: line for line in lines(contact, fields, named)}
    rest = [line for name, line in of_name.items() if name not in {*IDENTITY, MEMORY}]
    conversations = conversations_of(contact)
    return {
        "contact": contact,
        "groups": [
            ("Identity", [of_name[name] for name in IDENTITY]),
            ("What is known", [line for line in rest if not line.blank]),
        ],
        "blank": [line.label for line in rest if line.blank],
        "memory": of_name[MEMORY],
        "latest": conversations[0] if conversations else None,
        "records": records_of(contact),
        "conversations": conversations[:CONVERSATIONS],
        "more_conversations": len(conversations) > CONVERSATIONS,
        "history": steps(changes[:WRITES], specs, named=named),
        "more_history": len(changes) > WRITES,
        "issues": SyncIssue.objects.filter(contact=contact, state__in=OPEN)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION)[:10],
        "variables": dynamic_variables(contact),
    }


def lines(contact: Contact, fields: Sequence[CustomField], named: Named) -> list[Line]:
    """Built-in fields first, then the custom ones in their order, each with its origin."""
    specs = [(spec, "") for spec in BUILT_IN.values()] + [(field.spec, field.description) for field in fields]
    return [
        Line(
            name=spec.name,
            label=spec.label,
            kind="phone" if spec.name == "phone_number" else spec.type.value,
            value=contact.value(spec.name),
            description=description,
            origin=origin_of(contact.sources[spec.name], named) if spec.name in contact.sources else None,
        )
        for spec, description in specs
    ]


def records_of(contact: Contact) -> list[dict[str, Any]]:
    """The contact's CRM records with their addresses, the connection of first rank first."""
    rows = ExternalRecord.objects.filter(contact=contact).select_related("connection")
    records = list(
        rows.defer("settled", "fingerprint", *OF_ITS_CONNECTION).order_by("connection__rank", "pk")
    )
    urls = record_urls(records)
    return [{"record": row, "url": urls.get(row.pk, "")} for row in records]


def conversations_of(contact: Contact) -> list[Conversation]:
    """The latest conversations and one more, with what was logged of them as `logged`: pairs of entry and address."""
    rows = Conversation.objects.filter(contact=contact).defer("payload").order_by("-started_at", "-id")
    found = list(rows[: CONVERSATIONS + 1])
    entries = list(
        ActivityEntry.objects.filter(conversation__in=found)
        .select_related("connection")
        .defer(*OF_ITS_CONNECTION)
        .order_by("connection__rank", "pk")
    )
    urls = activity_urls(entries)
    logged: dict[int, list[tuple[ActivityEntry, str]]] = {}
    for entry in entries:
        logged.setdefault(entry.conversation_id, []).append((entry, urls.get(entry.pk, "")))
    for row in found:
        row.logged = logged.get(row.pk, [])  # type: ignore[attr-defined]
    return found
