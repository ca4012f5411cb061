"""Whatever JSON a client sends, a call answers with its result or with a documented error, never with a failure."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.changes import Source, create_contact
from contacts.models import CustomField
from integrations.models import Connection
from tests.crmsync.api_client import client_with

WORDS = [
    "", "plan", "score", "eq", "bt", "in", "pr", "string", "number", "range", "enum", "present", "desc", "oauth2", "crm",
    "salesforce", "phone_number", "first_name", "+14155550100", "merge", "2026-05-14", "https://acme.my.salesforce.com",
    "a" * 32, "é", "\x00", "\ud800", "💬", "%", "W10",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
)
KEYS = st.sampled_from(
    [
        "name", "type", "op", "value", "key", "id", "label", "options", "field_name", "external_field_name", "update_mode",
        "analysis_data_name", "plan", "score", "phone_number", "external_id", "custom_fields", "client_id", "api_key",
        "inbound_sync_mappings", "outbound_sync_mappings", "last_conversation_timestamp", "contact_tag_ids",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
CALLS = {
    ("POST", "list-contacts"): ["limit", "skip", "pagination_key", "sort_order", "search_query", "filter_criteria",
                                "excluded_contact_ids"],
    ("POST", "create-contact"): ["phone_number", "first_name", "do_not_call", "custom_fields", "contact_tag_ids",
                                 "contact_memory"],
    ("PATCH", "update-contact/{contact}"): ["last_name", "do_not_call", "custom_fields", "contact_tag_ids"],
    ("POST", "update-crm-config"): ["app_id", "custom_fields", "crm_analysis_data_mappings", "contact_tags",
                                    "contact_columns_order", "contact_memory_update_prompt"],
    ("POST", "create-app"): ["provider", "type", "auth_config", "crm_config", "name", "tenant_url"],
    ("PATCH", "update-app/{app}"): ["auth_config", "crm_config", "name", "tenant_url"],
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_any_body_gets_a_result_or_a_documented_error(method, path):
    client = client_with()
    CustomField.objects.create(name="plan", type="enum", options=["free", "pro"])
    CustomField.objects.create(name="score", type="number")
    contact = create_contact("+14155550199", {"score": 4}, source=Source("person")).contact
    app = Connection.objects.create(provider="salesforce", name="Salesforce")
    address = "/api/" + path.format(contact=contact.public_id, app=app.public_id)

    @settings(
        max_examples=120,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(st.dictionaries(st.sampled_from(CALLS[method, path]), ANYTHING, max_size=4) | ANYTHING)
    def send(body: Any) -> None:
        response = client.generic(method, address, json.dumps(body), content_type="application/json")
        assert response.status_code in (200, 201, 400, 422), response.content
        assert response.status_code < 400 or response.json()["status"] == "error"

    send()
