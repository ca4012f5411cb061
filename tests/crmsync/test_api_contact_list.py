"""list-contacts: filters, search, order and pages."""

from datetime import UTC, datetime, timedelta

import pytest

from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactTag, CustomField
from integrations.models import Connection
from sync.models import ExternalRecord
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
VIP, LEAD = "a" * 32, "b" * 32
START = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


@pytest.fixture
def api():
    return client_with()


@pytest.fixture
def book():
    """Ada (pro, 10 points, spoken to at START), Grace (free, 9.5, a minute later), Linus (blank everywhere)."""
    kinds = {"city": "string", "score": "number", "vip": "boolean", "renewal": "date", "exact__gt": "string"}
    for name, kind in kinds.items():
        CustomField.objects.create(name=name, type=kind)
    CustomField.objects.create(name="plan", type="enum", options=["free", "pro"])
    source = Source("person")
    ada = {
        "first_name": "Ada", "last_name": "Lovelace", "city": "Zürich 100%", "score": 10, "vip": True, "plan": "pro",
        "renewal": "2026-12-01", "exact__gt": "odd name",
    }  # fmt: skip
    grace = {
        "first_name": "Grace",
        "last_name": "Hopper",
        "city": "New York",
        "score": 9.5,
        "vip": False,
        "plan": "free",
    }
    made = [
        create_contact("+14155550100", ada, source=source).contact,
        create_contact("+14155550111", grace | {"do_not_call": True}, source=source).contact,
        create_contact("+447911123456", {"first_name": "Linus"}, source=source).contact,
    ]
    made[0].tags.add(ContactTag.objects.create(id=VIP, label="VIP"))
    made[1].tags.add(ContactTag.objects.create(id=LEAD, label="Lead"))
    salesforce = Connection.objects.create(provider="salesforce", name="Salesforce")
    ExternalRecord.objects.create(connection=salesforce, contact=made[0], external_id="003Ada")
    for position, contact in enumerate(made[:2]):
        at = START + timedelta(minutes=position, microseconds=700)
        Contact.objects.filter(pk=contact.pk).update(last_conversation_at=at)
    return made


def names(api, **body):
    response = api.post("/api/list-contacts", body)
    assert response.status_code == 200, response.json()
    answer = response.json()
    assert answer["total"] >= len(answer["items"])
    return {item["first_name"] for item in answer["items"]}


def string(op, value):
    return {"type": "string", "op": op, "value": value}


def number(op, value):
    return {"type": "number", "op": op, "value": value}


def custom(key, kind, op, *value):
    return {"custom_fields": [{"key": key, "type": kind, "op": op, **({"value": value[0]} if value else {})}]}


def between(low, high):
    return {"type": "range", "op": "bt", "value": [low, high]}


ADA, GRACE, LINUS = {"Ada"}, {"Grace"}, {"Linus"}


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, ADA | GRACE | LINUS),
        ({"phone_number": string("eq", "+14155550100")}, ADA),
        ({"phone_number": string("eq", "4155550100")}, set()),
        ({"phone_number": string("ne", "+14155550100")}, GRACE | LINUS),
        ({"phone_number": string("sw", "+1415")}, ADA | GRACE),
        ({"phone_number": string("ew", "456")}, LINUS),
        ({"phone_number": string("co", "5555011")}, GRACE),
        ({"external_id": string("eq", "003Ada")}, ADA),
        ({"external_id": string("sw", "003a")}, ADA),
        ({"external_id": string("ne", "003Ada")}, GRACE | LINUS),
        ({"external_id": {"type": "present", "op": "pr"}}, ADA),
        ({"external_id": {"type": "present", "op": "np"}}, GRACE | LINUS),
        ({"do_not_call": {"type": "boolean", "op": "eq", "value": True}}, GRACE),
        ({"do_not_call": {"type": "boolean", "op": "eq", "value": False}}, ADA | LINUS),
        ({"contact_tag_ids": {"type": "enum", "op": "in", "value": [VIP, LEAD]}}, ADA | GRACE),
        ({"contact_tag_ids": {"type": "enum", "op": "in", "value": [LEAD]}}, GRACE),
        ({"contact_tag_ids": {"type": "enum", "op": "in", "value": []}}, set()),
        ({"last_conversation_timestamp": number("eq", START_MS)}, ADA),
        ({"last_conversation_timestamp": number("ne", START_MS)}, GRACE | LINUS),
        ({"last_conversation_timestamp": number("gt", START_MS)}, GRACE),
        ({"last_conversation_timestamp": number("ge", START_MS)}, ADA | GRACE),
        ({"last_conversation_timestamp": number("lt", START_MS + 60_000)}, ADA),
        ({"last_conversation_timestamp": number("le", START_MS + 60_000)}, ADA | GRACE),
        ({"last_conversation_timestamp": between(START_MS, START_MS)}, ADA),
        ({"last_conversation_timestamp": between(START_MS - 5, START_MS + 60_000)}, ADA | GRACE),
        (custom("city", "string", "eq", "New York"), GRACE),
        (custom("city", "string", "eq", "new york"), set()),
        (custom("city", "string", "ne", "New York"), ADA | LINUS),
        (custom("city", "string", "co", "york"), GRACE),
        (custom("city", "string", "co", "%"), ADA),
        (custom("city", "enum", "in", ["New York", "Rome"]), GRACE),
        (custom("exact__gt", "string", "sw", "odd"), ADA),
        (custom("renewal", "string", "sw", "2026-12"), ADA),
        (custom("plan", "enum", "in", ["pro"]), ADA),
        (custom("plan", "string", "ne", "pro"), GRACE | LINUS),
        (custom("score", "number", "eq", 10), ADA),
        (custom("score", "number", "eq", 10.0), ADA),
        (custom("score", "number", "ne", 10), GRACE | LINUS),
        (custom("score", "number", "gt", 9), ADA | GRACE),
        (custom("score", "number", "lt", 10), GRACE),
        (custom("score", "number", "ge", 9.5), ADA | GRACE),
        (custom("score", "number", "le", 9.5), GRACE),
        (custom("score", "range", "bt", [9.5, 9.9]), GRACE),
        (custom("vip", "boolean", "eq", True), ADA),
        (custom("vip", "boolean", "eq", False), GRACE),
        (custom("vip", "present", "pr"), ADA | GRACE),
        (custom("vip", "present", "np"), LINUS),
        ({**custom("vip", "present", "pr"), "phone_number": string("ew", "111")}, GRACE),
    ],
)
def test_filters_find_what_they_say(api, book, criteria, expected):
    assert names(api, filter_criteria=criteria) == expected


def test_a_contact_is_filtered_by_its_id(api, book):
    assert names(api, filter_criteria={"contact_id": string("eq", book[2].public_id)}) == LINUS


def test_custom_filters_are_all_required(api, book):
    both = (
        custom("vip", "present", "pr")["custom_fields"] + custom("score", "number", "lt", 10)["custom_fields"]
    )
    assert names(api, filter_criteria={"custom_fields": both}) == GRACE


@pytest.mark.parametrize(
    ("criteria", "path"),
    [
        ({"first_name": string("eq", "Ada")}, "filter_criteria.first_name"),
        ({"phone_number": "x"}, "filter_criteria.phone_number"),
        ({"phone_number": number("eq", 1)}, "filter_criteria.phone_number.type"),
        ({"phone_number": string("gt", "1")}, "filter_criteria.phone_number.op"),
        ({"phone_number": string("eq", 1)}, "filter_criteria.phone_number.value"),
        ({"phone_number": {**string("eq", "1"), "key": "x"}}, "filter_criteria.phone_number.key"),
        (
            {"do_not_call": {"type": "boolean", "op": "eq", "value": "true"}},
            "filter_criteria.do_not_call.value",
        ),
        (
            {"contact_tag_ids": {"type": "enum", "op": "in", "value": "a"}},
            "filter_criteria.contact_tag_ids.value",
        ),
        (
            {"last_conversation_timestamp": between(1, "2")},
            "filter_criteria.last_conversation_timestamp.value",
        ),
        (
            {"last_conversation_timestamp": number("eq", 1e17)},
            "filter_criteria.last_conversation_timestamp.value",
        ),
        (
            {"last_conversation_timestamp": number("eq", True)},
            "filter_criteria.last_conversation_timestamp.value",
        ),
        ({"custom_fields": {}}, "filter_criteria.custom_fields"),
        (custom("nowhere", "string", "eq", "x"), "filter_criteria.custom_fields.0.key"),
        (custom("first_name", "string", "eq", "x"), "filter_criteria.custom_fields.0.key"),
        (custom("score", "string", "eq", "x"), "filter_criteria.custom_fields.0.type"),
        (custom("city", "number", "eq", 1), "filter_criteria.custom_fields.0.type"),
    ],
)
def test_a_filter_that_breaks_a_rule_is_refused_by_its_path(api, book, criteria, path):
    assert list(problems(api.post("/api/list-contacts", {"filter_criteria": criteria}))) == [path]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LOVE", ADA),
        ("grace", GRACE),
        ("5550", ADA | GRACE),
        ("003ada", ADA),
        ("new york", GRACE),
        ("100%", ADA),
        ("_", set()),
        ("2026-12", ADA),
        ("9.5", GRACE),
        ("pro", ADA),
        ("nobody", set()),
        ("city", set()),
        ("  ", ADA | GRACE | LINUS),
    ],
)
def test_the_search_looks_into_number_names_external_id_and_custom_values(api, book, text, expected):
    assert names(api, search_query=text) == expected


def test_excluded_contacts_are_in_neither_items_nor_total(api, book):
    answer = api.post("/api/list-contacts", {"excluded_contact_ids": [book[0].public_id]}).json()
    assert {item["first_name"] for item in answer["items"]} == GRACE | LINUS
    assert answer["total"] == 2


def test_archived_contacts_are_left_out(api, book):
    Contact.objects.filter(pk=book[0].pk).update(archived_at=START)
    assert names(api) == GRACE | LINUS


def many(count):
    source = Source("person")
    for number in range(count):
        contact = create_contact(
            f"+1415555{1000 + number}", {"first_name": f"N{number}"}, source=source
        ).contact
        # Pairs share a moment, as the rows of one import do.
        Contact.objects.filter(pk=contact.pk).update(created_at=START + timedelta(seconds=number // 2))


def walk(api, **body):
    seen, key = [], None
    while True:
        answer = api.post("/api/list-contacts", {**body, **({"pagination_key": key} if key else {})}).json()
        seen += [item["first_name"] for item in answer["items"]]
        if not answer["has_more"]:
            assert "pagination_key" not in answer
            return seen
        key = answer["pagination_key"]
        assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_pages_go_through_everything_once_newest_first_or_oldest_first(api):
    many(7)
    assert walk(api, limit=3) == [f"N{n}" for n in reversed(range(7))]
    assert walk(api, limit=2, sort_order="asc") == [f"N{n}" for n in range(7)]
    assert walk(api, limit=2.0, sort_order="desc", filter_criteria={"phone_number": string("ne", "+14155551003")}) == [
        "N6", "N5", "N4", "N2", "N1", "N0"
    ]  # fmt: skip


def test_pages_neither_repeat_nor_miss_while_contacts_are_inserted(api):
    many(6)
    first = api.post("/api/list-contacts", {"limit": 3}).json()
    create_contact("+14155559999", {"first_name": "New"}, source=Source("person"))
    second = api.post("/api/list-contacts", {"limit": 3, "pagination_key": first["pagination_key"]}).json()
    assert [item["first_name"] for item in (*first["items"], *second["items"])] == [
        "N5",
        "N4",
        "N3",
        "N2",
        "N1",
        "N0",
    ]
    assert second["has_more"] is False
    assert second["total"] == 7


def test_skip_leaves_rows_out(api):
    many(5)
    answer = api.post("/api/list-contacts", {"skip": 2, "limit": 2}).json()
    assert [item["first_name"] for item in answer["items"]] == ["N2", "N1"]
    assert (answer["has_more"], answer["total"]) == (True, 5)


def test_a_page_is_fifty_unless_asked_otherwise_and_never_more_than_a_thousand(api):
    many(52)
    assert len(api.post("/api/list-contacts", {}).json()["items"]) == 50
    assert len(api.post("/api/list-contacts", {"limit": 5000}).json()["items"]) == 52


def test_a_page_costs_the_same_number_of_queries_whatever_its_size(api, book, django_assert_max_num_queries):
    many(30)
    api.post("/api/list-contacts", {})  # makes the organisation's row, once
    with django_assert_max_num_queries(9):
        assert len(api.post("/api/list-contacts", {"search_query": ""}).json()["items"]) == 33


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "10"}, "limit"),
        ({"limit": 10**400}, "limit"),
        ({"limit": 1e400}, "limit"),
        ({"skip": -1}, "skip"),
        ({"sort_order": "newest"}, "sort_order"),
        ({"pagination_key": "abc"}, "pagination_key"),
        ({"pagination_key": "W10"}, "pagination_key"),
        ({"pagination_key": "é"}, "pagination_key"),
        ({"search_query": 7}, "search_query"),
        ({"excluded_contact_ids": ["x"] * 1001}, "excluded_contact_ids"),
        ({"page": 2}, "page"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_by_its_path(api, body, path):
    if body == {"limit": 1e400}:
        response = api.generic(
            "POST", "/api/list-contacts", b'{"limit": 1e400}', content_type="application/json"
        )
    else:
        response = api.post("/api/list-contacts", body)
    assert list(problems(response)) == [path]


def test_a_key_of_the_other_direction_is_refused(api):
    many(3)
    key = api.post("/api/list-contacts", {"limit": 1}).json()["pagination_key"]
    response = api.post("/api/list-contacts", {"limit": 1, "pagination_key": key, "sort_order": "asc"})
    assert problems(response) == {"pagination_key": "pagination_key"}


def test_a_value_set_to_blank_counts_as_absent(api, book):
    change_contact(book[0].pk, {"vip": None}, source=Source("person"))
    assert names(api, filter_criteria=custom("vip", "present", "pr")) == GRACE
