"""What the stand-in HubSpot accepts as property values, and how it words a refusal."""

import json
from typing import Any

import pytest

from tests.sandbox.hubspot_asking import CONTACTS, Portal


@pytest.fixture(scope="module")
def portal() -> Portal:
    return Portal(1)


@pytest.fixture(scope="module")
def ada(portal: Portal) -> str:
    return portal.create(firstname="Ada")


@pytest.mark.parametrize(
    ("name", "sent", "kept"),
    [
        ("plan", "pro", "pro"),
        ("lifetime_value", "12.5", "12.5"),
        ("lifetime_value", "-3", "-3"),
        ("renewal_date", "2026-05-01", "2026-05-01"),
        ("renewal_date", "1777593600000", "2026-05-01"),
        ("renewal_date", "2026-05-01T00:00:00Z", "2026-05-01"),
        ("last_visit", "1777593600123", "2026-05-01T00:00:00.123Z"),
        ("last_visit", "2026-05-01T02:00:00+02:00", "2026-05-01T00:00:00Z"),
        ("vip", "true", "true"),
        ("notes_summary", "x" * 65_536, "x" * 65_536),
        ("email", "Ada.Lovelace@Example.com", "ada.lovelace@example.com"),
        ("hubspot_owner_id", "71000001", "71000001"),
        ("interests", "", None),
    ],
)
def test_a_fitting_value_is_kept_in_hubspots_form(
    portal: Portal, ada: str, name: str, sent: str, kept: str | None
) -> None:
    status, body = portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {name: sent}})
    assert status == 200, body
    assert portal.read(ada, name)["properties"][name] == kept


@pytest.mark.parametrize(
    ("name", "sent", "code"),
    [
        ("plan", "Pro", "INVALID_OPTION"),
        ("plan", "platinum", "INVALID_OPTION"),
        ("lifetime_value", "1,200", "INVALID_DOUBLE"),
        ("lifetime_value", "much", "INVALID_DOUBLE"),
        ("renewal_date", "01/05/2026", "INVALID_DATE"),
        ("renewal_date", "2026-02-30", "INVALID_DATE"),
        ("renewal_date", "1777593600001", "INVALID_DATE"),
        ("last_visit", "yesterday", "INVALID_LONG"),
        ("last_visit", "2026-05-01T10:00:00", "INVALID_LONG"),
        ("vip", "True", "INVALID_OPTION"),
        ("vip", "yes", "INVALID_OPTION"),
        ("email", "ada@", "INVALID_EMAIL"),
        ("score", "5", "READ_ONLY_VALUE"),
        ("createdate", "2026-05-01", "READ_ONLY_VALUE"),
        ("hs_unique_creation_key", "k", "READ_ONLY_VALUE"),
        ("Plan__c", "Pro", "PROPERTY_DOESNT_EXIST"),
        ("notes_summary", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
        ("notes_summary", "😀" * 32_769, "PROPERTY_VALUE_TOO_LONG"),
        ("hubspot_owner_id", "5", "INVALID_OWNER_ID"),
    ],
)
def test_an_unfit_value_is_refused_with_its_code(
    portal: Portal, ada: str, name: str, sent: str, code: str
) -> None:
    before = portal.read(ada, name)["properties"].get(name)
    status, body = portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"firstname": "X", name: sent}})
    assert (status, body["category"]) == (400, "VALIDATION_ERROR")
    lead, _, verdicts = body["message"].partition(": ")
    assert lead == "Property values were not valid"
    assert [(one["name"], one["error"], one["isValid"]) for one in json.loads(verdicts)] == [
        (name, code, False)
    ]
    assert body["errors"][0]["context"] == {"propertyName": [name]}
    kept = portal.read(ada, name, "firstname")["properties"]
    assert (kept.get(name), kept["firstname"]) == (before, "Ada")


def test_every_unfit_value_of_one_write_is_named(portal: Portal, ada: str) -> None:
    values = {"plan": "gold", "vip": "1", "nope": "x"}
    _, body = portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": values})
    assert [one["code"] for one in body["errors"]] == [
        "INVALID_OPTION",
        "INVALID_OPTION",
        "PROPERTY_DOESNT_EXIST",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"lifetime_value": 12.5}},
        {"properties": {"vip": True}},
        {"properties": {"plan": None}},
        {"properties": ["plan"]},
        {"properties": {"plan": "pro"}, "id": "5"},
        {},
        [],
        b"{",
        b"",
    ],
)
def test_a_body_that_is_not_the_model_is_invalid_json(portal: Portal, ada: str, body: Any) -> None:
    status, answer = portal.ask("PATCH", f"{CONTACTS}/{ada}", body)
    assert (status, answer["category"]) == (400, "VALIDATION_ERROR")
    assert answer["message"].startswith("Invalid input JSON")


def test_a_contact_needs_a_name_or_an_email_unless_switched_off(portal: Portal) -> None:
    body = {"properties": {"phone": "212 555 0142"}}
    status, answer = portal.ask("POST", CONTACTS, body)
    assert (status, answer["context"]["properties"]) == (400, ["email", "firstname", "lastname"])
    portal.crm.settings["contact_needs_name_or_email"] = False
    assert portal.ask("POST", CONTACTS, body)[0] == 201


def test_rules_of_the_portal_bind_the_newest_version_only(portal: Portal) -> None:
    portal.crm.settings["required_contact_properties"] = ["email"]
    body = {"properties": {"firstname": "Grace"}}
    assert portal.ask("POST", "/crm/objects/2026-03/contacts", body)[0] == 201
    status, answer = portal.ask("POST", "/crm/objects/2026-09/contacts", body)
    assert (status, answer["message"]) == (
        400,
        "Error creating CONTACT. Some required properties were not set.",
    )


def test_fields_that_only_the_document_requires_can_be_demanded(portal: Portal) -> None:
    portal.crm.settings["require_spec_fields"] = True
    status, answer = portal.ask("POST", CONTACTS, {"properties": {"firstname": "Grace"}})
    portal.crm.settings["require_spec_fields"] = False
    assert status == 400
    assert "[associations]" in answer["message"]
