"""Where Salesforce is slow, small or old: long addresses, slow queries, archived tasks, defaults with types."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest

from contacts.values import FieldType
from integrations.providers.base import Activity, ActivityKind, Creation, Update
from integrations.providers.errors import ConfigError, OutcomeUnknown, Rejected, Transient
from integrations.providers.salesforce_queries import (
    LONGEST_QUERY,
    Position,
    id_queries,
    page_query,
    phone_queries,
)
from tests.integrations.providers.crms import SalesforceBench

STARTED = datetime(2026, 5, 14, 23, 30, tzinfo=UTC)


def talk(contact_id: str, **changes: Any) -> Activity:
    values: dict[str, Any] = {
        "title": "Call",
        "body": "Body",
        "started": STARTED,
        "to_number": "+12125550100",
    }
    return Activity("call_1", ActivityKind.CALL, contact_id, **{**values, **changes})


def slow(salesforce: SalesforceBench, times: int | None) -> None:
    salesforce.control.add_fault(
        action="vendor",
        kind="query_timeout",
        system="salesforce",
        path="queryAll",
        query="ORDER",
        times=times,
    )


def test_a_query_that_takes_too_long_is_asked_for_half_as_much(salesforce: SalesforceBench) -> None:
    salesforce.restock(1200)
    slow(salesforce, 2)
    pages = list(salesforce.provider().changes("", ["LastName"]))
    assert [len(page.records) for page in pages] == [500, 500, 200]
    assert len({record.external_id for page in pages for record in page.records}) == 1200


def test_a_query_that_is_always_too_slow_ends_as_transient(salesforce: SalesforceBench) -> None:
    slow(salesforce, None)
    with pytest.raises(Transient) as caught:
        list(salesforce.provider().changes("", ["LastName"]))
    assert caught.value.code == "QUERY_TIMEOUT"
    assert len(salesforce.control.requests(system="salesforce", path="queryAll")) < 12


def test_many_numbers_in_many_fields_are_asked_in_addresses_that_salesforce_takes(
    salesforce: SalesforceBench,
) -> None:
    numbers = [f"+1415555{place:04d}" for place in range(60)]
    known = salesforce.add(last="Lovelace", mobile="(415) 555-0042")
    fields = ["Phone", "MobilePhone", "HomePhone", "OtherPhone"]
    found = salesforce.provider().find_by_phone(numbers, ["LastName"], fields)
    assert [one.external_id for one in found["+14155550042"]] == [known]
    queries = [*phone_queries(numbers, ["LastName"], fields)]
    assert [number for chunk, _ in queries for number in chunk] == numbers
    assert all(len(quote_plus(query)) <= LONGEST_QUERY for _, query in queries)


def test_more_fields_than_an_address_holds_are_refused_in_words() -> None:
    many = [f"A_custom_field_with_a_long_name_{place:04d}__c" for place in range(400)]
    for ask in (
        lambda: page_query(many, Position()),
        lambda: list(id_queries(["003000000000001AAA"], many)),
        lambda: list(phone_queries(["+14155550100"], many, ["Phone"])),
    ):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert "Too many fields" in str(caught.value)


def test_a_task_that_salesforce_has_archived_is_still_found(
    salesforce: SalesforceBench, sandbox: Any
) -> None:
    one, provider = salesforce.add(last="Lovelace"), salesforce.provider()
    [outcome] = provider.log_activities([talk(one)])
    row = sandbox.world.salesforce._store.tables["Task"][outcome.external_id]
    row["IsArchived"] = True
    assert provider.find_activity("call_1", one, ActivityKind.CALL) == outcome.external_id
    asked = salesforce.control.requests(system="salesforce", path="/query")[-1]
    assert "queryAll" in asked["path"]


def test_defaults_of_new_contacts_have_the_type_of_their_field(salesforce: SalesforceBench) -> None:
    options = {"default.DoNotCall": "true", "default.Lifetime_Value__c": "12.5", "default.LeadSource": "Web"}
    types = {
        "DoNotCall": FieldType.BOOLEAN,
        "Lifetime_Value__c": FieldType.NUMBER,
        "LeadSource": FieldType.ENUM,
    }
    provider = salesforce.made(replace(salesforce.setup, options=options, field_types=types))
    [made, own] = provider.create(
        [Creation("k1", {"LastName": "Hopper"}), Creation("k2", {"LastName": "King", "LeadSource": "Other"})]
    )
    fields = salesforce.control.contact("salesforce", str(made.external_id))["fields"]
    assert (fields["DoNotCall"], fields["Lifetime_Value__c"], fields["LeadSource"]) == (True, 12.5, "Web")
    assert salesforce.control.contact("salesforce", str(own.external_id))["fields"]["LeadSource"] == "Other"


def test_the_owner_of_a_task_goes_by_our_own_number(salesforce: SalesforceBench) -> None:
    one, owner = (
        salesforce.add(last="Lovelace"),
        salesforce.control.contacts("salesforce")[0]["fields"]["OwnerId"],
    )
    provider = salesforce.provider(**{"activity_owner.+12125550100": owner})
    assert provider.log_activities([talk(one)])[0].ok
    assert salesforce.activities(one)[0]["fields"]["OwnerId"] == owner


@pytest.mark.parametrize("most", [1, 7])
def test_what_the_orgs_automations_cannot_cope_with_is_sent_in_smaller_parts(
    salesforce: SalesforceBench, most: int
) -> None:
    ids = [salesforce.add(last=f"Hopper{place}") for place in range(20)]
    salesforce.control.switch_on("salesforce", "overtaxed", rows=most)
    before, provider = salesforce.contacts(), salesforce.provider()
    changed = provider.update([Update(one, {"FirstName": f"Grace{place}"}) for place, one in enumerate(ids)])
    made = provider.create([Creation(f"k{place}", {"LastName": f"King{place}"}) for place in range(20)])
    logged = provider.log_activities([replace(talk(one), marker=f"call_{one}") for one in ids])
    assert [outcome.external_id for outcome in changed] == ids
    assert salesforce.field(ids[19], "first") == "Grace19"
    assert salesforce.contacts() == before + 20
    assert len({outcome.external_id for outcome in made if outcome.created}) == 20
    assert all(len(salesforce.activities(one)) == 1 for one in ids)
    assert len({outcome.external_id for outcome in logged}) == 20


def test_an_answer_that_is_lost_among_smaller_parts_leaves_the_answered_rows_as_they_are(
    salesforce: SalesforceBench,
) -> None:
    salesforce.control.switch_on("salesforce", "overtaxed", rows=2)
    salesforce.control.switch_on("salesforce", "drop_after", scope="writing contacts", times=1, skip=2)
    made = salesforce.provider().create([Creation(f"k{place}", {"LastName": "King"}) for place in range(4)])
    assert [type(outcome.error) for outcome in made] == [type(None)] * 2 + [OutcomeUnknown] * 2


def test_one_record_that_an_automation_breaks_off_at_is_refused_alone(salesforce: SalesforceBench) -> None:
    row = {
        "statusCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "message": "System.LimitException: x",
        "fields": [],
    }
    content = [{"success": False, "errors": [row]}]
    salesforce.control.add_fault(
        action="status", status=200, content=content, system="salesforce", path="composite", times=None
    )
    [outcome] = salesforce.provider().create([Creation("k1", {"LastName": "King"})])
    assert isinstance(outcome.error, Rejected)
    assert "automation" in outcome.error.message


def test_permissions_tell_what_is_missing(salesforce: SalesforceBench) -> None:
    salesforce.control.change_settings("salesforce", call_center=False, readonly_fields=["Task.WhoId"])
    may = salesforce.provider(activity_key_field="Subject", **{"default.Name": "X"}).permissions()
    assert (may.create_contacts, may.log_activities, may.lacking) == (True, False, ("Task.WhoId",))
    hints = " ".join(may.hints)
    for words in ("no call fields", "Subject must be a unique external id", "default.Name"):
        assert words in hints
