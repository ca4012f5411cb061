"""What the contract says of apps and jobs, asked for with its own client: what it allows works, the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from retell import Retell

from integrations.models import Connection
from sync.models import SyncRun
from sync.pull import run_now
from tests.crmsync.sdk import is_moment, known, official_client, refused

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
PHONE: Any = {"external_field_name": "Phone", "field_name": "phone_number"}
NAME: Any = {"external_field_name": "FirstName", "field_name": "first_name"}
OAUTH: Any = {"type": "oauth2", "client_id": "sandbox-key", "client_secret": "sandbox-secret"}


@pytest.fixture
def client(live_server: Any) -> Iterator[Retell]:
    with official_client(live_server.url) as made:
        yield made


# --- apps -----------------------------------------------------------------------------------------


def app(client: Retell, **more: Any) -> Any:
    return known(client.app.create(**{"provider": "salesforce", "type": "crm", **more}))


REFUSED_APPS: list[tuple[Any, str]] = [
    ({"type": "calendar"}, "must be crm"),
    ({"provider": "zoho"}, "hubspot, salesforce"),
    ({"auth_config": {"type": "basic", "username": "u", "password": "p"}}, "type oauth2"),
    ({"auth_config": {"type": "oauth2", "client_id": "x"}}, "client_secret"),
    ({"tenant_id": "x"}, "tenant_id"),
    ({"tenant_url": "https://acme.lightning.force.com"}, "https://acme.my.salesforce.com"),
    ({"crm_config": {"inbound_sync_mappings": [NAME]}}, "phone_number"),
    (
        {"crm_config": {"inbound_sync_mappings": [PHONE, {**NAME, "field_name": "nowhere"}]}},
        "no contact field",
    ),
    ({"crm_config": {"outbound_sync_mappings": [{**NAME, "field_name": "nowhere"}]}}, "no contact field"),
]  # fmt: skip


def test_what_an_app_may_not_be_is_refused_and_creates_none(client):
    for sent, words in REFUSED_APPS:
        refused(lambda sent=sent: app(client, **sent), words)
    assert client.app.list().items == []


def test_an_app_is_not_connected_until_tested_and_again_after_new_credentials(client, sandbox):
    bare = app(client, provider="hubspot")
    assert (bare.crm_config.sync_conversation_activity, bare.auth_config) == (False, None)
    made = app(
        client, tenant_url=sandbox.base_url, auth_config=OAUTH, crm_config={"inbound_sync_mappings": [PHONE]}
    )
    assert (made.connection_status, made.auth_config.model_dump()) == (
        "not_connected", {"type": "oauth2", "client_id": "sandbox-key"},
    )  # fmt: skip
    assert is_moment(made.created_timestamp)
    assert known(client.app.test_auth(made.app_id)).success is True
    assert known(client.app.update(made.app_id, name="Acme")).connection_status == "connected"
    wrong = known(client.app.update(made.app_id, auth_config={**OAUTH, "client_secret": "wrong"}))
    assert wrong.connection_status == "not_connected"
    assert known(client.app.test_auth(made.app_id)).success is False
    assert known(client.app.get(made.app_id)).connection_status == "error"
    assert "wrong" not in client.app.get(made.app_id).model_dump_json()
    mappings = [PHONE, NAME]
    kept = known(
        client.app.update(
            made.app_id, crm_config={"inbound_sync_mappings": mappings, "sync_new_contacts": True}
        )
    )
    assert [pair.field_name for pair in kept.crm_config.inbound_sync_mappings] == [
        "phone_number",
        "first_name",
    ]
    assert (kept.crm_config.sync_new_contacts, kept.crm_config.sync_conversation_activity) == (True, False)
    for fixed in ("provider", "type"):
        refused(
            lambda fixed=fixed: client.app.update(made.app_id, extra_body={fixed: "crm"}), "cannot change"
        )
    refused(
        lambda: client.app.update(made.app_id, crm_config={"inbound_sync_mappings": [NAME]}), "phone_number"
    )
    refused(lambda: client.app.get("app_" + "0" * 24), "No app", 422)


def test_twenty_apps_a_provider_listed_page_by_page_and_unlinked_when_deleted(client):
    made = [app(client, name=f"Org {each}").app_id for each in range(20)]
    refused(lambda: app(client), "20")
    app(client, provider="hubspot")
    first = known(client.app.list(limit=15, sort_order="ascending"))
    rest = known(client.app.list(limit=15, sort_order="ascending", pagination_key=first.pagination_key))
    assert [one.app_id for one in (*first.items, *rest.items)][:20] == made
    assert known(client.app.list(privacy_scope="pci")).items == []
    assert known(client.crm.update_config(app_id=made[3])).app_id == made[3]
    assert client.app.delete(made[3]) is None
    assert known(client.crm.get_config()).app_id != made[3]
    assert known(client.app.list_usages(made[0], limit=5, sort_order="descending")).items == []


def test_another_app_is_read_anew_and_null_stops_syncing(client, sandbox):
    first = app(client, tenant_url=sandbox.base_url, auth_config=OAUTH)
    second = app(client, provider="hubspot")
    assert client.crm.get_config().app_id == first.app_id
    Connection.objects.update(cursor="somewhere")
    assert known(client.crm.update_config(app_id=second.app_id)).app_id == second.app_id
    assert Connection.objects.get(public_id=second.app_id).cursor == ""
    assert known(client.crm.update_config(app_id=None)).app_id is None
    refused(client.crm.run_sync_job, "No CRM app is linked")
    refused(client.crm.get_schema, "No CRM app is linked")
    refused(lambda: client.crm.update_config(app_id="app_" + "0" * 24), "No app", 422)
    schema = known(client.crm.get_schema(app_id=first.app_id))
    assert (schema.provider, len(schema.fields) > 20) == ("salesforce", True)


# --- jobs -----------------------------------------------------------------------------------------


def test_one_sync_at_a_time_with_a_field_that_is_not_there_told_by_the_job(client, sandbox):
    client.crm.update_config(custom_fields=[{"name": "city", "type": "string"}])
    pairs = [PHONE, {"external_field_name": "Nowhere__c", "field_name": "city"}]
    app(client, tenant_url=sandbox.base_url, auth_config=OAUTH, crm_config={"inbound_sync_mappings": pairs})
    assert known(client.crm.get_sync_job_status()).status == "idle"
    started = known(client.crm.run_sync_job())
    assert (started.status, started.triggered_by) == ("queued", "manual")
    refused(client.crm.run_sync_job, "already running")
    run_now(SyncRun.objects.get())
    ended = known(client.crm.get_sync_job_status())
    assert ended.status == "idle"
    assert is_moment(ended.start_timestamp)
    assert SyncRun.objects.get().error
    assert client.crm.get_config().last_sync_timestamp is None


def test_a_backfill_needs_fields_with_mappings(client):
    client.crm.update_config(custom_fields=[{"name": "city", "type": "string"}])
    for names, words in (
        (["city"], "No analysis mapping"),
        (["nowhere"], "no such contact field"),
        ([], "backfill_attributes"),
    ):
        refused(lambda names=names: client.contact.backfill_analysis_data(backfill_attributes=names), words)


def test_the_memory_alone_needs_no_mapping(client):
    assert (
        known(client.contact.backfill_analysis_data(backfill_attributes=["contact_memory"])).status
        == "queued"
    )
    refused(
        lambda: client.contact.backfill_analysis_data(backfill_attributes=["contact_memory"]),
        "running already",
    )


def test_an_import_needs_one_column_for_the_number_and_a_country_that_is_one(client):
    uploaded = known(client.contact.upload_import_file(file=("people.csv", b"Phone,Name\n5550100,Ada\n")))
    number, name = (
        {"external_field_name": header, "field_name": field}
        for header, field in (("Phone", "phone_number"), ("Name", "first_name"))
    )
    for sent, words in (
        ({"column_mapping": [name]}, "phone_number"),
        ({"column_mapping": [number, number]}, "one column only"),
        ({"column_mapping": [number, {**name, "external_field_name": "Nowhere"}]}, "no column"),
        ({"column_mapping": [number], "default_country": "Narnia"}, "two letters"),
    ):
        refused(
            lambda sent=sent: client.contact.create_import(upload_id=uploaded.upload_id or "", **sent),
            words,
        )
    refused(lambda: client.contact.create_import(upload_id="x", column_mapping=[number]), "No upload", 422)
    refused(lambda: client.contact.upload_import_file(file=("x.csv", b"Phone\n")), "no row")
