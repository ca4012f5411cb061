"""A conversation as HubSpot's Call, Communication or Note. Source: HubSpot's guides to calls, communications, notes."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from integrations.providers.activity_owners import owner_of
from integrations.providers.base import Activity, ActivityKind
from integrations.providers.markers import holds_marker, with_marker

BODY_LIMIT = 65_536
TITLE_LIMIT = 255
CHANNEL_FIELD = "hs_communication_channel_type"
CHAT_CHANNEL = "CUSTOM_CHANNEL_CONVERSATION"
AS_NOTE = "note"
DISPOSITION = "disposition"
# Channels that HubSpot documents; a web chat is none of them.
_CHANNELS = {ActivityKind.SMS: "SMS", ActivityKind.WHATSAPP: "WHATS_APP"}


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """A HubSpot object type: its path, the type of its association to a contact, where its text stands."""

    path: str
    to_contact: int
    texts: tuple[str, ...]


TITLE = "hs_call_title"
CALLS = ObjectKind("calls", 194, (TITLE, "hs_call_body"))
COMMUNICATIONS = ObjectKind("communications", 81, ("hs_communication_body",))
NOTES = ObjectKind("notes", 202, ("hs_note_body",))

# How the voice platform says that a call ended, by the status that HubSpot shows. Source: the platform's published types.
REASONS: Mapping[str, tuple[str, ...]] = {
    "COMPLETED": (
        "user_hangup", "agent_hangup", "user_requested_dnc", "user_requested_callback", "call_transfer", "transfer_bridged",
        "voicemail_reached", "ivr_reached", "inactivity", "max_duration_reached", "scam_detected", "manual_stopped",
        "call_take_over",
    ),
    "BUSY": ("dial_busy", "user_declined"),
    "NO_ANSWER": ("dial_no_answer", "error_user_not_joined", "registered_call_timeout"),
    "CANCELED": ("transfer_cancelled",),
    "FAILED": (
        "dial_failed", "invalid_destination", "telephony_provider_permission_denied", "telephony_provider_unavailable",
        "sip_routing_error", "marked_as_spam", "network_blocked", "concurrency_limit_reached", "no_concurrency_fallback",
        "no_valid_payment", "credit_exhausted", "budget_reached", "error_llm_websocket_open",
        "error_llm_websocket_lost_connection", "error_llm_websocket_runtime", "error_llm_websocket_corrupt_payload",
        "error_no_audio_received", "error_asr", "error_retell", "error_unknown",
    ),
}  # fmt: skip
_STATUSES = {reason: status for status, reasons in REASONS.items() for reason in reasons}
# What a cut may leave behind: a link without its end, half an entity, half a tag.
_CUT = re.compile(r"(?:<a [^>]*>[^<]*)?(?:&[^;]{0,6}|<[^>]*)?$")
_ENDING = re.compile(r"Conversation: ([^<]*)")


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
        TITLE: with_marker(activity.title, activity.marker, TITLE_LIMIT),
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
    """HubSpot's status of a finished call; a reason that is new to us, or none, was a conversation unless it is an error."""
    otherwise = "FAILED" if disconnection_reason.startswith("error_") else "COMPLETED"
    return _STATUSES.get(disconnection_reason, otherwise)


def disposition(disconnection_reason: str, options: Mapping[str, str]) -> str:
    """The outcome's GUID in the portal, where the options name one for the reason or the status; else ""."""
    status = call_status(disconnection_reason)
    names = (f"{DISPOSITION}.{disconnection_reason}", f"{DISPOSITION}.{status}")
    return next((options[name] for name in names if options.get(name)), "")


def body_of(activity: Activity) -> str:
    """The body as HTML: the text escaped, the title first where the object has no title, the marker always at the end."""
    ending = f"<p>Conversation: {html.escape(activity.marker)}</p>"
    title = "" if activity.kind is ActivityKind.CALL else f"<p>{html.escape(activity.title, quote=False)}</p>"
    text = html.escape(activity.body.strip(), quote=False).replace("\r\n", "\n").replace("\n", "<br>")
    text = _linked(text, activity.links)
    return f"{title}{_cut(text, BODY_LIMIT - _length(title + ending))}{ending}"


def _linked(text: str, links: Sequence[str]) -> str:
    """The escaped text with these addresses to be followed, where they stand as a word of their own."""
    ours = [one for one in links if re.fullmatch(r"https?://[^\s\"<>]+", one)]
    if not ours:
        return text
    words = "|".join(re.escape(html.escape(one, quote=False)) for one in sorted(ours, key=len, reverse=True))
    followed = rf"(?<![^\s>(])(?:{words})(?=[.,;:!?)]*(?:\s|<|$))"
    return re.sub(followed, lambda found: f'<a href="{found[0]}">{found[0]}</a>', text)


def is_about(texts: Mapping[str, str | None], marker: str) -> bool:
    """Whether an object, by its properties, is the log of this conversation.

    A body names it at its end and may quote anything before that, another conversation's id too.
    """
    if holds_marker(texts.get(TITLE), marker):
        return True
    named = re.compile(rf"{re.escape(marker)}(?![\w-])")
    bodies = [_ENDING.findall(text or "") for name, text in texts.items() if name != TITLE]
    return any(found and named.match(html.unescape(found[-1])) for found in bodies)


def _length(text: str) -> int:
    """As HubSpot's Java counts characters: an emoji is two."""
    return len(text.encode("utf-16-le", "ignore")) // 2


def _cut(text: str, room: int) -> str:
    if _length(text) <= room:
        return text
    return _CUT.sub("", text.encode("utf-16-le", "ignore")[: 2 * room].decode("utf-16-le", "ignore"))
