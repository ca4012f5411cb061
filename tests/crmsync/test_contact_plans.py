"""How PostgreSQL finds contacts among fifty thousand: by index, never by reading them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, CustomField
from crmsync.roles import STAFF
from integrations.models import Connection
from tests.crmsync.api_client import client_with
from tests.crmsync.contact_book import fill, make_fields
from tests.crmsync.pages_world import client_of

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]
MANY = 50_000
_LINKS = """
INSERT INTO sync_externalrecord (connection_id, contact_id, external_id, state, reason, number, settled, skipped_fields,
    fingerprint, push_epoch, created_here, created_at, updated_at)
SELECT %s, id, '003' || lpad(row_number() OVER (ORDER BY id)::text, 12, '0') || 'AA', 'linked', '', '', '{}', '{}', '', 0,
    false, now(), now()
FROM contacts_contact
"""


@pytest.fixture(scope="module", autouse=True)
def _book(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fifty thousand contacts, taken back when the module is done."""
    if connection.vendor != "postgresql":
        yield
        return
    request.getfixturevalue("django_db_setup")
    with request.getfixturevalue("django_db_blocker").unblock(), transaction.atomic():
        make_fields()
        fill(MANY)
        crm = Connection.objects.create(provider="salesforce", name="Salesforce")
        with connection.cursor() as cursor:
            cursor.execute(_LINKS, [crm.pk])
            cursor.execute("ANALYZE sync_externalrecord")
        yield
        transaction.set_rollback(True)


def plans(ask: Callable[[], object]) -> list[str]:
    """The plan of every query on contacts that `ask` makes."""
    with CaptureQueriesContext(
        connection,
    ) as made:
        ask()
    found = []
    for query in made.captured_queries:
        if re.match(r"SELECT .*\b(contacts_contact|sync_externalrecord)\b", query["sql"], re.DOTALL):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"].replace("%", "%%"), [])
                found.append("\n".join(line for (line,) in cursor.fetchall()))
    return found


def assert_by_index(ask: Callable[[], object]) -> None:
    seen = plans(ask)
    assert seen
    for plan in seen:
        assert "Seq Scan on contacts_contact" not in plan, plan
        assert "Seq Scan on sync_externalrecord" not in plan, plan


def field(key: str, kind: str, op: str, value: object) -> dict[str, object]:
    return {"filter_criteria": {"custom_fields": [{"key": key, "type": kind, "op": op, "value": value}]}}


def one(name: str, kind: str, op: str, value: object) -> dict[str, object]:
    return {"filter_criteria": {name: {"type": kind, "op": op, "value": value}}}


ASKED = {
    "the first page": {},
    "the first page, oldest first": {"sort_order": "asc"},
    "a text": field("city", "string", "eq", "City 77"),
    "part of a text": field("notes", "string", "co", "0cc175b9"),
    "the start of a text": field("notes", "string", "sw", "likes 0cc1"),
    "an option": field("plan", "enum", "in", ["max"]),
    "yes or no": field("vip", "boolean", "eq", True),
    "a number": field("score", "number", "eq", 42),
    "a number's range": field("score", "range", "bt", [42, 43]),
    "more than a number": field("score", "number", "gt", 990),
    "a date": field("renewal", "string", "eq", "2026-05-14"),
    "a moment": field("seen", "string", "eq", "2026-05-14T09:00:00Z"),
    "the whole number": one("phone_number", "string", "eq", "+14155007919"),
    "the start of a number": one("phone_number", "string", "sw", "+14155007"),
    "part of a phone number": one("phone_number", "string", "co", "5007919"),
    "the end of a number": one("phone_number", "string", "ew", "007919"),
    "an id": one("contact_id", "string", "eq", "contact_" + "0" * 20 + "00ff"),
    "the CRM's id": one("external_id", "string", "eq", "003000000000012AA"),
    "the start of the CRM's id": one("external_id", "string", "sw", "00300000000001"),
    "who is in the CRM": {"filter_criteria": {"external_id": {"type": "present", "op": "pr"}}},
    "who may not be called": one("do_not_call", "boolean", "eq", True),
    "a tag": one("contact_tag_ids", "enum", "in", ["a" * 32]),
    "spoken to lately": one("last_conversation_timestamp", "number", "gt", 1_772_370_000_000),
    "spoken to between": one("last_conversation_timestamp", "range", "bt", [1_772_370_000_000, 1_772_371_000_000]),
    "a name": {"search_query": "family0cc175b9"},
    "part of a number": {"search_query": "555079"},
    "a custom value": {"search_query": "City 77"},
    "part of a CRM record's id": {"search_query": "0000012AA"},
    "nobody": {"search_query": "nobody at all"},
}  # fmt: skip


@pytest.mark.parametrize("body", ASKED.values(), ids=ASKED)
def test_the_api_finds_contacts_by_index(body: dict[str, object]) -> None:
    api = client_with()
    assert_by_index(lambda: api.post("/api/list-contacts", body))


def test_a_page_deep_down_begins_where_the_last_one_ended() -> None:
    api = client_with()
    key = api.post("/api/list-contacts", {"skip": 40_000, "limit": 1}).json()["pagination_key"]
    body = {"pagination_key": key, "limit": 50}
    assert_by_index(lambda: api.post("/api/list-contacts", body))
    page = next(plan for plan in plans(lambda: api.post("/api/list-contacts", body)) if "Limit" in plan)
    assert re.search(r"Index Cond: .*created_at <= ", page), page


LOOKED_UP = {
    "the first page": "",
    "the last page that can be reached": "page=200",
    "by name": "sort=name",
    "by name, deep down": "sort=name&page=150",
    "by change": "sort=changed",
    "by conversation": "sort=conversation",
    "by conversations": "sort=conversations",
    "by a number": "sort=f.score",
    "by a date, latest first": "sort=-f.renewal",
    "a word": "q=family0cc175b9",
    "two words": "q=ada+family0cc175",
    "a number": "q=(415)+555-0790",
    "part of a number": "q=555+079",
    "a number typed badly": "q=415+555+0709",
    "a CRM record": "q=003000000000012AA",
    "a text": "f.city=City+77",
    "an option": "f.plan=max",
    "yes or no": "f.vip=yes",
    "a number's range": "f.score.from=42&f.score.to=43",
    "a date's range": "f.renewal.from=2026-05-14&f.renewal.to=2026-05-15",
    "a moment's range": "f.seen.from=2026-05-14&f.seen.to=2026-05-14",
}


@pytest.fixture
def browser() -> Client:
    return client_of(STAFF)


@pytest.mark.parametrize("query", LOOKED_UP.values(), ids=LOOKED_UP)
def test_the_page_finds_contacts_by_index(browser: Client, query: str) -> None:
    assert_by_index(lambda: browser.get(f"/contacts/?{query}"))


def test_a_total_is_exact_up_to_ten_thousand_and_an_estimate_beyond() -> None:
    api = client_with()
    exact = Contact.objects.filter(custom_fields__city="City 77").count()
    assert api.post("/api/list-contacts", field("city", "string", "eq", "City 77")).json()["total"] == exact
    estimated = api.post("/api/list-contacts", {}).json()["total"]
    assert MANY * 0.8 < estimated < MANY * 1.2


def test_the_test_would_see_a_sequential_scan() -> None:
    assert CustomField.objects.exists()
    seen = plans(lambda: list(Contact.objects.filter(contact_memory__icontains="x").order_by("first_name")))
    assert "Seq Scan on contacts_contact" in seen[0]
