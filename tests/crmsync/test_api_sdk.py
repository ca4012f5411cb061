"""The official Python client of the contract, pointed at a running server, changes nothing but its address.

Answers are validated strictly against the client's own models, and hold no key that those do not know.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import retell
from retell import Retell

from sync.import_work import import_some
from sync.models import SyncRun
from sync.pull import run_now
from tests.crmsync.sdk import known, official_client

pytestmark = pytest.mark.django_db(transaction=True)
ADA = "+14155550100"
VIP = "a" * 32
MAPPINGS: Any = [
    {"external_field_name": "Phone", "field_name": "phone_number"},
    {"external_field_name": "Interests__c", "field_name": "interests"},
]


@pytest.fixture
def client(live_server: Any) -> Iterator[Retell]:
    with official_client(live_server.url) as made:
        yield made


def configure(client: Retell) -> Any:
    return known(
        client.crm.update_config(
            custom_fields=[
                {"name": "interests", "type": "string", "description": "What they like."},
                {"name": "plan", "type": "enum", "options": ["free", "pro"]},
            ],
            crm_analysis_data_mappings=[
                {"analysis_data_name": "interests", "field_name": "interests", "update_mode": "merge"}
            ],
            contact_tags=[{"id": VIP, "label": "VIP"}],
        )
    )


def test_the_config_is_read_and_written(client):
    empty = known(client.crm.get_config())
    assert (empty.app_id, empty.custom_fields) == (None, [])
    written = configure(client)
    assert [field.name for field in written.custom_fields] == ["interests", "plan"]
    assert written.crm_analysis_data_mappings[0].update_mode == "merge"
    assert known(client.crm.get_config()) == written


def test_contacts_are_written_read_listed_and_deleted(client):
    configure(client)
    made = known(
        client.contact.create(
            phone_number=ADA,
            first_name="Ada",
            custom_fields={"plan": "pro"},
            contact_tag_ids=[VIP],
            do_not_call=False,
        )
    )
    assert known(client.contact.get(made.contact_id)) == made
    assert known(client.contact.get_by_phone(ADA)) == made
    changed = known(
        client.contact.update(made.contact_id, last_name="Lovelace", custom_fields={"plan": None})
    )
    assert (changed.last_name, changed.custom_fields) == ("Lovelace", {})
    listed = known(
        client.contact.list(
            limit=10,
            search_query="lovelace",
            sort_order="asc",
            filter_criteria={"contact_tag_ids": {"type": "enum", "op": "in", "value": [VIP]}},
        )
    )
    assert (listed.items, listed.total, listed.has_more) == ([changed], 1, False)
    assert known(client.contact.list_conversations(made.contact_id, limit=5)).items == []
    assert client.contact.delete(made.contact_id) is None
    with pytest.raises(retell.UnprocessableEntityError):
        client.contact.get(made.contact_id)


def test_an_app_is_connected_synced_and_watched(client, sandbox):
    configure(client)
    app = known(
        client.app.create(
            provider="salesforce",
            type="crm",
            name="Acme",
            tenant_url=sandbox.base_url,
            auth_config={"type": "oauth2", "client_id": "sandbox-key", "client_secret": "sandbox-secret"},
            crm_config={"inbound_sync_mappings": MAPPINGS, "sync_conversation_activity": True},
        )
    )
    assert known(client.crm.update_config(app_id=app.app_id)).app_id == app.app_id
    assert known(client.app.test_auth(app.app_id)).success is True
    assert known(client.app.get(app.app_id)).connection_status == "connected"
    assert "Phone" in [field.name for field in known(client.crm.get_schema()).fields]
    assert known(client.crm.run_sync_job()).status == "queued"
    with pytest.raises(retell.BadRequestError, match="already"):
        client.crm.run_sync_job()
    run_now(SyncRun.objects.get())
    ended = known(client.crm.get_sync_job_status())
    assert (ended.status, (ended.succeeded or 0) + (ended.failed or 0)) == ("idle", 40)
    linked = known(client.contact.list(filter_criteria={"external_id": {"type": "present", "op": "pr"}}))
    assert linked.items[0].external_id
    with pytest.raises(retell.BadRequestError, match="Unlink"):
        client.contact.delete(linked.items[0].contact_id)
    assert known(client.app.update(app.app_id, name="Acme Corp")).name == "Acme Corp"
    assert [item.app_id for item in known(client.app.list(limit=5, sort_order="ascending")).items] == [
        app.app_id
    ]
    assert known(client.app.list_usages(app.app_id)).items == []
    assert client.app.delete(app.app_id, force_delete=True) is None
    assert known(client.crm.get_config()).app_id is None


def test_errors_arrive_as_the_clients_own(client, live_server):
    with pytest.raises(retell.BadRequestError, match=r"custom_fields\.colour"):
        client.contact.create(phone_number=ADA, custom_fields={"colour": "red"})
    with (
        Retell(api_key="key_wrong", base_url=f"{live_server.url}/api") as stranger,
        pytest.raises(retell.AuthenticationError),
    ):
        stranger.crm.get_config()


def test_a_file_of_contacts_is_uploaded_imported_and_watched(client):
    configure(client)
    file = b"Phone,Plan\n(415) 555-0100,pro\n12,free\n"
    uploaded = known(client.contact.upload_import_file(file=("people.csv", file)))
    assert uploaded.file_name == "people.csv"
    assert known(client.contact.get_import()).status == "idle"
    started = known(
        client.contact.create_import(
            upload_id=uploaded.upload_id,
            column_mapping=[
                {"external_field_name": "Phone", "field_name": "phone_number"},
                {"external_field_name": "Plan", "field_name": "plan"},
            ],
            contact_tags=["VIP", "Fair"],
            default_country="US",
        )
    )
    assert (started.status, started.triggered_by) == ("queued", "manual")
    with pytest.raises(retell.BadRequestError, match="queued already"):
        client.contact.create_import(
            upload_id=uploaded.upload_id,
            column_mapping=[{"external_field_name": "Phone", "field_name": "phone_number"}],
        )
    while import_some():
        pass
    ended = known(client.contact.get_import())
    assert (ended.status, ended.succeeded, ended.failed) == ("idle", 1, 1)
    made = known(client.contact.get_by_phone(ADA))
    assert (made.custom_fields, sorted(tag.label for tag in made.contact_tags)) == (
        {"plan": "pro"},
        ["Fair", "VIP"],
    )
    assert {"VIP", "Fair"} == {tag.label for tag in known(client.crm.get_config()).contact_tags}


def test_a_backfill_is_started_and_watched(client):
    configure(client)
    assert known(client.contact.get_backfill_job_status()).status == "idle"
    started = known(client.contact.backfill_analysis_data(backfill_attributes=["interests"]))
    assert started.status == "queued"
    assert known(client.contact.get_backfill_job_status()).triggered_by == "manual"
    with pytest.raises(retell.BadRequestError, match="running already"):
        client.contact.backfill_analysis_data(
            backfill_attributes=["interests"],
            backfill_call_filter={
                "agent": [{"agent_id": "agent_1", "version": [1]}],
                "start_timestamp": {"type": "range", "op": "bt", "value": [0, 1]},
            },
        )


def test_what_agents_could_do_with_an_app_is_refused_with_the_reason(client):
    app = client.app.create(provider="hubspot", type="crm")
    with pytest.raises(retell.NotFoundError, match="no tools to agents"):
        client.app.get_tool_schema(app.app_id, app_tool_template_name="create_contact")
    for wrong in (
        {"provider": "google_calendar", "type": "calendar"},
        {"provider": "hubspot", "type": "calendar"},
    ):
        with pytest.raises(retell.BadRequestError, match=r"hubspot, salesforce|must be crm"):
            client.app.create(**wrong)


def test_a_create_that_is_sent_again_with_its_key_happens_once(client):
    first, again = (
        client.contact.create(phone_number=ADA, extra_headers={"Idempotency-Key": "row-1"}) for _ in range(2)
    )
    assert again == first
    assert len(client.contact.list().items) == 1


@pytest.mark.once
def test_every_method_of_the_client_is_driven_here():
    source = Path(__file__).read_text()
    client = Retell(api_key="unused")
    for name in ("crm", "contact", "app"):
        methods = [
            method
            for method, held in vars(type(getattr(client, name))).items()
            if callable(held) and not method.startswith(("_", "with_"))
        ]
        assert methods
        assert not [method for method in methods if f"client.{name}.{method}(" not in source]
