"""What the tests of conversations share: contact fields, a CRM in memory, an LLM over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contacts.models import Contact, CustomField
from integrations.models import Connection, ConnectionStatus
from integrations.providers.registry import PROVIDERS, ProviderEntry
from mappings.models import AnalysisMapping
from sync.models import ExternalRecord
from tests.activity.payloads import ADA
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS

FAKE = ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
FIELDS = {
    "notes": "string",
    "interests": "string",
    "plan": "enum",
    "budget": "number",
    "vip": "boolean",
    "renewal": "date",
    "visit": "datetime",
}


@pytest.fixture
def fields(db: None) -> None:
    """One custom field of every type, and a second text."""
    for name, kind in FIELDS.items():
        options = ["free", "pro"] if kind == "enum" else []
        CustomField.objects.create(name=name, type=kind, options=options, description=f"About {name}.")


@pytest.fixture
def mapping(fields: None) -> Callable[..., AnalysisMapping]:
    """Make an analysis mapping: `mapping("analysis name", "field", "mode")`."""

    def make(
        analysis_field: str, contact_field: str, mode: str = "overwrite", **more: Any
    ) -> AnalysisMapping:
        return AnalysisMapping.objects.create(
            analysis_field=analysis_field, contact_field=contact_field, update_mode=mode, **more
        )

    return make


@pytest.fixture
def crm() -> Iterator[FakeCrm]:
    """The CRM behind the connection."""
    CRMS["fake"] = FakeCrm()
    yield CRMS["fake"]
    CRMS.clear()


@pytest.fixture
def connection(db: None, crm: FakeCrm, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A connection that logs conversations."""
    monkeypatch.setitem(PROVIDERS, "fake", FAKE)
    return Connection.objects.create(
        provider="fake",
        name="Fake CRM",
        tenant_url="fake",
        status=ConnectionStatus.CONNECTED,
        sync_conversation_activity=True,
    )


@pytest.fixture
def link(connection: Connection, crm: FakeCrm) -> Callable[..., ExternalRecord]:
    """Give a contact a record in the CRM."""

    def make(contact: Contact | None = None, **values: Any) -> ExternalRecord:
        contact = contact or Contact.objects.get(phone_number=ADA)
        record = crm.add(last_name="Lovelace", phone=contact.phone_number, **values)
        return ExternalRecord.objects.create(connection=connection, external_id=record, contact=contact)

    return make


@pytest.fixture
def llm(sandbox: Any, settings: Any) -> Any:
    """The stand-in LLM; `llm.settings["mode"]` makes it fail, `llm.requests` is what it was told."""
    llm = sandbox.world.llm
    llm.settings["mode"] = "normal"
    llm.requests.clear()
    settings.OPENAI_API_KEY = llm.settings["key"]
    settings.OPENAI_BASE_URL = f"{sandbox.base_url}/v1"
    return llm
