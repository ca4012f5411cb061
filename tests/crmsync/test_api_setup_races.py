"""Scripts that change the setup at the same moment take turns: none fails, and no limit is passed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from crmsync.api.connections import MOST_PER_PROVIDER
from crmsync.api_keys import issue_key
from crmsync.organisation import Organisation
from integrations.models import Connection
from mappings.models import AnalysisMapping

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 6
Send = Callable[[str, str, Any], requests.Response]


@pytest.fixture
def send(live_server: Any) -> Send:
    secret = issue_key("deployment")[1]
    Organisation.current()

    def call(method: str, path: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.request(
            method, f"{live_server.url}/api/{path}", json=body, headers=headers, timeout=60
        )

    return call


def together(call: Callable[[int], requests.Response]) -> list[int]:
    """The statuses of calls that are made at once."""
    with ThreadPoolExecutor(AT_ONCE) as people:
        return [answer.status_code for answer in people.map(call, range(AT_ONCE))]


def test_the_config_is_replaced_by_one_after_the_other(send):
    field = {"name": "notes", "type": "string"}
    rule = {"analysis_data_name": "topics", "field_name": "notes", "update_mode": "merge"}
    tag = {"id": "a" * 32, "label": "VIP"}
    wanted = {"custom_fields": [field], "crm_analysis_data_mappings": [rule], "contact_tags": [tag]}
    assert together(lambda _: send("POST", "update-crm-config", wanted)) == [200] * AT_ONCE
    bare = {"crm_analysis_data_mappings": [], "contact_tags": [{"id": "b" * 32, "label": "VIP"}]}
    either = together(lambda number: send("POST", "update-crm-config", wanted if number % 2 else bare))
    assert either == [200] * AT_ONCE
    assert AnalysisMapping.objects.count() in (0, 1)


def test_an_app_keeps_what_others_have_changed_meanwhile(send):
    app = send("POST", "create-app", {"provider": "hubspot", "type": "crm"}).json()["app_id"]
    pairs = [
        {"external_field_name": "phone", "field_name": "phone_number"},
        {"external_field_name": "firstname", "field_name": "first_name"},
    ]
    changes = (
        {"name": "Portal"},
        {"crm_config": {"inbound_sync_mappings": pairs}},
        {"crm_config": {"sync_new_contacts": True}},
    )
    sent = together(lambda number: send("PATCH", f"update-app/{app}", changes[number % len(changes)]))
    assert sent == [200] * AT_ONCE
    row = Connection.objects.get()
    assert (row.name, row.sync_new_contacts, row.inbound_mappings.count()) == ("Portal", True, 2)


def test_the_limit_of_apps_holds_when_several_are_created_at_once(send):
    Connection.objects.bulk_create(
        Connection(provider="hubspot", name=f"Portal {n}") for n in range(MOST_PER_PROVIDER - 2)
    )
    made = together(lambda _: send("POST", "create-app", {"provider": "hubspot", "type": "crm"}))
    assert sorted(made) == [201] * 2 + [400] * (AT_ONCE - 2)
