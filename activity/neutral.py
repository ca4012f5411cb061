"""The neutral form of a conversation, for platforms other than the one whose events we know. Pure.

It is translated into that platform's object, so that everything after has one shape to read. docs/conversations.md
describes it for callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

# A finished conversation, and one of which more will be told.
WHOLE, PARTIAL = "conversation", "conversation_partial"
CHANNELS = {"phone": "call", "web_call": "call", "sms": "chat", "whatsapp": "chat", "web_chat": "chat"}
SENTIMENTS = ("Negative", "Positive", "Neutral", "Unknown")
_TYPES = {
    "phone": {"call_type": "phone_call"},
    "web_call": {"call_type": "web_call"},
    "sms": {"chat_type": "sms_chat"},
    "whatsapp": {"chat_type": "whatsapp_chat"},
    "web_chat": {"chat_type": "api_chat"},
}
_SAME = ("direction", "from_number", "to_number", "duration_ms", "transcript", "recording_url", "metadata")


def event_name(document: Mapping[str, Any]) -> str:
    """The event that a posted document is kept as."""
    return PARTIAL if document.get("final") is False else WHOLE


def kind_of(document: Mapping[str, Any]) -> str:
    """call or chat; "" when the channel is not one of ours."""
    return CHANNELS.get(str(document.get("channel")), "")


def subject_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The platform's object with what the document says; what it does not say is not there."""
    kind, agent = kind_of(document), _object(document, "agent")
    subject = {
        f"{kind}_id": document.get("id"),
        f"{kind}_status": "ended",
        "agent_id": agent.get("id"),
        "agent_version": agent.get("version"),
        "agent_name": agent.get("name"),
        "start_timestamp": _milliseconds(document.get("started_at")),
        "end_timestamp": _milliseconds(document.get("ended_at")),
        "disconnection_reason": document.get("end_reason"),
        "retell_llm_dynamic_variables": document.get("variables"),
        f"{kind}_analysis": _analysis(kind, document),
        **_TYPES[str(document.get("channel"))],
        **{name: document.get(name) for name in _SAME},
    }
    return {name: value for name, value in subject.items() if value is not None}


def _analysis(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        f"{kind}_summary": document.get("summary"),
        "user_sentiment": document.get("sentiment"),
        f"{kind}_successful": document.get("successful"),
        "in_voicemail": document.get("in_voicemail"),
        "custom_analysis_data": document.get("analysis"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _milliseconds(raw: Any) -> int | None:
    try:
        at = datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        return None
    return round(at.timestamp() * 1000) if at.tzinfo else None
