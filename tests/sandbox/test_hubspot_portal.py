"""The stand-in HubSpot around its records: access, limits, paths, property definitions, account."""

from typing import Any

import pytest

from sandbox.hubspot.schema import Property
from tests.sandbox.hubspot_asking import CONTACTS, JSON_HEADERS, Portal

PROPERTIES = "/crm/properties/2026-03/contacts"
KEY = {
    "name": "app_contact_key", "label": "Key", "type": "string", "fieldType": "text",
    "groupName": "contactinformation", "hasUniqueValue": True,
}  # fmt: skip


@pytest.fixture
def portal() -> Portal:
    return Portal(3)


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Basic pat-sandbox-token", "pat-sandbox-token"]
)
def test_without_the_right_bearer_nothing_is_told(portal: Portal, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    status, body = portal.ask("GET", CONTACTS, headers=headers)
    assert (status, body["category"]) == (401, "INVALID_AUTHENTICATION")
    assert body["status"] == "error"
    assert body["correlationId"] == portal.headers["x-hubspot-correlation-id"]


def test_an_expired_token_says_so(portal: Portal) -> None:
    portal.crm.settings["token_expired"] = True
    status, body = portal.ask("GET", CONTACTS)
    assert (status, body["category"]) == (401, "EXPIRED_AUTHENTICATION")


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("crm.objects.contacts.write", "POST", CONTACTS, {"properties": {"firstname": "Ada"}}),
        ("crm.schemas.contacts.write", "POST", PROPERTIES, KEY),
        ("crm.objects.owners.read", "GET", "/crm/v3/owners/", None),
        ("crm.objects.contacts.read", "GET", "/crm/v3/objects/calls", None),
    ],
)
def test_a_missing_scope_is_named(portal: Portal, scope: str, method: str, path: str, body: Any) -> None:
    portal.crm.settings["scopes"].remove(scope)
    status, answer = portal.ask(method, path, body)
    assert (status, answer["category"]) == (403, "MISSING_SCOPES")
    assert scope in answer["errors"][0]["context"]["requiredGranularScopes"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/crm/v9/objects/contacts", 404),
        ("GET", "/crm/objects/2025-01/contacts", 404),
        ("GET", "/crm/v3/objects/contacts/", 404),
        ("PUT", CONTACTS, 405),
        ("DELETE", f"{CONTACTS}/batch/read", 405),
        ("TRACE", CONTACTS, 405),
        ("GET", "/crm/v3/objects/unicorns", 400),
        ("POST", "/crm/v3/objects/calls/merge", 404),
        ("GET", "/crm/v3/objects/0-1", 200),
        ("GET", "/crm/v3/objects/contact", 200),
    ],
)
def test_paths_and_methods_are_those_of_the_api(portal: Portal, method: str, path: str, status: int) -> None:
    assert portal.ask(method, path)[0] == status


def test_dated_versions_give_every_refusal_of_the_request_a_category(portal: Portal) -> None:
    for method, path, headers in (
        ("PUT", CONTACTS, None),
        ("GET", f"{CONTACTS}/1", None),
        ("POST", CONTACTS, {**JSON_HEADERS, "content-type": "text/plain"}),
    ):
        status, body = portal.ask(method, path, b"{}", headers)
        assert body["category"], status


def test_a_body_that_is_not_declared_json_is_refused(portal: Portal) -> None:
    body = b'{"properties": {"firstname": "Ada"}}'
    headers = JSON_HEADERS | {"content-type": "text/plain"}
    assert portal.ask("POST", CONTACTS, body, headers)[0] == 415
    headers = JSON_HEADERS | {"content-type": "application/json; charset=utf-8"}
    assert portal.ask("POST", CONTACTS, body, headers)[0] == 201


def test_an_address_that_is_too_long_is_refused(portal: Portal) -> None:
    assert portal.ask("GET", f"{CONTACTS}?properties={'x' * 16_000}")[0] == 414


def test_use_is_told_in_headers_and_by_the_account(portal: Portal) -> None:
    portal.ask("GET", CONTACTS)
    portal.ask("GET", CONTACTS)
    assert portal.headers["x-hubspot-ratelimit-max"] == "190"
    assert portal.headers["x-hubspot-ratelimit-remaining"] == "188"
    assert portal.headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
    assert portal.headers["x-hubspot-ratelimit-daily-remaining"] == "649998"
    _, body = portal.ask("GET", "/account-info/v3/api-usage/daily/private-apps")
    assert body["results"][0]["currentUsage"] == 3


def test_the_ten_second_limit_passes_again_after_ten_seconds(portal: Portal) -> None:
    portal.crm.settings.update(enforce_limits=True, ten_second_limit=3, retry_after=7)
    assert [portal.ask("GET", CONTACTS)[0] for _ in range(4)] == [200, 200, 200, 429]
    _, body = portal.ask("GET", CONTACTS)
    assert (body["policyName"], body["errorType"]) == ("TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    assert portal.headers["Retry-After"] == "7"
    assert portal.ask("POST", f"{CONTACTS}/search", {})[0] == 200
    portal.clock.offset += 11
    assert portal.ask("GET", CONTACTS)[0] == 200


def test_five_searches_a_second_and_a_day_of_calls(portal: Portal) -> None:
    portal.crm.settings.update(enforce_limits=True, daily_limit=6)
    assert [portal.ask("POST", f"{CONTACTS}/search", {})[0] for _ in range(5)] == [200] * 5
    status, body = portal.ask("POST", f"{CONTACTS}/search", {})
    assert (status, body["message"]) == (429, "You have reached your secondly limit.")
    assert "Retry-After" not in portal.headers
    assert portal.ask("GET", CONTACTS)[0] == 200
    status, body = portal.ask("GET", CONTACTS)
    assert (status, body["policyName"]) == (429, "DAILY")
    portal.clock.offset += 86_400
    assert portal.ask("GET", CONTACTS)[0] == 200


@pytest.mark.parametrize(
    "path", ["/crm/v3/properties/contacts", PROPERTIES, "/crm/properties/2026-09/contacts"]
)
def test_property_definitions_tell_types_options_and_what_is_read_only(portal: Portal, path: str) -> None:
    _, body = portal.ask("GET", path)
    by_name = {one["name"]: one for one in body["results"]}
    plan, score, owner = by_name["plan"], by_name["score"], by_name["hubspot_owner_id"]
    assert (plan["type"], plan["fieldType"]) == ("enumeration", "select")
    assert [(one["value"], one["label"]) for one in plan["options"]][:2] == [
        ("free", "Free"),
        ("starter", "Starter"),
    ]
    assert "hubspotDefined" not in plan
    assert by_name["email"]["hubspotDefined"] is True
    assert (score["calculated"], score["modificationMetadata"]["readOnlyValue"]) == (True, True)
    assert (owner["externalOptions"], owner["options"], owner["referencedObjectType"]) == (True, [], "OWNER")
    assert by_name["createdate"]["modificationMetadata"]["readOnlyValue"] is True
    types = {name: by_name[name]["type"] for name in ("lifetime_value", "renewal_date", "last_visit", "vip")}
    assert types == {
        "lifetime_value": "number",
        "renewal_date": "date",
        "last_visit": "datetime",
        "vip": "bool",
    }
    assert "app_contact_key" not in by_name


def test_a_custom_property_lives_from_create_to_archive(portal: Portal) -> None:
    tier = {
        "name": "tier", "label": "Tier", "type": "enumeration", "fieldType": "select",
        "groupName": "customer_success", "options": [{"label": "Gold", "value": "gold"}],
    }  # fmt: skip
    assert portal.ask("POST", PROPERTIES, tier)[0] == 201
    assert portal.ask("POST", PROPERTIES, tier)[0] == 409
    ada = portal.create(firstname="Ada", tier="gold")
    renamed = {"options": [{"label": "Silver", "value": "silver"}]}
    assert portal.ask("PATCH", f"{PROPERTIES}/tier", renamed)[1]["options"][0]["value"] == "silver"
    assert portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"tier": "gold"}})[0] == 400
    assert portal.ask("DELETE", f"{PROPERTIES}/tier") == (204, None)
    assert portal.ask("GET", f"{PROPERTIES}/tier")[0] == 404
    assert portal.ask("GET", f"{PROPERTIES}/tier?archived=true")[1]["archived"] is True
    _, body = portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"tier": "silver"}})
    assert body["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert portal.ask("DELETE", f"{PROPERTIES}/email")[0] == 400


@pytest.mark.parametrize(
    "change",
    [
        {"name": "App Key"},
        {"type": "text"},
        {"fieldType": "date"},
        {"groupName": "nowhere"},
        {"type": "bool", "fieldType": "booleancheckbox"},
        {"unknown": True},
        {"hasUniqueValue": "true"},
    ],
)
def test_an_impossible_definition_is_refused(portal: Portal, change: dict[str, Any]) -> None:
    assert portal.ask("POST", PROPERTIES, KEY | change)[0] == 400


def test_a_unique_property_finds_and_guards_its_contact_and_only_ten_may_be(portal: Portal) -> None:
    assert portal.ask("POST", PROPERTIES, KEY)[0] == 201
    ada = portal.create(firstname="Ada", app_contact_key="k-1")
    assert portal.ask("GET", f"{CONTACTS}/k-1?idProperty=app_contact_key")[1]["id"] == ada
    status, body = portal.ask("POST", CONTACTS, {"properties": {"firstname": "X", "app_contact_key": "K-1"}})
    assert (status, body["errors"][0]["code"]) == (400, "CONFLICTING_UNIQUE_VALUE")
    for number in range(9):
        assert portal.ask("POST", PROPERTIES, KEY | {"name": f"key_{number}"})[0] == 201
    assert portal.ask("POST", PROPERTIES, KEY | {"name": "key_9"})[0] == 400


def test_an_administrator_can_add_a_property_through_the_back_door(portal: Portal) -> None:
    portal.crm.add_property("contacts", Property("shoe_size", "Shoe size", "number", "number", own=True))
    portal.create(firstname="Ada", shoe_size="38")


def test_owners_account_and_call_outcomes_are_told(portal: Portal) -> None:
    for path in ("/crm/v3/owners/", "/crm/v3/owners", "/crm/owners/2026-03"):
        _, body = portal.ask("GET", f"{path}?limit=1")
        assert body["results"][0]["email"] == "grace@example.com"
    after = body["paging"]["next"]["after"]
    assert portal.ask("GET", f"/crm/v3/owners?after={after}")[1]["results"][0]["firstName"] == "Alan"
    assert portal.ask("GET", "/crm/v3/owners/71000001")[1]["lastName"] == "Hopper"
    assert portal.ask("GET", "/crm/v3/owners/1")[0] == 404
    _, account = portal.ask("GET", "/account-info/2026-03/details")
    assert account["portalId"] == 48_123_456
    outcomes = {one["label"]: one["id"] for one in portal.ask("GET", "/calling/v1/dispositions")[1]}
    assert outcomes["Connected"] == "f240bbac-87c9-4f6e-bf70-924b57d47db7"
    token = {"tokenKey": "pat-sandbox-token"}
    _, info = portal.ask("POST", "/oauth/v2/private-apps/get/access-token-info", token)
    assert "crm.objects.contacts.read" in info["scopes"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rate_limit_secondly", 429), ("rate_limit_daily", 429), ("rate_limit_ten_secondly", 429),
     ("server_error", 500), ("unauthorized", 401), ("forbidden", 403), ("html", 502), ("locked", 423)],
)  # fmt: skip
def test_faults_come_in_hubspots_words(portal: Portal, kind: str, status: int) -> None:
    fault = portal.crm.fault_response(kind)
    assert fault is not None
    assert fault.status == status
    assert portal.crm.fault_response("row_lock") is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "groups", {"name": "Billing!", "label": "B"}, 400),
        ("POST", "groups", {"name": "contactinformation", "label": "B"}, 409),
        ("POST", "groups", {"name": "billing"}, 400),
        ("GET", "groups/nope", None, 404),
        ("PATCH", "groups/contactinformation", {"name": "other"}, 400),
        ("DELETE", "groups/contactinformation", None, 400),
        ("POST", "batch/read", {"inputs": [], "archived": False}, 400),
        ("POST", "batch/read", {"inputs": [{"name": "phone"}]}, 400),
        ("POST", "batch/read", {"inputs": [{"name": "phone"}] * 101, "archived": False}, 400),
        ("POST", "batch/create", {"inputs": [{"name": "phone"}]}, 400),
        ("POST", "batch/archive", {"inputs": [{"name": "phone"}]}, 400),
        ("POST", "batch/archive", {"inputs": [{"name": "nope"}]}, 204),
    ],
)
def test_sets_of_properties_and_groups_have_their_rules(
    portal: Portal, method: str, path: str, body: Any, status: int
) -> None:
    assert portal.ask(method, f"/crm/properties/2026-03/contacts/{path}", body)[0] == status


def test_one_bad_definition_of_a_batch_fails_alone(portal: Portal) -> None:
    rows = [
        {
            "name": name,
            "label": name,
            "type": "string",
            "fieldType": "text",
            "groupName": "contactinformation",
        }
        for name in ("phone", "iban")
    ]
    status, body = portal.ask("POST", "/crm/properties/2026-03/contacts/batch/create", {"inputs": rows})
    assert (status, [one["name"] for one in body["results"]]) == (207, ["iban"])
    assert body["errors"][0]["category"] == "OBJECT_ALREADY_EXISTS"


def test_a_limit_on_purpose_has_the_headers_of_a_real_one(portal: Portal) -> None:
    for kind, told in (
        ("rate_limit_ten_secondly", True),
        ("rate_limit_secondly", False),
        ("server_error", False),
    ):
        answer = portal.crm.fault_response(kind)
        assert answer is not None
        assert ("x-hubspot-ratelimit-max" in answer.headers) is told
