"""Whatever order, number and shape events come in, the end state is that of the clean stream."""

from __future__ import annotations

import json
import random
import typing
from contextlib import suppress
from typing import Any, get_args, get_origin

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from retell.types import ChatResponse, PhoneCallResponse, WebCallResponse

from activity.models import ActivityEntry, AppliedMapping, Conversation, WebhookDelivery
from activity.process import process_some, replay
from activity.receive import BadBody, read, store
from contacts.models import Contact
from tests.activity.payloads import ADA, AGENT, GRACE, START, call, chat
from tests.activity.payloads import analysis as analysis_of

pytestmark = pytest.mark.django_db
SECRET_COLUMNS = {"id", "pk", "contact", "created_at", "updated_at", "applied_at", "apply_due_at"}
SLOW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# --- bodies made from the published types ---------------------------------------------------------


def made(kind: Any, *, full: bool, name: str = "") -> Any:
    """A value of a published type; with `full` every optional part is there, else none is."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {
            (field.alias or key): made(field.annotation, full=full, name=key)
            for key, field in kind.model_fields.items()
            if full or field.is_required()
        }
    if origin is typing.Literal:
        return inner[0]
    if origin in (list, typing.List):  # noqa: UP006 (as the types write it)
        return [made(inner[0], full=full, name=name)] if full else []
    if origin is dict:
        return {"key": made(inner[1], full=full, name=name)} if full else {}
    if inner:
        return made(next(one for one in inner if one is not type(None)), full=full, name=name)
    return {str: f"{name}-1", bool: True, int: 7, float: 7.0}.get(kind, {"any": "thing"})


def optional(model: type[BaseModel], *, but: str = "") -> list[str]:
    """The parts of a published type that may be missing."""
    return sorted(key for key, field in model.model_fields.items() if not field.is_required() and key != but)


# All parts that the platform may leave out of a call, of a chat, and of what it makes of them.
LEAVABLE = sorted({*optional(PhoneCallResponse), *optional(ChatResponse)})
TIMES = {"start_timestamp", "end_timestamp"}
TRANSFERS = ("transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended")


def stream(left_out: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Two calls and a chat of two people, with every event that the platform knows, without the parts `left_out`."""
    if left_out >= TIMES:
        left_out -= {"start_timestamp"}  # of what has no time at all, the order of arrival decides

    def whole(model: type[BaseModel], known: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in (made(model, full=True) | known).items() if k not in left_out}

    def without(subject: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: value for name, value in subject.items() if name not in names}

    events: list[dict[str, Any]] = []
    for number, person in ((1, ADA), (2, GRACE)):
        facts = {"from_number": person, "start_timestamp": START + number * 1000}
        full = whole(
            PhoneCallResponse,
            call(f"call_{number}", **facts, call_analysis=analysis_of(topic=f"Fact {number}.", score=number)),
        )
        begun = without(full, "end_timestamp", "duration_ms", "transcript", "call_analysis") | {
            "call_status": "ongoing"
        }
        events += [
            {"event": "call_started", "call": begun | {"end_timestamp": None, "transcript": ""}},
            {"event": "transcript_updated", "call": begun},
            *(
                {"event": name, "call": begun, "transfer_destination": {"number": AGENT}}
                for name in TRANSFERS
            ),
            {"event": "call_ended", "call": without(full, "call_analysis")},
            {"event": "call_analyzed", "call": full},
        ]
    text = whole(ChatResponse, chat(start_timestamp=START + 9000))
    return [
        *events,
        {
            "event": "chat_started",
            "chat": without(text, "chat_analysis", "transcript") | {"chat_status": "ongoing"},
        },
        {"event": "transcript_updated", "chat": text},
        {"event": "chat_ended", "chat": without(text, "chat_analysis")},
        {"event": "chat_analyzed", "chat": text},
    ]


EVENTS = range(len(stream()))
STREAMS = st.tuples(
    st.permutations(EVENTS),
    st.lists(st.sampled_from(EVENTS), max_size=6),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 400)), max_size=4),
    st.lists(st.booleans(), min_size=24, max_size=24),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(1, 90)), max_size=8),
    st.randoms(use_true_random=False),
)
LEFT_OUT: st.SearchStrategy[frozenset[str]] = st.one_of(
    st.just(frozenset()), st.just(frozenset(LEAVABLE)), st.frozensets(st.sampled_from(LEAVABLE))
)


def post(body: bytes) -> None:
    with suppress(BadBody):  # answered with a 400 and not kept
        store(read(body, {}))


def settle() -> None:
    while process_some():
        pass


def state() -> Any:
    """All that is known in the end, without what depends on the clock and on row numbers."""
    names = [
        field.name
        for field in Conversation._meta.concrete_fields
        if field.name not in SECRET_COLUMNS and "claimed" not in field.name and "attempts" not in field.name
    ]
    conversations = Conversation.objects.order_by("key").values(*names, "contact__phone_number")
    contacts = Contact.objects.order_by("phone_number")
    people = [
        (c.phone_number, c.custom_fields, c.conversation_count, c.last_conversation_at) for c in contacts
    ]
    applied = AppliedMapping.objects.order_by("conversation__key", "mapping_id")
    # The outcome is left out: an older conversation that comes late says "skipped" where it would have been written over.
    rows = applied.values_list("conversation__key", "analysis_field", "contact_field")
    entries = ActivityEntry.objects.order_by("conversation__key").values_list(
        "conversation__key", "connection"
    )
    return list(conversations), people, list(rows), list(entries)


@pytest.fixture
def rules(mapping, connection):
    mapping("topic", "notes")
    mapping("score", "budget", "fill_if_empty", position=1)
    mapping("summary", "interests", position=2)


def clean(events: list[dict[str, Any]]) -> Any:
    """The end state of the stream as it is meant: each event once, in its order, worked on at once."""
    with transaction.atomic():
        for event in events:
            post(json.dumps(event).encode())
            settle()
        expected = state()
        transaction.set_rollback(True)
    return expected


def half_filled(event: dict[str, Any], missing: int, chance: random.Random) -> dict[str, Any]:
    """The event without `missing` percent of what it could tell, missing or null; what was said has its time all the same."""
    kind = "call" if "call" in event else "chat"
    subject = dict(event[kind])
    kept = {f"{kind}_id", "start_timestamp"} if event["event"].endswith("analyzed") else {f"{kind}_id"}
    for name in sorted(set(subject) - kept):
        if chance.randrange(100) < missing:
            subject.pop(name) if chance.random() < 0.5 else subject.update({name: None})
    return event | {kind: subject}


def played(events, order, again, cuts, work, halves, chance: random.Random):
    """Post every event in `order`, some `again`, some cut short or half-filled, with the workers running or not in between."""
    bodies = [json.dumps(events[at]).encode() for at in order]
    bodies += [json.dumps(half_filled(events[at], missing, chance)).encode() for at, missing in halves]
    bodies += [json.dumps(events[at]).encode() for at in again]
    bodies += [json.dumps(events[at], indent=1).encode() for at in again]  # the same said in other bytes
    bodies += [json.dumps(events[at]).encode()[:-length] for at, length in cuts]
    chance.shuffle(bodies)
    for number, body in enumerate(bodies):
        post(body)
        if work[number % len(work)]:
            settle()
    settle()


def test_the_clean_stream_is_two_calls_and_a_chat(rules):
    conversations, people, applied, entries = clean(stream())
    assert [(one["key"], one["analyzed"]) for one in conversations] == [
        ("call_1", True), ("call_2", True), ("chat_ada", True),
    ]  # fmt: skip
    assert [count for _, _, count, _ in people] == [2, 1]
    assert [values["notes"] for _, values, _, _ in people] == ["Fact 1.", "Fact 2."]
    assert (len(applied), len(entries)) == (9, 3)


def test_every_event_that_the_platform_knows_is_in_the_stream():
    voice = {"call_started", "call_ended", "call_analyzed", "transcript_updated", *TRANSFERS}
    assert {event["event"] for event in stream()} == voice | {"chat_started", "chat_ended", "chat_analyzed"}


@SLOW
@given(stream_=STREAMS, left_out=LEFT_OUT)
def test_the_end_state_is_that_of_the_clean_stream(rules, stream_, left_out):
    events = stream(left_out)
    expected = clean(events)
    with transaction.atomic():
        played(events, *stream_)
        assert state() == expected
        replay(WebhookDelivery.objects.all())
        settle()
        assert state() == expected
        transaction.set_rollback(True)


TYPES = [("call", PhoneCallResponse), ("call", WebCallResponse), ("chat", ChatResponse)]


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize(("kind", "model"), TYPES, ids=lambda one: getattr(one, "__name__", one))
def test_an_object_of_the_published_types_is_taken_in(rules, kind, model, full):
    subject = made(model, full=full)
    if "from_number" in subject:
        subject |= {"from_number": ADA, "to_number": AGENT, "direction": "inbound"}
    for stage in ("started", "ended", "analyzed"):
        post(json.dumps({"event": f"{kind}_{stage}", kind: subject}).encode())
    settle()
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"done"}
    row = Conversation.objects.get()
    assert (row.key, row.kind, row.ended, row.analyzed) == (subject[f"{kind}_id"], kind, True, True)
    assert (row.contact is not None) == (model is PhoneCallResponse)
    if full:
        assert row.transcript
        assert row.summary
        assert row.variables == {"key": "retell_llm_dynamic_variables-1"}
        assert row.duration_ms is not None or kind == "chat"
