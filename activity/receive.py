"""Take an event in: read its frame, and store its raw body by one INSERT before the sender is answered."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils import timezone

from activity import neutral
from activity.models import WebhookDelivery
from activity.statement import write, write_and_look
from sync.wake import ON_ITS_WAY, wake

EVENT_LIMIT = 64
KEY_LIMIT = 255
KEPT_HEADERS = ("Content-Type", "User-Agent", "X-Retell-Signature")
# What PostgreSQL cannot hold in text and JSON: NUL and halves of surrogate pairs.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_IDS = {"call": "call_id", "chat": "chat_id", "call_inbound": "call_id", "chat_inbound": "chat_id"}

# Django's ORM has no single-statement form of these, and this is the one place where milliseconds count.
_INSERT = (
    "INSERT INTO activity_webhookdelivery (event, conversation_key, body_hash, body, headers, received_at, state, note,"
    " attempts, due_at, processed_at, answer) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s)"
    " ON CONFLICT (event, conversation_key, body_hash) DO "
)
_KEEP_FIRST = _INSERT + "NOTHING"
_KEEP_ANSWER = _INSERT + "UPDATE SET answer = excluded.answer, note = excluded.note"


class BadBody(ValueError):
    """The body is not an event; the message is for its sender."""


@dataclass(frozen=True, slots=True)
class Received:
    """One verified request: its frame, its parsed document, and the bytes to keep."""

    event: str
    key: str
    document: Mapping[str, Any]
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def read(body: bytes, headers: Mapping[str, str]) -> Received:
    """The frame of a body: a JSON object with a text under "event". Raises BadBody."""
    document = _object(body)  # only its frame is used here; whoever reads the rest cleans it
    event = storable(document.get("event"))
    if not isinstance(event, str) or not event.strip():
        raise BadBody("The body has no “event”.")
    kept = {name: headers[name][:500] for name in KEPT_HEADERS if name in headers}
    return Received(event.strip()[:EVENT_LIMIT], conversation_key(document), document, body, kept)


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, free of what a database cannot hold. Raises BadBody."""
    document: dict[str, Any] = storable(_object(body))
    return document


def conversation_key(document: Mapping[str, Any]) -> str:
    """The call or chat id that the document is about, or "" when it names none."""
    for wrapper, name in _IDS.items():
        subject = document.get(wrapper)
        found = subject.get(name) if isinstance(subject, dict) else None
        found = storable(found).strip() if isinstance(found, str) else ""
        if 0 < len(found) <= KEY_LIMIT:
            return found
    return ""


def canonical(document: Mapping[str, Any]) -> bytes:
    """One spelling of a document, so that the same content is known again however it was written."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def posted(document: Mapping[str, Any], body: bytes, headers: Mapping[str, str]) -> Received:
    """The frame of a conversation in neutral form, which has been checked."""
    kept = {name: headers[name][:500] for name in KEPT_HEADERS if name in headers}
    return Received(neutral.event_name(document), str(document["id"]), document, body, kept)


def store(received: Received) -> bool:
    """Keep the delivery for the worker; False when the same event, id and body is known already."""
    return write(_KEEP_FIRST, _row(received, WebhookDelivery.State.PENDING)) == 1


def store_and_wake(received: Received) -> bool:
    """`store`, and have a worker come unless one is on its way."""
    row = _row(received, WebhookDelivery.State.PENDING)
    new, on_its_way = write_and_look(_KEEP_FIRST, row, ON_ITS_WAY)
    if new and not on_its_way:
        wake()
    return new == 1


def store_answered(received: Received, answer: Mapping[str, Any], note: str) -> None:
    """Keep a delivery that has been answered on the spot, with the answer; a repeated one keeps the last answer."""
    write(_KEEP_ANSWER, _row(received, WebhookDelivery.State.DONE, note, answer))


def storable(value: Any) -> Any:
    """A JSON value without NUL, halves of surrogate pairs and infinite numbers."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadBody("The body is not valid JSON.") from error
    if not isinstance(document, dict):
        raise BadBody("The body is not a JSON object.")
    return document


def _row(
    received: Received, state: str, note: str = "", answer: Mapping[str, Any] | None = None
) -> list[Any]:
    """The values of the INSERT, in its order."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    return [
        received.event,
        received.key,
        hashlib.sha256(received.body).hexdigest(),
        received.body,
        json.dumps(dict(received.headers)),
        now,
        str(state),
        note,
        now,
        now if state == WebhookDelivery.State.DONE else None,
        json.dumps(answer) if answer else "{}",
    ]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
