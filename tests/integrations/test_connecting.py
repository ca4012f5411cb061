"""What an operator enters: one set of credentials, and an address that is the CRM's."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import override_settings

from integrations.connection_form import SECRET, form_for
from integrations.connections import set_credentials
from integrations.models import Connection
from integrations.providers.errors import ConfigError
from integrations.providers.registry import PROVIDERS

pytestmark = pytest.mark.django_db
SALESFORCE = PROVIDERS["salesforce"]
ORG = "https://acme.my.salesforce.com"
PAIR = {"client_id": "key", "client_secret": "secret"}
JWT = {"client_id": "key", "username": "ada@example.com", "private_key": "PEM"}


@pytest.mark.parametrize(
    ("given", "stored", "chosen"),
    [
        (PAIR, {}, PAIR),
        (JWT, {}, JWT),
        ({"client_secret": "new"}, PAIR, {**PAIR, "client_secret": "new"}),
        ({"client_id": "new"}, JWT, {**JWT, "client_id": "new"}),
        ({"client_id": "new"}, PAIR, {**PAIR, "client_id": "new"}),
        ({"username": "ada@example.com", "private_key": "PEM"}, PAIR, JWT),
        ({"client_secret": "secret"}, JWT, PAIR),
    ],
)
def test_of_what_is_entered_and_stored_one_set_is_kept(
    given: dict[str, str], stored: dict[str, str], chosen: dict[str, str]
) -> None:
    assert SALESFORCE.chosen(given, stored) == chosen


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"client_id": "key"}, "client_secret"),
        ({"client_id": "key", "username": "ada@example.com"}, "private_key"),
        ({"client_secret": "secret", "private_key": "PEM"}, "client_secret"),
    ],
)
def test_a_set_that_is_incomplete_or_mixed_is_refused(given: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SALESFORCE.chosen(given, {})
    assert caught.value.field == field
    assert "client id + user name + private key" in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "url", "advice"),
    [
        ("salesforce", "https://acme.lightning.force.com/lightning/page/home", ORG),
        (
            "salesforce",
            "https://acme--uat.sandbox.lightning.force.com",
            "acme--uat.sandbox.my.salesforce.com",
        ),
        ("salesforce", "https://login.salesforce.com", "My Domain"),
        ("salesforce", "https://acme.my.salesforce.com:port", "My Domain"),
        ("salesforce", "https://[acme", "My Domain"),
        ("hubspot", "https://app.hubspot.com/contacts/1", "Leave the address blank"),
        ("hubspot", "https://api.hubapi.com:port", "Leave the address blank"),
    ],
)
def test_a_wrong_address_is_refused_when_it_is_saved_with_the_right_one(
    provider: str, url: str, advice: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection(provider=provider, name="CRM", tenant_url=url).full_clean()
    assert advice in str(caught.value.message_dict["tenant_url"])


@pytest.mark.parametrize(
    ("provider", "url"),
    [("salesforce", ORG), ("salesforce", "https://acme--uat.sandbox.my.salesforce.com"), ("hubspot", ""),
     ("hubspot", "https://api-eu1.hubapi.com"), ("salesforce", "http://127.0.0.1:9470")],
)  # fmt: skip
def test_the_crms_own_addresses_are_accepted(provider: str, url: str) -> None:
    Connection(provider=provider, name="CRM", tenant_url=url).full_clean()


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("salesforce", "http://acme.my.salesforce.com"),
        ("salesforce", "http://10.0.0.1:9470"),
        ("salesforce", "http://acme.my.salesforce.com@127.0.0.1"),
        ("salesforce", "http://@localhost:9470"),
        ("hubspot", "http://api.hubapi.com"),
        ("hubspot", "http://127.0.0.1.example.com"),
        ("hubspot", "http://api.hubapi.com@127.0.0.1"),
    ],
)
def test_the_insecure_setting_is_for_loopback_alone(provider: str, url: str) -> None:
    with override_settings(CRMSYNC_ALLOW_INSECURE_CRM_URLS=True), pytest.raises(ValidationError) as caught:
        Connection(provider=provider, name="CRM", tenant_url=url).full_clean()
    assert list(caught.value.message_dict) == ["tenant_url"]


def test_loopback_is_refused_where_the_insecure_setting_is_off() -> None:
    with override_settings(CRMSYNC_ALLOW_INSECURE_CRM_URLS=False), pytest.raises(ValidationError):
        Connection(provider="salesforce", name="CRM", tenant_url="http://127.0.0.1:9470").full_clean()


def filled(secrets: dict[str, str], instance: Connection | None = None, **values: Any) -> Any:
    instance, form = instance or Connection(provider="salesforce"), form_for("salesforce")
    data = {name: value for name, value in form(instance=instance).initial.items() if value is not None}
    data |= {"name": "Org", "tenant_url": ORG, "options": "{}", "phone_fields": "[]", **values}
    return form(data | {SECRET + name: text for name, text in secrets.items()}, instance=instance)


def stored() -> Connection:
    connection = Connection(provider="salesforce", name="Org", tenant_url=ORG)
    set_credentials(connection, PAIR)
    return connection


def test_the_form_takes_either_set_and_shows_none_again() -> None:
    form = filled(JWT)
    assert form.is_valid(), form.errors
    assert form.chosen() == JWT
    again = str(filled({**JWT, "private_key": "", "client_secret": "typed"}))
    assert "typed" not in again
    assert "ada@example.com" not in again


def test_the_form_names_the_missing_credential() -> None:
    assert list(filled({"client_id": "key", "username": "ada"}).errors) == [SECRET + "private_key"]
    assert list(filled({"client_secret": "a", "private_key": "b"}).errors) == [SECRET + "client_secret"]


def test_stored_credentials_are_never_sent_to_a_new_address() -> None:
    other = "https://other.my.salesforce.com"
    assert set(filled({}, stored(), tenant_url=other).errors) == {
        SECRET + "client_id",
        SECRET + "client_secret",
    }
    assert list(filled({"client_id": "key"}, stored(), tenant_url=other).errors) == [SECRET + "client_secret"]
    assert filled(JWT, stored(), tenant_url=other).is_valid()


def test_a_salesforce_form_needs_an_address_and_says_which() -> None:
    assert "tenant_url" in filled(PAIR, tenant_url="").errors
    assert ORG in str(filled(PAIR, tenant_url="https://acme.lightning.force.com").errors["tenant_url"])
