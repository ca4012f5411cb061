"""Calls, communications and notes of the stand-in HubSpot, and how they are associated."""

from typing import Any

import pytest

from tests.sandbox.hubspot_asking import CONTACTS, Portal, to_contact

STAMP = "2026-05-01T10:00:00.000Z"
KINDS = {"calls": 194, "communications": 81, "notes": 202, "tasks": 204}
MESSAGE = {
    "hs_timestamp": STAMP,
    "hs_communication_channel_type": "SMS",
    "hs_communication_logged_from": "CRM",
    "hs_communication_body": "Hello",
}


@pytest.fixture
def portal() -> Portal:
    return Portal(3)


@pytest.fixture
def ada(portal: Portal) -> str:
    return portal.create(firstname="Ada")


def properties(kind: str) -> dict[str, str]:
    return MESSAGE if kind == "communications" else {"hs_timestamp": STAMP}


def log(portal: Portal, kind: str, values: dict[str, str], links: Any = ()) -> tuple[int, Any]:
    body = {"properties": values, "associations": list(links)}
    return portal.ask("POST", f"/crm/objects/2026-03/{kind}", body)


@pytest.mark.parametrize("version", ["/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_activity_is_created_with_its_contact_in_one_request(
    portal: Portal, ada: str, kind: str, version: str
) -> None:
    body = {"properties": properties(kind), "associations": to_contact(ada, KINDS[kind])}
    status, made = portal.ask("POST", f"{version}/{kind}", body)
    assert status == 201, made
    [activity] = portal.crm.activities(ada)
    assert (activity["id"], activity["kind"]) == (made["id"], kind.removesuffix("s"))
    assert activity["fields"]["hs_timestamp"] == "2026-05-01T10:00:00Z"
    _, contact = portal.ask("GET", f"{CONTACTS}/{ada}?associations={kind}")
    name = f"contact_to_{kind.removesuffix('s')}"
    assert contact["associations"][kind]["results"] == [{"id": made["id"], "type": name}]


def test_a_logged_activity_moves_the_contacts_stamp_unless_switched_off(portal: Portal, ada: str) -> None:
    before = portal.read(ada)["updatedAt"]
    log(portal, "calls", properties("calls"), to_contact(ada, 194))
    after = portal.read(ada)["updatedAt"]
    assert after > before
    portal.crm.settings["activity_bumps_contact"] = False
    log(portal, "calls", properties("calls"), to_contact(ada, 194))
    assert portal.read(ada)["updatedAt"] == after


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("calls", "hs_timestamp"),
        ("notes", "hs_timestamp"),
        ("communications", "hs_timestamp"),
        ("communications", "hs_communication_channel_type"),
        ("communications", "hs_communication_logged_from"),
    ],
)
def test_what_an_activity_requires_is_named(portal: Portal, kind: str, missing: str) -> None:
    values = {name: value for name, value in properties(kind).items() if name != missing}
    status, body = log(portal, kind, values)
    assert (status, body["context"]) == (400, {"properties": [missing]})
    assert body["message"].startswith(f"Error creating {kind.removesuffix('s').upper()}.")


@pytest.mark.parametrize(
    ("kind", "name", "value", "code"),
    [
        ("calls", "hs_call_status", "DONE", "INVALID_OPTION"),
        ("calls", "hs_call_direction", "inbound", "INVALID_OPTION"),
        ("calls", "hs_call_duration", "61.5", "INVALID_LONG"),
        ("calls", "hs_call_duration", "one minute", "INVALID_LONG"),
        ("calls", "hs_call_disposition", "Connected", "INVALID_OPTION"),
        ("calls", "hs_call_recording_url", "http://example.com/a.mp3", "INVALID_URL"),
        ("calls", "hs_call_body", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
        ("communications", "hs_communication_channel_type", "WEB_CHAT", "INVALID_OPTION"),
        ("communications", "hs_communication_logged_from", "API", "INVALID_OPTION"),
        ("communications", "hs_communication_subject", "Hi", "PROPERTY_DOESNT_EXIST"),
        ("notes", "hs_note_body", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
    ],
)
def test_an_unfit_activity_property_is_refused(
    portal: Portal, kind: str, name: str, value: str, code: str
) -> None:
    status, body = log(portal, kind, {**properties(kind), name: value})
    assert (status, body["errors"][0]["code"]) == (400, code)
    assert portal.crm.activities() == []


def test_a_full_call_is_accepted(portal: Portal) -> None:
    values = {
        "hs_timestamp": "1777593600000", "hs_call_title": "Call", "hs_call_body": "<p>Asked for a quote.</p>",
        "hs_call_duration": "61000", "hs_call_direction": "INBOUND", "hs_call_status": "COMPLETED",
        "hs_call_from_number": "+12125550142", "hs_call_to_number": "+16465550100",
        "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7", "hubspot_owner_id": "71000001",
        "hs_call_recording_url": "https://example.com/a.mp3",
    }  # fmt: skip
    assert log(portal, "calls", values)[0] == 201


def test_the_custom_channel_can_be_switched_off(portal: Portal) -> None:
    values = MESSAGE | {"hs_communication_channel_type": "CUSTOM_CHANNEL_CONVERSATION"}
    assert log(portal, "communications", values)[0] == 201
    portal.crm.settings["custom_channel"] = False
    status, body = log(portal, "communications", values)
    assert (status, body["errors"][0]["code"]) == (400, "INVALID_OPTION")


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (to_contact("1", 194), "One or more associations are invalid"),
        (
            to_contact("9951", 193),
            "invalid from object type 0-48 for associations to be created. expected: 0-1",
        ),
        (to_contact("9951", 12_345), "Association type HUBSPOT_DEFINED 12345 does not exist"),
        (to_contact("9951", 194, "MINE"), "Invalid association category: MINE"),
        ([{"to": {"id": "9951"}, "types": []}], "At least one association type is required"),
        ([{"to": {"id": 9951}, "types": []}], None),
        ([{"to": {"id": "9951"}}], None),
    ],
)
def test_a_wrong_association_refuses_the_whole_create(
    portal: Portal, links: Any, message: str | None
) -> None:
    status, body = log(portal, "calls", properties("calls"), links)
    assert status == 400
    assert message is None or body["message"] == message
    assert portal.crm.activities() == []


def test_an_activity_is_associated_and_dissociated_afterwards(portal: Portal, ada: str) -> None:
    _, call = log(portal, "calls", properties("calls"))
    base = f"/crm/v4/objects/calls/{call['id']}/associations"
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    status, body = portal.ask("PUT", f"{base}/contacts/{ada}", spec)
    assert (status, body["toObjectId"], body["fromObjectTypeId"]) == (201, ada, "0-48")
    _, page = portal.ask("GET", f"/crm/objects/2026-03/contacts/{ada}/associations/calls")
    types = [{"category": "HUBSPOT_DEFINED", "typeId": 193, "label": None}]
    assert page["results"] == [{"toObjectId": call["id"], "associationTypes": types}]
    assert portal.ask("DELETE", f"{base}/contacts/{ada}") == (204, None)
    assert portal.ask("GET", f"{base}/contacts")[1]["results"] == []
    status, body = portal.ask("PUT", f"{base}/default/contacts/{ada}")
    assert (status, len(body["results"])) == (200, 2)
    assert portal.ask("PUT", f"{base}/contacts/{ada}", {"types": spec})[0] == 400
    assert portal.ask("PUT", f"{base}/contacts/1", spec)[0] == 404
    assert portal.ask("PUT", f"{base}/default/companies/1")[0] == 400


@pytest.mark.parametrize("base", ["/crm/v4/associations", "/crm/associations/2026-03"])
def test_associations_are_read_and_made_in_batches(portal: Portal, ada: str, base: str) -> None:
    calls = [log(portal, "calls", properties("calls"))[1]["id"] for _ in range(3)]
    spec = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}]
    inputs = [{"from": {"id": one}, "to": {"id": ada}, "types": spec} for one in calls]
    assert portal.ask("POST", f"{base}/calls/contacts/batch/create", {"inputs": inputs})[0] == 201
    status, body = portal.ask("POST", f"{base}/contacts/calls/batch/read", {"inputs": [{"id": ada}]})
    assert (status, [one["toObjectId"] for one in body["results"][0]["to"]]) == (200, calls)
    status, body = portal.ask("POST", f"{base}/contacts/calls/batch/read", {"inputs": [{"id": "9951"}]})
    assert (status, body["results"]) == (207, [])
    assert body["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    _, body = portal.ask("GET", f"{base}/calls/contacts/labels")
    assert body["results"] == [{"category": "HUBSPOT_DEFINED", "typeId": 194, "label": None}]


def test_association_pages_hold_up_to_500(portal: Portal, ada: str) -> None:
    for _ in range(3):
        log(portal, "notes", properties("notes"), to_contact(ada, 202))
    path = f"/crm/v4/objects/contacts/{ada}/associations/notes"
    _, first = portal.ask("GET", f"{path}?limit=2")
    _, second = portal.ask("GET", f"{path}?limit=2&after={first['paging']['next']['after']}")
    assert (len(first["results"]), len(second["results"]), "paging" in second) == (2, 1, False)
    assert portal.ask("GET", f"{path}?limit=501")[0] == 400
