"""What an agent is told about a contact: its fields as texts, under the fields' own names."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from contacts.changes import find_by_number
from contacts.models import Contact, field_specs
from contacts.phone import BadPhone, to_e164
from contacts.values import as_text

INBOUND_EVENTS = frozenset({"call_inbound", "chat_inbound"})
# Names that the platform fills itself; a field of such a name must not stand before it. Source: its page on
# dynamic variables.
RESERVED = frozenset({
    "current_agent_state", "previous_agent_state", "current_node", "previous_node", "current_time", "current_hour",
    "current_calendar", "session_type", "session_duration", "session_duration_ms", "direction", "user_number",
    "agent_number", "call_id", "call_type", "chat_id", "phone_number",
})  # fmt: skip
RESERVED_STARTS = ("current_time_", "current_hour_", "current_calendar_")


def dynamic_variables(contact: Contact) -> dict[str, str]:
    """The contact's fields as the agent reads them: all texts, blanks left out so that the agent's defaults act."""
    texts = {name: as_text(contact.value(name)) for name in field_specs() if not reserved(name)}
    return {name: text for name, text in texts.items() if text}


def reserved(name: str) -> bool:
    """Whether the platform fills a variable of this name itself."""
    return name in RESERVED or name.startswith(RESERVED_STARTS)


def variables_of_caller(inbound: Any) -> dict[str, str]:
    """The dynamic variables for the body of an inbound call or SMS; none when the number is withheld or unknown."""
    number = inbound.get("from_number") if isinstance(inbound, dict) else None
    try:
        contact = find_by_number(to_e164(number, settings.PHONE_DEFAULT_REGION))
    except BadPhone:
        return {}
    return dynamic_variables(contact) if contact else {}
