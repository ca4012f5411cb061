"""HubSpot's newer library, which holds every answer against its own models of 2026-03, against the stand-in HubSpot."""

from collections.abc import Iterator
from typing import Any

import pytest
from hubspot_sdk import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    HubSpot,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from sandbox.client import Control
from sandbox.server import running
from sandbox.world import World
from tests.sandbox.hubspot_asking import to_contact, where

pytestmark = pytest.mark.once
TOKEN = "pat-sandbox-token"
ADA = {"firstname": "Ada", "email": "ada@example.com", "plan": "pro"}
CALL = {"hs_timestamp": "2026-05-01T10:00:00Z", "hs_call_title": "Talk", "hs_call_status": "COMPLETED"}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with running(World(60)) as url:
        yield url


def library(base_url: str, token: str = TOKEN) -> Any:
    """Without repeats, and strict: an answer that does not fit its model is an error."""
    return HubSpot(access_token=token, base_url=base_url, max_retries=0, _strict_response_validation=True).crm


@pytest.fixture
def crm(base_url: str) -> Any:
    Control(base_url).reset(60)
    return library(base_url)


@pytest.fixture
def ada(crm: Any) -> str:
    return str(crm.objects.contacts.create(properties=ADA, associations=[]).id)


def test_a_contact_is_made_read_changed_found_and_archived(crm: Any, ada: str) -> None:
    contacts, names = crm.objects.contacts, ["firstname", "plan"]
    assert contacts.get(ada, properties=names).properties["plan"] == "pro"
    assert contacts.get(ADA["email"], id_property="email", properties=names).id == ada
    assert contacts.update(ada, properties={"plan": "free"}).properties["plan"] == "free"
    asked = [{"filters": [where("email", "EQ", ADA["email"])]}]
    found = contacts.search(
        filter_groups=asked, sorts=["hs_object_id"], properties=names, limit=10, after="0"
    )
    assert (found.total, found.results[0].id) == (1, ada)
    contacts.delete(ada)
    with pytest.raises(NotFoundError):
        contacts.get(ada)
    assert [one.id for one in contacts.list(archived=True, properties=names, limit=10)] == [ada]


def test_all_pages_are_walked(crm: Any) -> None:
    assert len([*crm.objects.contacts.list(limit=25, properties=["hs_object_id"])]) == 60


def test_batches_of_every_kind(crm: Any, ada: str) -> None:
    batch = crm.objects.contacts.batch
    made = batch.create(inputs=[{"properties": {"firstname": "Grace"}, "associations": []}]).results[0].id
    changes = [{"id": one, "properties": {"plan": "starter"}} for one in (ada, made)]
    assert {one.properties["plan"] for one in batch.update(inputs=changes).results} == {"starter"}
    upserted = batch.upsert(
        inputs=[{"id": ADA["email"], "id_property": "email", "properties": {"plan": "pro"}}]
    )
    assert [(one.id, one.new) for one in upserted.results] == [(ada, False)]
    read = batch.get(
        inputs=[{"id": one} for one in (ada, made, "1")], properties=["plan"], properties_with_history=[]
    )
    assert {one.id for one in read.results} == {ada, made}
    batch.delete(inputs=[{"id": made}])


def test_activities_hang_on_their_contact(crm: Any, ada: str) -> None:
    call = crm.objects.calls.create(properties=CALL, associations=to_contact(ada, 194))
    note = crm.objects.notes.create(
        properties={"hs_timestamp": CALL["hs_timestamp"], "hs_note_body": "Hi"},
        associations=to_contact(ada, 202),
    )
    sms = {"hs_communication_channel_type": "SMS", "hs_communication_logged_from": "CRM"}
    text = crm.objects.communications.create(
        properties={**sms, "hs_timestamp": CALL["hs_timestamp"]}, associations=to_contact(ada, 81)
    )
    for kind, made in (("calls", call), ("notes", note), ("communications", text)):
        listed = crm.associations.list(object_type="contacts", object_id=ada, to_object_type=kind)
        assert [one.to_object_id for one in listed] == [made.id]


def test_a_merge_makes_a_record_that_both_ids_mean(crm: Any, ada: str) -> None:
    contacts = crm.objects.contacts
    twin = contacts.create(properties={"firstname": "Adah"}, associations=[]).id
    merged = contacts.merge(primary_object_id=ada, object_id_to_merge=twin)
    assert {contacts.get(one, properties=["firstname"]).id for one in (ada, twin)} == {merged.id}


def test_properties_owners_and_their_definitions(crm: Any) -> None:
    listed = {one.name: one for one in crm.properties.list("contacts").results}
    assert [one.value for one in listed["plan"].options] == ["free", "starter", "pro", "enterprise"]
    made = crm.properties.create(
        "contacts", name="app_key", label="Key", type="string", field_type="text",
        group_name="contactinformation", has_unique_value=True,
    )  # fmt: skip
    assert made.has_unique_value
    assert crm.properties.get("app_key", object_type="contacts").label == "Key"
    crm.properties.delete("app_key", object_type="contacts")
    assert [one.email for one in crm.owners.list()] == ["grace@example.com", "alan@example.com"]


@pytest.mark.parametrize(
    ("settings", "properties", "error"),
    [
        ({}, ADA, ConflictError),
        ({}, {"firstname": "X", "plan": "gold"}, BadRequestError),
        ({}, {"firstname": "X", "vip": True}, BadRequestError),
        ({}, {"firstname": "X", "nope": "x"}, BadRequestError),
        ({"scopes": ["crm.objects.contacts.read"]}, {"firstname": "X"}, PermissionDeniedError),
        ({"token_expired": True}, {"firstname": "X"}, AuthenticationError),
        ({"enforce_limits": True, "ten_second_limit": 0}, {"firstname": "X"}, RateLimitError),
    ],
)
def test_refusals_are_the_librarys_own_errors(
    base_url: str, crm: Any, ada: str, settings: dict[str, Any], properties: dict[str, Any], error: type
) -> None:
    assert ada
    Control(base_url).change_settings("hubspot", **settings)
    with pytest.raises(error):
        crm.objects.contacts.create(properties=properties, associations=[])
