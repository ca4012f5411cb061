"""Connections to the stand-in CRMs, and to the one in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integrations.connections import set_credentials
from integrations.models import Connection
from integrations.providers.registry import PROVIDERS, ProviderEntry
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS

SECRETS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}


@pytest.fixture
def connect(db: None, sandbox: Any) -> Callable[..., Connection]:
    """Make a connection to a stand-in CRM: `connect("salesforce", …)`."""

    def make(system: str, secrets: dict[str, str] | None = None, **values: Any) -> Connection:
        connection = Connection(provider=system, name=system, tenant_url=sandbox.base_url, **values)
        set_credentials(connection, SECRETS[system] if secrets is None else secrets)
        return connection

    return make


@pytest.fixture
def fake_connection(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Connection, FakeCrm]]:
    """A connection to the CRM in memory, and that CRM."""
    entry = ProviderEntry(
        "Fake", "tests.fakes.provider:fake_provider", (), "phone", "", names_itself=("last_name",)
    )
    monkeypatch.setitem(PROVIDERS, "fake", entry)
    CRMS["fake"] = FakeCrm()
    yield Connection.objects.create(provider="fake", name="Fake CRM", tenant_url="fake"), CRMS["fake"]
    CRMS.clear()
