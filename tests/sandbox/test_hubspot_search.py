"""Search of the stand-in HubSpot: filters, sort, paging, ceiling and index lag."""

import time
from typing import Any

import pytest

from tests.sandbox.hubspot_asking import CONTACTS, Portal, where


@pytest.fixture(scope="module")
def portal() -> Portal:
    portal = Portal(0)
    portal.create(firstname="Ada", lastname="Lovelace", email="ada@example.com", plan="pro",
                  lifetime_value="900", renewal_date="2026-05-01", phone="+1 (212) 555-0142")  # fmt: skip
    portal.create(firstname="Grace", lastname="Hopper", plan="free", lifetime_value="1000.5", vip="true")
    portal.create(firstname="Alan", lastname="Turing", mobilephone="212-555-0199", last_visit="1777593600123")
    return portal


def names(portal: Portal, *filters: dict[str, Any], **more: Any) -> list[str]:
    answer = portal.search(*filters, properties=["firstname"], **more)
    return [row["properties"]["firstname"] for row in answer["results"]]


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (where("plan", "EQ", "PRO"), ["Ada"]),
        (where("plan", "NEQ", "pro"), ["Grace"]),
        (where("plan", "IN", values=["pro", "free"]), ["Ada", "Grace"]),
        (where("plan", "IN", values=["PRO"]), []),
        (where("plan", "NOT_IN", values=["pro"]), ["Grace"]),
        (where("plan", "HAS_PROPERTY"), ["Ada", "Grace"]),
        (where("plan", "NOT_HAS_PROPERTY"), ["Alan"]),
        (where("lifetime_value", "GT", "900"), ["Grace"]),
        (where("lifetime_value", "BETWEEN", "900", highValue="1000"), ["Ada"]),
        (where("renewal_date", "LTE", "2026-05-01"), ["Ada"]),
        (where("renewal_date", "LT", "1777593600000"), []),
        (where("last_visit", "EQ", "2026-05-01T00:00:00.123Z"), ["Alan"]),
        (where("vip", "EQ", "true"), ["Grace"]),
        (where("email", "CONTAINS_TOKEN", "ada"), ["Ada"]),
        (where("lastname", "CONTAINS_TOKEN", "*ring"), ["Alan"]),
        (where("lastname", "CONTAINS_TOKEN", "ring"), []),
        (where("lastname", "NOT_CONTAINS_TOKEN", "turing"), ["Ada", "Grace"]),
        (where("hs_searchable_calculated_phone_number", "EQ", "2125550142"), ["Ada"]),
        (where("hs_searchable_calculated_mobile_number", "CONTAINS_TOKEN", "*2125550199"), ["Alan"]),
    ],
)
def test_each_operator_finds_what_hubspots_does(
    portal: Portal, one: dict[str, Any], found: list[str]
) -> None:
    assert names(portal, one) == found


def test_filters_of_a_group_are_anded_and_groups_ored(portal: Portal) -> None:
    assert names(portal, where("plan", "EQ", "pro"), where("vip", "EQ", "true")) == []
    groups = [{"filters": [where("plan", "EQ", "pro")]}, {"filters": [where("vip", "EQ", "true")]}]
    _, body = portal.ask("POST", f"{CONTACTS}/search", {"filterGroups": groups})
    assert body["total"] == 2


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("lifetime_value", ["Ada", "Grace", "Alan"]),
        ("-lifetime_value", ["Grace", "Ada", "Alan"]),
        ({"propertyName": "firstname", "direction": "ASCENDING"}, ["Ada", "Alan", "Grace"]),
        ({"propertyName": "hs_object_id", "direction": "DESCENDING"}, ["Alan", "Grace", "Ada"]),
    ],
)
def test_a_sort_is_a_name_or_an_object_and_unset_values_come_last(
    portal: Portal, sort: Any, order: list[str]
) -> None:
    assert names(portal, sorts=[sort]) == order


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 0},
        {"limit": "5"},
        {"after": 10},
        {"after": "x"},
        {"after": "9999", "limit": 10},
        {"sorts": ["firstname", "lastname"]},
        {"sorts": ["no_such_property"]},
        {"filterGroups": [{"filters": [where("no_such_property", "EQ", "1")]}]},
        {"filterGroups": [{"filters": [where("plan", "LIKE", "pro")]}]},
        {"filterGroups": [{"filters": [where("plan", "EQ")]}]},
        {"filterGroups": [{"filters": [where("plan", "IN", "pro")]}]},
        {"filterGroups": [{"filters": [where("plan", "HAS_PROPERTY", "pro")]}]},
        {"filterGroups": [{"filters": [where("lifetime_value", "GT", "much")]}]},
        {"filterGroups": [{"filters": []}]},
        {"filterGroups": [{"filters": [where("plan", "EQ", "pro")] * 7}]},
        {"filterGroups": [{"filters": [where("plan", "EQ", "pro")] * 4}] * 5},
        {"filterGroups": [{"filters": [where("plan", "EQ", "pro")]}] * 6},
        {"filters": [where("plan", "EQ", "pro")]},
        {"query": "x" * 3001},
    ],
)
def test_a_search_outside_the_rules_is_refused(portal: Portal, body: dict[str, Any]) -> None:
    status, answer = portal.ask("POST", f"{CONTACTS}/search", body)
    assert (status, answer["category"]) == (400, "VALIDATION_ERROR")


def test_a_short_body_is_enough_and_search_answers_carry_no_rate_headers(portal: Portal) -> None:
    status, body = portal.ask("POST", f"{CONTACTS}/search", {})
    assert (status, body["total"]) == (200, 3)
    assert not any(name.startswith("x-hubspot-ratelimit") for name in portal.headers)
    assert "x-hubspot-correlation-id" in portal.headers


def test_pages_are_integer_offsets_and_the_last_has_none(portal: Portal) -> None:
    first = portal.search(limit=2)
    assert first["paging"]["next"]["after"] == "2"
    assert "paging" not in portal.search(limit=2, after="2")


def test_a_contact_written_a_moment_ago_is_missing_until_the_index_catches_up() -> None:
    portal = Portal(0)
    ada = portal.create(firstname="Ada", plan="free")
    portal.clock.offset += 60
    portal.crm.settings["search_lag_seconds"] = 30
    portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"plan": "pro"}})
    portal.create(firstname="Grace")
    assert names(portal) == ["Ada"]
    assert names(portal, where("plan", "EQ", "free")) == ["Ada"]
    assert portal.read(ada, "plan")["properties"]["plan"] == "pro"
    portal.clock.offset += 31
    assert names(portal, where("plan", "EQ", "pro")) == ["Ada"]
    assert names(portal) == ["Ada", "Grace"]


def test_ten_thousand_contacts_are_walked_by_id_and_no_further_than_10000_by_offset() -> None:
    portal = Portal(10_300)
    portal.crm.bump(one["id"] for one in portal.crm.contacts())
    started, last, seen = time.perf_counter(), "0", 0
    while True:
        page = portal.search(where("hs_object_id", "GT", last), sorts=["hs_object_id"], limit=200)
        seen += len(page["results"])
        if not page.get("paging"):
            break
        last = page["results"][-1]["id"]
    took = (time.perf_counter() - started) / 52
    assert seen == 10_300
    assert took < 0.25, f"{took:.3f} s a search"
    assert portal.search(after="9800", limit=200)["paging"]["next"]["after"] == "10000"
    status, _ = portal.ask("POST", f"{CONTACTS}/search", {"after": "10000", "limit": 200})
    assert status == 400
