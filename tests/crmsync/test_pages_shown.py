"""How values look to people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from activity.models import ActivityEntry, AppliedMapping, Conversation, MergeReview, WebhookDelivery
from contacts import shown
from crmsync.pages.provenance import link_to, named_conversations, origin_of, words_for
from integrations.models import ConnectionStatus
from sync.models import ContactImport, RecordState, RunState, SyncIssue

NOW = datetime(2026, 5, 14, 12, 0, tzinfo=UTC)
# States that call for nothing have no colour.
CALM = {
    "expired",
    "receiving",
    "rejected",
    "kept",
    "unchanged",
    "superseded",
    "ignored",
    "cancelled",
    "skipped",
}


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(seconds=-5), "in a moment"),
        (timedelta(seconds=50), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(days=2, hours=3), "2 days ago"),
        (timedelta(days=40), "4 Apr 2026"),
        (timedelta(minutes=-3), "in 3 minutes"),
    ],
)
def test_an_age_reads_as_people_say_it(delta: timedelta, words: str):
    assert shown.age(NOW - delta, NOW) == words


def test_a_moment_tells_the_exact_time_on_hover():
    element = shown.moment(NOW)
    assert 'datetime="2026-05-14T12:00:00+00:00"' in element
    assert 'title="14 May 2026, 12:00:00 UTC"' in element
    assert shown.moment(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.84, "0.8 s"), (45, "45 s"), (65, "1 min 05 s"), (4320, "1 h 12 min"), (None, "–")],
)
def test_a_duration_in_words(seconds: float | None, words: str):
    assert shown.duration(None if seconds is None else timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("held", "kind", "words"),
    [
        (0, "number", "0"), (1815, "number", "1815"), (128000, "number", "128,000"), (-12345.5, "number", "-12,345.5"),
        (True, "boolean", "Yes"), (False, "boolean", "No"), ("+14155550100", "phone", "+1 415-555-0100"),
        ("<b>", "string", "<b>"),
    ],
)  # fmt: skip
def test_a_value_by_its_type(held: object, kind: str, words: str):
    assert shown.value(held, kind) == words  # type: ignore[arg-type]


def test_dates_and_blanks_are_elements_and_unreadable_dates_stay_as_they_are():
    assert ">14 May 2026</time>" in shown.value("2026-05-14", "date")
    assert ">14 May 2026, 09:30 UTC</time>" in shown.value("2026-05-14T09:30:00Z", "datetime")
    assert shown.value("next week", "date") == "next week"
    assert 'title="blank"' in shown.value(None)


def test_a_chip_escapes_its_words():
    assert shown.chip("<b>", "failed") == '<span class="chip chip-bad">&lt;b&gt;</span>'


@pytest.mark.parametrize(
    "states",
    [ConnectionStatus, RecordState, RunState, SyncIssue.State, WebhookDelivery.State, AppliedMapping.Outcome, MergeReview.State,
     ActivityEntry.State, ContactImport.State],
)  # fmt: skip
def test_every_state_of_every_ledger_has_a_colour(states):
    assert {state for state in states.values if state not in shown.TONES} <= CALM


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("channel", "ago", "words"),
    [
        ("phone", timedelta(0), "today's call"),
        ("sms", timedelta(days=1), "yesterday's SMS"),
        ("phone", timedelta(days=10), "the call of 4 May"),
        ("web_chat", timedelta(days=200), "the web chat of 26 Oct 2025"),
    ],
)
def test_a_conversation_is_named_by_its_day(channel: str, ago: timedelta, words: str):
    with time_machine.travel(NOW, tick=False):
        made = Conversation.objects.create(key="x", kind="call", channel=channel, started_at=NOW - ago)
        named = named_conversations([made.ref, "run:1", "conversation:x", ""])
        assert named == {made.ref: words}
        stamp = {"kind": "conversation", "ref": made.ref, "at": NOW.isoformat(), "mode": "merge"}
        told = origin_of(stamp, named)
    assert (told.lead, told.words, told.how, told.dated) == ("from", words, "merged", True)
    assert told.url == f"/conversations/{made.pk}/"


def test_an_origin_names_its_source_and_leads_there():
    origin = origin_of(
        {
            "kind": "crm",
            "ref": "run:12",
            "label": "HubSpot",
            "at": "2026-05-14T12:00:00+00:00",
            "external_id": "9",
        }
    )
    assert (origin.words, origin.url, origin.at, origin.external_id) == ("HubSpot", "/runs/12/", NOW, "9")
    assert origin_of({}).words == "unknown"
    assert (origin.lead, origin.how, origin.dated) == ("from", "", False)
    person = origin_of({"kind": "person", "ref": "user:1", "label": "olga", "review": 3})
    assert (person.lead, person.words, person.how) == ("by", "olga", "reviewed merge")
    assert words_for("api_key", "crm script") == "crm script (API key)"
    assert link_to("user:3") == link_to("run:x") == link_to("") == ""
