"""The configuration history: whichever door a setting is changed through, one place tells who did it, when, and what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from contacts.models import CustomField
from crmsync.api_keys import ApiKey
from crmsync.config_history import ConfigChange
from crmsync.pages.previews import sign_seen
from crmsync.roles import ADMINISTRATOR, OPERATOR, ROLES, STAFF, ensure_roles, give_role
from integrations.connections import record_failure
from integrations.models import Connection
from integrations.providers.errors import AuthError
from mappings.models import InboundMapping
from tests.crmsync.api_client import client_with
from tests.crmsync.pages_world import client_of, connection, text

pytestmark = pytest.mark.django_db
LIST = "/admin/crmsync/configchange/"
NUMBER = {"external_field_name": "Phone", "field_name": "phone_number"}
NAME = {"external_field_name": "FirstName", "field_name": "first_name"}


@pytest.fixture
def olga() -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


def rows() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Who, action and kind, name, and what changed; oldest first, from here on."""
    found = ConfigChange.objects.order_by("pk")
    return [(row.who, f"{row.kind} {row.action}", row.name, row.diff) for row in found]


def forget() -> None:
    ConfigChange.objects.all().delete()


def test_the_admin_tells_who_changed_which_setting_from_what_to_what(olga: Client):
    olga.post(reverse("admin:contacts_contacttag_add"), {"label": "VIP", "listed": "on"})
    page = reverse("admin:crmsync_organisation_change", args=[1])
    olga.get("/admin/crmsync/organisation/")
    forget()
    olga.post(page, {"merge_budget": "12.50", "contact_memory": "on"})
    diff = {"contact memory": ["no", "yes"], "merge budget": [None, "12.50"]}
    assert [(who, what, changed) for who, what, _, changed in rows()] == [
        ("olga", "organisation changed", diff)
    ]
    seen = text(olga.get(LIST))
    assert "olga" in seen
    assert "merge budget" in seen
    assert "12.50" in seen


def test_the_pages_tell_who_switched_a_connection_on_and_let_it_write(olga: Client):
    crm = connection()
    Connection.objects.update(enabled=False)
    crm.refresh_from_db()
    forget()
    olga.post(
        reverse("setup-start", args=[crm.public_id]), {"seen": sign_seen(crm, timezone.now()), "arm": "1"}
    )
    told = rows()
    assert [(who, what, name) for who, what, name, _ in told] == [
        ("olga", "connection changed", "Salesforce EU")
    ] * 2
    assert told[0][3] == {"enabled": ["no", "yes"]}
    assert list(told[1][3]) == ["armed at"]
    olga.post(reverse("disarm", args=[crm.public_id]))
    assert rows()[-1][3]["armed at"][1] is None


def test_the_set_up_tells_which_mappings_and_fields_were_made(olga: Client):
    crm = connection()
    forget()
    olga.post(
        reverse("setup-mappings", args=[crm.public_id]),
        {"phone": "Phone", "make": "FirstName", "way-FirstName": "both", "stay": "1"},
    )
    assert [(who, what) for who, what, _, _ in rows() if what != "connection changed"] == [
        ("olga", "custom field added"), ("olga", "inbound mapping added"), ("olga", "outbound mapping added"),
    ]  # fmt: skip


def test_the_api_tells_which_key_changed_the_config_and_only_what_differs(olga: Client):
    crm, api = connection(), client_with(name="Terraform")
    InboundMapping.objects.create(connection=crm, external_field="FirstName", contact_field="first_name")
    forget()
    where = f"/api/update-app/{crm.public_id}"
    api.patch(where, {"crm_config": {"inbound_sync_mappings": [NUMBER, NAME]}})
    assert rows() == []
    api.patch(where, {"crm_config": {"inbound_sync_mappings": [NUMBER]}})
    api.post("/api/update-crm-config", {"contact_tags": [{"id": "a" * 32, "label": "VIP"}], "app_id": None})
    api.post("/api/update-crm-config", {"contact_tags": []})
    assert [(who, what, name) for who, what, name, _ in rows()] == [
        ("API key Terraform", "inbound mapping removed", "Salesforce EU: FirstName → first_name"),
        ("API key Terraform", "tag added", "VIP"),
        ("API key Terraform", "connection changed", "Salesforce EU"),
        ("API key Terraform", "tag changed", "VIP"),
    ]
    olga.get("/")  # whoever comes next on this thread is not taken for the key
    give_role(User.objects.create_user("rita"), OPERATOR)
    assert rows()[-1][0] != "API key Terraform"


def test_secrets_are_told_of_and_never_told(olga: Client):
    crm = connection()
    forget()
    olga.post(
        reverse("setup-access", args=[crm.public_id]),
        {"name": crm.name, "tenant_url": crm.tenant_url, "secret_client_secret": "rotated-7731"},
    )
    who, what, _, diff = rows()[0]
    assert (who, what, diff) == (
        "olga", "connection changed", {"credentials": ["stored", "replaced: client_secret"]},
    )  # fmt: skip
    boss = client_of(ADMINISTRATOR, "anna")
    boss.post("/admin/crmsync/apikey/add/", {"name": "Script", "scopes": ["run_jobs"]})
    ulla = User.objects.create_user("ulla", password="correct horse")
    ulla.set_password("battery staple")
    ulla.save()
    held = str(list(ConfigChange.objects.values_list("diff", "name")))
    assert {"API key added", "person changed"} <= {what for _, what, _, _ in rows()}
    for secret in ("rotated-7731", "the-secret", ApiKey.objects.get().key_hash, ulla.password):
        assert secret not in held


def test_who_gave_whom_which_role_is_told():
    boss, rita = client_of(ADMINISTRATOR, "anna"), User.objects.create_user("rita")
    role = Group.objects.get(name=OPERATOR)
    forget()
    sent = {"username": "rita", "is_active": "on", "is_staff": "on", "groups": [role.pk]}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "12:00:00"}
    assert boss.post(reverse("admin:auth_user_change", args=[rita.pk]), sent | dates).status_code == 302
    assert ("anna", "person changed", "rita", {"roles": ["", OPERATOR]}) in rows()
    rita.groups.clear()
    assert rows()[-1][3] == {"roles": [OPERATOR, ""]}
    role.user_set.add(rita)
    assert rows()[-1][2:] == ("rita", {"roles": ["", OPERATOR]})
    forget()
    give_role(rita, OPERATOR)
    rita.groups.remove(Group.objects.get(name=STAFF))  # which she does not have
    assert rows() == []


def _by_worker(crm: Connection) -> None:
    record_failure(crm, AuthError("The CRM refuses the credentials."))
    crm.refresh_from_db()
    crm.cursor = "page 7"
    crm.save()


def _by_release(_: Connection) -> None:
    Group.objects.get(name=OPERATOR).permissions.clear()
    forget()
    ensure_roles()


def _signed_in(_: Connection) -> None:
    user = User.objects.create_user("rita")
    forget()
    Client().force_login(user)


@pytest.mark.parametrize("happens", [_by_worker, _by_release, _signed_in])
def test_what_is_no_setting_leaves_no_row(happens: Callable[[Connection], None]):
    crm = connection()
    forget()
    happens(crm)
    assert rows() == []


def test_a_change_that_is_taken_back_by_the_database_is_not_told():
    crm = connection()
    forget()
    crm.name = "Other"
    with transaction.atomic():
        crm.save()
        assert rows() != []
        transaction.set_rollback(True)
    assert rows() == []


def test_a_deleted_connection_is_one_row_and_its_history_stays(olga: Client):
    crm = connection()
    olga.post(reverse("admin:integrations_connection_delete", args=[crm.pk]), {"post": "yes"})
    who, what, name, diff = rows()[-1]
    assert (who, what, name) == ("olga", "connection removed", "Salesforce EU")
    assert diff["address"] == ["https://acme.my.salesforce.com", None]
    assert ConfigChange.objects.filter(connection_ref=crm.pk).count() == 3


def test_commands_are_told_as_such():
    call_command("create_api_key", "Agent platform")
    assert rows()[-1][1:3] == ("API key added", "Agent platform")
    assert rows()[-1][0] == "the server"


def test_the_history_of_one_thing_is_one_click_from_it(olga: Client):
    crm, field = connection(), CustomField.objects.create(name="city", label="City", type="string")
    page = text(olga.get(reverse("admin:integrations_connection_change", args=[crm.pk])))
    assert f"{LIST}?connection_ref={crm.pk}" in page
    assert f"{LIST}?kind=custom+field&amp;object_id={field.pk}" in text(
        olga.get(reverse("admin:contacts_customfield_change", args=[field.pk]))
    )
    seen = text(olga.get(f"{LIST}?connection_ref={crm.pk}"))
    assert "Salesforce EU" in seen
    assert "City" not in seen.split("changelist-form")[1]


@pytest.mark.parametrize("role", ROLES)
def test_the_history_is_read_by_those_who_configure_and_written_by_nobody(role: str):
    connection()
    client, row = client_of(role), ConfigChange.objects.latest("pk")
    may = role in {ADMINISTRATOR, OPERATOR}
    for where in (LIST, f"{LIST}{row.pk}/change/"):
        assert client.get(where, follow=True).status_code == (200 if may else 403)
    assert client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}, follow=True).status_code == 403
    assert client.get(f"{LIST}add/", follow=True).status_code == 403


def test_a_secret_that_no_key_opens_can_be_replaced(settings: Any):
    crm = connection()
    settings.CRMSYNC_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    row = Connection.objects.defer("credentials", "token").get(pk=crm.pk)
    row.credentials = {"client_id": "the-id", "client_secret": "new"}
    row.token = {}
    row.save(update_fields=["credentials", "token"])
    assert rows()[-1][3] == {"credentials": ["", "entered: client_id, client_secret"]}
