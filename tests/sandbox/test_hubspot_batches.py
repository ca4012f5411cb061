"""Batches of the stand-in HubSpot."""

from typing import Any

import pytest

from tests.sandbox.hubspot_asking import CONTACTS, Portal


@pytest.fixture
def portal() -> Portal:
    return Portal()


def batch(portal: Portal, action: str, inputs: list[Any], **more: Any) -> tuple[int, Any]:
    return portal.ask("POST", f"{CONTACTS}/batch/{action}", {"inputs": inputs, **more})


def contact(**properties: str) -> dict[str, Any]:
    return {"properties": properties}


def traced(trace: str, **properties: str) -> dict[str, Any]:
    return {"objectWriteTraceId": trace, "properties": properties}


def test_a_batch_read_of_known_ids_is_200_and_with_an_unknown_one_207(portal: Portal) -> None:
    ids = [{"id": one["id"]} for one in portal.crm.contacts()[:3]]
    status, body = batch(portal, "read", ids, properties=["phone"])
    assert (status, body["status"]) == (200, "COMPLETE")
    assert {row["id"] for row in body["results"]} == {one["id"] for one in ids}
    status, body = batch(portal, "read", [*ids, {"id": "1"}], properties=["phone"])
    assert (status, body["numErrors"], len(body["results"])) == (207, 1, 3)
    assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert body["errors"][0]["context"] == {"ids": ["1"]}


def test_a_batch_read_by_email_finds_contacts(portal: Portal) -> None:
    ada = portal.create(email="ada@example.com")
    _, body = batch(portal, "read", [{"id": "ADA@example.com"}], properties=[], idProperty="email")
    assert [row["id"] for row in body["results"]] == [ada]


def test_results_do_not_come_in_the_order_of_the_inputs(portal: Portal) -> None:
    _, body = batch(portal, "create", [contact(firstname="Ada"), contact(firstname="Grace")])
    assert [row["properties"]["firstname"] for row in body["results"]] == ["Grace", "Ada"]


@pytest.mark.parametrize("action", ["read", "create", "update", "upsert", "archive"])
@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_1_to_100_inputs(portal: Portal, action: str, count: int) -> None:
    one: dict[str, Any] = {} if action == "create" else {"id": "1"}
    one |= {} if action in ("read", "archive") else {"properties": {}}
    inputs = [one | ({} if action == "create" else {"id": str(number)}) for number in range(count)]
    status, body = batch(portal, action, inputs)
    assert (status, body["category"]) == (400, "VALIDATION_ERROR")


def test_an_id_twice_in_a_batch_is_refused(portal: Portal) -> None:
    ada = portal.create(firstname="Ada")
    for action, one in (("update", {"id": ada, "properties": {"plan": "pro"}}), ("archive", {"id": ada})):
        status, body = batch(portal, action, [one, one])
        assert status == 400
        assert body["message"] == f"Duplicate IDs found in batch input: [{ada}]. IDs must be unique"


def test_one_existing_email_fails_the_whole_create_and_nothing_is_made(portal: Portal) -> None:
    ada = portal.create(email="ada@example.com")
    status, body = batch(
        portal, "create", [contact(email="new@example.com"), contact(email="ada@example.com")]
    )
    assert (status, body["message"]) == (409, f"Contact already exists. Existing ID: {ada}")
    assert portal.search(query="new@example.com")["total"] == 0


def test_with_trace_ids_each_input_stands_for_itself(portal: Portal) -> None:
    portal.create(email="ada@example.com")
    inputs = [
        traced("a", email="new@example.com"),
        traced("b", email="ada@example.com"),
        traced("c", vip="x"),
    ]
    status, body = batch(portal, "create", inputs)
    assert (status, body["numErrors"]) == (207, 2)
    assert [row["objectWriteTraceId"] for row in body["results"]] == ["a"]
    errors = {one["context"]["objectWriteTraceId"][0]: one["category"] for one in body["errors"]}
    assert errors == {"b": "CONFLICT", "c": "VALIDATION_ERROR"}


def test_traces_help_where_hubspot_promises_it_and_else_where_it_is_switched_on(portal: Portal) -> None:
    ids = [portal.create(firstname=name) for name in ("Ada", "Grace")]
    inputs = [{"id": one, **traced(one, plan=plan)} for one, plan in zip(ids, ("pro", "gold"), strict=True)]
    assert batch(portal, "update", inputs)[0] == 400
    assert portal.read(ids[0], "plan")["properties"]["plan"] is None
    portal.crm.settings["traced_batches"] = ["update"]
    status, body = batch(portal, "update", inputs)
    assert (status, [row["id"] for row in body["results"]]) == (207, [ids[0]])
    portal.crm.settings["traced_batches"] = []
    assert batch(portal, "create", [traced("a", plan="gold"), traced("b", firstname="Hedy")])[0] == 400


def test_answers_may_be_without_trace_ids_and_pass_over_what_is_gone(portal: Portal) -> None:
    portal.crm.settings.update(trace_results=False, silent_updates=True)
    _, body = batch(portal, "create", [traced("a", firstname="Ada")])
    assert "objectWriteTraceId" not in body["results"][0]
    ada = body["results"][0]["id"]
    inputs = [{"id": ada, **contact(plan="pro")}, {"id": "1", **contact(plan="pro")}]
    status, body = batch(portal, "update", inputs)
    assert (status, [row["id"] for row in body["results"]]) == (207, [ada])
    assert "errors" not in body


def test_one_poisoned_input_fails_the_whole_update(portal: Portal) -> None:
    ada, grace = portal.create(firstname="Ada"), portal.create(firstname="Grace")
    inputs = [{"id": ada, **contact(plan="pro")}, {"id": grace, **contact(plan="gold")}]
    assert batch(portal, "update", inputs)[0] == 400
    assert portal.read(ada, "plan")["properties"]["plan"] is None


def test_an_unknown_id_in_an_update_is_reported_beside_the_rest(portal: Portal) -> None:
    ada = portal.create(firstname="Ada")
    inputs = [{"id": ada, **contact(plan="pro")}, {"id": "1", **contact(plan="pro")}]
    status, body = batch(portal, "update", inputs)
    assert (status, [row["id"] for row in body["results"]]) == (207, [ada])
    assert body["errors"][0]["context"] == {"ids": ["1"]}
    assert portal.read(ada, "plan")["properties"]["plan"] == "pro"


def test_an_upsert_by_a_unique_property_can_be_repeated(portal: Portal) -> None:
    definition = {
        "name": "app_contact_key", "label": "Key", "type": "string", "fieldType": "text",
        "groupName": "contactinformation", "hasUniqueValue": True,
    }  # fmt: skip
    assert portal.ask("POST", "/crm/properties/2026-03/contacts", definition)[0] == 201
    one = {"id": "k-1", "idProperty": "app_contact_key", **contact(firstname="Ada", phone="2125550142")}
    status, first = batch(portal, "upsert", [one])
    assert (status, first["results"][0]["new"]) == (200, True)
    _, second = batch(portal, "upsert", [one])
    assert (second["results"][0]["new"], second["results"][0]["id"]) == (False, first["results"][0]["id"])
    assert portal.search(query="2125550142")["total"] == 1
    assert batch(portal, "upsert", [one | {"idProperty": "phone"}])[0] == 400
    assert batch(portal, "upsert", [{"id": "1", "properties": {}}])[0] == 400


def test_a_batch_archive_ignores_unknown_ids(portal: Portal) -> None:
    ada = portal.create(firstname="Ada")
    assert batch(portal, "archive", [{"id": ada}, {"id": "1"}]) == (204, None)
    assert portal.ask("GET", f"{CONTACTS}/{ada}")[0] == 404


def test_all_that_one_batch_writes_has_one_stamp(portal: Portal) -> None:
    inputs = [{"id": one["id"], **contact(plan="pro")} for one in portal.crm.contacts()]
    _, body = batch(portal, "update", inputs)
    assert len({row["updatedAt"] for row in body["results"]}) == 1


def test_the_newest_version_tells_of_failures_in_the_body_only(portal: Portal) -> None:
    inputs = {"inputs": [{"id": portal.create(firstname="Ada")}, {"id": "1"}], "properties": []}
    statuses = {
        base: portal.ask("POST", f"{base}/contacts/batch/read", inputs)
        for base in ("/crm/v3/objects", "/crm/objects/2026-03", "/crm/objects/2026-09")
    }
    assert [status for status, _ in statuses.values()] == [207, 207, 200]
    assert all(body["numErrors"] == 1 for _, body in statuses.values())
