"""HubSpot's own Python client against the stand-in HubSpot, over HTTP, in each version of the API."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import AssociationSpec
from hubspot.crm.contacts import ApiException, BatchReadInputSimplePublicObjectId, PublicMergeInput
from hubspot.crm.contacts import SimplePublicObjectInput as Update
from hubspot.crm.contacts import SimplePublicObjectInputForCreate as Create
from hubspot.crm.objects.calls import SimplePublicObjectInputForCreate as CallCreate
from hubspot.crm.objects.communications import SimplePublicObjectInputForCreate as MessageCreate
from hubspot.crm.properties import PropertyCreate

from sandbox.server import Server
from sandbox.world import World
from tests.sandbox.hubspot_asking import to_contact, where

STAMP = "2026-05-01T10:00:00Z"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(World(60))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stop()
    thread.join()


def dated(path: str, version: str) -> str:
    """A v3 or v4 path of the client in a dated version."""
    for family in ("objects", "properties", "owners"):
        path = path.replace(f"/crm/v3/{family}", f"/crm/{family}/{version}")
    return path.replace("/crm/v4/objects", f"/crm/objects/{version}").replace(
        "/crm/v4/associations", f"/crm/associations/{version}"
    )


@pytest.fixture(scope="module", params=["v3", "2026-03", "2026-09"])
def client(request: pytest.FixtureRequest, server: Server) -> Any:
    version = request.param

    def build(package: Any, name: str, config: Any) -> Any:
        configuration = package.Configuration()
        for key, value in config.items():
            setattr(configuration, key, value)
        api = getattr(package, name)(package.ApiClient(configuration=configuration))
        send = api.api_client.rest_client.request

        def rewritten(method: str, url: str, **kwargs: Any) -> Any:
            return send(method, url if version == "v3" else dated(url, version), **kwargs)

        api.api_client.rest_client.request = rewritten
        return api

    return HubSpot(access_token="pat-sandbox-token", host=server.url, api_factory=build)


def test_the_client_walks_all_contacts(client: Any, server: Server) -> None:
    rows = client.crm.contacts.get_all(properties=["phone", "plan"])
    with server.world.locked("hubspot") as crm:
        live = [one["id"] for one in crm.contacts() if not one["deleted"]]
    assert [row.id for row in rows] == live
    assert set(rows[0].properties) == {"phone", "plan", "createdate", "hs_object_id", "lastmodifieddate"}


def test_the_client_creates_reads_updates_searches_and_archives(client: Any) -> None:
    contacts = client.crm.contacts
    made = contacts.basic_api.create(Create(properties={"firstname": "Ada", "plan": "pro"}))
    read = contacts.basic_api.get_by_id(made.id, properties=["plan"], archived=False)
    assert read.properties["plan"] == "pro"
    changed = contacts.basic_api.update(made.id, Update(properties={"plan": ""}))
    assert changed.properties["plan"] is None
    assert changed.updated_at > made.updated_at
    body = {
        "filterGroups": [{"filters": [where("hs_object_id", "EQ", made.id)]}],
        "sorts": ["hs_object_id"], "properties": ["firstname"], "limit": 200, "after": "0",
    }  # fmt: skip
    found = contacts.search_api.do_search(body)
    assert (found.total, found.results[0].properties["firstname"]) == (1, "Ada")
    contacts.basic_api.archive(made.id)
    with pytest.raises(ApiException) as error:
        contacts.basic_api.get_by_id(made.id)
    assert error.value.status == 404


def test_the_client_sees_207_conflicts_and_validation(client: Any) -> None:
    contacts = client.crm.contacts
    one = contacts.basic_api.create(Create(properties={"email": "grace@example.com"}))
    with pytest.raises(ApiException) as error:
        contacts.basic_api.create(Create(properties={"email": "grace@example.com"}))
    assert error.value.status == 409
    assert json.loads(error.value.body)["message"].endswith(one.id)
    with pytest.raises(ApiException) as error:
        contacts.basic_api.update(one.id, Update(properties={"plan": "Pro"}))
    assert error.value.status == 400
    wanted = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": one.id}, {"id": "1"}], properties=["email"], properties_with_history=[]
    )
    answer = json.loads(contacts.batch_api.read(wanted, _preload_content=False).data)
    assert (answer["numErrors"], answer["errors"][0]["category"]) == (1, "OBJECT_NOT_FOUND")
    contacts.basic_api.archive(one.id)


def test_the_client_logs_a_call_and_a_message_and_lists_them(client: Any) -> None:
    ada = client.crm.contacts.basic_api.create(Create(properties={"firstname": "Ada"}))
    call = CallCreate(properties={"hs_timestamp": STAMP}, associations=to_contact(ada.id, 194))
    made = client.crm.objects.calls.basic_api.create(call)
    message = MessageCreate(
        properties={
            "hs_timestamp": STAMP,
            "hs_communication_channel_type": "CUSTOM_CHANNEL_CONVERSATION",
            "hs_communication_logged_from": "CRM",
        },
        associations=[],
    )
    said = client.crm.objects.communications.basic_api.create(message)
    links = client.crm.associations.v4.basic_api
    spec = [AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=81)]
    links.create("communications", said.id, "contacts", ada.id, association_spec=spec)
    page = links.get_page("contacts", ada.id, "communications", limit=500)
    assert [row.to_object_id for row in page.results] == [said.id]
    calls = links.get_page("contacts", ada.id, "calls")
    assert [(row.to_object_id, row.association_types[0].type_id) for row in calls.results] == [(made.id, 193)]


def test_the_client_merges_contacts(client: Any) -> None:
    basic = client.crm.contacts.basic_api
    ada, twin = (basic.create(Create(properties={"firstname": name})) for name in ("Ada", "Adah"))
    merged = basic.merge(PublicMergeInput(primary_object_id=ada.id, object_id_to_merge=twin.id))
    assert basic.get_by_id(twin.id).id == merged.id
    basic.archive(merged.id)


def test_the_client_reads_and_creates_properties_and_reads_owners(client: Any) -> None:
    properties = client.crm.properties.core_api
    by_name = {one.name: one for one in properties.get_all("contacts").results}
    assert [option.value for option in by_name["plan"].options] == ["free", "starter", "pro", "enterprise"]
    assert by_name["score"].modification_metadata.read_only_value is True
    key = PropertyCreate(
        name="temporary", label="Temporary", type="string", field_type="text", group_name="contactinformation"
    )
    assert properties.create("contacts", key).name == "temporary"
    properties.archive("contacts", "temporary")
    assert client.crm.owners.owners_api.get_page().results[0].first_name == "Grace"


def test_the_client_works_with_sets_of_properties_and_their_groups(client: Any) -> None:
    properties = client.crm.properties
    group = properties.groups_api.create("contacts", {"name": "billing", "label": "Billing"})
    assert (group.name, group.archived) == ("billing", False)
    rows = [
        {"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "billing"}
        for name in ("tax_id", "iban")
    ]
    made = properties.batch_api.create("contacts", {"inputs": rows})
    assert {one.name for one in made.results} == {"tax_id", "iban"}
    wanted = {"inputs": [{"name": "iban"}, {"name": "nope"}], "archived": False}
    answer = json.loads(properties.batch_api.read("contacts", wanted, _preload_content=False).data)
    assert [one["name"] for one in answer["results"]] == ["iban"]
    assert (answer["numErrors"], answer["errors"][0]["context"]["name"]) == (1, ["nope"])
    properties.batch_api.archive("contacts", {"inputs": [{"name": "tax_id"}, {"name": "iban"}]})
    properties.groups_api.update("contacts", "billing", {"label": "Invoices"})
    assert properties.groups_api.get_by_name("contacts", "billing").label == "Invoices"
    properties.groups_api.archive("contacts", "billing")
    assert "billing" not in {one.name for one in properties.groups_api.get_all("contacts").results}
