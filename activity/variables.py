"""What an agent is told about a contact: its fields as texts, under the fields' own names.

The door that a ringing call waits at reads the contact and the fields by one statement, so that a field which has just
been made private is not told any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from activity.governance import Governance, governance, recent
from activity.statement import read
from contacts.changes import find_by_number
from contacts.models import Contact, CustomField
from contacts.phone import BadPhone, to_e164
from contacts.values import BUILT_IN, Value, as_text

INBOUND_EVENTS = frozenset({"call_inbound", "chat_inbound"})
# Names that the platform fills itself; a field of such a name must not stand before it. Source: its page on
# dynamic variables.
RESERVED = frozenset({
    "current_agent_state", "previous_agent_state", "current_node", "previous_node", "current_time", "current_hour",
    "current_calendar", "session_type", "session_duration", "session_duration_ms", "direction", "user_number",
    "agent_number", "call_id", "call_type", "chat_id", "phone_number",
})  # fmt: skip
RESERVED_STARTS = ("current_time_", "current_hour_", "current_calendar_")
TOLD = [name for name in BUILT_IN if name != "phone_number"]
# Under which no contact is found.
NOBODY = ""
# All variables together; whatever does not fit any more is left out.
MOST_IN_ALL = 64_000


class Told(NamedTuple):
    """A custom field as far as agents are concerned."""

    name: str
    private: bool
    fallback: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered about a caller: the variables, or that the call is rejected. `known`: there is such a contact."""

    variables: dict[str, str] = field(default_factory=dict)
    reject: bool = False
    known: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """As the platform reads it; only a true `reject` is sent."""
        return {"dynamic_variables": self.variables, **({"reject": True} if self.reject else {})}


def dynamic_variables(contact: Contact | None) -> dict[str, str]:
    """The contact's fields as the agent reads them: all texts, blanks left out so that the agent's defaults act.

    Of nobody (None) all fields are blank: what is told is the fallbacks.
    """
    fields = [Told(row.name, row.private, row.fallback) for row in CustomField.objects.all()]
    return texts(_values(contact) if contact else {}, fields)


def _values(contact: Contact) -> dict[str, Value]:
    return {**{name: contact.value(name) for name in TOLD}, **contact.custom_fields}


def texts(values: Mapping[str, Value], fields: Iterable[Told]) -> dict[str, str]:
    """Values as variables: never of private fields or under names that the platform fills, and of bounded size."""
    limit, left = settings.CRMSYNC_VARIABLE_LIMIT, MOST_IN_ALL
    found: dict[str, str] = {}
    wanted = [Told(name, False, "") for name in TOLD] + [one for one in fields if not one.private]
    for name, _private, fallback in wanted:
        # The memory has a limit of its own, and is cut by none.
        most = max(limit, len(as_text(values.get(name)))) if name == "contact_memory" else limit
        text = cut(as_text(values.get(name)) or fallback, most)
        if text and len(text) <= left and not reserved(name):
            found[name] = text
            left -= len(text)
    return found


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; a text that was longer ends with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def reserved(name: str) -> bool:
    """Whether the platform fills a variable of this name itself."""
    return name in RESERVED or name.startswith(RESERVED_STARTS)


def answer_for_caller(inbound: Any) -> Answer:
    """What the body of an inbound call or SMS is answered; the fallbacks when the number is withheld or unknown."""
    number = inbound.get("from_number") if isinstance(inbound, dict) else None
    try:
        values, fields = _read(to_e164(number, settings.PHONE_DEFAULT_REGION))
    except BadPhone:
        values, fields = _read(NOBODY)
    return Answer(texts(values, fields), reject=rejects(values, recent()), known=bool(values))


def rejects(values: Mapping[str, Value], rules: Governance) -> bool:
    """Whether a contact with these values is not spoken with when it calls; off unless a field was chosen for it."""
    return bool(rules.reject_field) and values.get(rules.reject_field) is True


# --- for outbound calls, and for people -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """One variable as a person sees it: what the agent would get, where it comes from and since when it is so."""

    name: str
    text: str
    source: str = ""
    at: datetime | None = None
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What an agent would get about a number: see `preview`."""

    phone_number: str
    contact: Contact | None
    variables: list[Shown]
    private: list[str]
    reject: bool
    may_call: bool
    why_not: str


def may_call(contact: Contact | None) -> tuple[bool, str]:
    """Whether an outbound call may be made, and if not, why; an unknown number may be called."""
    if contact is not None and contact.do_not_call:
        return False, "The contact has asked not to be called."
    return True, ""


def preview(number: str, region: str = "") -> Preview:
    """What an agent would get about a number, in any usual spelling, and how old each value is. Raises BadPhone."""
    canonical = to_e164(number, region or settings.PHONE_DEFAULT_REGION)
    contact = find_by_number(canonical)
    allowed, why_not = may_call(contact)
    shown = [_shown(contact, name, text) for name, text in dynamic_variables(contact).items()]
    private = list(CustomField.objects.filter(private=True).values_list("name", flat=True))
    reject = rejects(_values(contact), governance()) if contact else False
    return Preview(canonical, contact, shown, private, reject, allowed, why_not)


def _shown(contact: Contact | None, name: str, text: str) -> Shown:
    if contact is None:
        return Shown(name, text, fallback=True)
    source = contact.sources.get(name, {})
    at = datetime.fromisoformat(source["at"]) if source.get("at") else None
    return Shown(name, text, source=str(source.get("label", "")), at=at, fallback=contact.value(name) is None)


# --- one statement --------------------------------------------------------------------------------

_FIELDS = {
    "sqlite": "(SELECT json_group_array(json_array(name, private, fallback)) FROM"
    " (SELECT name, private, fallback FROM contacts_customfield ORDER BY position, id))",
    "postgresql": "(SELECT json_agg(json_build_array(name, private, fallback) ORDER BY position, id)"
    " FROM contacts_customfield)",
}
# A number that somebody has now stands before one that somebody had. Of nobody there is a row too, with the fields alone.
_READ = (
    "SELECT FIELDS, c.custom_fields, c.first_name, c.last_name, c.do_not_call, c.contact_memory"
    " FROM (SELECT 1) one LEFT JOIN contacts_contact c"
    " ON c.id = coalesce((SELECT id FROM contacts_contact WHERE phone_number = %s),"
    " (SELECT contact_id FROM contacts_contactalias WHERE phone_number = %s))"
)
_STATEMENTS = {vendor: _READ.replace("FIELDS", fields) for vendor, fields in _FIELDS.items()}


def _read(number: str) -> tuple[dict[str, Value], list[Told]]:
    """The contact's values, none of nobody, and the custom fields."""
    ((fields, custom, first_name, last_name, do_not_call, memory),) = read(
        _STATEMENTS[connection.vendor], [number, number]
    )
    told = [Told(name, bool(private), fallback) for name, private, fallback in _loaded(fields) or []]
    if custom is None:
        return {}, told
    values = {"first_name": first_name, "last_name": last_name, "do_not_call": bool(do_not_call)}
    return {**values, "contact_memory": memory, **_loaded(custom)}, told


def _loaded(found: Any) -> Any:
    """JSON as the driver gives it: as text, or read already."""
    return json.loads(found) if isinstance(found, str) else found
