"""The connection's page: credentials go in and never out, mappings come from the schema, deletion says what it means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse

from activity.models import ActivityEntry, Conversation
from contacts.models import Contact, ContactChange
from contacts.values import FieldType
from crmsync.roles import OPERATOR, REVIEWER
from integrations.models import Connection, dump_field
from integrations.providers.base import ExternalField
from integrations.providers.errors import AuthError
from integrations.providers.registry import PROVIDERS, ProviderEntry
from mappings.models import InboundMapping
from tests.crmsync.pages_world import client_of, connection, text, world
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS

pytestmark = pytest.mark.django_db
ADD = "/admin/integrations/connection/add/"
NEW = {
    "provider": "salesforce", "name": "Salesforce EU", "tenant_url": "https://acme.my.salesforce.com", "rank": "10",
    "enabled": "on", "interval_minutes": "5", "duplicate_policy": "latest", "delete_policy": "unlink", "options": "{}",
    "phone_region": "", "overwrite_floor": "100", "overwrite_percent": "10", "reconcile_hours": "24", "phone_fields": "",
    "secret_client_id": "the-id", "secret_client_secret": "the-secret",
}  # fmt: skip


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCrm]:
    """A CRM in memory, as the provider "fake"."""
    monkeypatch.setitem(
        PROVIDERS, "fake", ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
    )
    CRMS["fake"] = FakeCrm()
    yield CRMS["fake"]
    CRMS.clear()


def page_of(crm: Connection) -> str:
    return reverse("admin:integrations_connection_change", args=[crm.pk])


def sent(crm: Connection, **changes: str) -> dict[str, str]:
    """What the connection's page sends back, with `changes`."""
    data = {
        name: value for name, value in NEW.items() if name != "provider" and not name.startswith("secret_")
    }
    data |= {"name": crm.name, "secret_client_id": "", "secret_client_secret": ""}
    return data | changes


def test_a_new_connection_begins_with_the_choice_of_the_crm(client: Client):
    page = text(client.get(ADD))
    assert "?provider=salesforce" in page
    assert "?provider=hubspot" in page
    assert "secret_access_token" in text(client.get(f"{ADD}?provider=hubspot"))
    assert "secret_client_secret" in text(client.get(f"{ADD}?provider=salesforce"))


def test_a_new_connection_has_its_credentials_and_the_phone_mapping(client: Client):
    answer = client.post(f"{ADD}?provider=salesforce", NEW)
    made = Connection.objects.get()
    assert answer["Location"] == page_of(made)
    assert made.credentials == {"client_id": "the-id", "client_secret": "the-secret"}
    assert made.status == "not_connected"
    assert [str(mapping) for mapping in made.inbound_mappings.all()] == ["Phone → phone_number"]


def test_secrets_never_come_back_to_the_page(client: Client):
    crm = connection()
    page = text(client.get(page_of(crm)))
    assert "the-secret" not in page
    assert "the-id" not in page
    assert page.count('placeholder="stored"') == 2
    assert "the-secret" not in text(
        client.post(page_of(crm), sent(crm, secret_client_secret="the-secret", rank="x"))
    )


def test_blank_credentials_keep_the_stored_ones_and_what_workers_wrote_meanwhile(client: Client):
    crm = connection()
    Connection.objects.update(cursor="page 7", token={"access": "t"})
    assert client.post(page_of(crm), sent(crm, name="Salesforce US")).status_code == 302
    crm.refresh_from_db()
    assert (crm.name, crm.status, crm.cursor, crm.token) == (
        "Salesforce US",
        "connected",
        "page 7",
        {"access": "t"},
    )
    assert crm.credentials["client_secret"] == "the-secret"


def test_a_new_secret_replaces_one_and_has_to_be_tested(client: Client):
    crm = connection()
    Connection.objects.update(token={"access": "t"})
    assert client.post(page_of(crm), sent(crm, secret_client_secret=" rotated ")).status_code == 302
    crm.refresh_from_db()
    assert crm.credentials == {"client_id": "the-id", "client_secret": "rotated"}
    assert (crm.status, crm.token) == ("not_connected", {})


def test_stored_secrets_are_not_sent_to_a_new_address(client: Client):
    crm = connection()
    page = text(client.post(page_of(crm), sent(crm, tenant_url="https://evil.my.salesforce.com")))
    assert "never sent to a new address" in page
    crm.refresh_from_db()
    assert crm.tenant_url == "https://acme.my.salesforce.com"


def test_a_test_reads_the_account_and_the_fields(client: Client, crm: FakeCrm):
    made = Connection.objects.create(provider="fake", name="Fake CRM", tenant_url="fake")
    where = reverse("admin:integrations_connection_test", args=[made.pk])
    assert client.get(where).status_code == 405
    page = text(client.post(where, follow=True))
    assert f"{len(crm.fields)} fields were read" in page
    made.refresh_from_db()
    assert (made.status, made.account_name) == ("connected", "Fake CRM")


def test_a_failed_test_says_why(client: Client, crm: FakeCrm):
    made = Connection.objects.create(provider="fake", name="Fake CRM", tenant_url="fake")
    crm.fail("check", AuthError("The CRM refuses the credentials."))
    page = text(client.post(reverse("admin:integrations_connection_test", args=[made.pk]), follow=True))
    assert "Fake CRM: The CRM refuses the credentials." in page
    made.refresh_from_db()
    assert made.status == "error"


def test_a_reviewer_sees_the_connection_without_its_buttons():
    crm = connection()
    client = client_of(REVIEWER)
    page = text(client.get(page_of(crm)))
    assert "Test connection" not in page
    assert "Sync now" not in page
    assert client.post(reverse("admin:integrations_connection_test", args=[crm.pk])).status_code == 403


def test_deleting_a_connection_says_what_goes_and_keeps_contacts_and_history(client: Client):
    known = world()
    where = reverse("admin:integrations_connection_delete", args=[known.connection.pk])
    page = text(client.get(where))
    for words in ("What goes", "1 links to CRM records", "1 inbound mappings", "What stays", "every contact"):
        assert words in page
    client.post(where, {"post": "yes"})
    assert not Connection.objects.exists()
    assert not InboundMapping.objects.exists()
    assert Contact.objects.get() == known.contact
    assert ContactChange.objects.filter(contact=known.contact).exists()
    assert Conversation.objects.get() == known.conversation


def test_templates_edited_here_have_what_was_in_the_usual_words_worded_anew(client: Client):
    known = world()
    ActivityEntry.objects.update(note="Logged in the usual words: It does not fit.")
    client.post(page_of(known.connection), sent(known.connection, name="Renamed"))
    assert ActivityEntry.objects.get().state == "logged"
    client.post(page_of(known.connection), sent(known.connection, activity_body="{{ summary }}"))
    assert ActivityEntry.objects.get().state == "pending"


def test_the_status_box_names_records_left_out_and_open_issues(client: Client):
    known = world()
    known.connection.records.create(external_id="x1", state="skipped", reason="no_phone")
    page = text(client.get(page_of(known.connection)))
    for words in ("Healthy", "1 no phone", "18 records have no phone number.", "Sync everything"):
        assert words in page


def test_further_phone_fields_are_edited_as_lines(client: Client):
    crm = connection()
    crm.schema = [*crm.schema, dump_field(ExternalField("Mobile", "Mobile", FieldType.STRING, phone=True))]
    crm.save()
    assert client.post(page_of(crm), sent(crm, phone_fields="Mobile\n\n")).status_code == 302
    crm.refresh_from_db()
    assert crm.phone_fields == ["Mobile"]
