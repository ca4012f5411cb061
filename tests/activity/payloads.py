"""Events as the platform sends them, with Ada as the person spoken with."""

from __future__ import annotations

import json
import time
from typing import Any

from activity.receive import read, store
from activity.signatures import sign

ADA = "+14155550101"
GRACE = "+14155550102"
AGENT = "+14155550199"
START = 1_770_000_000_000


def call(call_id: str = "call_ada", **more: Any) -> dict[str, Any]:
    """An ended inbound phone call without its analysis."""
    return {
        "call_id": call_id,
        "call_type": "phone_call",
        "agent_id": "agent_1",
        "agent_version": 3,
        "agent_name": "Front desk",
        "direction": "inbound",
        "from_number": ADA,
        "to_number": AGENT,
        "call_status": "ended",
        "start_timestamp": START,
        "end_timestamp": START + 192_000,
        "duration_ms": 192_000,
        "disconnection_reason": "user_hangup",
        "transcript": "Agent: Hello.\nUser: Hello, this is Ada.",
        "recording_url": "https://recordings.example.com/1.wav",
    } | more


def analysis(summary: str = "Ada asked about her plan.", **custom: Any) -> dict[str, Any]:
    """What a call's analysis brings."""
    return {
        "call_summary": summary,
        "user_sentiment": "Positive",
        "call_successful": True,
        "in_voicemail": False,
        "custom_analysis_data": custom,
    }


def analyzed(
    call_id: str = "call_ada", *, summary: str = "Ada asked about her plan.", **custom: Any
) -> dict[str, Any]:
    """The body of a call_analyzed event."""
    return {"event": "call_analyzed", "call": call(call_id, call_analysis=analysis(summary, **custom))}


def ended(call_id: str = "call_ada", **more: Any) -> dict[str, Any]:
    """The body of a call_ended event."""
    return {"event": "call_ended", "call": call(call_id, **more)}


def chat(chat_id: str = "chat_ada", **more: Any) -> dict[str, Any]:
    """An ended SMS chat with its analysis and, as an operator's code attaches it, the number."""
    return {
        "chat_id": chat_id,
        "agent_id": "agent_1",
        "chat_status": "ended",
        "chat_type": "sms_chat",
        "start_timestamp": START + 3_600_000,
        "end_timestamp": START + 3_660_000,
        "transcript": "User: Hi.",
        "metadata": {"user_number": ADA},
        "chat_analysis": {
            "chat_summary": "Ada moved her appointment.",
            "user_sentiment": "Neutral",
            "chat_successful": True,
            "custom_analysis_data": {},
        },
    } | more


def deliver(*documents: dict[str, Any]) -> None:
    """Store events as if they had come through the door, without processing them."""
    for document in documents:
        store(read(json.dumps(document).encode(), {}))


def signed(body: bytes, key: str, *, age_ms: int = 0) -> dict[str, str]:
    """The header that proves a body."""
    return {"X-Retell-Signature": sign(body, key, int(time.time() * 1000) - age_ms)}
