"""Folding is a pure table: later stages add, blanks erase nothing, order and repetition do not matter."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activity.reading import ANALYZED, ENDED, STARTED, Event, Unused, facts, fold, read_event
from tests.activity.payloads import ADA, AGENT, analysis, call, chat

# The machine may be busy: what counts is the outcome, not the time.
patient = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
STAGE = {"started": STARTED, "ended": ENDED, "analyzed": ANALYZED}


def event(stage, **subject):
    return Event("call", "call_ada", STAGE[stage], subject)


@pytest.mark.parametrize(
    ("events", "folded"),
    [
        ([event("started", a=1), event("ended", a=2)], {"a": 2}),
        ([event("ended", a=2), event("started", a=1)], {"a": 2}),
        ([event("ended", a=2), event("analyzed", a=None)], {"a": 2}),
        ([event("ended", a="text"), event("analyzed", a="")], {"a": "text"}),
        ([event("ended", a="text"), event("analyzed", a=" ", b=[], c={})], {"a": "text"}),
        ([event("ended", a=1), event("analyzed", a=0)], {"a": 0}),
        ([event("ended", a=True), event("analyzed", a=False)], {"a": False}),
        (
            [event("ended", a={"x": 1, "y": 1}), event("analyzed", a={"y": 2, "z": None})],
            {"a": {"x": 1, "y": 2}},
        ),
        ([event("analyzed", a=1), event("analyzed", a=2)], {"a": 2}),
        ([event("ended", a=[1, 2]), event("analyzed", a=[3])], {"a": [3]}),
    ],
)
def test_events_fold_by_stage_and_blanks_erase_nothing(events, folded):
    assert fold({}, events) == folded


leaves = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "a", "b"]))
subjects = st.dictionaries(
    st.sampled_from("abc"), st.one_of(leaves, st.dictionaries(st.sampled_from("xy"), leaves))
)


@patient
@given(st.lists(subjects, min_size=3, max_size=3), st.data())
def test_any_order_and_any_repetition_end_in_the_clean_state(three, data):
    """Processing folds all that is known so far into what was folded before."""
    known = [event(stage, **subject) for stage, subject in zip(STAGE, three, strict=True)]
    clean = fold({}, known)
    arrivals = data.draw(st.lists(st.sampled_from(known), max_size=4)) + data.draw(st.permutations(known))
    state: dict[str, Any] = {}
    seen: list[Event] = []
    for arrival in arrivals:
        seen = [one for one in known if one in [*seen, arrival]]
        state = fold(state, seen)
    assert state == clean


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text("a0 +", max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab", max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


@patient
@given(st.dictionaries(st.sampled_from([*call(), *chat(), "call_analysis", "version"]), anything), st.data())
def test_no_payload_however_odd_breaks_the_reading(subject, data):
    subject["call_analysis"] = data.draw(st.dictionaries(st.sampled_from([*analysis()]), anything))
    for kind in ("call", "chat"):
        read = facts(kind, subject, ["user_number"])
        assert read["duration_ms"] is None or 0 <= read["duration_ms"] < 2**63
        assert read["direction"] in ("", "inbound", "outbound")
        assert read["successful"] in (None, True, False)


def test_a_call_is_read_whole():
    read = facts("call", call(call_analysis=analysis(topic="plan")))
    assert read["channel"] == "phone"
    assert (read["direction"], read["from_number"], read["to_number"]) == ("inbound", ADA, AGENT)
    assert read["started_at"] == datetime(2026, 2, 2, 2, 40, tzinfo=UTC)
    assert (read["duration_ms"], read["disconnection_reason"]) == (192_000, "user_hangup")
    assert (read["summary"], read["sentiment"]) == ("Ada asked about her plan.", "Positive")
    assert (read["successful"], read["in_voicemail"]) == (True, False)
    assert read["analysis"] == {"topic": "plan"}
    assert read["agent_version"] == "3"


@pytest.mark.parametrize(
    ("kind", "subject", "channel"),
    [
        ("call", {"call_type": "phone_call"}, "phone"),
        ("call", {"call_type": "web_call"}, "web_call"),
        ("call", {"from_number": ADA}, "phone"),
        ("call", {}, "web_call"),
        ("chat", {"chat_type": "sms_chat"}, "sms"),
        ("chat", {"chat_type": "api_chat"}, "web_chat"),
        ("chat", {}, "web_chat"),
    ],
)
def test_the_channel_is_told_from_the_object(kind, subject, channel):
    assert facts(kind, subject)["channel"] == channel


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ({"metadata": {"user_number": ADA}}, ADA),
        ({"retell_llm_dynamic_variables": {"phone_number": ADA}}, ADA),
        ({"collected_dynamic_variables": {"phone_number": ADA}}, ADA),
        ({"metadata": {"phone_number": AGENT, "user_number": ADA}}, ADA),
        ({"user_number": ADA, "metadata": {"user_number": AGENT}}, ADA),
        ({"from_number": ADA, "metadata": {"user_number": AGENT}}, ADA),
        ({"metadata": {"user_number": 14155550101}}, "14155550101"),
        ({"metadata": {"other": ADA}}, ""),
        ({"metadata": "text"}, ""),
    ],
)
def test_a_chat_takes_its_number_from_what_was_attached_to_it(subject, number):
    assert facts("chat", subject, ["user_number", "phone_number"])["from_number"] == number


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//elsewhere.example/1.wav", "no address"]
)
def test_a_recording_that_is_no_web_address_counts_as_missing(url):
    assert facts("call", call(recording_url=url))["recording_url"] == ""


def test_the_duration_is_reckoned_where_it_is_not_given():
    assert facts("call", call(duration_ms=None))["duration_ms"] == 192_000
    assert facts("call", call(duration_ms=None, end_timestamp=None))["duration_ms"] is None


@pytest.mark.parametrize(
    ("name", "key", "document"),
    [
        ("transfer_started", "c", {"call": {"call_id": "c"}}),
        ("transcript_updated", "c", {"call": {"call_id": "c"}}),
        ("moon_landed", "", {}),
        ("call_ended", "", {"call": {}}),
        ("call_ended", "c", {"call": "c"}),
        ("call_ended", "c", {"chat": {"chat_id": "c"}}),
    ],
)
def test_an_event_that_is_not_used_says_why(name, key, document):
    unused = read_event(name, key, document)
    assert isinstance(unused, Unused)
    assert unused.reason
