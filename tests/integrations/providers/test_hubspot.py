"""What is particular to HubSpot, against the stand-in portal over real HTTP."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from integrations.providers.base import Activity, ActivityKind, Creation, Page, Update
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Transient,
)
from integrations.providers.hubspot import HubSpotProvider
from tests.integrations.providers.crms import HubSpotBench

STARTED = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)


def talk(contact_id: str, kind: ActivityKind = ActivityKind.CALL, **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "title": "Talk",
        "body": "Said <b>no</b> & left.\nMore.",
        "started": STARTED,
        "duration_ms": 63_400,
        "direction": "outbound",
        "from_number": "+14155550100",
        "to_number": "+12125550100",
        "disconnection_reason": "dial_no_answer",
        "recording_url": "https://example.com/recording.wav",
    }
    return Activity("talk_1", kind, contact_id, **{**values, **changes})


def logged(hubspot: HubSpotBench, contact_id: str) -> dict[str, Any]:
    [found] = hubspot.activities(contact_id)
    return {"kind": found["kind"], **found["fields"]}


def ids_in(pages: list[Page]) -> list[str]:
    return [record.external_id for page in pages for record in page.records]


def small(hubspot: HubSpotBench, list_above: int) -> HubSpotProvider:
    provider = hubspot.provider()
    assert isinstance(provider, HubSpotProvider)
    provider.list_above = list_above
    return provider


def test_a_call_carries_what_hubspot_shows_of_calls(hubspot: HubSpotBench) -> None:
    one = hubspot.add(first="Ada")
    assert hubspot.provider().log_activities([talk(one)])[0].ok
    fields = logged(hubspot, one)
    expected = {
        "kind": "call",
        "hs_timestamp": "2026-05-14T09:30:00Z",
        "hs_call_title": "Talk [talk_1]",
        "hs_call_body": "Said &lt;b&gt;no&lt;/b&gt; &amp; left.<br>More.<p>Conversation: talk_1</p>",
        "hs_call_status": "NO_ANSWER",
        "hs_call_direction": "OUTBOUND",
        "hs_call_duration": "63400",
        "hs_call_from_number": "+14155550100",
        "hs_call_to_number": "+12125550100",
        "hs_call_recording_url": "https://example.com/recording.wav",
    }
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize("url", ["http://example.com/recording.wav", "javascript:alert(1)", ""])
def test_only_https_recordings_are_linked(hubspot: HubSpotBench, url: str) -> None:
    one = hubspot.add(first="Ada")
    assert hubspot.provider().log_activities([talk(one, recording_url=url)])[0].ok
    assert "hs_call_recording_url" not in logged(hubspot, one)


def test_an_sms_is_a_communication_logged_from_the_crm(hubspot: HubSpotBench) -> None:
    one = hubspot.add(first="Ada")
    assert hubspot.provider().log_activities([talk(one, ActivityKind.SMS)])[0].ok
    fields = logged(hubspot, one)
    assert fields["kind"] == "communication"
    assert fields["hs_communication_channel_type"] == "SMS"
    assert fields["hs_communication_logged_from"] == "CRM"
    assert fields["hs_communication_body"].endswith("<p>Conversation: talk_1</p>")


def test_whatsapp_has_a_channel_of_its_own(hubspot: HubSpotBench) -> None:
    provider, one = hubspot.provider(), hubspot.add(first="Ada")
    [outcome] = provider.log_activities([talk(one, ActivityKind.WHATSAPP)])
    assert logged(hubspot, one)["hs_communication_channel_type"] == "WHATS_APP"
    assert provider.find_activity("talk_1", one, ActivityKind.WHATSAPP) == outcome.external_id


def test_a_web_chat_may_be_a_note_from_the_start(hubspot: HubSpotBench) -> None:
    provider, one = hubspot.provider(chat_channel="Note"), hubspot.add(first="Ada")
    [outcome] = provider.log_activities([talk(one, ActivityKind.CHAT)])
    assert logged(hubspot, one)["kind"] == "note"
    assert hubspot.writes() == 1
    assert provider.find_activity("talk_1", one, ActivityKind.CHAT) == outcome.external_id


@pytest.mark.parametrize(("before", "after"), [("note", "CUSTOM_CHANNEL_CONVERSATION"), ("", "note")])
def test_a_web_chat_stays_what_it_was_made_as(hubspot: HubSpotBench, before: str, after: str) -> None:
    one = hubspot.add(first="Ada")
    [made] = hubspot.provider(chat_channel=before).log_activities([talk(one, ActivityKind.CHAT)])
    late = talk(one, ActivityKind.CHAT, body="Later.", external_id=made.external_id)
    assert hubspot.provider(chat_channel=after).log_activities([late])[0].ok
    [found] = hubspot.activities(one)
    assert "Later." in found["text"]


def test_a_web_chat_is_a_custom_channel_conversation_or_what_the_operator_says(hubspot: HubSpotBench) -> None:
    one, two = hubspot.add(first="Ada"), hubspot.add(first="Grace")
    assert hubspot.provider().log_activities([talk(one, ActivityKind.CHAT)])[0].ok
    assert hubspot.provider(chat_channel="WHATS_APP").log_activities([talk(two, ActivityKind.CHAT)])[0].ok
    assert logged(hubspot, one)["hs_communication_channel_type"] == "CUSTOM_CHANNEL_CONVERSATION"
    assert logged(hubspot, two)["hs_communication_channel_type"] == "WHATS_APP"


def test_where_the_channel_is_refused_a_web_chat_becomes_a_note(hubspot: HubSpotBench) -> None:
    hubspot.control.change_settings("hubspot", custom_channel=False)
    provider, one = hubspot.provider(), hubspot.add(first="Ada")
    [outcome] = provider.log_activities([talk(one, ActivityKind.CHAT)])
    assert outcome.created
    assert logged(hubspot, one)["kind"] == "note"
    assert provider.find_activity("talk_1", one, ActivityKind.CHAT) == outcome.external_id
    late = talk(one, ActivityKind.CHAT, body="Later.", external_id=outcome.external_id)
    assert provider.log_activities([late])[0].ok
    assert "Later." in logged(hubspot, one)["hs_note_body"]


def test_a_transcript_longer_than_hubspot_takes_is_cut_but_keeps_its_marker(hubspot: HubSpotBench) -> None:
    provider, one = hubspot.provider(), hubspot.add(first="Ada")
    [outcome] = provider.log_activities([talk(one, body="<&>" * 40_000)])
    assert outcome.ok
    body = logged(hubspot, one)["hs_call_body"]
    assert 65_500 < len(body) <= 65_536
    assert body.endswith("<p>Conversation: talk_1</p>")
    assert "&lt;p&gt;Conv" not in body.replace("&lt;&amp;&gt;", "")


def test_a_window_of_changes_is_read_in_the_order_of_ids_and_goes_on_from_any_page(
    hubspot: HubSpotBench,
) -> None:
    hubspot.restock(40)
    provider = hubspot.provider()
    cursor = list(provider.changes("", ["firstname"]))[-1].cursor
    for place in range(405):
        hubspot.add(first=f"Ada{place}")
    pages = list(provider.changes(cursor, ["firstname"]))
    assert [len(page.records) for page in pages] == [200, 200, 5]
    assert len(set(ids_in(pages))) == 405
    resumed = list(hubspot.provider().changes(pages[0].cursor, ["firstname"]))
    assert ids_in(resumed) == ids_in(pages)[200:]


def test_when_most_of_the_portal_changed_it_is_listed_instead(hubspot: HubSpotBench) -> None:
    """Row 28: a search ends after 10,000 rows (here 5), so what changed beyond that comes by the listing."""
    provider = small(hubspot, 5)
    cursor = list(provider.changes("", ["firstname"]))[-1].cursor
    few = [one["id"] for one in hubspot.control.contacts("hubspot")][:6]
    for one in few:
        hubspot.edit(one, first="Grace")
    assert sorted(ids_in(list(provider.changes(cursor, ["firstname"])))) == sorted(few)
    for one in hubspot.control.contacts("hubspot"):
        hubspot.edit(one["id"], first="Hedy")
    before = hubspot.control.last_request()
    pages = list(provider.changes(cursor, ["firstname"]))
    assert len(ids_in(pages)) == 40
    assert "GET /crm/objects/2026-03/contacts" in hubspot.calls(since=before)
    assert pages[-1].cursor >= cursor


def test_too_many_properties_for_an_address_come_by_batch_reads(hubspot: HubSpotBench) -> None:
    hubspot.restock(120)
    names = [f"a_property_with_a_long_name_as_large_portals_have_them_{place}" for place in range(110)]
    for name in names:
        new_property(hubspot, name)
    one = hubspot.add(first="Ada", notes="Long")
    hubspot.control.edit_contact("hubspot", one, {names[-1]: "kept"})
    pages = list(hubspot.provider().changes("", ["firstname", "notes_summary", *names]))
    assert len(set(ids_in(pages))) == 121
    last = pages[-2].records[-1]
    assert (last.external_id, last.values["notes_summary"], last.values[names[-1]]) == (one, "Long", "kept")
    assert hubspot.calls().count("POST /crm/objects/2026-03/contacts/batch/read") == 2


def new_property(hubspot: HubSpotBench, name: str) -> None:
    document = {
        "name": name,
        "label": name,
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
    }
    headers = {"Authorization": "Bearer pat-sandbox-token"}
    answer = requests.post(
        f"{hubspot.setup.tenant_url}/crm/v3/properties/contacts", json=document, headers=headers, timeout=5
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_every_api_version_is_spoken_by_one_setting(hubspot: HubSpotBench, version: str) -> None:
    provider, one = hubspot.provider(api_version=version), hubspot.add(first="Ada")
    assert provider.check().account_id == "48123456"
    assert len(ids_in(list(provider.changes("", ["firstname"])))) == 41
    assert provider.update([Update(one, {"firstname": "Grace"})])[0].ok
    [outcome] = provider.log_activities([talk(one)])
    assert provider.find_activity("talk_1", one, ActivityKind.CALL) == outcome.external_id
    paths = {path.split(" ")[1].replace("/v4/", "/v3/") for path in hubspot.calls()}
    assert all(f"/{version}/" in path for path in paths)


def test_an_email_that_is_taken_links_to_its_contact(hubspot: HubSpotBench) -> None:
    known = hubspot.add(first="Ada")
    hubspot.control.edit_contact("hubspot", known, {"email": "ada@example.com"})
    creations = [Creation("k1", {"email": "ada@example.com"}), Creation("k2", {"lastname": "Hopper"})]
    linked, made = hubspot.provider().create(creations)
    assert (linked.external_id, linked.created) == (known, False)
    assert made.created


def test_a_merged_record_names_the_ids_it_absorbed(hubspot: HubSpotBench) -> None:
    provider = hubspot.provider()
    winner, loser = hubspot.add(first="Ada"), hubspot.add(first="Grace")
    cursor = list(provider.changes("", ["firstname"]))[-1].cursor
    hubspot.merge(winner, loser)
    [merged] = [
        one for page in provider.changes(cursor, ["firstname"]) for one in page.records if one.merged_ids
    ]
    assert set(merged.merged_ids) == {winner, loser}
    for old in (winner, loser):
        found = provider.read([old], ["firstname"])[old]
        assert (found.deleted, found.merged_into) == (True, merged.external_id)


def test_a_short_rate_limit_is_waited_out_and_nothing_is_doubled(hubspot: HubSpotBench) -> None:
    before = hubspot.contacts()
    hubspot.control.add_fault(
        action="vendor", kind="rate_limit_secondly", system="hubspot", path="batch/create"
    )
    provider, began = hubspot.provider(), time.monotonic()
    [outcome] = provider.create([Creation("k1", {"lastname": "Hopper"})])
    assert outcome.created
    assert time.monotonic() - began >= 1.0
    assert hubspot.contacts() == before + 1
    assert hubspot.writes() == 2


def test_the_daily_limit_is_not_slept_on(hubspot: HubSpotBench) -> None:
    hubspot.control.add_fault(
        action="vendor", kind="rate_limit_daily", system="hubspot", path="account-info", times=None
    )
    with pytest.raises(RateLimited) as caught:
        hubspot.provider().check()
    assert (caught.value.daily, caught.value.scope, caught.value.retry_after) == (True, "daily", 3600)
    assert len(hubspot.calls()) == 1


def test_the_daily_limit_ends_at_the_accounts_midnight(hubspot: HubSpotBench) -> None:
    assert hubspot.provider().check().time_zone == "UTC"
    noon = f"{12 - datetime.now(UTC).hour:+03d}:00"  # where it is about noon now
    hubspot.control.add_fault(
        action="vendor", kind="rate_limit_daily", system="hubspot", path="account-info", times=None
    )
    with pytest.raises(RateLimited) as caught:
        hubspot.made(replace(hubspot.setup, time_zone=noon)).check()
    assert 10.9 * 3600 < caught.value.retry_after < 12.1 * 3600


def test_a_long_retry_after_is_handed_to_the_caller(hubspot: HubSpotBench) -> None:
    hubspot.control.add_fault(
        action="status",
        status=429,
        headers={"Retry-After": "120"},
        system="hubspot",
        path="account-info",
        times=None,
    )
    with pytest.raises(RateLimited) as caught:
        hubspot.provider().check()
    assert (caught.value.daily, caught.value.retry_after) == (False, 120)
    assert len(hubspot.calls()) == 1


@pytest.mark.parametrize("kind", ["server_error", "server_unavailable", "gateway_timeout", "html"])
def test_a_server_error_leaves_a_creation_open_and_an_update_to_be_repeated(
    hubspot: HubSpotBench, kind: str
) -> None:
    provider, one = hubspot.provider(), hubspot.add(first="Ada")
    hubspot.control.add_fault(
        action="vendor", kind=kind, system="hubspot", path="batch/(create|update)", times=2
    )
    [outcome] = provider.create([Creation("k1", {"lastname": "Hopper"})])
    assert isinstance(outcome.error, OutcomeUnknown)
    with pytest.raises(Transient):
        provider.update([Update(one, {"firstname": "Grace"})])
    assert hubspot.writes() == 2


@pytest.mark.parametrize("action", ["html", "truncate"])
def test_an_unreadable_answer_to_a_creation_is_unknown(hubspot: HubSpotBench, action: str) -> None:
    hubspot.control.add_fault(action=action, system="hubspot", path="batch/create")
    [outcome] = hubspot.provider().create([Creation("k1", {"lastname": "Hopper"})])
    assert isinstance(outcome.error, OutcomeUnknown)
    assert hubspot.writes() == 1


def test_a_write_that_times_out_is_sent_once(hubspot: HubSpotBench) -> None:
    hubspot.control.add_fault(action="delay", seconds=1.0, system="hubspot", path="batch/create")
    provider = hubspot.made(replace(hubspot.setup, timeout=(1.0, 0.2)))
    [outcome] = provider.create([Creation("k1", {"lastname": "Hopper"})])
    assert isinstance(outcome.error, OutcomeUnknown)
    assert hubspot.writes() == 1


def test_a_port_where_nobody_listens_is_transient(hubspot: HubSpotBench) -> None:
    provider = hubspot.made(replace(hubspot.setup, tenant_url="http://127.0.0.1:9", timeout=(0.2, 0.2)))
    with pytest.raises(Transient):
        provider.create([Creation("k1", {"lastname": "Hopper"})])


def test_a_missing_scope_is_named(hubspot: HubSpotBench) -> None:
    hubspot.control.change_settings("hubspot", scopes=["crm.objects.contacts.read"])
    with pytest.raises(NeedsAttention) as caught:
        hubspot.provider().create([Creation("k1", {"lastname": "Hopper"})])
    assert "crm.objects.contacts.write" in str(caught.value)


def test_a_missing_or_expired_token_is_an_auth_error(hubspot: HubSpotBench) -> None:
    with pytest.raises(AuthError):
        hubspot.made(replace(hubspot.setup, secrets={})).check()
    hubspot.control.change_settings("hubspot", token_expired=True)
    with pytest.raises(AuthError):
        hubspot.provider().check()


def test_the_correlation_id_is_kept(hubspot: HubSpotBench) -> None:
    [outcome] = hubspot.provider().update([Update("424242", {"firstname": "Ada"})])
    assert outcome.error is not None
    with pytest.raises(AuthError) as caught:
        hubspot.stranger().check()
    assert len(caught.value.request_id) == 36


def test_links_need_the_answer_of_check(hubspot: HubSpotBench) -> None:
    provider = hubspot.provider()
    assert provider.web_url("9951") == ""
    linked = hubspot.made(replace(hubspot.setup, web_base=provider.check().web_base))
    assert linked.web_url("9951") == "https://app.hubspot.com/contacts/48123456/record/0-1/9951"
    assert "610001" in linked.activity_url("610001", ActivityKind.CALL, "9951")


def test_a_search_index_that_lags_is_caught_up_by_the_overlap(hubspot: HubSpotBench) -> None:
    provider = hubspot.provider()
    cursor = list(provider.changes("", ["firstname"]))[-1].cursor
    hubspot.control.change_settings("hubspot", search_lag_seconds=400)
    late = hubspot.add(first="Ada")
    hubspot.control.set_clock("hubspot", 300)
    pages = list(provider.changes(cursor, ["firstname"]))
    assert late not in ids_in(pages)
    hubspot.control.change_settings("hubspot", search_lag_seconds=0)
    assert late in ids_in(list(provider.changes(pages[-1].cursor, ["firstname"])))


@pytest.mark.parametrize("offset", [-7200, 7200])
def test_a_skewed_vendor_clock_loses_nothing(hubspot: HubSpotBench, offset: int) -> None:
    hubspot.control.set_clock("hubspot", offset)
    provider = hubspot.provider()
    cursor = list(provider.changes("", ["firstname"]))[-1].cursor
    late = hubspot.add(first="Ada")
    assert late in ids_in(list(provider.changes(cursor, ["firstname"])))


def test_a_poisoned_batch_without_traces_would_fail_but_ours_does_not(hubspot: HubSpotBench) -> None:
    creations = [
        Creation(f"k{i}", {"lastname": "Hopper", "plan": "pro" if i != 3 else "gold"}) for i in range(8)
    ]
    outcomes = hubspot.provider().create(creations)
    assert [outcome.ok for outcome in outcomes] == [True] * 3 + [False] + [True] * 4
    assert isinstance(outcomes[3].error, Rejected)
    assert hubspot.writes() == 1


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://127.0.0.1:80", "https://localhost", "https://api.hubapi.com:8443"]
)
def test_no_other_host_gets_the_token(hubspot: HubSpotBench, url: str) -> None:
    with pytest.raises(ConfigError):
        hubspot.made(replace(hubspot.setup, tenant_url=url, allow_insecure=False))
