"""What the vendors' documents and libraries are known to trip callers with: for each trap, the test that would fail in it.

Those that have no better place are here. Sources: the REST and HubSpot API documents, simple-salesforce, hubspot-api-client.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contacts.values import FieldType
from integrations.providers.base import Activity, ActivityKind, Creation
from integrations.providers.errors import ConfigError, OutcomeUnknown, ProviderError, Rejected, Transient
from tests.integrations.providers.crms import HubSpotBench, SalesforceBench
from tests.integrations.providers.test_request_economy import talk

TESTS = Path(__file__).parents[2]
ROOT = TESTS.parent
READING, WRITING = "test_contract_reading", "test_contract_writing"
ORG, CLIENT, LIMITS, PORTAL = (
    "test_salesforce",
    "test_salesforce_client",
    "test_salesforce_limits",
    "test_hubspot",
)
TABLES, HERE, PURE = "test_error_tables", "test_traps", "test_pure_parts"
RAISED, CODES = "test_vendor_exceptions", "test_salesforce_codes"
BATCHES, ACCOUNT, BODIES = "test_hubspot_batches", "test_hubspot_account", "test_hubspot_bodies"
# The trap, the module, the test.
TRAPS = [
    # What Salesforce does at the login.
    ("client credentials need a My Domain", CLIENT, "test_other_addresses_are_refused_with_the_right_one"),
    ("the library sends https only", CLIENT, "test_the_switch_to_http_cannot_be_reached_without_the_insecure_setting"),
    ("the token answer names the host to talk to", CLIENT, "test_a_session_is_never_sent_outside_salesforce"),
    ("the audience of a JWT is not the My Domain", "test_salesforce_jwt", "test_the_audience_is_salesforces_own_host"),
    ("a refused login is repeated until the user is locked", ORG, "test_a_refused_credential_is_tried_once"),
    ("an ended session is renewed without end", ORG, "test_sessions_that_always_end_are_an_auth_error_after_one_renewal"),
    ("eight threads log in eight times", "test_tokens", "test_eight_threads_whose_session_ended_log_in_once"),
    ("the library's repeat drops the headers", HERE, "test_headers_are_sent_again_after_a_renewed_session"),
    ("a 401 may have any body", HERE, "test_a_401_with_an_odd_body_is_in_our_tree"),
    # What Salesforce does on the wire.
    ("the library knows no timeout", CLIENT, "test_a_silent_server_ends_in_a_timeout_although_the_sdk_knows_none"),
    ("only reads may be repeated", CLIENT, "test_only_reads_are_repeated_after_a_server_error"),
    ("a maintenance page has status 200", ORG, "test_an_unreadable_answer_is_transient_to_a_reader_and_unknown_to_a_creator"),
    ("texts of exceptions hold personal data", CODES, "test_a_salesforce_code_maps_alike_in_both_of_its_shapes"),
    ("one code stands for the day and for the moment", ORG, "test_concurrency_and_the_daily_quota_are_told_apart"),
    ("an address has 16,384 characters", LIMITS, "test_many_numbers_in_many_fields_are_asked_in_addresses_that_salesforce_takes"),
    # What Salesforce does in reading.
    ("a thousand records share one second", ORG, "test_thousands_of_records_with_one_stamp_are_read_once_each"),
    ("stamps are older than their commit", READING, "test_what_was_changed_shortly_before_the_cursor_is_read_again"),
    ("our clock is not theirs", CLIENT, "test_the_cursor_is_dated_by_salesforces_own_clock"),
    ("every page needs the page size", CLIENT, "test_every_page_asks_for_2000_rows_and_deleted_ones"),
    ("two long texts shrink the pages", HERE, "test_long_texts_shrink_pages_and_lose_no_record"),
    ("a locator expires", HERE, "test_an_expired_locator_goes_on_from_the_last_page"),
    ("a query takes too long", LIMITS, "test_a_query_that_takes_too_long_is_asked_for_half_as_much"),
    ("the loser of a merge names the winner", ORG, "test_a_merge_is_marked_on_the_loser"),
    # What Salesforce does in writing.
    ("rows of a 200 fail one by one", WRITING, "test_one_bad_row_does_not_fail_the_others"),
    ("null clears", WRITING, "test_all_types_are_written_and_none_clears"),
    ("an alert rule refuses unless it is passed", ORG, "test_a_duplicate_rule_links_to_the_one_match"),
    ("an automation hides a row lock or a limit", CODES, "test_an_automation_may_hide_a_row_lock_or_a_limit"),
    ("contacts without an account are private", ORG, "test_created_contacts_carry_the_connections_defaults"),
    # What Salesforce does in tasks.
    ("tasks of a year ago leave queries", LIMITS, "test_a_task_that_salesforce_has_archived_is_still_found"),
    ("call fields need Call Center", ORG, "test_without_call_center_the_call_is_told_in_the_description"),
    ("subject and description are short", ORG, "test_the_marker_survives_a_long_title_and_a_long_body"),
    ("the subtype is set at creation only", WRITING, "test_a_logged_activity_can_be_completed_later"),
    ("a hidden Task answers as a missing record", HERE, "test_a_hidden_task_is_no_missing_record"),
    # What HubSpot and its library do on the wire.
    ("each package has exceptions of its own", RAISED, "test_no_exception_of_the_hubspot_library_leaves_the_provider"),
    ("every access opens a connection", HERE, "test_all_kinds_of_calls_share_one_connection"),
    ("a timed-out write is sent four times", PORTAL, "test_a_write_that_times_out_is_sent_once"),
    ("a 429 of a write is not repeated", PORTAL, "test_a_short_rate_limit_is_waited_out_and_nothing_is_doubled"),
    ("the day's 429 would be slept on", PORTAL, "test_the_daily_limit_is_not_slept_on"),
    ("Retry-After may be long", PORTAL, "test_a_long_retry_after_is_handed_to_the_caller"),
    ("a 477 lasts up to a day", TABLES, "test_an_account_that_is_moved_waits_as_long_as_hubspot_says"),
    ("a 200 may be empty", HERE, "test_an_empty_answer_is_none"),
    ("no key of an error body is promised", TABLES, "test_hubspot_bodies_may_lack_anything"),
    ("urllib3 2.6.0 breaks the library", HERE, "test_the_urllib3_that_breaks_the_library_is_not_installed"),
    # What HubSpot does in reading.
    ("ten thousand results are the end", PORTAL, "test_when_most_of_the_portal_changed_it_is_listed_instead"),
    ("thousands share one millisecond", PORTAL, "test_a_window_of_changes_is_read_in_the_order_of_ids_and_goes_on_from_any_page"),
    ("the index lags", PORTAL, "test_a_search_index_that_lags_is_caught_up_by_the_overlap"),
    ("archived records are in no search", READING, "test_a_full_listing_shows_deleted_records_as_deleted"),
    ("a merge has a new id", PORTAL, "test_a_merged_record_names_the_ids_it_absorbed"),
    ("an address takes few properties", PORTAL, "test_too_many_properties_for_an_address_come_by_batch_reads"),
    ("an unknown property is left out in silence", HERE, "test_a_property_taken_away_is_named_and_not_read_as_blank"),
    ("background jobs move stamps", "test_fault_matrix", "test_a_fault_loses_nothing_doubles_nothing_and_is_shown"),
    # What HubSpot does in writing.
    ("values are texts", PURE, "test_values_become_hubspot_texts"),
    ("one taken e-mail fails the batch", PORTAL, "test_an_email_that_is_taken_links_to_its_contact"),
    ("a batch is poisoned by one row", PORTAL, "test_a_poisoned_batch_without_traces_would_fail_but_ours_does_not"),
    ("only creations promise an answer a row", BATCHES, "test_an_update_of_many_splits_around_a_bad_one"),
    ("updates pass over what is gone", BATCHES, "test_a_record_that_an_update_passes_over_in_silence_is_looked_for"),
    ("results need not name their input", BATCHES, "test_creations_find_their_results_whatever_the_answer_tells"),
    ("a key need not see the account", ACCOUNT, "test_a_key_that_may_not_see_the_account_knows_it_by_its_contacts"),
    ("a body may quote another conversation", BODIES, "test_a_conversation_quoted_in_anothers_text_is_not_taken_for_logged"),
    ("creates have no key of their own", "test_hubspot_options", "test_with_a_unique_property_a_lost_answer_doubles_nothing"),
    ("2026-09 enforces required properties", HERE, "test_a_required_property_of_2026_09_refuses_that_record_only"),
    ("recordings are https", PORTAL, "test_only_https_recordings_are_linked"),
    ("bodies are cut at 65,536", PORTAL, "test_a_transcript_longer_than_hubspot_takes_is_cut_but_keeps_its_marker"),
    ("web chat is no documented channel", PORTAL, "test_where_the_channel_is_refused_a_web_chat_becomes_a_note"),
]  # fmt: skip


@cache
def defined_in(module: str) -> set[str]:
    folder = (
        TESTS / "integrations"
        if module in ("test_tokens", "test_fault_matrix")
        else TESTS / "integrations" / "providers"
    )
    return set(re.findall(r"^def (test_\w+)", (folder / f"{module}.py").read_text(), re.MULTILINE))


@pytest.mark.once
def test_every_trap_has_its_test() -> None:
    missing = [(trap, f"{module}::{test}") for trap, module, test in TRAPS if test not in defined_in(module)]
    assert missing == []
    own = {test for _, module, test in TRAPS if module == HERE}
    assert defined_in(HERE) == own | {"test_every_trap_has_its_test"}


def test_headers_are_sent_again_after_a_renewed_session(salesforce: SalesforceBench) -> None:
    salesforce.add(first="Ada", last="Lovelace", phone="+14155550166")
    salesforce.control.switch_on("salesforce", "duplicate_rule", mode="alert")
    salesforce.control.switch_on("salesforce", "token_refused", scope="writing contacts", times=1)
    values = {"LastName": "Lovelace", "Phone": "+14155550166"}
    [outcome] = salesforce.provider(duplicate_rule="allow_save").create([Creation("k1", values)])
    assert outcome.created


@pytest.mark.parametrize("content", [{"error": "odd"}, [], ["odd"], "<html>no</html>", "", None])
def test_a_401_with_an_odd_body_is_in_our_tree(salesforce: SalesforceBench, content: Any) -> None:
    salesforce.control.add_fault(
        action="status", status=401, content=content, system="salesforce", path="/query/?$", times=None
    )
    with pytest.raises(ProviderError):
        salesforce.provider().check()
    assert len(salesforce.control.requests(path="/query/?$")) <= 2


def test_long_texts_shrink_pages_and_lose_no_record(salesforce: SalesforceBench) -> None:
    salesforce.restock(450)
    pages = list(salesforce.provider().changes("", ["Notes__c", "Description"]))
    assert sum(len(page.records) for page in pages) == 450
    assert max(len(page.records) for page in pages) == 200


def test_an_expired_locator_goes_on_from_the_last_page(salesforce: SalesforceBench) -> None:
    salesforce.restock(4100)
    seen: set[str] = set()
    cursor, rounds = "", 0
    while rounds < 4:
        rounds += 1
        salesforce.control.change_settings("salesforce", locator_seconds=-1)
        try:
            for page in salesforce.provider().changes(cursor, ["FirstName"]):
                seen |= {record.external_id for record in page.records}
                cursor = page.cursor
                salesforce.control.change_settings("salesforce", locator_seconds=60)
            break
        except Transient as error:
            assert error.code == "INVALID_QUERY_LOCATOR"  # noqa: PT017 - what else would be a failure
    assert len(seen) == 4100


def test_a_hidden_task_is_no_missing_record(salesforce: SalesforceBench) -> None:
    one = salesforce.add(first="Ada", last="Lovelace")
    salesforce.control.switch_on("salesforce", "hidden_object", object="Task")
    provider = salesforce.provider()
    with pytest.raises(ConfigError, match="cannot see the Salesforce object Task"):
        provider.log_activities([talk(one, "call_1")])
    may = provider.permissions()
    assert (may.log_activities, may.update_contacts) == (False, True)
    assert "Task.Subject" in may.lacking


def test_all_kinds_of_calls_share_one_connection(hubspot: HubSpotBench) -> None:
    provider: Any = hubspot.provider()
    one = hubspot.add(first="Ada")
    provider.fields()
    provider.read([one], ["firstname"])
    provider.find_by_phone(["+14155550142"], ["firstname"], ["phone"])
    for kind in (ActivityKind.CALL, ActivityKind.SMS):
        activity: Activity = replace(talk(one, f"{kind}_1"), kind=kind)
        assert provider.log_activities([activity])[0].ok
        assert provider.find_activity(f"{kind}_1", one, kind)
    pools = provider._portal._rest.pool_manager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - not a mapping


def test_an_empty_answer_is_none(hubspot: HubSpotBench) -> None:
    for path in ("batch/create", "batch/read"):
        hubspot.control.add_fault(action="status", status=200, content="", system="hubspot", path=path)
    [outcome] = hubspot.provider().create([Creation("k1", {"lastname": "Hopper"})])
    assert isinstance(outcome.error, OutcomeUnknown)
    with pytest.raises(Transient):
        hubspot.provider().read(["9951"], ["firstname"])


def test_the_urllib3_that_breaks_the_library_is_not_installed() -> None:
    assert re.search(r"^urllib3\b.*!=2\.6\.0", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def test_a_property_taken_away_is_named_and_not_read_as_blank(hubspot: HubSpotBench) -> None:
    one = hubspot.add(first="Ada", phone="(415) 555-0142")
    types = {"firstname": FieldType.STRING, "jobtitle": FieldType.STRING, "phone": FieldType.STRING}
    made = replace(hubspot.setup, field_types=types)
    before = hubspot.control.last_request()
    assert hubspot.made(made).read([one], ["firstname", "jobtitle"])[one].values["jobtitle"] is None
    assert len(hubspot.calls(since=before)) == 1
    hubspot.control.switch_on("hubspot", "hidden_field", fields=["jobtitle"])
    with pytest.raises(ConfigError) as read:
        hubspot.made(made).read([one], ["firstname", "jobtitle"])
    with pytest.raises(ConfigError) as found:
        hubspot.made(made).find_by_phone(["+14155550142"], ["jobtitle"], ["phone"])
    assert (read.value.field, found.value.field) == ("jobtitle", "jobtitle")


def test_a_required_property_of_2026_09_refuses_that_record_only(hubspot: HubSpotBench) -> None:
    hubspot.control.switch_on("hubspot", "required_properties", fields=["email"])
    creations = [
        Creation("k1", {"lastname": "Byron", "email": "ada.byron@example.com"}),
        Creation("k2", {"lastname": "Hopper"}),
    ]
    first, second = hubspot.provider(api_version="2026-09").create(creations)
    assert first.created
    assert isinstance(second.error, Rejected)
    assert second.error.field == "email"
    assert all(one.created for one in hubspot.provider(api_version="2026-03").create([creations[1]]))
