"""A conversation as HubSpot's Call, Communication or Note. Source: HubSpot's guides to calls, communications, notes."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from integrations.providers.activity_owners import owner_of
from integrations.providers.base import Activity, ActivityKind
from integrations.providers.markers import with_marker

BODY_LIMIT = 65_536
TITLE_LIMIT = 255
CHANNEL_FIELD = "hs_communication_channel_type"
CHAT_CHANNEL = "CUSTOM_CHANNEL_CONVERSATION"
AS_NOTE = "note"
# Channels that HubSpot documents; a web chat is none of them.
_CHANNELS = {ActivityKind.SMS: "SMS", ActivityKind.WHATSAPP: "WHATS_APP"}


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """A HubSpot object type: its path, the type of its association to a contact, where its text stands."""

    path: str
    to_contact: int
    texts: tuple[str, ...]


CALLS = ObjectKind("calls", 194, ("hs_call_title", "hs_call_body"))
COMMUNICATIONS = ObjectKind("communications", 81, ("hs_communication_body",))
NOTES = ObjectKind("notes", 202, ("hs_note_body",))

# How the voice platform says that a call ended → hs_call_status. What is not here was a conversation: COMPLETED.
_STATUSES: Mapping[str, str] = {
    "dial_busy": "BUSY",
    "user_declined": "BUSY",
    "dial_no_answer": "NO_ANSWER",
    "error_user_not_joined": "NO_ANSWER",
    "registered_call_timeout": "NO_ANSWER",
    "transfer_cancelled": "CANCELED",
    "dial_failed": "FAILED",
    "invalid_destination": "FAILED",
    "telephony_provider_permission_denied": "FAILED",
    "telephony_provider_unavailable": "FAILED",
    "sip_routing_error": "FAILED",
    "marked_as_spam": "FAILED",
    "network_blocked": "FAILED",
    "concurrency_limit_reached": "FAILED",
    "no_concurrency_fallback": "FAILED",
    "no_valid_payment": "FAILED",
    "credit_exhausted": "FAILED",
    "budget_reached": "FAILED",
}
_CUT = re.compile(r"&[^;]{0,6}$|<[^>]{0,4}$")


def kind_of(activity: Activity, options: Mapping[str, str]) -> ObjectKind:
    """The object that holds this conversation."""
    if activity.kind is ActivityKind.CHAT and options.get("chat_channel", "").lower() == AS_NOTE:
        return NOTES
    return CALLS if activity.kind is ActivityKind.CALL else COMMUNICATIONS


def properties_of(activity: Activity, kind: ObjectKind, options: Mapping[str, str]) -> dict[str, str]:
    """The object's properties, all text; unknown ones are left out. `options` are the connection's."""
    started = activity.started.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    common = {**dict(activity.extra), "hs_timestamp": started}
    common |= {"hubspot_owner_id": owner} if (owner := owner_of(activity, options)) else {}
    body = body_of(activity)
    if kind is NOTES:
        return common | {"hs_note_body": body}
    if kind is COMMUNICATIONS:
        return common | _carrier(activity, options) | {"hs_communication_body": body}
    return common | _call(activity, body, options)


def _carrier(activity: Activity, options: Mapping[str, str]) -> dict[str, str]:
    """What carried it, told at creation only: it stays that, whatever the options say later."""
    if activity.external_id:
        return {}
    channel = _CHANNELS.get(activity.kind) or options.get("chat_channel") or CHAT_CHANNEL
    return {CHANNEL_FIELD: channel, "hs_communication_logged_from": "CRM"}


def _call(activity: Activity, body: str, options: Mapping[str, str]) -> dict[str, str]:
    recording = activity.recording_url if activity.recording_url.startswith("https://") else ""
    values = {
        "hs_call_title": with_marker(activity.title, activity.marker, TITLE_LIMIT),
        "hs_call_body": body,
        "hs_call_status": call_status(activity.disconnection_reason),
        "hs_call_direction": activity.direction.upper()
        if activity.direction in ("inbound", "outbound")
        else "",
        "hs_call_duration": "" if activity.duration_ms is None else str(activity.duration_ms),
        "hs_call_from_number": activity.from_number,
        "hs_call_to_number": activity.to_number,
        "hs_call_recording_url": recording,
        "hs_call_disposition": disposition(activity.disconnection_reason, options),
    }
    return {name: value for name, value in values.items() if value}


def call_status(disconnection_reason: str) -> str:
    """HubSpot's status of a finished call."""
    if disconnection_reason in _STATUSES:
        return _STATUSES[disconnection_reason]
    return "FAILED" if disconnection_reason.startswith("error_") else "COMPLETED"


def disposition(disconnection_reason: str, options: Mapping[str, str]) -> str:
    """The outcome's GUID in the portal, where the options name one for the reason or the status; else ""."""
    status = call_status(disconnection_reason)
    names = (f"disposition.{disconnection_reason}", f"disposition.{status}")
    return next((options[name] for name in names if options.get(name)), "")


def body_of(activity: Activity) -> str:
    """The body as HTML: the text escaped, the title first where the object has no title, the marker always at the end."""
    ending = f"<p>Conversation: {html.escape(activity.marker)}</p>"
    title = "" if activity.kind is ActivityKind.CALL else f"<p>{html.escape(activity.title, quote=False)}</p>"
    text = html.escape(activity.body.strip(), quote=False).replace("\r\n", "\n").replace("\n", "<br>")
    room = BODY_LIMIT - len(ending) - len(title)
    return f"{title}{text if len(text) <= room else _CUT.sub('', text[:room])}{ending}"
