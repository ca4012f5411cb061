"""Contacts as CSV over the API: what a list with the same filters would show, in cells that no spreadsheet calculates."""

import csv
import io
from typing import Any

import pytest

from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactTag, CustomField
from crmsync.api_keys import Scope
from integrations.models import Connection
from sync.models import ExternalRecord
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Any:
    return client_with("read_contacts")


@pytest.fixture(autouse=True)
def book(db: None) -> list[Contact]:
    """Ada in London with a formula for a name and a record in the CRM, Grace in Rome, Linus archived."""
    CustomField.objects.create(name="city", type="string")
    CustomField.objects.create(name="score", type="number")
    CustomField.objects.create(name="tags", type="string")
    people: dict[str, dict[str, Any]] = {
        "+14155550100": {"first_name": "=HYPERLINK(1)", "city": "London", "score": -4.5, "tags": "own"},
        "+14155550101": {"first_name": "Grace", "city": "Rome\n@SUM(1)"},
        "+14155550102": {"first_name": "Linus", "city": "London"},
    }
    made = [create_contact(number, held, source=Source("person")).contact for number, held in people.items()]
    made[0].tags.add(ContactTag.objects.create(label="VIP"))
    Contact.objects.filter(pk=made[2].pk).update(archived_at=made[2].created_at)
    crm = Connection.objects.create(provider="salesforce", name="Salesforce")
    ExternalRecord.objects.create(connection=crm, contact=made[0], external_id="003Ada")
    return made


def exported(api: Any, **body: Any) -> list[dict[str, str]]:
    answer = api.post("/api/v1/contacts/export/", body)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert 'filename="contacts-' in answer["Content-Disposition"]
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_contact_is_a_row_with_every_value_and_no_formula(api, book):
    grace, ada = exported(api)
    assert ada["phone_number"] == "+14155550100"
    assert (ada["first_name"], ada["score"], ada["do_not_call"]) == ("'=HYPERLINK(1)", "-4.5", "false")
    assert (ada["contact_id"], ada["external_id"]) == (book[0].public_id, "003Ada")
    assert grace["external_id"] == ""
    # A custom field keeps its name; our own column of that name steps aside.
    assert (ada["tags"], ada["contact_tags"]) == ("own", "VIP")
    assert grace["city"] == "Rome\n@SUM(1)"


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"search_query": "grace"}, ["Grace"]),
        (
            {"filter_criteria": {"custom_fields": [{"key": "city", "type": "string", "op": "sw", "value": "lon"}]}},
            ["'=HYPERLINK(1)"],
        ),
        ({"sort_order": "asc"}, ["'=HYPERLINK(1)", "Grace"]),
        ({"filter_criteria": {"do_not_call": {"type": "boolean", "op": "eq", "value": True}}}, []),
    ],
)  # fmt: skip
def test_the_file_holds_what_the_list_with_these_filters_shows(api, asked, names):
    assert [row["first_name"] for row in exported(api, **asked)] == names
    assert api.post("/api/list-contacts", asked).json()["total"] == len(names)


def test_what_was_exported_can_be_imported_as_it_is(api):
    header = (
        api.post("/api/v1/contacts/export/", {}).getvalue().decode("utf-8-sig").split("\r\n")[0].split(",")
    )
    assert len(header) == len(set(header))


def test_a_criterion_that_breaks_a_rule_is_refused_as_in_the_list(api):
    refused = api.post(
        "/api/v1/contacts/export/", {"filter_criteria": {"first_name": {}}, "sort_order": "asc"}
    )
    assert problems(refused) == {"filter_criteria.first_name": "unknown_filter"}
    assert problems(api.post("/api/v1/contacts/export/", {"limit": 5})) == {"limit": "unknown_key"}


def test_only_keys_that_read_contacts_export(django_assert_max_num_queries):
    others = [scope.value for scope in Scope if scope not in (Scope.READ_CONTACTS, Scope.EVENTS)]
    assert client_with(*others).post("/api/v1/contacts/export/", {}).status_code == 403


def test_a_file_costs_the_same_queries_whatever_its_length(api, django_assert_max_num_queries):
    for number in range(30):
        create_contact(f"+1415555{2000 + number}", {}, source=Source("person"))
    with django_assert_max_num_queries(9):
        assert len(exported(api)) == 32
