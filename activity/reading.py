"""What an event says about a conversation: later stages add to earlier ones, blanks erase nothing. Pure.

All known bodies of a conversation are folded in the order of their stages, whatever order they came in, so that
duplicates, reordering and half-filled objects end in one state. Source of the shapes: the platform's published types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activity import neutral
from contacts.values import is_blank

INBOUND, STARTED, ENDED, ANALYZED = 0, 1, 2, 3
STAGES = {
    "call_inbound": INBOUND,
    "chat_inbound": INBOUND,
    "call_started": STARTED,
    "chat_started": STARTED,
    "call_ended": ENDED,
    "chat_ended": ENDED,
    "call_analyzed": ANALYZED,
    "chat_analyzed": ANALYZED,
    neutral.PARTIAL: ENDED,
    neutral.WHOLE: ANALYZED,
}
NOT_NEUTRAL = "The document has no id, or no channel that we know."
_VARIABLES = ("metadata", "retell_llm_dynamic_variables", "collected_dynamic_variables")
_CHATS = {"sms_chat": "sms", "whatsapp_chat": "whatsapp"}
# The platform tells SMS from chats over its API only. What carries the latter, the operator's own code says.
_CARRIERS = {"whatsapp": "whatsapp", "sms": "sms"}
_CARRIER_KEY = "channel"
_MAX_MS = 253_402_300_799_000  # the end of the year 9999
_MAX_DURATION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event that we use: which conversation, how far it was, and the object that describes it."""

    kind: str
    key: str
    stage: int
    subject: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unused:
    """An event that changes no conversation, and why."""

    reason: str


def read_event(name: str, key: str, document: Mapping[str, Any]) -> Event | Unused:
    """The event in a parsed body, or why it is not used."""
    stage = STAGES.get(name)
    if stage is None:
        return Unused(f"“{name}” is not used: what it tells comes again when the conversation has ended.")
    if name in (neutral.WHOLE, neutral.PARTIAL):
        kind = neutral.kind_of(document)
        return Event(kind, key, stage, neutral.subject_of(document)) if kind and key else Unused(NOT_NEUTRAL)
    kind = name.partition("_")[0]
    subject = document.get(name if stage == INBOUND else kind)
    if not isinstance(subject, dict) or not key:
        return Unused(f"The event names no {kind}: there is no “{kind}_id”.")
    if stage == INBOUND:
        subject = {**subject, "direction": "inbound"} | ({"chat_type": "sms_chat"} if kind == "chat" else {})
    return Event(kind, key, stage, subject)


def fold(base: Mapping[str, Any], events: Iterable[Event]) -> dict[str, Any]:
    """One object made of all: by stage, then as they came; within a key the last value that is not blank stands."""
    folded = dict(base)
    for event in sorted(events, key=lambda event: event.stage):
        folded = _added(folded, event.subject)
    return folded


def facts(kind: str, subject: Mapping[str, Any], number_keys: Sequence[str] = ()) -> dict[str, Any]:
    """The conversation's columns from its folded object; a value of an unexpected type counts as missing.

    `number_keys`: names under which chats and web calls carry a number in their metadata or variables.
    """
    analysis = _object(subject, f"{kind}_analysis")
    started, ended = _moment(subject, "start_timestamp"), _moment(subject, "end_timestamp")
    from_number, to_number = _text(subject, "from_number", 32), _text(subject, "to_number", 32)
    channel = _channel(kind, subject, has_numbers=bool(from_number or to_number))
    if channel != "phone" and not from_number and not to_number:
        from_number = next(_given_numbers(subject, number_keys), "")
    return {
        "channel": channel,
        "agent_id": _text(subject, "agent_id", 255),
        "agent_version": _text(subject, "agent_version", 32) or _text(subject, "version", 32),
        "agent_name": _text(subject, "agent_name", 255),
        "direction": _one_of(subject, "direction", ("inbound", "outbound")),
        "from_number": from_number,
        "to_number": to_number,
        "status": _text(subject, f"{kind}_status", 32),
        "started_at": started,
        "ended_at": ended,
        "duration_ms": _duration(subject, started, ended),
        "disconnection_reason": _text(subject, "disconnection_reason", 64),
        "summary": _text(analysis, f"{kind}_summary"),
        "sentiment": _text(analysis, "user_sentiment", 16),
        "successful": _flag(analysis, f"{kind}_successful"),
        "in_voicemail": _flag(analysis, "in_voicemail"),
        "analysis": _object(analysis, "custom_analysis_data"),
        "transcript": _text(subject, "transcript"),
        "recording_url": _link(subject, "recording_url"),
        "variables": _object(subject, "retell_llm_dynamic_variables"),
    }


def _added(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            result[name] = _added(before, value)
        elif not is_blank(value):
            result[name] = _added({}, value) if isinstance(value, dict) else value
    return result


def _channel(kind: str, subject: Mapping[str, Any], *, has_numbers: bool) -> str:
    if kind == "chat":
        return _CHATS.get(_text(subject, "chat_type")) or next(_carriers(subject), "web_chat")
    channels = {"phone_call": "phone", "web_call": "web_call"}
    return channels.get(_text(subject, "call_type")) or ("phone" if has_numbers else "web_call")


def _carriers(subject: Mapping[str, Any]) -> Iterator[str]:
    for name in _VARIABLES:
        if found := _CARRIERS.get(_text(_object(subject, name), _CARRIER_KEY).lower()):
            yield found


def _given_numbers(subject: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """Numbers of chats and web calls come only with what the operator's own code attached to them."""
    for place in (subject, *(_object(subject, name) for name in _VARIABLES)):
        for name in names:
            if number := _text(place, name, 32):
                yield number


def _object(subject: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = subject.get(name)
    return found if isinstance(found, dict) else {}


def _text(subject: Mapping[str, Any], name: str, limit: int | None = None) -> str:
    found = subject.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    return found.strip()[:limit] if isinstance(found, str) else ""


def _link(subject: Mapping[str, Any], name: str) -> str:
    """A web address; any other kind, which could run something where it is shown, counts as missing."""
    found = _text(subject, name)
    return found if found.lower().startswith(("http://", "https://")) else ""


def _one_of(subject: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    found = _text(subject, name).lower()
    return found if found in allowed else ""


def _flag(subject: Mapping[str, Any], name: str) -> bool | None:
    found = subject.get(name)
    return found if isinstance(found, bool) else None


def _number(subject: Mapping[str, Any], name: str, most: int) -> int | None:
    found = subject.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= most:
        return None
    return int(found)


def _moment(subject: Mapping[str, Any], name: str) -> datetime | None:
    milliseconds = _number(subject, name, _MAX_MS)
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _duration(subject: Mapping[str, Any], started: datetime | None, ended: datetime | None) -> int | None:
    given = _number(subject, "duration_ms", _MAX_DURATION)
    if given is None and started and ended and ended >= started:
        return round((ended - started).total_seconds() * 1000)
    return given
