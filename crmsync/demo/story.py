"""What happens in the demo: one customer whom both CRMs know calls, and later writes a text message."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import requests

from contacts.models import Contact
from contacts.phone import BadPhone, to_e164
from crmsync.demo.processes import DemoProblem

AGENT_NUMBER = "+14155550199"
CALL_ID, CHAT_ID = "call_demo_0001", "chat_demo_0001"
CALL_SUMMARY = "The customer asked about the Enterprise plan and wants a demo of reporting."
CHAT_SUMMARY = "The customer confirmed the demo for Thursday."


@dataclass(slots=True)
class Crm:
    """One sandbox CRM as its own users see it, over its control API."""

    name: str
    base_url: str

    def get(self, path: str, **query: str) -> Any:
        """A JSON answer of the control API."""
        answer = requests.get(f"{self.base_url}/_sandbox/{self.name}/{path}", params=query, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def numbers(self) -> dict[str, list[str]]:
        """The ids of live contacts by the number that their phone field means; "" for those without a usable one."""
        found: dict[str, list[str]] = {}
        field = {"salesforce": "Phone", "hubspot": "phone"}[self.name]
        for contact in self.get("contacts")["contacts"]:
            try:
                number = to_e164(contact["fields"].get(field))
            except BadPhone:
                number = ""
            found.setdefault(number, []).append(contact["id"])
        return found

    def fields(self, contact_id: str) -> dict[str, Any]:
        """The fields of one contact, in the CRM's own names and values."""
        values: dict[str, Any] = self.get(f"contacts/{contact_id}")["fields"]
        return values

    def activities(self, contact_id: str, marker: str) -> list[dict[str, Any]]:
        """The live activities on a contact whose fields mention the conversation."""
        rows = self.get("activities", contact=contact_id)["activities"]
        return [row for row in rows if marker in json.dumps(row["fields"]) and not row.get("deleted")]


def signed(body: bytes, key: str) -> dict[str, str]:
    """The headers that an agent platform signs `body` with."""
    stamp = str(int(time.time() * 1000))
    digest = hmac.new(key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
    return {"X-Retell-Signature": f"v={stamp},d={digest}", "Content-Type": "application/json"}


def post(url: str, document: dict[str, Any], key: str) -> dict[str, Any]:
    """Post a signed event; returns the JSON answer, {} where there is none."""
    body = json.dumps(document).encode()
    answer = requests.post(url, data=body, headers=signed(body, key), timeout=10)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json() if answer.content else {}
    return found


def call_events(number: str) -> list[dict[str, Any]]:
    """The events of one inbound call, as the platform sends them."""
    started = int(time.time() * 1000) - 200_000
    call: dict[str, Any] = {
        "call_id": CALL_ID, "call_type": "phone_call", "agent_id": "agent_demo", "agent_version": 1, "agent_name": "Front desk",
        "direction": "inbound", "from_number": number, "to_number": AGENT_NUMBER, "call_status": "ended",
        "start_timestamp": started, "end_timestamp": started + 184_000, "duration_ms": 184_000,
        "disconnection_reason": "user_hangup", "recording_url": "https://recordings.example.com/call_demo_0001.wav",
        "transcript": "Agent: Hello, how can I help?\nUser: I am interested in the Enterprise plan.",
    }  # fmt: skip
    analysis = {
        "call_summary": CALL_SUMMARY, "user_sentiment": "Positive", "call_successful": True, "in_voicemail": False,
        "custom_analysis_data": {
            "plan_interest": "Enterprise", "preferred_name": "Captain", "topics": "Wants a demo of reporting.",
        },
    }  # fmt: skip
    return [
        {"event": "call_started", "call": {**call, "call_status": "ongoing"}},
        {"event": "call_ended", "call": call},
        {"event": "call_analyzed", "call": {**call, "call_analysis": analysis}},
    ]


def chat_events(number: str) -> list[dict[str, Any]]:
    """The events of one text-message chat; the number travels in its variables."""
    started = int(time.time() * 1000) - 60_000
    chat: dict[str, Any] = {
        "chat_id": CHAT_ID, "agent_id": "agent_demo", "chat_status": "ended", "chat_type": "sms_chat",
        "start_timestamp": started, "end_timestamp": started + 45_000,
        "retell_llm_dynamic_variables": {"user_number": number},
        "transcript": "User: Thursday works.\nAgent: Great, see you then.",
    }  # fmt: skip
    analysis = {
        "chat_summary": CHAT_SUMMARY, "user_sentiment": "Positive", "chat_successful": True,
        "custom_analysis_data": {"preferred_name": "Skipper", "topics": "Demo confirmed for Thursday."},
    }  # fmt: skip
    return [
        {"event": "chat_ended", "chat": chat},
        {"event": "chat_analyzed", "chat": {**chat, "chat_analysis": analysis}},
    ]


def choose_customer(salesforce: Crm, hubspot: Crm) -> str:
    """A customer whom both CRMs know once, in a messy spelling, with notes to merge into and another plan.

    Returns the number in E.164; raises DemoProblem where there is no such customer.
    """
    theirs = hubspot.numbers()
    for number, ids in sorted(salesforce.numbers().items()):
        if number and len(ids) == 1 and len(theirs.get(number, [])) == 1:
            fields = salesforce.fields(ids[0])
            if (
                fields["Notes__c"]
                and fields["Plan__c"] not in {None, "Enterprise"}
                and fields["Phone"] != number
            ):
                return number
    raise DemoProblem("No customer of the sandbox fits the story. Start it with more contacts: --count 500.")


def agent_sees(base_url: str, number: str, key: str) -> dict[str, str]:
    """The dynamic variables that the agent gets when this number calls."""
    question = {
        "event": "call_inbound", "event_timestamp": int(time.time() * 1000),
        "call_inbound": {"from_number": number, "to_number": AGENT_NUMBER, "call_id": "call_demo_0002"},
    }  # fmt: skip
    answer = post(f"{base_url}/webhooks/retell/inbound/", question, key)
    variables: dict[str, str] = answer.get("call_inbound", {}).get("dynamic_variables", {})
    return variables


def contact_of(number: str) -> Contact | None:
    """The customer in our own book."""
    return Contact.objects.filter(phone_number=number).first()
