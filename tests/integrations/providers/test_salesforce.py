"""What is particular to Salesforce, against the stand-in org over real HTTP."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.providers.base import Activity, ActivityKind, Creation, Update
from integrations.providers.errors import (
    AuthError,
    ConfigError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Transient,
)
from integrations.providers.setup import MemoryTokens
from tests.integrations.providers.crms import SalesforceBench

STARTED = datetime(2026, 5, 14, 23, 30, tzinfo=UTC)
PARTNER = "0125g0000000002AAA"


def call(contact_id: str, marker: str = "call_1", **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "title": "Call",
        "body": "Body",
        "started": STARTED,
        "duration_ms": 63_400,
        "direction": "inbound",
        "disconnection_reason": "user_hangup",
    }
    return Activity(marker, ActivityKind.CALL, contact_id, **{**values, **changes})


def task(salesforce: SalesforceBench, contact_id: str) -> dict[str, Any]:
    [logged] = salesforce.activities(contact_id)
    fields: dict[str, Any] = logged["fields"]
    return fields


def test_thousands_of_records_with_one_stamp_are_read_once_each(
    salesforce: SalesforceBench, sandbox: Any
) -> None:
    salesforce.restock(2300)
    org = sandbox.world.salesforce
    ids = [one["id"] for one in org.contacts()]
    stamp = org.contact(ids[0])["fields"]["SystemModstamp"]
    for row in org._store.tables["Contact"].values():
        row["SystemModstamp"] = stamp
    pages = list(salesforce.provider().changes("", ["FirstName"]))
    read = [record.external_id for page in pages for record in page.records]
    assert len(pages) == 2
    assert len(read) == len(set(read)) == 2300


def test_a_call_becomes_a_completed_task_with_its_call_fields(salesforce: SalesforceBench) -> None:
    one = salesforce.add(last="Lovelace")
    salesforce.provider().log_activities([call(one)])
    fields = task(salesforce, one)
    expected = {
        "Subject": "Call [call_1]",
        "Status": "Completed",
        "TaskSubtype": "Call",
        "CallType": "Inbound",
        "CallDurationInSeconds": 63,
        "CallDisposition": "user_hangup",
        "CallObject": "call_1",
        "ActivityDate": "2026-05-14",
        "Description": "Body",
        "WhoId": one,
    }
    assert {name: fields[name] for name in expected} == expected


def test_a_chat_becomes_a_plain_completed_task(salesforce: SalesforceBench) -> None:
    one = salesforce.add(last="Lovelace")
    salesforce.provider().log_activities([replace(call(one, "chat_1"), kind=ActivityKind.CHAT)])
    fields = task(salesforce, one)
    assert (fields["TaskSubtype"], fields["CallType"], fields["Status"]) == ("Task", None, "Completed")


@pytest.mark.parametrize("kind", [ActivityKind.SMS, ActivityKind.WHATSAPP, ActivityKind.CHAT])
def test_the_type_of_a_task_is_what_the_operator_says_of_its_kind(
    salesforce: SalesforceBench, kind: ActivityKind
) -> None:
    options = {"task_type": "Other", "task_type.whatsapp": "Meeting"}
    one, two = salesforce.add(last="Lovelace"), salesforce.add(last="Hopper")
    assert salesforce.provider(**options).log_activities([replace(call(one), kind=kind)])[0].ok
    assert salesforce.provider().log_activities([replace(call(two), kind=kind)])[0].ok
    fields = task(salesforce, one)
    assert (fields["TaskSubtype"], fields["Type"]) == (
        "Task",
        "Meeting" if kind is ActivityKind.WHATSAPP else "Other",
    )
    assert task(salesforce, two)["Type"] is None


def test_without_call_center_the_call_is_told_in_the_description(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", call_center=False)
    one = salesforce.add(last="Lovelace")
    provider = salesforce.provider()
    outcomes = provider.log_activities([call(one), replace(call(one, "chat_1"), kind=ActivityKind.CHAT)])
    assert [outcome.ok for outcome in outcomes] == [True, True]
    texts = " ".join(logged["fields"]["Description"] for logged in salesforce.activities(one))
    assert "Duration in seconds: 63" in texts
    assert "Disconnection reason: user_hangup" in texts
    assert len(salesforce.activities(one)) == 2


def test_a_whole_collection_refused_for_one_field_is_mended_too(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", call_center=False, collections_refuse_whole_request=True)
    one = salesforce.add(last="Lovelace")
    [outcome] = salesforce.provider().log_activities([call(one)])
    assert outcome.ok
    assert "Call type: Inbound" in task(salesforce, one)["Description"]


def test_a_wrong_value_that_fails_the_whole_collection_stays_one_outcome(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", collections_refuse_whole_request=True)
    ids = [salesforce.add(last="Lovelace") for _ in range(4)]
    values: list[Any] = [1.5, 2.5, "not a number", 3.5]
    outcomes = salesforce.provider().update(
        [Update(one, {"Lifetime_Value__c": value}) for one, value in zip(ids, values, strict=True)]
    )
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True]
    assert salesforce.field(ids[3], "value") == 3.5


def test_with_a_key_field_logging_is_an_upsert(salesforce: SalesforceBench) -> None:
    provider, one = (
        salesforce.provider(activity_key_field="Conversation_Key__c"),
        salesforce.add(last="Lovelace"),
    )
    [first] = provider.log_activities([call(one)])
    [second] = provider.log_activities([call(one, body="Later.")])
    assert (first.created, second.created) == (True, False)
    assert first.external_id == second.external_id == provider.find_activity("call_1", one, ActivityKind.CALL)
    assert task(salesforce, one)["Description"] == "Later."


def test_the_marker_survives_a_long_title_and_a_long_body(salesforce: SalesforceBench) -> None:
    provider, one = salesforce.provider(), salesforce.add(last="Lovelace")
    [outcome] = provider.log_activities([call(one, title="T" * 400, body="B" * 40_000)])
    assert outcome.ok
    assert len(task(salesforce, one)["Subject"]) == 255
    assert len(task(salesforce, one)["Description"]) == 32_000
    assert provider.find_activity("call_1", one, ActivityKind.CALL) == outcome.external_id


def test_a_session_that_ends_mid_run_is_renewed_once(salesforce: SalesforceBench) -> None:
    provider = salesforce.provider()
    provider.check()
    salesforce.control.add_fault(
        action="vendor", kind="session_expired", system="salesforce", path="queryAll"
    )
    assert list(provider.changes("", ["FirstName"]))[-1].last
    assert len(salesforce.control.requests(system="salesforce", path="oauth2/token")) == 2


def test_a_write_refused_for_an_ended_session_is_repeated_once(salesforce: SalesforceBench) -> None:
    provider, before = salesforce.provider(), salesforce.contacts()
    salesforce.control.add_fault(
        action="vendor", kind="session_expired", system="salesforce", path="composite/sobjects"
    )
    [outcome] = provider.create([Creation("k1", {"LastName": "Hopper"})])
    assert outcome.created
    assert salesforce.contacts() == before + 1


def test_sessions_that_always_end_are_an_auth_error_after_one_renewal(salesforce: SalesforceBench) -> None:
    salesforce.control.add_fault(
        action="vendor", kind="session_expired", system="salesforce", path="/data/", times=None
    )
    with pytest.raises(AuthError):
        salesforce.provider().check()
    assert len(salesforce.control.requests(system="salesforce", path="oauth2/token")) == 2
    assert len(salesforce.control.requests(system="salesforce", path="/data/")) == 2


def test_a_refused_credential_is_tried_once(salesforce: SalesforceBench) -> None:
    provider = salesforce.stranger()
    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            provider.check()
    assert caught.value.code in ("invalid_client", "invalid_client_id", "invalid_grant")
    assert len(salesforce.control.requests(system="salesforce", path="oauth2/token")) == 1


def test_missing_secrets_need_no_call(salesforce: SalesforceBench) -> None:
    with pytest.raises(AuthError):
        salesforce.made(replace(salesforce.setup, secrets={"client_id": "sandbox-key"})).check()
    assert salesforce.control.requests(system="salesforce") == []


def test_providers_share_a_token_through_the_store(salesforce: SalesforceBench) -> None:
    tokens = MemoryTokens()
    for _ in range(3):
        salesforce.made(replace(salesforce.setup, tokens=tokens)).check()
    assert len(salesforce.control.requests(system="salesforce", path="oauth2/token")) == 1


def test_the_quota_header_is_reported(salesforce: SalesforceBench) -> None:
    told: list[dict[str, int]] = []
    setup = replace(salesforce.setup, report_quota=lambda usage: told.append(dict(usage)))
    salesforce.made(setup).check()
    assert told[-1]["total"] == 100_000
    assert told[-1]["used"] >= 1


def test_concurrency_and_the_daily_quota_are_told_apart(salesforce: SalesforceBench) -> None:
    provider, seen = salesforce.provider(), []
    for kind in ("concurrent_limit", "daily_limit"):
        salesforce.control.add_fault(action="vendor", kind=kind, system="salesforce", path="/data/")
        with pytest.raises(RateLimited) as caught:
            provider.check()
        seen.append((caught.value.daily, caught.value.scope, caught.value.retry_after < 120))
    assert seen == [(False, "concurrent", True), (True, "daily", False)]


def test_a_locked_row_is_transient(salesforce: SalesforceBench) -> None:
    one = salesforce.add(last="Lovelace")
    salesforce.control.add_fault(
        action="vendor", kind="row_lock", system="salesforce", path="composite/sobjects"
    )
    with pytest.raises(Transient):
        salesforce.provider().update([Update(one, {"FirstName": "Ada"})])


@pytest.mark.parametrize("action", ["html", "truncate"])
def test_an_unreadable_answer_is_transient_to_a_reader_and_unknown_to_a_creator(
    salesforce: SalesforceBench, action: str
) -> None:
    provider = salesforce.provider()
    provider.check()
    salesforce.control.add_fault(action=action, system="salesforce", method="GET", times=2)
    with pytest.raises(Transient):
        provider.check()
    salesforce.control.clear_faults()
    salesforce.control.add_fault(action=action, system="salesforce", path="composite/sobjects")
    [outcome] = provider.create([Creation("k1", {"LastName": "Hopper"})])
    assert isinstance(outcome.error, OutcomeUnknown)


def test_a_hidden_field_is_named(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", hidden_fields=["Plan__c"])
    with pytest.raises(ConfigError) as caught:
        list(salesforce.provider().changes("", ["FirstName", "Plan__c"]))
    assert caught.value.field == "Plan__c"


def test_a_duplicate_rule_links_to_the_one_match(salesforce: SalesforceBench) -> None:
    known = salesforce.add(first="Ada", last="Lovelace", phone="+14155550142")
    salesforce.control.edit_contact("salesforce", known, {"Email": "ada@example.com"})
    salesforce.control.change_settings("salesforce", duplicate_rule="alert")
    values = {"FirstName": "Ada", "LastName": "Lovelace", "Email": "ada@example.com", "Phone": "+14155550142"}
    [linked] = salesforce.provider().create([Creation("k1", values)])
    assert (linked.external_id, linked.created) == (known, False)
    [saved] = salesforce.provider(duplicate_rule="allow_save").create([Creation("k1", values)])
    assert saved.created


def test_a_unique_field_links_to_its_record_by_the_id_that_queries_give(salesforce: SalesforceBench) -> None:
    known = salesforce.add(last="Lovelace")
    salesforce.control.edit_contact("salesforce", known, {"Customer_Number__c": "C-1"})
    [linked] = salesforce.provider().create([Creation("k1", {"LastName": "L.", "Customer_Number__c": "c-1"})])
    assert (linked.external_id, linked.created) == (known, False)


def test_a_duplicate_rule_that_finds_a_lead_links_to_nothing(
    salesforce: SalesforceBench, sandbox: Any
) -> None:
    lead = {"LastName": "Lovelace", "Company": "Analytical", "Email": "ada@example.com"}
    sandbox.world.salesforce._records.insert("Lead", lead)
    salesforce.control.switch_on("salesforce", "duplicate_rule", mode="alert")
    values = {"LastName": "Lovelace", "Email": "ada@example.com"}
    [refused] = salesforce.provider().create([Creation("k1", values)])
    assert isinstance(refused.error, Rejected)
    assert "no contact" in refused.error.message


def test_a_task_whose_key_somebody_else_was_faster_with_is_logged(salesforce: SalesforceBench) -> None:
    one = salesforce.add(last="Lovelace")
    task_id = "00T5g00000000G9"
    words = f"duplicate value found: Conversation_Key__c duplicates value on record with id: {task_id}"
    row = {"success": False, "errors": [{"statusCode": "DUPLICATE_VALUE", "message": words, "fields": []}]}
    salesforce.control.add_fault(
        action="status", status=200, content=[row], system="salesforce", path="composite/sobjects/Task"
    )
    [outcome] = salesforce.provider(activity_key_field="Conversation_Key__c").log_activities([call(one)])
    assert outcome.external_id == "00T5g00000000G9EAI"


def test_created_contacts_carry_the_connections_defaults(salesforce: SalesforceBench) -> None:
    seeded = salesforce.control.contacts("salesforce")[0]["fields"]
    defaults = {
        "LeadSource": "Web",
        **{name: seeded[name] for name in ("AccountId", "OwnerId", "RecordTypeId")},
    }
    provider = salesforce.provider(**{f"default.{name}": value for name, value in defaults.items()})
    [outcome] = provider.create([Creation("k1", {"LastName": "Hopper"})])
    made = salesforce.control.contact("salesforce", str(outcome.external_id))["fields"]
    assert {name: made[name] for name in defaults} == defaults
    [refused] = salesforce.provider(**{"default.RecordTypeId": PARTNER}).create(
        [Creation("k2", {"LastName": "Hopper"})]
    )
    assert isinstance(refused.error, Rejected)
    assert refused.error.field == "RecordTypeId"


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("", "2026-05-14"),
        ("Asia/Tokyo", "2026-05-15"),
        ("America/Los_Angeles", "2026-05-14"),
        ("Odd", "2026-05-14"),
    ],
)
def test_a_task_has_the_day_that_the_org_had(salesforce: SalesforceBench, zone: str, day: str) -> None:
    one = salesforce.add(last="Lovelace")
    salesforce.made(replace(salesforce.setup, time_zone=zone)).log_activities([call(one)])
    assert task(salesforce, one)["ActivityDate"] == day


def test_what_a_task_lacks_is_known_from_the_pre_flight_and_costs_no_call(
    salesforce: SalesforceBench,
) -> None:
    salesforce.control.change_settings("salesforce", call_center=False)
    known = salesforce.provider().permissions().activity_fields
    one, before = salesforce.add(last="Lovelace"), salesforce.control.last_request()
    provider = salesforce.made(replace(salesforce.setup, activity_fields=known))
    assert provider.log_activities([call(one)])[0].ok
    assert len(salesforce.control.requests(since=before, path="/data/")) == 1
    assert "Call type: Inbound" in task(salesforce, one)["Description"]
    salesforce.control.change_settings("salesforce", hidden_fields=["Task.TaskSubtype"])
    assert provider.log_activities([call(one, "call_2")])[0].ok


def test_an_edit_in_the_orgs_own_pages_changes_no_line_ends(salesforce: SalesforceBench) -> None:
    provider, one = salesforce.provider(), salesforce.add(last="Lovelace")
    assert provider.update([Update(one, {"Notes__c": "Tea.\nRome."})])[0].ok
    salesforce.control.edit_contact("salesforce", one, {"Notes__c": "Tea.\nRome."})
    assert salesforce.field(one, "notes") == "Tea.\r\nRome."
    assert provider.read([one], ["Notes__c"])[one].values["Notes__c"] == "Tea.\nRome."


def test_a_merge_is_marked_on_the_loser(salesforce: SalesforceBench) -> None:
    provider = salesforce.provider()
    winner, loser = salesforce.add(last="Lovelace"), salesforce.add(last="Byron")
    cursor = list(provider.changes("", ["LastName"]))[-1].cursor
    salesforce.merge(winner, loser)
    found = {one.external_id: one for page in provider.changes(cursor, ["LastName"]) for one in page.records}
    assert (found[loser].deleted, found[loser].merged_into) == (True, winner)


@pytest.mark.parametrize("offset", [-7200, 7200])
def test_a_skewed_vendor_clock_loses_nothing(salesforce: SalesforceBench, offset: int) -> None:
    salesforce.control.set_clock("salesforce", offset)
    provider = salesforce.provider()
    cursor = list(provider.changes("", ["FirstName"]))[-1].cursor
    late = salesforce.add(last="Hopper")
    assert late in [
        one.external_id for page in provider.changes(cursor, ["FirstName"]) for one in page.records
    ]
