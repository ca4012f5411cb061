"""The guided set-up, driven as a person drives it, against the stand-in CRMs over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from contacts.models import Contact, CustomField
from crmsync.models import Heartbeat
from crmsync.roles import OPERATOR, REVIEWER, STAFF
from crmsync.tasks import drain
from integrations.models import Connection
from mappings.models import InboundMapping, OutboundMapping
from sync.models import SyncRun
from tests.crmsync.pages_world import client_of, connection, text

pytestmark = pytest.mark.django_db
SECRETS = {
    "salesforce": {"secret_client_id": "sandbox-key", "secret_client_secret": "sandbox-secret"},
    "hubspot": {"secret_access_token": "pat-sandbox-token"},
}
FURTHER = {
    "salesforce": ("Plan__c", "plan", "enum"),
    "hubspot": ("renewal_date", "renewal_date", "date"),
}


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


def begin(client: Client, sandbox: Any, provider: str = "salesforce", **changes: str) -> Any:
    """Send the first step."""
    data = {"name": "Main CRM", "tenant_url": sandbox.base_url, "phone_region": "", **SECRETS[provider]}
    return client.post(f"/setup/new/{provider}/", data | changes)


def at(step: str) -> str:
    """The address of a step of the one connection there is."""
    return f"/setup/{Connection.objects.get().public_id}/{step}/"


def hidden(page: str, name: str) -> list[str]:
    """What the page sends back unseen."""
    return re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)


def all_ticked(page: str) -> dict[str, Any]:
    """What the mapping page sends when nothing is touched."""
    data: dict[str, Any] = {"phone": re.findall(r'<option value="([^"]*)" selected>', page)[0]}
    data["listed"] = hidden(page, "listed")
    data["take"] = re.findall(r'name="take" value="([^"]*)" id="[^"]*" checked', page)
    for name, options in re.findall(r'<select name="(way-[^"]*)"[^>]*>(.*?)</select>', page):
        data[name] = re.findall(r'value="(\w+)" selected', options)[0]
    return data


@pytest.mark.parametrize("provider", ["salesforce", "hubspot"])
def test_a_person_gets_from_nothing_to_the_first_sync(client: Client, sandbox: Any, provider: str):
    field, name, kind = FURTHER[provider]
    assert f"/setup/new/{provider}/" in text(client.get("/setup/"))
    assert begin(client, sandbox, provider)["Location"] == at("access")
    page = text(client.get(at("access")))
    assert "answers" in page
    assert "The CRM answers as" in page

    page = text(client.get(at("mappings")))
    data = all_ticked(page) | {"make": [field], "sync_conversation_activity": "on"}
    assert client.post(at("mappings"), data)["Location"] == at("dry-run")
    made = Connection.objects.get()
    assert made.sync_conversation_activity
    assert CustomField.objects.get().name == name
    assert CustomField.objects.get().type == kind
    inbound = set(InboundMapping.objects.values_list("contact_field", flat=True))
    assert inbound == {"phone_number", "first_name", "last_name", "do_not_call", name}
    assert set(OutboundMapping.objects.values_list("contact_field", flat=True)) == inbound - {"phone_number"}

    page = text(client.post(at("dry-run")))
    assert "Nothing has been written" in page
    assert Contact.objects.count() == 0
    answer = client.post(at("start"), {"seen": hidden(page, "seen")[0], "arm": "1"})
    assert answer["Location"] == at("first-sync")
    made.refresh_from_db()
    assert (made.enabled, made.armed_by) == (True, "olga")

    Heartbeat.beat()
    assert 'data-live="open"' in text(client.get(at("first-sync")))
    while SyncRun.objects.get().open:
        drain()
    page = text(client.get(at("first-sync")))
    assert "is in step" in page
    assert 'data-live="closed"' in page
    assert Contact.objects.filter(custom_fields__has_key=name).exists()
    assert "Main CRM" not in text(client.get("/setup/"))


def test_nothing_is_read_on_schedule_before_the_first_sync_is_started(client: Client, sandbox: Any):
    begin(client, sandbox)
    client.post(at("mappings"), all_ticked(text(client.get(at("mappings")))))
    made = Connection.objects.get()
    assert not made.enabled
    assert made.inbound_mappings.exists()


def test_every_step_can_be_left_and_taken_up_again_by_somebody_else(client: Client, sandbox: Any):
    begin(client, sandbox)
    other = client_of(OPERATOR, "otto")
    page = text(other.get("/setup/"))
    assert at("mappings") in page
    assert "step 2 of 4" in page
    assert "/delete/" in page
    client.post(at("mappings"), all_ticked(text(client.get(at("mappings")))))
    assert at("dry-run") in text(other.get("/setup/"))
    assert other.get(f"/setup/{Connection.objects.get().public_id}/")["Location"] == at("dry-run")


def test_a_step_whose_predecessors_are_not_done_leads_back_to_them(client: Client, sandbox: Any):
    begin(client, sandbox, secret_client_secret="wrong")
    for step in ("mappings", "dry-run", "first-sync"):
        assert client.get(at(step))["Location"] == at("access")


def test_wrong_credentials_are_told_in_plain_words_with_what_to_check(client: Client, sandbox: Any):
    begin(client, sandbox, secret_client_secret="wrong")
    page = text(client.get(at("access")))
    assert "did not let us in" in page
    assert "Salesforce refuses" in page
    assert "What to check" in page
    assert 'value="Main CRM"' in page
    assert f'value="{sandbox.base_url}"' in page
    assert "wrong" not in re.sub(r'class="[^"]*"', "", page).split("<form", 1)[1].split("</form>")[0]


def test_what_was_typed_stays_when_something_has_to_be_mended_but_no_secret_comes_back(client: Client):
    answer = client.post(
        "/setup/new/salesforce/",
        {"name": "Ours", "tenant_url": "https://login.salesforce.com", "secret_client_secret": "s3cret"},
    )
    page = text(answer)
    assert "My Domain address" in page
    assert 'value="Ours"' in page
    assert 'value="https://login.salesforce.com"' in page
    assert "s3cret" not in page
    assert not Connection.objects.exists()


def test_new_credentials_keep_mappings_and_everything_else(client: Client, sandbox: Any):
    begin(client, sandbox, secret_client_secret="wrong")
    crm = Connection.objects.get()
    InboundMapping.objects.create(connection=crm, external_field="Phone", contact_field="phone_number")
    Connection.objects.update(cursor="page 7", rank=30)
    data = {"name": crm.name, "tenant_url": crm.tenant_url, "secret_client_secret": "sandbox-secret"}
    assert client.post(at("access"), data).status_code == 302
    crm.refresh_from_db()
    assert (crm.status, crm.cursor, crm.rank) == ("connected", "page 7", 30)
    assert crm.credentials["client_id"] == "sandbox-key"
    assert crm.inbound_mappings.count() == 1


def test_a_row_that_cannot_be_saved_is_marked_and_the_ticks_stay(client: Client, sandbox: Any):
    begin(client, sandbox)
    data = all_ticked(text(client.get(at("mappings")))) | {"make": ["Plan__c"]}
    data["take"] = [*data["take"], "CreatedDate:first_name"]
    data |= {"way-CreatedDate:first_name": "out", "phone": ""}
    page = text(client.post(at("mappings"), data))
    assert "Nothing is saved yet" in page
    assert not InboundMapping.objects.exists()
    assert not CustomField.objects.exists()
    assert re.search(r'name="make" value="Plan__c" id="[^"]*" checked', page)


def test_unticking_ends_a_mapping_and_one_that_stays_keeps_its_policies(client: Client, sandbox: Any):
    begin(client, sandbox)
    client.post(at("mappings"), all_ticked(text(client.get(at("mappings")))))
    InboundMapping.objects.filter(contact_field="first_name").update(conflict_policy="ask")
    data = all_ticked(text(client.get(at("mappings"))))
    data["take"].remove("LastName:last_name")
    data["way-FirstName:first_name"] = "in"
    client.post(at("mappings"), data)
    assert not InboundMapping.objects.filter(contact_field="last_name").exists()
    assert InboundMapping.objects.get(contact_field="first_name").conflict_policy == "ask"
    assert not OutboundMapping.objects.filter(contact_field="first_name").exists()


def test_the_first_sync_starts_only_from_a_dry_run_of_this_connection(client: Client, sandbox: Any):
    begin(client, sandbox)
    client.post(at("mappings"), all_ticked(text(client.get(at("mappings")))))
    page = text(client.post(at("start"), {"seen": "forged", "arm": "1"}, follow=True))
    assert "Look at the dry run again" in page
    assert not SyncRun.objects.exists()
    seen = hidden(text(client.post(at("dry-run"))), "seen")[0]
    client.post(at("start"), {"seen": seen})
    crm = Connection.objects.get()
    assert crm.enabled
    assert crm.armed_at is None
    assert client.post(at("start"), {"seen": seen}).status_code == 302
    assert SyncRun.objects.count() == 1


def test_a_silent_worker_is_named_while_the_first_sync_waits(client: Client):
    crm = connection()
    SyncRun.objects.create(connection=crm)
    assert "No worker has given a sign of life" in text(client.get(at("first-sync")))
    Heartbeat.beat()
    assert "No worker has given" not in text(client.get(at("first-sync")))


@pytest.mark.parametrize("role", [STAFF, REVIEWER, ""])
def test_the_set_up_is_closed_to_those_who_do_not_run_the_system(role: str):
    crm = connection()
    other = client_of(role)
    assert other.get("/setup/").status_code == 403
    assert other.get("/setup/new/hubspot/").status_code == 403
    for step in ("", "access/", "mappings/", "dry-run/", "first-sync/"):
        assert other.get(f"/setup/{crm.public_id}/{step}").status_code == 403
    assert other.post(f"/setup/{crm.public_id}/start/").status_code == 403
    assert Client().get("/setup/")["Location"] == "/login/?next=/setup/"


def test_an_unknown_provider_is_not_found(client: Client):
    assert client.get("/setup/new/abacus/").status_code == 404
