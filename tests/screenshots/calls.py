"""What was said to the demo's agents in the days before the pictures were taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

AGENT_NUMBER = "+14155550199"


@dataclass(frozen=True, slots=True)
class Told:
    """One call or text chat: who (the customer's place in the list), how long ago it began, and what came of it."""

    who: int
    ago: timedelta
    minutes: float
    summary: str
    sentiment: str
    successful: bool
    lines: tuple[str, ...]
    plan: str = ""
    name: str = ""
    topics: str = ""
    chat: bool = False


def _ago(days: int = 0, hours: float = 0) -> timedelta:
    return timedelta(days=days, hours=hours)


TOLD = (
    Told(
        1, _ago(6, 2), 4.2, "Asked how to move the billing date to the end of the month; it was moved.", "Neutral", True,
        ("Agent: Front desk, how can I help?", "User: Could you bill us at the end of the month?", "Agent: Done."),
        topics="Billing date is the last day of the month.",
    ),
    Told(
        2, _ago(5, 4), 2.6, "Reported that exports stopped at 10,000 rows. A ticket was opened.", "Negative", False,
        ("Agent: What do you see?", "User: The export ends at ten thousand rows.", "Agent: I have opened a ticket."),
        topics="Export limit of 10,000 rows; ticket open.",
    ),
    Told(
        0, _ago(5, 1), 6.1, "Wants to see reporting before the renewal. Compares the Pro and Enterprise plans.", "Positive", True,
        ("Agent: Front desk, how can I help?", "User: Before we renew I would like to see the reporting.",
         "Agent: Which plan are you thinking of?", "User: Pro or Enterprise. The team has grown to forty."),
        plan="Enterprise", name="Captain", topics="Team of forty; compares Pro and Enterprise.",
    ),
    Told(
        3, _ago(4, 3), 1.4, "Cancelled the appointment on Friday and asked to be called in June.", "Neutral", True,
        ("User: Friday does not work. Could you call in June?", "Agent: Of course."), topics="Call again in June.",
    ),
    Told(
        4, _ago(3, 5), 8.0, "Walked through the set-up of single sign-on; it works now.", "Positive", True,
        ("Agent: Let us go through it together.", "User: It works now, thank you."), plan="Enterprise",
        topics="Uses single sign-on.",
    ),
    Told(
        5, _ago(2, 6), 0.7, "Went to voicemail; asked for a call back.", "Unknown", False,
        ("Agent: Please call us back.",),
    ),
    Told(
        0, _ago(2, 2), 3.1, "Chose the Enterprise plan and asked for a demo of reporting for the whole team.", "Positive", True,
        ("Agent: Welcome back, Captain.", "User: We take Enterprise. Could the team see the reporting?",
         "Agent: Gladly. Would Thursday suit you?", "User: I have to ask. I will write you a text."),
        plan="Enterprise", topics="Enterprise chosen; demo of reporting for the whole team.",
    ),
    Told(
        6, _ago(1, 4), 5.3, "Asked for an offer for twenty more seats until Monday.", "Positive", True,
        ("User: What would twenty more seats cost?", "Agent: You will have an offer by Monday."), plan="Pro",
        topics="Twenty more seats; offer by Monday.",
    ),
    Told(
        7, _ago(0, 19), 2.2, "Was charged twice in April; the second charge is refunded.", "Negative", True,
        ("User: You have charged me twice.", "Agent: I am sorry. The second charge is on its way back."),
        topics="Charged twice in April, refunded.",
    ),
    Told(
        8, _ago(0, 2.1), 3.7, "Asked whether data stays in Europe; was sent the data protection agreement.", "Neutral", True,
        ("User: Where is our data kept?", "Agent: In Frankfurt. I send you the agreement."),
        topics="Needs its data kept in Europe.",
    ),
    Told(
        0, _ago(0, 0.9), 1.2, "Confirmed the demo of reporting for Thursday at three, with six people.", "Positive", True,
        ("User: Thursday at three works, six of us.", "Agent: Great, see you then. I will send an invitation."),
        topics="Demo on Thursday at three, six people.", chat=True,
    ),
    Told(
        9, _ago(0, 0.3), 2.9, "Wants to move from Starter to Pro at the next renewal.", "Positive", True,
        ("User: We have outgrown Starter.", "Agent: I note Pro for your renewal."), plan="Pro",
        topics="Moves to Pro at the renewal.",
    ),
)  # fmt: skip


def events(told: Told, number: str, key: str, now: datetime) -> list[dict[str, Any]]:
    """The events of it, as the platform sends them."""
    began, lasted = int((now - told.ago).timestamp() * 1000), int(told.minutes * 60_000)
    said = {
        "start_timestamp": began, "end_timestamp": began + lasted, "transcript": "\n".join(told.lines),
        "agent_id": "agent_front_desk", "agent_name": "Front desk", "agent_version": 4,
    }  # fmt: skip
    custom = {"plan_interest": told.plan, "preferred_name": told.name, "topics": told.topics}
    kind = "chat" if told.chat else "call"
    about = {
        f"{kind}_summary": told.summary, "user_sentiment": told.sentiment, f"{kind}_successful": told.successful,
        "custom_analysis_data": {name: text for name, text in custom.items() if text},
    }  # fmt: skip
    if told.chat:
        whole = {"chat_id": key, "chat_status": "ended", "chat_type": "sms_chat",
                 "retell_llm_dynamic_variables": {"user_number": number}, **said}  # fmt: skip
    else:
        whole = {
            "call_id": key, "call_type": "phone_call", "direction": "inbound", "from_number": number, "to_number": AGENT_NUMBER,
            "call_status": "ended", "duration_ms": lasted, "disconnection_reason": "user_hangup",
            "recording_url": f"https://recordings.example.com/{key}.wav", **said,
        }  # fmt: skip
    return [
        {"event": f"{kind}_ended", kind: whole},
        {"event": f"{kind}_analyzed", kind: {**whole, f"{kind}_analysis": about}},
    ]
