"""How many calls each piece of work costs, counted in the stand-in CRMs' own request logs."""

from dataclasses import replace
from datetime import UTC, datetime

from contacts.values import FieldType
from integrations.providers.base import Activity, ActivityKind, Creation, Provider, Update
from tests.integrations.providers.crms import HubSpotBench, SalesforceBench, SandboxBench


def spent(bench: SandboxBench, since: int) -> int:
    return len(bench.calls(since=since))


def everything(provider: Provider, fields: list[str]) -> tuple[int, str]:
    pages = list(provider.changes("", fields))
    return sum(len(page.records) for page in pages), pages[-1].cursor


def talk(contact_id: str, marker: str) -> Activity:
    started = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
    return Activity(marker, ActivityKind.CALL, contact_id, "Call", "Body", started)


def test_salesforce_imports_2000_contacts_a_call(salesforce: SalesforceBench) -> None:
    salesforce.restock(4100)
    provider = salesforce.provider()
    read, _ = everything(provider, ["FirstName", "Phone", "Notes__c"])
    assert read == 4100
    assert spent(salesforce, 0) <= 3 + 1


def test_hubspot_imports_100_contacts_a_call(hubspot: HubSpotBench) -> None:
    hubspot.restock(450)
    read, _ = everything(hubspot.provider(), ["firstname", "phone"])
    assert read == 450
    assert spent(hubspot, 0) <= 5 + 3


def test_a_cycle_without_changes_costs_one_call(salesforce: SalesforceBench, hubspot: HubSpotBench) -> None:
    for bench, field in ((salesforce, "FirstName"), (hubspot, "firstname")):
        provider = bench.provider()
        _, cursor = everything(provider, [field])
        before = bench.control.last_request()
        assert [len(page.records) for page in bench.provider().changes(cursor, [field])] == [0]
        assert spent(bench, before) == 1


def test_updates_are_read_and_written_in_full_batches(
    salesforce: SalesforceBench, hubspot: HubSpotBench
) -> None:
    for bench, reads, writes in ((salesforce, 1, 2), (hubspot, 3, 3)):
        bench.restock(250)
        name = bench.names["first"]
        ids = [one["id"] for one in bench.control.contacts(bench.system)]
        provider = bench.provider()
        provider.fields()
        before = bench.control.last_request()
        assert len(provider.read(ids, [name])) == 250
        assert spent(bench, before) == reads
        before = bench.control.last_request()
        assert all(outcome.ok for outcome in provider.update([Update(one, {name: "Grace"}) for one in ids]))
        assert spent(bench, before) == writes


def test_types_from_the_cached_schema_spare_hubspot_a_call(hubspot: HubSpotBench) -> None:
    one = hubspot.add(first="Ada", vip="true")
    before = hubspot.control.last_request()
    types = {"firstname": FieldType.STRING, "vip": FieldType.BOOLEAN}
    found = hubspot.made(replace(hubspot.setup, field_types=types)).read([one], ["firstname", "vip"])
    assert found[one].values == {"firstname": "Ada", "vip": True}
    assert spent(hubspot, before) == 1


def test_a_call_on_a_known_contact_is_logged_in_one_call(
    salesforce: SalesforceBench, hubspot: HubSpotBench
) -> None:
    for bench in (salesforce, hubspot):
        provider, one = bench.provider(), bench.add(first="Ada", last="Lovelace")
        before = bench.control.last_request()
        assert provider.log_activities([talk(one, "call_1")])[0].ok
        assert spent(bench, before) == 1


def test_with_a_key_field_a_call_costs_one_call_and_one_that_is_there_a_second(
    salesforce: SalesforceBench,
) -> None:
    provider = salesforce.provider(activity_key_field="Conversation_Key__c")
    one = salesforce.add(first="Ada", last="Lovelace")
    for markers, created, cost in ((["call_1"], [True], 1), (["call_1", "call_2"], [False, True], 2)):
        before = salesforce.control.last_request()
        outcomes = provider.log_activities([talk(one, marker) for marker in markers])
        assert [outcome.created for outcome in outcomes] == created
        assert spent(salesforce, before) == cost
    assert len(salesforce.activities(one)) == 2


def test_creations_fill_their_batches(salesforce: SalesforceBench, hubspot: HubSpotBench) -> None:
    for bench, calls in ((salesforce, 2), (hubspot, 3)):
        creations = [Creation(f"k{i}", {bench.names["last"]: f"Hopper{i}"}) for i in range(201)]
        before = bench.control.last_request()
        assert all(outcome.created for outcome in bench.provider().create(creations))
        assert spent(bench, before) == calls


def test_one_login_serves_a_whole_salesforce_session(salesforce: SalesforceBench) -> None:
    provider = salesforce.provider()
    provider.check()
    provider.fields()
    everything(provider, ["FirstName"])
    logins = salesforce.control.requests(system="salesforce", path="oauth2/token")
    assert len(logins) == 1
