"""What every provider must do when it writes: one outcome per input, each write sent at most once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.providers.base import Activity, ActivityKind, Creation, Update
from integrations.providers.errors import (
    ConfigError,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)
from tests.integrations.providers.crms import Crm

STARTED = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
# Fields whose text a CRM keeps as it was sent.
SHOWN = {"Subject", "Description", "TaskSubtype", "hs_call_title", "hs_call_body", "hs_communication_body"}
SECRET = "Lovelace-Byron-415"


def person(crm: Crm, **values: Any) -> str:
    return crm.add(**{"first": "Ada", "last": "Lovelace", **values})


def call(contact_id: str, marker: str = "call_ada1", **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "marker": marker,
        "kind": ActivityKind.CALL,
        "contact_id": contact_id,
        "title": f"Call {marker}",
        "body": "Asked for a quote.\nWants <b>Pro</b> & more.",
        "started": STARTED,
        "duration_ms": 63_400,
        "direction": "inbound",
        "from_number": "+14155550100",
        "to_number": "+12125550100",
        "disconnection_reason": "user_hangup",
        "recording_url": "https://example.com/recording.wav",
    }
    return Activity(**{**values, **changes})


def test_nothing_to_write_makes_no_call(crm: Crm) -> None:
    provider = crm.provider()
    assert provider.update([]) == provider.create([]) == provider.log_activities([]) == []
    assert provider.read([], [crm.names["first"]]) == {}
    assert crm.writes() == 0


def test_all_types_are_written_and_none_clears(crm: Crm) -> None:
    provider, one = crm.provider(), person(crm)
    values: dict[str, Any] = {
        crm.names["first"]: "Grace",
        crm.names["plan"]: crm.pro,
        crm.names["value"]: 1250.5,
        crm.names["renewal"]: "2026-05-14",
        crm.names["visited"]: "2026-05-14T09:30:00Z",
        crm.names["vip"]: True,
        crm.names["notes"]: "Two\nlines, “quoted” & more.",
    }
    [outcome] = provider.update([Update(one, values)])
    assert outcome.ok
    assert outcome.external_id == one
    assert not outcome.created
    assert provider.read([one], [*values])[one].values == values
    [outcome] = provider.update([Update(one, {crm.names["plan"]: None, crm.names["notes"]: None})])
    assert outcome.ok
    read = provider.read([one], [crm.names["plan"], crm.names["notes"]])[one].values
    assert [*read.values()] == [None, None]


def test_one_bad_row_does_not_fail_the_others(crm: Crm) -> None:
    provider = crm.provider()
    ids = [person(crm) for _ in range(5)]
    bad = Update(ids[2], {crm.names["first"]: SECRET, crm.names["plan"]: SECRET})
    updates = [bad if one == ids[2] else Update(one, {crm.names["first"]: "Grace"}) for one in ids]
    outcomes = provider.update(updates)
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True, True]
    error = outcomes[2].error
    assert isinstance(error, Rejected)
    assert error.field == crm.names["plan"]
    assert SECRET not in str(error)
    assert [crm.field(one, "first") for one in ids] == ["Grace", "Grace", "Ada", "Grace", "Grace"]


def test_outcomes_come_in_the_order_of_the_inputs(crm: Crm) -> None:
    provider = crm.provider()
    count = crm.batch + 3
    outcomes = provider.create([Creation(f"k{i}", {crm.names["last"]: f"Hopper{i}"}) for i in range(count)])
    ids = [str(outcome.external_id) for outcome in outcomes]
    assert [crm.field(one, "last") for one in ids] == [f"Hopper{i}" for i in range(count)]


def test_an_update_of_a_deleted_record_says_that_it_is_gone(crm: Crm) -> None:
    gone, there = person(crm), person(crm)
    crm.delete(gone)
    outcomes = crm.provider().update(
        [Update(gone, {crm.names["first"]: "Grace"}), Update(there, {crm.names["first"]: "Grace"})]
    )
    assert isinstance(outcomes[0].error, RecordGone)
    assert outcomes[0].error.merged_into is None
    assert outcomes[1].ok


def test_an_update_of_a_merged_record_leads_to_the_winner(crm: Crm) -> None:
    winner, loser = person(crm), person(crm)
    crm.merge(winner, loser)
    provider = crm.provider()
    survivor = provider.read([loser], [])[loser].merged_into
    [outcome] = provider.update([Update(loser, {crm.names["first"]: "Grace"})])
    led_to = outcome.error.merged_into if isinstance(outcome.error, RecordGone) else outcome.external_id
    assert led_to == survivor


@pytest.mark.parametrize("word", ["score", None])
def test_a_field_that_cannot_be_written_is_named(crm: Crm, word: str | None) -> None:
    name = crm.names[word] if word else "Vanished__c"
    error = failure_of(crm, Update(person(crm), {name: 5}))
    assert isinstance(error, ConfigError)
    assert error.field == name


def failure_of(crm: Crm, update: Update) -> ProviderError | None:
    try:
        [outcome] = crm.provider().update([update])
    except ProviderError as error:
        return error
    return outcome.error


def test_a_created_record_has_what_was_given_and_a_name(crm: Crm) -> None:
    provider = crm.provider()
    before = crm.contacts()
    [outcome] = provider.create(
        [Creation("k1", {crm.names["phone"]: "+14155550142", crm.names["notes"]: None})]
    )
    assert outcome.ok
    assert outcome.created
    made = str(outcome.external_id)
    assert crm.field(made, "phone") == "+14155550142"
    assert crm.field(made, "last") == "Unknown"
    assert crm.contacts() == before + 1


def test_a_lost_answer_to_a_creation_is_unknown_and_nothing_is_sent_twice(crm: Crm) -> None:
    before = crm.contacts()
    crm.lose_answer("create")
    creations = [Creation(f"k{i}", {crm.names["last"]: "Hopper"}) for i in range(crm.batch + 1)]
    outcomes = crm.provider().create(creations)
    assert all(isinstance(outcome.error, OutcomeUnknown) for outcome in outcomes[: crm.batch])
    assert isinstance(outcomes[-1].error, Transient)
    assert crm.writes() == 1
    assert crm.contacts() == before + crm.batch


def test_successes_are_kept_when_the_quota_ends_between_two_batches(crm: Crm) -> None:
    crm.refuse("update", "daily", skip=1)
    one = person(crm)
    others = [f"{i:018d}" for i in range(crm.batch - 1)]
    last = person(crm)
    updates = [Update(key, {crm.names["first"]: "Grace"}) for key in (one, *others, last)]
    outcomes = crm.provider().update(updates)
    assert outcomes[0].ok
    assert isinstance(outcomes[-1].error, RateLimited)
    assert crm.field(one, "first") == "Grace"
    assert crm.field(last, "first") == "Ada"


def test_a_quota_that_ends_before_the_first_batch_is_raised(crm: Crm) -> None:
    crm.refuse("update", "daily")
    one = person(crm)
    with pytest.raises(RateLimited):
        crm.provider().update([Update(one, {crm.names["first"]: "Grace"})])
    assert crm.field(one, "first") == "Ada"


@pytest.mark.parametrize("kind", list(ActivityKind))
def test_an_activity_is_logged_once_on_its_contact_and_found_again(crm: Crm, kind: ActivityKind) -> None:
    provider, one = crm.provider(), person(crm)
    [outcome] = provider.log_activities([call(one, kind=kind)])
    assert outcome.ok
    assert outcome.created
    [logged] = crm.activities(one)
    assert logged["id"] == outcome.external_id
    assert "call_ada1" in logged["text"]
    assert "Asked for a quote." in logged["text"]
    assert provider.find_activity("call_ada1", one, kind) == outcome.external_id


@pytest.mark.parametrize("kind", list(ActivityKind))
def test_what_would_be_sent_is_shown_without_a_call(crm: Crm, kind: ActivityKind) -> None:
    provider, one = crm.provider(), person(crm)
    fields = provider.activity_fields(call(one, kind=kind, title="Talk"))
    told = " ".join(str(value) for value in fields.values())
    assert "call_ada1" in told
    assert "Talk" in told
    assert "Asked for a quote." in told
    assert provider.calls == 0
    [outcome] = provider.log_activities([call(one, kind=kind, title="Talk")])
    [logged] = crm.activities(one)
    assert logged["id"] == outcome.external_id
    assert all(str(fields[name]) == str(logged["fields"][name]) for name in SHOWN & {*fields})


def test_only_the_very_conversation_is_found(crm: Crm) -> None:
    provider, one, other = crm.provider(), person(crm), person(crm)
    provider.log_activities([call(one, "call_1"), call(one, "call_12"), call(other, "call_3")])
    kind = ActivityKind.CALL
    assert provider.find_activity("call_1", one, kind) != provider.find_activity("call_12", one, kind)
    assert provider.find_activity("call_2", one, kind) is None
    assert provider.find_activity("call_3", one, kind) is None


def test_a_logged_activity_can_be_completed_later(crm: Crm) -> None:
    provider, one = crm.provider(), person(crm)
    kinds = {"call_1": ActivityKind.CALL, "chat_1": ActivityKind.CHAT, "app_1": ActivityKind.WHATSAPP}
    for marker, kind in kinds.items():
        [made] = provider.log_activities([call(one, marker, kind=kind, body="")])
        late = call(one, marker, kind=kind, body="The summary came late.", external_id=made.external_id)
        [outcome] = provider.log_activities([late])
        assert outcome.ok
        assert not outcome.created
        [logged] = [found for found in crm.activities(one) if found["id"] == made.external_id]
        assert "The summary came late." in logged["text"]
    assert len(crm.activities(one)) == 3


def test_a_lost_answer_to_an_activity_is_unknown_and_the_marker_finds_it(crm: Crm) -> None:
    provider, one = crm.provider(), person(crm)
    crm.lose_answer("log_activities")
    [outcome] = provider.log_activities([call(one)])
    assert isinstance(outcome.error, OutcomeUnknown)
    [logged] = crm.activities(one)
    assert provider.find_activity("call_ada1", one, ActivityKind.CALL) == logged["id"]


def test_an_activity_on_a_contact_that_is_gone_fails_alone(crm: Crm) -> None:
    provider, one, gone = crm.provider(), person(crm), person(crm)
    crm.delete(gone)
    outcomes = provider.log_activities([call(gone, "call_1"), call(one, "call_2")])
    assert isinstance(outcomes[0].error, RecordGone | Rejected)
    assert outcomes[1].ok
    assert len(crm.activities(one)) == 1


def test_many_activities_of_all_kinds_keep_their_order(crm: Crm) -> None:
    provider, one = crm.provider(), person(crm)
    kinds = [ActivityKind.CALL, ActivityKind.CHAT, ActivityKind.SMS, ActivityKind.CALL, ActivityKind.SMS]
    activities = [call(one, f"talk_{i}", kind=kind) for i, kind in enumerate(kinds)]
    outcomes = provider.log_activities(activities)
    texts = {found["id"]: found["text"] for found in crm.activities(one)}
    for i, outcome in enumerate(outcomes):
        assert f"talk_{i}" in texts[str(outcome.external_id)]
