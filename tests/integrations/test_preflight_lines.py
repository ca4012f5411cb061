"""Each line of the pre-flight against both stand-ins: what is wrong in the CRM, how bad it is, and what to do about it."""

from collections.abc import Callable
from typing import Any

import pytest

from integrations.models import Connection
from integrations.preflight import Level, Line, preflight

pytestmark = [pytest.mark.django_db, pytest.mark.once]
WANTED = {
    "salesforce": [("Phone", "read"), ("Phone", "create"), ("LastName", "create"), ("Title", "read"), ("Title", "write")],
    "hubspot": [("phone", "read"), ("phone", "create"), ("jobtitle", "read"), ("jobtitle", "write")],
}  # fmt: skip
TITLE = {"salesforce": "Contact.Title", "hubspot": "jobtitle"}
# CRM, fault, its parameters, the level of the line, words of it.
LINES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("salesforce", "", {}, "ok", "The CRM answers as Sandbox (Enterprise Edition)."),
    ("hubspot", "", {}, "ok", "The CRM answers as"),
    ("salesforce", "", {}, "ok", "mapped fields are there"),
    ("hubspot", "", {}, "ok", "mapped fields are there"),
    ("salesforce", "", {}, "ok", "API calls of the day are used"),
    ("hubspot", "", {}, "ok", "API calls of the day are used"),
    ("salesforce", "credentials_revoked", {}, "error", "refuses the client id or secret"),
    ("salesforce", "user_inactive", {}, "error", "inactive"),
    ("hubspot", "credentials_revoked", {}, "error", "refuses the access token"),
    ("hubspot", "token_expired", {}, "error", "expired"),
    ("salesforce", "api_disabled", {}, "error", "no API access"),
    ("hubspot", "hidden_object", {}, "error", "may not create contacts"),
    ("hubspot", "hidden_object", {}, "error", "may not log conversations"),
    ("salesforce", "hidden_object", {}, "error", "may not log conversations"),
    ("salesforce", "no_call_center", {}, "warning", "no call fields"),
    ("salesforce", "hidden_field", {"fields": "TITLE"}, "error", "no contact field “Title”"),
    ("hubspot", "hidden_field", {"fields": "TITLE"}, "error", "no contact field “jobtitle”"),
    ("salesforce", "readonly_field", {"fields": "TITLE"}, "error", "read-only"),
    ("hubspot", "readonly_field", {"fields": "TITLE"}, "error", "read-only"),
    ("salesforce", "daily_limit", {}, "error", "daily number of API calls is used up"),
    ("hubspot", "daily_limit", {}, "error", "daily number of calls is used up"),
    ("salesforce", "server_unavailable", {}, "error", "unavailable"),
    ("hubspot", "server_unavailable", {}, "error", "unavailable"),
]


def told(connection: Connection) -> list[Line]:
    connection.sync_new_contacts = connection.sync_conversation_activity = True
    return preflight(connection, WANTED[connection.provider])


@pytest.mark.parametrize(("crm", "fault", "given", "level", "words"), LINES)
def test_a_line_says_how_bad_it_is_and_what_to_do(
    connect: Callable[..., Connection],
    sandbox: Any,
    crm: str,
    fault: str,
    given: dict[str, Any],
    level: str,
    words: str,
) -> None:
    connection = connect(crm)
    if fault:
        sandbox.control.switch_on(crm, fault, **dict.fromkeys(given, TITLE[crm]))
    lines = told(connection)
    assert level in [line.level for line in lines if words in line.what], lines
    assert all(line.fix for line in lines if line.level is Level.ERROR)
    if not fault:
        assert {line.level for line in lines} == {Level.OK}
    sandbox.control.all_off()
    sandbox.control.change_settings("salesforce", call_center=True)
    connection.refresh_from_db()
    connection.login_refused = {}
    connection.save()
    assert {line.level for line in told(Connection.objects.get())} == {Level.OK}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activity_owner": "0055g0000000003AAA"}, "inactive"),
        ({"activity_owner.+14155550100": "0055g0000000009AAA"}, "does not exist"),
        ({"activity_owner": "Sam"}, "no Salesforce id"),
        ({"default.OwnerId": "0055g0000000003"}, "inactive"),
        ({"default.AccountId": "0015g0000000009AAA"}, "an account that is not there"),
        ({"default.RecordTypeId": "0125g0000000002AAA"}, "a record type that"),
        ({"default.Tier__c": "Platinum"}, "not one of the picklist's values"),
        ({"default.Name": "Ada"}, "cannot set on new contacts"),
        ({"task_status": "Done"}, "no task status “Done”"),
        ({"activity_key_field": "Subject"}, "unique external id"),
    ],
)
def test_an_option_that_salesforce_will_not_take_has_a_line(
    connect: Callable[..., Connection], options: dict[str, str], words: str
) -> None:
    lines = [line for line in told(connect("salesforce", options=options)) if line.level is not Level.OK]
    assert [(line.level, words in line.what) for line in lines] == [(Level.WARNING, True)]


def test_options_that_salesforce_takes_have_no_line(connect: Callable[..., Connection]) -> None:
    options = {
        "activity_owner": "0055g0000000002", "default.OwnerId": "0055g0000000002AAA", "default.Tier__c": "Gold",
        "default.AccountId": "0015g0000000001AAA", "default.RecordTypeId": "0125g0000000001AAA", "task_status": "Deferred",
        "activity_owner.+14155550100": "00G000000000001EAA", "activity_key_field": "Conversation_Key__c",
    }  # fmt: skip
    connection = connect("salesforce", options=options)
    assert [line for line in told(connection) if line.level is not Level.OK] == []
    connection.refresh_from_db()
    assert "TaskSubtype" in connection.activity_fields
    assert connection.time_zone == "America/Los_Angeles"


def test_the_quota_of_the_pre_flight_is_the_one_of_the_limits_resource(
    connect: Callable[..., Connection], sandbox: Any
) -> None:
    content: Any = {"DailyApiRequests": {"Max": 50_000, "Remaining": 9_000}}
    sandbox.control.add_fault(action="status", status=200, content=content, path="/limits")
    connection = connect("salesforce")
    assert told(connection)[-1].what.startswith("41,000 of 50,000 API calls")
    content = [{"errorCode": "INSUFFICIENT_ACCESS", "message": ""}]
    sandbox.control.add_fault(action="status", status=403, content=content, path="/limits")
    assert "of 100,000 API calls" in told(connection)[-1].what


@pytest.mark.parametrize(
    ("used", "level", "words"), [(0.5, "ok", ""), (0.85, "warning", "Reading"), (0.96, "error", "wait")]
)
def test_the_quota_that_salesforce_tells_has_its_line(
    connect: Callable[..., Connection], sandbox: Any, used: float, level: str, words: str
) -> None:
    sandbox.control.change_settings("salesforce", daily_used=int(100_000 * used))
    last = told(connect("salesforce"))[-1]
    assert last.level == level
    assert words in last.what
    assert bool(last.fix) == (level != "ok")
