"""What of the contact book an address asks for: which contacts, in which order, with which columns.

The list page shows a page of it, the export writes all of it; both read the same query string by `asked`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Exists, F, OuterRef, Prefetch, QuerySet
from django.http import QueryDict

from contacts.finding import RANGED, by_value, where
from contacts.models import Contact, ContactTag, CustomField
from contacts.values import FieldType, Value
from crmsync.pages.narrowing import Narrowing, narrowings
from crmsync.pages.search import understood
from integrations.models import Connection
from sync.models import ExternalRecord, RecordState

SORTS: dict[str, tuple[str, list[Any]]] = {
    "newest": ("Newest first", ["-created_at", "-id"]),
    "name": ("Name", ["last_name", "first_name", "id"]),
    "changed": ("Last changed", ["-updated_at", "-id"]),
    "conversation": ("Last conversation", [F("last_conversation_at").desc(nulls_last=True), "-id"]),
    "conversations": ("Most conversations", ["-conversation_count", "-id"]),
}
# The sort that a column's heading asks for.
BY_COLUMN = {
    "name": "name", "conversation_count": "conversations", "last_conversation_at": "conversation", "created_at": "newest",
    "updated_at": "changed",
}  # fmt: skip
CALLING = {"no": "Do not call", "yes": "May be called"}
KEPT = {"active": "Not archived", "archived": "Archived"}
NO_CRM = "none"
LONGEST = 200
_UNREAD = ("sources", "contact_memory")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `value` reads a contact's canonical value, `kind` says how to show it (a field type, or the name)."""

    name: str
    label: str
    kind: str
    value: Callable[[Contact], Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to an address: `rows` in order, filtered, with what `columns` read; and what the form shows again."""

    rows: QuerySet[Contact]
    columns: list[Column]
    offered: list[Column]
    filters: dict[str, str]
    narrowings: list[Narrowing]
    sorts: list[tuple[str, str]]
    tags: list[ContactTag]
    connections: list[Connection]
    narrowed: bool = False
    guessed: bool = False  # nobody has the number typed: these are one slip away


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's heading: the sort that a click on it asks for ("" where it has none), and how it is sorted by now."""

    column: Column
    sort: str
    sorted: str  # "ascending", "descending" or ""


USUAL = ("name", "phone_number", "tags", "conversation_count", "last_conversation_at", "updated_at")


def asked(query: QueryDict, *, columns: Sequence[str] = ()) -> Asked:
    """What a query string asks for. A part that makes no sense is left out, and its narrowing says why.

    ?q= search; ?tag=, ?calling=, ?crm= (a connection's id or "none"), ?kept=; ?f.<field>=, ?f.<field>.from=, ?f.<field>.to=;
    ?sort=; ?column= repeated. `columns` are those to show where the address names none.
    """
    fields = list(CustomField.objects.all())
    tags = list(ContactTag.objects.filter(listed=True))
    connections = list(Connection.objects.only("pk", "name").order_by("rank", "pk"))
    by_field = narrowings(query, fields)
    sorts = _sorts(fields)
    filters = {
        "q": query.get("q", "").replace("\x00", "").strip()[:LONGEST],
        "tag": _one_of(query, "tag", [tag.pk for tag in tags]),
        "calling": _one_of(query, "calling", CALLING),
        "crm": _one_of(query, "crm", [NO_CRM, *(str(one.pk) for one in connections)]),
        "kept": _one_of(query, "kept", KEPT),
        "sort": _one_of(query, "sort", sorts) or "newest",
    }
    offered = _columns(fields)
    wanted = [name for name in query.getlist("column") or columns or USUAL if name in offered]
    chosen = [offered[name] for name in dict.fromkeys(["name", *wanted])]
    rows = _narrowed(_with(Contact.objects.all(), chosen), filters)
    for narrowing in by_field:
        rows = narrowing.apply(rows)
    meant = understood(rows, filters["q"], connections=connections, fields=fields)
    rows = _ordered(meant.rows, filters["sort"], fields)
    return Asked(
        rows=rows,
        columns=chosen,
        offered=list(offered.values()),
        filters=filters,
        narrowings=by_field,
        sorts=[(key, label) for key, label in sorts.items()],
        tags=tags,
        connections=connections,
        narrowed=any(filters[name] for name in ("q", "tag", "calling", "crm", "kept"))
        or any(one.active for one in by_field),
        guessed=meant.guessed,
    )


def with_everything(rows: QuerySet[Contact]) -> QuerySet[Contact]:
    """`rows` of an address, loaded with all that a file tells of a contact, whatever its columns read."""
    return rows.defer(None).defer(*_UNREAD).prefetch_related(None).prefetch_related("tags")


def headings(found: Asked) -> list[Heading]:
    """The headings of the columns shown. One that can be sorted both ways is turned round by a second click."""
    offered, now = dict(found.sorts), found.filters["sort"]
    return [_heading(column, offered, now) for column in found.columns]


def _heading(column: Column, offered: dict[str, str], now: str) -> Heading:
    wanted = BY_COLUMN.get(column.name, column.name)
    if wanted not in offered:
        return Heading(column, "", "")
    turned = f"-{wanted}" if now == wanted and f"-{wanted}" in offered else wanted
    if now not in {wanted, f"-{wanted}"}:
        return Heading(column, turned, "")
    ascending = now == "name" or now == column.name
    return Heading(column, turned, "ascending" if ascending else "descending")


def _one_of(query: QueryDict, name: str, allowed: Any) -> str:
    wanted = query.get(name, "")
    return wanted if wanted in set(allowed) else ""


def _narrowed(rows: QuerySet[Contact], filters: dict[str, str]) -> QuerySet[Contact]:
    if filters["tag"]:
        tagged = Contact.tags.through.objects.filter(contact=OuterRef("pk"), contacttag=filters["tag"])
        rows = rows.filter(Exists(tagged))
    if filters["calling"]:
        rows = rows.filter(do_not_call=filters["calling"] == "no")
    if filters["kept"]:
        rows = rows.filter(archived_at__isnull=filters["kept"] == "active")
    if filters["crm"]:
        links = ExternalRecord.objects.filter(contact=OuterRef("pk"), state=RecordState.LINKED)
        if filters["crm"] == NO_CRM:
            return rows.filter(~Exists(links))
        rows = rows.filter(Exists(links.filter(connection_id=int(filters["crm"]))))
    return rows


def _sorts(fields: Sequence[CustomField]) -> dict[str, str]:
    sorts = {key: label for key, (label, _) in SORTS.items()}
    for one in fields:
        if one.type in RANGED:
            ends = ("lowest", "highest") if one.type == FieldType.NUMBER else ("earliest", "latest")
            sorts[f"f.{one.name}"] = f"{one}, {ends[0]} first (only those with one)"
            sorts[f"-f.{one.name}"] = f"{one}, {ends[1]} first (only those with one)"
    return sorts


def _ordered(rows: QuerySet[Contact], sort: str, fields: Sequence[CustomField]) -> QuerySet[Contact]:
    if sort in SORTS:
        return rows.order_by(*SORTS[sort][1])
    spec = next(one.spec for one in fields if one.name == sort.rpartition("f.")[2])
    rows, descending = where(rows, spec, "present"), sort.startswith("-")
    held = F("sorted_by")
    rows = rows.alias(sorted_by=by_value(spec))
    return rows.order_by(held.desc() if descending else held.asc(), "-id" if descending else "id")


def _columns(fields: Sequence[CustomField]) -> dict[str, Column]:
    """Every column that can be shown, by name, in the order they are offered."""
    built_in = [
        Column("name", "Name", "name", lambda contact: contact.name),
        Column("phone_number", "Number", "phone", lambda contact: contact.phone_number),
        Column("tags", "Tags", "tags", lambda contact: ", ".join(tag.label for tag in contact.tags.all())),
        Column("crm", "CRM", "crm", _crms),
        Column("do_not_call", "Do not call", FieldType.BOOLEAN, lambda contact: contact.do_not_call),
        Column(
            "conversation_count",
            "Conversations",
            FieldType.NUMBER,
            lambda contact: contact.conversation_count,
        ),
        Column(
            "last_conversation_at",
            "Last conversation",
            "moment",
            lambda contact: contact.last_conversation_at,
        ),
        Column("created_at", "Added", "moment", lambda contact: contact.created_at),
        Column("updated_at", "Changed", "moment", lambda contact: contact.updated_at),
    ]
    custom = [Column(f"f.{one.name}", str(one), one.type, partial(_held, one.name)) for one in fields]
    return {column.name: column for column in (*built_in, *custom)}


def _held(name: str, contact: Contact) -> Value:
    return contact.value(name)


def _crms(contact: Contact) -> str:
    return ", ".join(record.connection.name for record in contact.records.all())


def _with(rows: QuerySet[Contact], columns: Sequence[Column]) -> QuerySet[Contact]:
    """Loads what the columns read and nothing more."""
    names = {column.name for column in columns}
    unread = [*_UNREAD]
    if not any(name.startswith("f.") for name in names):
        unread.append("custom_fields")
    rows = rows.defer(*unread)
    if "tags" in names:
        rows = rows.prefetch_related("tags")
    if "crm" in names:
        links = ExternalRecord.objects.filter(state=RecordState.LINKED).select_related("connection")
        links = links.only("contact_id", "external_id", "connection__name").order_by("connection__rank", "pk")
        rows = rows.prefetch_related(Prefetch("records", links))
    return rows
