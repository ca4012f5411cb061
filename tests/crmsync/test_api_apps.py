"""Apps over the API: credentials in and never out, mappings with their rules, deletion that keeps contacts."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.test import override_settings
from django.utils import timezone

from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactChange, CustomField
from contacts.values import FieldType
from integrations.models import Connection, dump_field
from integrations.providers.base import ExternalField
from mappings.models import InboundMapping
from sync.models import ExternalRecord
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
OAUTH = {"type": "oauth2", "client_id": "sandbox-key", "client_secret": "sandbox-secret"}
JWT = {
    "type": "oauth2",
    "client_id": "sandbox-key",
    "username": "ada@acme.example",
    "private_key": "-----BEGIN",
}
TOKEN = {"type": "api_key", "api_key": "pat-sandbox-token"}
PHONE = {"external_field_name": "Phone", "field_name": "phone_number"}
NAME = {"external_field_name": "FirstName", "field_name": "first_name"}


@pytest.fixture
def api():
    return client_with()


def create(api, **body):
    response = api.post("/api/create-app", {"provider": "salesforce", "type": "crm", **body})
    assert response.status_code == 201, response.json()
    return response.json()


def change(api, app, **body):
    response = api.patch(f"/api/update-app/{app['app_id']}", body)
    assert response.status_code == 200, response.json()
    return response.json()


def test_an_app_is_created_with_its_mappings_and_read_back(api):
    made = create(
        api,
        name="Acme",
        tenant_url="https://acme.my.salesforce.com/",
        auth_config=OAUTH,
        crm_config={
            "inbound_sync_mappings": [NAME, PHONE],
            "outbound_sync_mappings": [NAME],
            "sync_conversation_activity": True,
        },
    )
    row = Connection.objects.get()
    assert made == {
        "app_id": row.public_id,
        "org_id": made["org_id"],
        "provider": "salesforce",
        "type": "crm",
        "name": "Acme",
        "tenant_url": "https://acme.my.salesforce.com",
        "auth_config": {"type": "oauth2", "client_id": "sandbox-key"},
        "connection_status": "not_connected",
        "crm_config": {
            "inbound_sync_mappings": [NAME, PHONE],
            "outbound_sync_mappings": [NAME],
            "sync_conversation_activity": True,
            "sync_new_contacts": False,
        },
        "created_timestamp": int(row.created_at.timestamp() * 1000),
        "user_modified_timestamp": made["user_modified_timestamp"],
    }
    assert api.get(f"/api/get-app/{made['app_id']}").json() == made
    assert row.credentials == {"client_id": "sandbox-key", "client_secret": "sandbox-secret"}
    assert api.get("/api/get-crm-config").json()["app_id"] == made["app_id"]


def test_a_bare_app_gets_the_phone_mapping_and_time_before_its_first_scheduled_sync(api):
    made = create(api, provider="hubspot")
    assert made["crm_config"]["inbound_sync_mappings"] == [
        {"external_field_name": "phone", "field_name": "phone_number"}
    ]
    assert (made["name"], "auth_config" in made, "tenant_url" in made) == ("HubSpot", False, False)
    assert Connection.objects.get().next_sync_at > timezone.now() + timedelta(minutes=4)


def test_a_private_key_takes_the_place_of_a_client_secret_and_back(api):
    made = create(api, auth_config=JWT)
    assert made["auth_config"] == {"type": "oauth2", "client_id": "sandbox-key"}
    assert Connection.objects.get().credentials == {
        key: JWT[key] for key in ("client_id", "username", "private_key")
    }
    assert change(api, made, auth_config=OAUTH)["auth_config"] == made["auth_config"]
    assert Connection.objects.get().credentials.keys() == {"client_id", "client_secret"}


def test_secrets_are_encrypted_and_never_answered(api):
    made = [
        create(api, auth_config=OAUTH),
        create(api, provider="hubspot", auth_config=TOKEN),
        create(api, auth_config=JWT),
    ]
    answers = [api.get(f"/api/get-app/{app['app_id']}").content for app in made] + [
        api.get("/api/list-apps").content
    ]
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM integrations_connection")
        stored = str(cursor.fetchall())
    for secret in ("sandbox-secret", "pat-sandbox-token", "-----BEGIN", "ada@acme.example"):
        assert secret not in stored
        assert all(secret.encode() not in answer for answer in answers)
    assert made[1]["auth_config"] == {"type": "api_key"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"provider": "zoho"}, "provider"),
        ({"type": "calendar"}, "type"),
        ({"type": "crmx"}, "type"),
        ({"auth_config": TOKEN}, "auth_config.type"),
        ({"auth_config": {"type": "basic", "username": "u", "password": "p"}}, "auth_config.type"),
        ({"auth_config": {"type": "oauth2", "client_id": "x"}}, "auth_config.client_secret"),
        ({"auth_config": OAUTH | {"client_id": " "}}, "auth_config.client_id"),
        ({"auth_config": OAUTH | {"password": "x"}}, "auth_config.password"),
        ({"auth_config": OAUTH | {"username": "ada@acme.example"}}, "auth_config.username"),
        ({"auth_config": {**JWT, "private_key": ""}}, "auth_config.private_key"),
        ({"auth_config": []}, "auth_config"),
        ({"tenant_url": "acme"}, "tenant_url"),
        ({"tenant_url": "ftp://acme.my.salesforce.com"}, "tenant_url"),
        ({"tenant_url": "https://acme.my.salesforce.com/path"}, "tenant_url"),
        ({"tenant_id": "x"}, "tenant_id"),
        ({"name": ""}, "name"),
        ({"owner": "Ada"}, "owner"),
        ({"crm_config": {"inbound_sync_mappings": [NAME]}}, "crm_config.inbound_sync_mappings"),
        ({"crm_config": {"inbound_sync_mappings": []}}, "crm_config.inbound_sync_mappings"),
        (
            {
                "crm_config": {
                    "inbound_sync_mappings": [PHONE, {"external_field_name": "x", "field_name": "nowhere"}]
                }
            },
            "crm_config.inbound_sync_mappings.1.field_name",
        ),
        (
            {"crm_config": {"inbound_sync_mappings": [PHONE, {"external_field_name": "x"}]}},
            "crm_config.inbound_sync_mappings.1.field_name",
        ),
        (
            {"crm_config": {"inbound_sync_mappings": [PHONE, NAME, NAME]}},
            "crm_config.inbound_sync_mappings.2",
        ),
        ({"crm_config": {"outbound_sync_mappings": [NAME, NAME]}}, "crm_config.outbound_sync_mappings.1"),
        ({"crm_config": {"sync_new_contacts": "yes"}}, "crm_config.sync_new_contacts"),
        ({"crm_config": {"direction": "both"}}, "crm_config.direction"),
    ],
)
def test_an_app_that_breaks_a_rule_is_refused_by_its_path_and_nothing_is_stored(api, body, path):
    response = api.post("/api/create-app", {"provider": "salesforce", "type": "crm", **body})
    assert list(problems(response)) == [path]
    assert not Connection.objects.exists()


@override_settings(CRMSYNC_ALLOW_INSECURE_CRM_URLS=False)
@pytest.mark.parametrize(
    "url", ["http://acme.my.salesforce.com", "https://localhost:8080", "https://127.0.0.1"]
)
def test_plain_http_and_loopback_are_refused_without_the_insecure_setting(api, url):
    response = api.post("/api/create-app", {"provider": "salesforce", "type": "crm", "tenant_url": url})
    assert problems(response) == {"tenant_url": "tenant_url"}


def test_a_crm_field_that_the_known_schema_lacks_is_refused(api):
    made = create(api)
    Connection.objects.update(
        schema=[dump_field(ExternalField("Phone", "Phone", FieldType.STRING, phone=True))]
    )
    response = api.patch(
        f"/api/update-app/{made['app_id']}",
        {
            "crm_config": {
                "inbound_sync_mappings": [PHONE, {"external_field_name": "Nme", "field_name": "first_name"}]
            }
        },
    )
    assert list(problems(response)) == ["crm_config.inbound_sync_mappings.1.external_field_name"]
    assert "Nme" in response.json()["message"]
    assert InboundMapping.objects.get().external_field == "Phone"


def test_an_update_replaces_what_is_sent_and_keeps_the_rest_with_its_policies(api):
    made = create(api, auth_config=OAUTH, crm_config={"inbound_sync_mappings": [PHONE, NAME]})
    InboundMapping.objects.filter(contact_field="first_name").update(conflict_policy="ours_wins")
    last = {"external_field_name": "LastName", "field_name": "last_name"}
    crm = change(api, made, crm_config={"inbound_sync_mappings": [last, NAME, PHONE]})["crm_config"]
    assert crm["inbound_sync_mappings"] == [last, NAME, PHONE]
    assert InboundMapping.objects.get(contact_field="first_name").conflict_policy == "ours_wins"
    crm = change(api, made, name="Acme", crm_config={"outbound_sync_mappings": [NAME]})["crm_config"]
    assert (crm["inbound_sync_mappings"], crm["outbound_sync_mappings"]) == ([last, NAME, PHONE], [NAME])
    assert api.get(f"/api/get-app/{made['app_id']}").json()["name"] == "Acme"


def test_swapped_mappings_are_no_clash(api):
    CustomField.objects.create(name="nick", type="string")
    pairs = [NAME, {"external_field_name": "Nickname__c", "field_name": "nick"}]
    made = create(api, crm_config={"outbound_sync_mappings": pairs})
    swapped = [{**pairs[0], "field_name": "nick"}, {**pairs[1], "field_name": "first_name"}]
    assert (
        change(api, made, crm_config={"outbound_sync_mappings": swapped})["crm_config"][
            "outbound_sync_mappings"
        ]
        == swapped
    )


BETA = {"tenant_url": "https://beta.my.salesforce.com"}


@pytest.mark.parametrize("body", [{"auth_config": OAUTH}, {"auth_config": OAUTH, **BETA}])
def test_new_credentials_or_address_void_the_token_and_ask_for_a_new_test(api, body):
    made = create(api, auth_config=OAUTH, tenant_url="https://acme.my.salesforce.com")
    Connection.objects.update(status="error", status_reason="refused", token={"access_token": "old"})
    assert change(api, made, **body)["connection_status"] == "not_connected"
    row = Connection.objects.get()
    assert (row.token, row.status_reason) == ({}, "")
    assert row.credentials["client_secret"] == "sandbox-secret"


def test_stored_credentials_are_never_sent_to_a_new_address(api):
    made = create(api, auth_config=OAUTH, tenant_url="https://acme.my.salesforce.com")
    Connection.objects.update(status="connected", token={"access_token": "old"})
    refused = api.patch(f"/api/update-app/{made['app_id']}", BETA | {"name": "Beta"})
    assert problems(refused) == {"auth_config": "required"}
    assert "never sent to a new address" in refused.json()["message"]
    row = Connection.objects.get()
    assert (row.tenant_url, row.name, row.token) == (
        made["tenant_url"],
        made["name"],
        {"access_token": "old"},
    )
    assert change(api, made, tenant_url=made["tenant_url"] + "/")["connection_status"] == "connected"


def test_an_address_may_come_before_the_credentials(api):
    made = create(api, tenant_url="https://acme.my.salesforce.com")
    assert change(api, made, **BETA)["tenant_url"] == BETA["tenant_url"]


def test_a_rename_leaves_token_and_status_alone(api):
    made = create(api, auth_config=OAUTH)
    Connection.objects.update(status="connected", token={"access_token": "old"})
    assert change(api, made, name="New")["connection_status"] == "connected"
    assert Connection.objects.get().token == {"access_token": "old"}


@pytest.mark.parametrize("key", ["provider", "type"])
def test_provider_and_type_are_fixed(api, key):
    made = create(api)
    assert problems(api.patch(f"/api/update-app/{made['app_id']}", {key: made[key]})) == {key: "fixed"}


def test_twenty_apps_a_provider_and_no_more(api):
    for number in range(20):
        create(api, name=f"Org {number}")
    response = api.post("/api/create-app", {"provider": "salesforce", "type": "crm"})
    assert (response.status_code, "20" in response.json()["message"]) == (400, True)
    create(api, provider="hubspot")


def test_apps_are_listed_page_by_page_in_either_order(api):
    ids = [create(api, name=f"Org {number}")["app_id"] for number in range(3)]
    first = api.get("/api/list-apps", {"limit": 2}).json()
    assert [app["app_id"] for app in first["items"]] == [ids[2], ids[1]]
    rest = api.get("/api/list-apps", {"limit": 2, "pagination_key": first["pagination_key"]}).json()
    assert [app["app_id"] for app in rest["items"]] == [ids[0]]
    oldest = api.get("/api/list-apps", {"sort_order": "ascending", "privacy_scope": "standard"}).json()
    assert [app["app_id"] for app in oldest["items"]] == ids
    assert api.get("/api/list-apps", {"privacy_scope": "pci"}).json() == {"items": [], "has_more": False}


@pytest.mark.parametrize("query", [{"sort_order": "asc"}, {"limit": "0"}, {"privacy_scope": "all"}])
def test_a_wrong_query_is_refused_by_name(api, query):
    assert list(problems(api.get("/api/list-apps", query))) == list(query)


def test_deleting_an_app_drops_links_and_mappings_and_keeps_contacts_and_history(api):
    made = create(api)
    contact = create_contact("+14155550100", {}, source=Source("crm")).contact
    ExternalRecord.objects.create(connection=Connection.objects.get(), contact=contact, external_id="003A")
    response = api.delete(f"/api/delete-app/{made['app_id']}?force_delete=true")
    assert (response.status_code, response.content) == (204, b"")
    assert (Contact.objects.count(), ContactChange.objects.count()) == (1, 1)
    assert not ExternalRecord.objects.exists()
    assert not InboundMapping.objects.exists()
    assert "app_id" not in api.get("/api/get-crm-config").json()


def test_nobody_uses_an_app_beyond_the_sync(api):
    made = create(api)
    assert api.get(f"/api/list-app-usages/{made['app_id']}").json() == {"items": [], "has_more": False}


@pytest.mark.parametrize("app_id", ["app_" + "0" * 24, "contact_" + "0" * 24, "%00"])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("get", "get-app"),
        ("patch", "update-app"),
        ("delete", "delete-app"),
        ("post", "test-app-auth"),
        ("get", "list-app-usages"),
    ],
)
def test_an_unknown_app_is_a_422(api, method, call, app_id):
    response = getattr(api, method)(f"/api/{call}/{app_id}")
    assert (response.status_code, response.json()["status"]) == (422, "error")
