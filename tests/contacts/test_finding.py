"""Conditions that find contacts: what they mean, and that the form an index answers means the same."""

from __future__ import annotations

import pytest
from django.db import connection

from contacts.changes import Source, create_contact
from contacts.finding import holding, where
from contacts.indexes import settle, trigram_indexes
from contacts.models import Contact, CustomField, field_specs

pytestmark = pytest.mark.django_db
TYPES = {
    "city": "string", "score": "number", "vip": "boolean", "renewal": "date", "seen": "datetime", "plan": "enum",
    "odd__gt": "string",
}  # fmt: skip
PEOPLE: dict[str, dict[str, object]] = {
    "Ada": {
        "last_name": "O'Hara", "city": 'the "Old" Town, 100%', "score": 10, "vip": True, "renewal": "2026-05-14",
        "seen": "2026-05-14T09:30:00Z", "plan": "pro", "odd__gt": "odd",
    },
    "Grace": {"last_name": "Hopper", "city": "a\\b_c", "score": 9.5, "vip": False, "renewal": "2025-01-01", "plan": "free"},
    "Zoë": {"last_name": "Müller", "city": "line one\nline two", "score": -3, "seen": "2026-05-14T09:30:00.25Z"},
    "Linus": {},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _people() -> None:
    for name, kind in TYPES.items():
        CustomField.objects.create(name=name, type=kind, options=["free", "pro"] if kind == "enum" else [])
    for position, (first_name, values) in enumerate(PEOPLE.items()):
        create_contact(
            f"+1415555010{position}", {"first_name": first_name, **values}, source=Source("person")
        )


def names(rows: object) -> set[str]:
    return {contact.first_name for contact in rows}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["ada"], {"Ada"}),
        (["o'hara"], {"Ada"}),
        (["hop", "gra"], {"Grace"}),
        (["hop", "ada"], set()),
        (["5550101"], {"Grace"}),
        (['"old"'], {"Ada"}),
        (['"'], {"Ada"}),
        (["100%"], {"Ada"}),
        (["%"], {"Ada"}),
        (["_c"], {"Grace"}),
        (["a\\b"], {"Grace"}),
        (["one\nline"], {"Zoë"}),
        (["Müller"], {"Zoë"}),
        (["9.5"], {"Grace"}),
        (["2026-05-14T09:30:00."], {"Zoë"}),
        (["city"], set()),
        (["true"], set()),
        (["score"], set()),
        ([("nothing", "hopper")], {"Grace"}),
        (["a"], {"Ada", "Grace"}),
        (["\\n"], set()),
        ([","], {"Ada"}),
        (["]"], set()),
    ],
)
def test_a_text_is_found_in_names_number_and_values_and_nowhere_else(texts, expected):
    assert names(holding(Contact.objects.all(), texts)) == expected
    assert names(holding(Contact.objects.all(), texts, plainly=True)) == expected


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("city", "is", "a\\b_c", {"Grace"}),
        ("city", "is", "A\\b_c", set()),
        ("city", "not", "a\\b_c", {"Ada", "Zoë", "Linus"}),
        ("city", "in", ["a\\b_c", "nowhere"], {"Grace"}),
        ("city", "in", [], set()),
        ("city", "contains", '"OLD"', {"Ada"}),
        ("city", "contains", "hopper", set()),
        ("city", "starts", "LINE ONE\n", {"Zoë"}),
        ("city", "ends", "%", {"Ada"}),
        ("city", "present", None, {"Ada", "Grace", "Zoë"}),
        ("city", "absent", None, {"Linus"}),
        ("odd__gt", "is", "odd", {"Ada"}),
        ("score", "is", 10, {"Ada"}),
        ("score", "is", 10.0, {"Ada"}),
        ("score", "not", 10, {"Grace", "Zoë", "Linus"}),
        ("score", "gt", 9.5, {"Ada"}),
        ("score", "gte", 9.5, {"Ada", "Grace"}),
        ("score", "lt", 9.5, {"Zoë"}),
        ("score", "lte", 9.5, {"Grace", "Zoë"}),
        ("score", "present", None, {"Ada", "Grace", "Zoë"}),
        ("score", "absent", None, {"Linus"}),
        ("vip", "is", True, {"Ada"}),
        ("vip", "is", False, {"Grace"}),
        ("vip", "present", None, {"Ada", "Grace"}),
        ("renewal", "is", "2026-05-14", {"Ada"}),
        ("renewal", "gte", "2026-01-01", {"Ada"}),
        ("renewal", "lt", "2026-05-14", {"Grace"}),
        ("renewal", "present", None, {"Ada", "Grace"}),
        ("seen", "gte", "2026-05-14T", {"Ada", "Zoë"}),
        ("seen", "lt", "2026-05-14T", set()),
        ("plan", "is", "pro", {"Ada"}),
        ("plan", "in", ["pro", "free"], {"Ada", "Grace"}),
    ],
)
def test_a_field_s_condition_means_the_same_in_both_forms(field, op, value, expected):
    spec = field_specs()[field]
    assert names(where(Contact.objects.all(), spec, op, value)) == expected
    assert names(where(Contact.objects.all(), spec, op, value, plainly=True)) == expected


def index_names() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()")
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.postgres
def test_a_number_s_or_date_s_index_comes_and_goes_with_its_field():
    by_type = {field.type: f"contact_value_{field.pk}" for field in CustomField.objects.all()}
    made = {name for name in settle() if name.startswith("contact_value_")}
    assert made == {by_type["number"], by_type["date"], by_type["datetime"]}
    assert settle() == []
    CustomField.objects.get(name="score").delete()
    assert settle() == []
    assert by_type["number"] not in index_names()
    assert by_type["date"] in index_names()


@pytest.mark.postgres
def test_an_index_that_somebody_dropped_is_made_again():
    settle()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX contact_search, contact_values")
    assert set(settle()) == {"contact_search", "contact_values"}


@pytest.mark.postgres
def test_without_the_extension_searches_work_and_its_indexes_wait_for_it():
    settle()
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
    assert settle() == []
    assert names(holding(Contact.objects.all(), ["hopper"])) == {"Grace"}
    assert set(settle(add_extension=True)) == set(trigram_indexes)


@pytest.mark.once
def test_other_databases_need_nothing():
    if connection.vendor != "postgresql":
        assert settle() == []
