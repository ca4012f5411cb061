"""A conversation in the words of a CRM's timeline: title and plain-text body, by the connection's own templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.conf import settings
from django.urls import reverse

from activity.models import Conversation
from integrations.activity_templates import DEFAULT_BODY, DEFAULT_TITLE, body_of, title_of
from integrations.models import Connection
from integrations.providers.base import Activity, ActivityKind
from integrations.template_language import MOST_ANALYSIS, TEXT_LIMIT, TemplateProblem, plain

SUMMARY_LIMIT = 25_000
KINDS = {
    Conversation.Channel.PHONE: ActivityKind.CALL,
    Conversation.Channel.WEB_CALL: ActivityKind.CALL,
    Conversation.Channel.SMS: ActivityKind.SMS,
    Conversation.Channel.WHATSAPP: ActivityKind.WHATSAPP,
    Conversation.Channel.WEB_CHAT: ActivityKind.CHAT,
}
_TITLES = {
    ActivityKind.CALL: "Call",
    ActivityKind.SMS: "SMS",
    ActivityKind.WHATSAPP: "WhatsApp",
    ActivityKind.CHAT: "Chat",
}


@dataclass(frozen=True, slots=True)
class Wording:
    """Title and body of one conversation. `problem`: why the connection's template was not used, "" when it was."""

    title: str
    body: str
    problem: str = ""


def activity_of(
    conversation: Conversation, wording: Wording, contact_id: str, external_id: str = ""
) -> Activity:
    """What is logged of a conversation on the CRM record `contact_id`; `external_id` is set to update it."""
    return Activity(
        marker=conversation.key,
        kind=kind_of(conversation),
        contact_id=contact_id,
        title=wording.title,
        body=wording.body,
        started=conversation.moment,
        duration_ms=conversation.duration_ms,
        direction=conversation.direction,
        from_number=conversation.from_number,
        to_number=conversation.to_number,
        disconnection_reason=conversation.disconnection_reason,
        recording_url=conversation.recording_url,
        external_id=external_id or None,
        links=tuple(filter(None, (conversation.recording_url, transcript_link(conversation)))),
    )


def kind_of(conversation: Conversation) -> ActivityKind:
    """How the CRM should see the conversation."""
    return KINDS[Conversation.Channel(conversation.channel)]


def wording_of(conversation: Conversation, connection: Connection) -> Wording:
    """The conversation in the connection's words; in the usual ones where its template does not fit this conversation."""
    return worded(conversation, connection.activity_title, connection.activity_body)


def worded(conversation: Conversation, title: str, body: str) -> Wording:
    """The conversation by these templates ("": the usual one); by the usual ones where they do not fit it."""
    values = values_of(conversation)
    try:
        return Wording(title_of(title or DEFAULT_TITLE, values), body_of(body or DEFAULT_BODY, values))
    except TemplateProblem as problem:
        return Wording(title_of(DEFAULT_TITLE, values), body_of(DEFAULT_BODY, values), str(problem))


def content_hash(conversation: Conversation, wording: Wording) -> str:
    """A hash of what is logged, to see when a later event changes it: the words, and what the CRM has fields for."""
    told = [
        wording.title,
        wording.body,
        conversation.channel,
        conversation.direction,
        conversation.duration_ms,
        conversation.moment.isoformat(),
        conversation.from_number,
        conversation.to_number,
        conversation.disconnection_reason,
        conversation.recording_url,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def values_of(conversation: Conversation) -> dict[str, Any]:
    """Every variable of a template (integrations.template_language.VARIABLES) for this conversation; texts are bounded."""
    kind, contact = kind_of(conversation), conversation.contact
    texts = {
        "kind": _TITLES[kind],
        "channel": conversation.get_channel_display(),
        "conversation_id": conversation.key,
        "summary": conversation.summary[:SUMMARY_LIMIT].strip(),
        "outcome": {True: "successful", False: "not successful", None: ""}[conversation.successful],
        "sentiment": conversation.sentiment,
        "direction": conversation.direction,
        "from_number": conversation.from_number,
        "to_number": conversation.to_number,
        "duration": duration_in_words(conversation.duration_ms),
        "started": conversation.moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "disconnection_reason": conversation.disconnection_reason.replace("_", " "),
        "recording_link": conversation.recording_url,
        "transcript_link": transcript_link(conversation),
        "transcript": conversation.transcript,
        "agent": conversation.agent_name or conversation.agent_id,
        "agent_version": conversation.agent_version,
        "first_name": contact.first_name if contact else "",
        "last_name": contact.last_name if contact else "",
        "contact_name": f"{contact.first_name} {contact.last_name}".strip() if contact else "",
    }
    milliseconds = conversation.duration_ms
    return {name: text[:TEXT_LIMIT] for name, text in texts.items()} | {
        "successful": conversation.successful,
        "voicemail": bool(conversation.in_voicemail),
        "duration_seconds": None if milliseconds is None else round(milliseconds / 1000),
        "analysis": _analysis(conversation.analysis),
    }


def transcript_link(conversation: Conversation) -> str:
    """Our own page of the conversation where people know this server's address, else the platform's, else ""."""
    if settings.CRMSYNC_PUBLIC_URL:
        return f"{settings.CRMSYNC_PUBLIC_URL}{reverse('conversation', args=[conversation.pk])}"
    found = conversation.payload.get("public_log_url")
    return found if isinstance(found, str) and found.lower().startswith(("https://", "http://")) else ""


def duration_in_words(milliseconds: int | None) -> str:
    """For example "3 min 12 s"."""
    if milliseconds is None:
        return ""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _analysis(found: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name)[:255]: plain(value) for name, value in [*found.items()][:MOST_ANALYSIS]}
