"""The stand-in HubSpot: HTTP as the vendor answers it, and a back door for the control API and the page."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import Any

from sandbox.clock import Clock
from sandbox.hubspot import errors
from sandbox.hubspot.portal import Portal
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.requests import Call
from sandbox.hubspot.routes import resolve
from sandbox.hubspot.schema import Property, choices
from sandbox.hubspot.stamps import iso
from sandbox.hubspot.values import keep
from sandbox.seed import Person
from sandbox.wire import BadJson, Request, Response

DATED = re.compile(r"/\d{4}-\d{2}/")
PREFIXES = ("/crm/", "/account-info/", "/calling/", "/oauth/")
_CATEGORIES = {404: "OBJECT_NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 415: "UNSUPPORTED_MEDIA_TYPE"}
ACTIVITIES = {"calls": "call", "communications": "communication", "notes": "note", "tasks": "task"}


class HubSpot:
    """One portal, seeded with people. `settings` switches behaviour and is edited in place."""

    name = "hubspot"

    def __init__(self, clock: Clock, people: list[Person]) -> None:
        self.portal = Portal(clock, people)
        self.settings = self.portal.settings

    def handles(self, path: str) -> bool:
        """Whether the path is one of HubSpot's."""
        return path.startswith(PREFIXES)

    def respond(self, request: Request) -> Response:
        """Answer one request; refusals carry HubSpot's status, words and headers."""
        correlation = str(uuid.uuid4())
        search = request.path.endswith("/search")
        self.portal.tick()
        try:
            response = self._answer(request, search)
        except errors.Refusal as refusal:
            response = errors.answer(_in_version(refusal, request.path), correlation)
        except BadJson as error:
            response = errors.answer(errors.bad_json(str(error)), correlation)
        response.headers["x-hubspot-correlation-id"] = correlation
        response.headers["Date"] = formatdate(self.portal.now / 1000, usegmt=True)
        if not search:
            response.headers |= self.portal.limits.headers()
        return response

    def _answer(self, request: Request, search: bool) -> Response:
        if len(request.path) + len(request.query_string) > self.settings["longest_url"]:
            raise errors.Refusal(414, "URI Too Long")
        self._authorise(request)
        self.portal.limits.admit(self.portal.now, search)
        route, parts = resolve(request.method, request.path)
        if not set(route.scopes) & set(self.settings["scopes"]):
            raise errors.scopes(list(route.scopes))
        version = parts.get("dated") or parts.get("legacy") or "v3"
        return route.operation(Call(request, self.portal, version, parts))

    def _authorise(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() != self.settings["token"]:
            raise errors.Refusal(401, errors.NO_CREDENTIALS, "INVALID_AUTHENTICATION")
        if self.settings["token_expired"]:
            message = "The OAuth token used to make this call expired 1 second(s) ago."
            context = {"expire time": [iso(self.portal.now - 1000)]}
            raise errors.Refusal(401, message, "EXPIRED_AUTHENTICATION", context=context)

    def fault_response(self, kind: str) -> Response | None:
        """A fault in HubSpot's words, by name; None for an unknown name. Below 500 HubSpot itself answers, with its headers."""
        response = errors.fault(kind)
        if response is not None and response.status < 500:
            self.portal.tick()
            response.headers["Date"] = formatdate(self.portal.now / 1000, usegmt=True)
            response.headers |= {} if kind == "rate_limit_secondly" else self.portal.limits.headers()
        return response

    def contacts(self) -> list[dict[str, Any]]:
        """Every contact, archived ones marked as deleted."""
        table = self.portal.contacts
        return [self._shape(one) for one in (*table.live.values(), *table.archived.values())]

    def contact(self, contact_id: str) -> dict[str, Any] | None:
        """One contact by id, also by an id that was merged away."""
        if not str(contact_id).isdecimal():
            return None
        table = self.portal.contacts
        found = table.get(int(contact_id)) or table.archived.get(int(contact_id))
        return None if found is None else self._shape(found)

    def edit_contact(self, contact_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Edit as a user of HubSpot would; None clears.

        Raises KeyError for an unknown contact or property, ValueError for a value that does not fit.
        """
        self.portal.tick()
        record = self._live(contact_id)
        self.portal.contacts.edit(record, self._values(fields, record.id), self.portal.now)
        return self._shape(record)

    def create_contact(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Create as a user of HubSpot would."""
        self.portal.tick()
        born = {"lifecyclestage": "lead", "hs_object_source": "CRM_UI", "hs_object_source_label": "CRM_UI"}
        values = {name: value for name, value in (born | self._values(fields, None)).items() if value}
        return self._shape(self.portal.contacts.insert(values, self.portal.now))

    def delete_contact(self, contact_id: str) -> None:
        """Move a contact to the recycle bin."""
        self.portal.tick()
        self.portal.contacts.archive(self._live(contact_id), self.portal.now)

    def merge_contacts(self, winner_id: str, loser_id: str) -> dict[str, Any]:
        """Merge two contacts; by default the outcome has a new id."""
        self.portal.tick()
        return self._shape(self.portal.merge(self._live(winner_id), self._live(loser_id)))

    def bump(self, ids: Iterable[str]) -> None:
        """Move modified stamps, all to one instant, without changing a value, as HubSpot's own jobs do."""
        self.portal.tick()
        for record in [self._live(one) for one in ids]:
            self.portal.contacts.touch(record, self.portal.now)

    def add_property(self, kind: str, one: Property) -> None:
        """Install a property definition as an administrator of the portal would."""
        table = self.portal.table(kind)
        table.schema.add(one)
        if one.unique:
            table.unique.setdefault(one.name, {})

    def add_contact_property(self, name: str, label: str, kind: str, unique: bool) -> None:
        """Install a plain contact property of a type; ValueError for a name that is taken or not allowed."""
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) or self.knows_field(name):
            raise ValueError(f"{name!r} cannot be the name of a new property.")
        field_type = {"number": "number", "bool": "booleancheckbox", "string": "text"}.get(kind, "date")
        options = choices("true=Yes, false=No") if kind == "bool" else []
        added = Property(name, label, kind, field_type, options=options, unique=unique, own=True)
        self.add_property("contacts", added)

    def knows_field(self, name: str) -> bool:
        """Whether a contact property is defined, in use or not."""
        schema = self.portal.contacts.schema
        return name in schema or name in self.settings["hidden_properties"]

    def activities(self, contact_id: str | None = None) -> list[dict[str, Any]]:
        """Calls, communications, notes and tasks, oldest first, optionally of one contact."""
        wanted = None if contact_id is None else self.portal.contacts.current(int(contact_id))
        rows = []
        for kind in ACTIVITIES:
            table = self.portal.tables[kind]
            for record in (*table.live.values(), *table.archived.values()):
                linked = self.portal.links.of(kind, record.id, "contacts")
                if wanted is None or wanted in linked:
                    rows.append((record.created, record.id, self._activity(table, record, linked)))
        return [row for *_, row in sorted(rows, key=lambda row: row[:2])]

    def _activity(self, table: Table, record: Record, linked: list[int]) -> dict[str, Any]:
        return {
            "id": str(record.id),
            "kind": ACTIVITIES[table.kind],
            "contact_ids": [str(one) for one in linked],
            "fields": dict(record.properties),
            "created": iso(record.created),
            "deleted": record.archived is not None,
        }

    def _shape(self, record: Record) -> dict[str, Any]:
        return {
            "id": str(record.id),
            "fields": {name: record.properties.get(name) for name in self.portal.contacts.schema.live},
            "modified": iso(record.modified),
            "deleted": record.archived is not None,
        }

    def _live(self, contact_id: str) -> Record:
        found = self.portal.contacts.get(int(contact_id)) if str(contact_id).isdecimal() else None
        if found is None:
            raise KeyError(contact_id)
        return found

    def _values(self, fields: Mapping[str, Any], own: int | None) -> dict[str, str]:
        schema = self.portal.contacts.schema
        values = {}
        for name, value in fields.items():
            one = schema.get(name)
            if one is None:
                raise KeyError(name)
            values[name] = keep(one, _text(value), self.portal.owners)
            if self.portal.contacts.holder(name, values[name]) not in (None, own):
                raise ValueError(f"another contact holds this {name}")
        return values


def _in_version(refusal: errors.Refusal, path: str) -> errors.Refusal:
    """The dated versions declare a category for every error; v3 leaves it out of a plain 404."""
    if refusal.category is None and DATED.search(path):
        refusal.category = _CATEGORIES.get(refusal.status)
    return refusal


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
