"""A conversation in the words of a CRM's timeline: title and plain-text body, the same for every provider."""

from __future__ import annotations

import hashlib
import json

from activity.models import Conversation
from integrations.providers.base import Activity, ActivityKind

SUMMARY_LIMIT = 25_000
KINDS = {
    Conversation.Channel.PHONE: ActivityKind.CALL,
    Conversation.Channel.WEB_CALL: ActivityKind.CALL,
    Conversation.Channel.SMS: ActivityKind.SMS,
    Conversation.Channel.WEB_CHAT: ActivityKind.CHAT,
}
_TITLES = {ActivityKind.CALL: "Call", ActivityKind.SMS: "SMS", ActivityKind.CHAT: "Chat"}


def activity_of(conversation: Conversation, contact_id: str, external_id: str = "") -> Activity:
    """What is logged of a conversation on the CRM record `contact_id`; `external_id` is set to update it."""
    kind = kind_of(conversation)
    return Activity(
        marker=conversation.key,
        kind=kind,
        contact_id=contact_id,
        title=f"{_TITLES[kind]} {conversation.key}",
        body=body_of(conversation),
        started=conversation.moment,
        duration_ms=conversation.duration_ms,
        direction=conversation.direction,
        from_number=conversation.from_number,
        to_number=conversation.to_number,
        disconnection_reason=conversation.disconnection_reason,
        recording_url=conversation.recording_url,
        external_id=external_id or None,
    )


def kind_of(conversation: Conversation) -> ActivityKind:
    """How the CRM should see the conversation."""
    return KINDS[Conversation.Channel(conversation.channel)]


def body_of(conversation: Conversation) -> str:
    """The plain text: the summary first, then one line for each thing that is known."""
    lines = [f"{label}: {text}" for label, text in _known(conversation) if text]
    return "\n\n".join(filter(None, [conversation.summary[:SUMMARY_LIMIT].strip(), "\n".join(lines)]))


def content_hash(conversation: Conversation) -> str:
    """A hash of what is logged, to see when a later event changes it."""
    told = [
        body_of(conversation),
        conversation.channel,
        conversation.direction,
        conversation.duration_ms,
        conversation.moment.isoformat(),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def duration_in_words(milliseconds: int | None) -> str:
    """For example "3 min 12 s"."""
    if milliseconds is None:
        return ""
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _known(conversation: Conversation) -> list[tuple[str, str]]:
    outcome = {True: "successful", False: "not successful", None: ""}[conversation.successful]
    return [
        ("Outcome", outcome),
        ("Sentiment", conversation.sentiment),
        ("Voicemail", "yes" if conversation.in_voicemail else ""),
        ("Direction", conversation.direction),
        ("From", conversation.from_number),
        ("To", conversation.to_number),
        ("Duration", duration_in_words(conversation.duration_ms)),
        ("Ended by", conversation.disconnection_reason.replace("_", " ")),
        ("Recording", conversation.recording_url),
        ("Conversation", conversation.key),
    ]
