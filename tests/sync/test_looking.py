"""Plans over the API: what a sync would do, of an app or of one contact, with nothing written on either side."""

from __future__ import annotations

from typing import Any

import pytest

from contacts.changes import create_contact
from contacts.models import Contact, ContactChange
from integrations.models import Connection
from integrations.providers.errors import AuthError
from sync.looking import look
from sync.models import ExternalRecord, PendingPush
from sync.preview import Preview
from tests.crmsync.api_client import client_with
from tests.sync.world import ADA, GRACE, PERSON, LiveCrm, contact, edit, push


@pytest.fixture
def api(connection: Connection) -> Any:
    return client_with()


def planned(api: Any, kind: str, **body: Any) -> dict[str, Any]:
    response = api.post(f"/api/v1/plans/{kind}/", body)
    assert response.status_code == 200, response.content
    found: dict[str, Any] = response.json()
    return found


def values(plan: dict[str, Any]) -> set[tuple[Any, ...]]:
    return {(row["side"], row.get("field_name"), row["old"], row["new"]) for row in plan["changes"]}


def test_the_plan_of_a_contact_tells_both_sides_and_writes_neither(
    api: Any, connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(first_name="Augusta")
    crm.edit(linked, last_name="King")
    history, sent = ContactChange.objects.count(), len(crm.sent)
    plan = planned(api, "contact", contact_id=contact().public_id)
    assert values(plan) == {
        ("contact", "last_name", "Lovelace", "King"),
        ("crm", "first_name", "Ada", "Augusta"),
    }
    assert (plan["app_id"], plan["complete"], plan["looked_at"]) == (connection.public_id, True, 1)
    assert (contact().last_name, crm.value(linked, "first_name")) == ("Lovelace", "Ada")
    assert (ContactChange.objects.count(), len(crm.sent)) == (history, sent)


def test_a_contact_that_is_in_step_has_nothing_planned(api: Any, linked: str) -> None:
    assert planned(api, "contact", contact_id=contact().public_id)["changes"] == []


def test_the_plan_of_an_unlinked_contact_matches_it_by_its_number(
    api: Any, connection: Connection, crm: LiveCrm
) -> None:
    made = create_contact(GRACE, {}, source=PERSON).contact
    crm.add(first_name="Grace", phone=GRACE)
    plan = planned(api, "contact", contact_id=made.public_id, app_id=connection.public_id)
    assert ("contact", "first_name", None, "Grace") in values(plan)
    assert plan["counts"]["linked"] == 1
    assert not ExternalRecord.objects.exists()


def test_a_dry_run_counts_what_a_run_would_do(
    api: Any, connection: Connection, crm: LiveCrm, ada: str
) -> None:
    plan = planned(api, "inbound", app_id=connection.public_id, full=True)
    assert (plan["counts"]["created"], plan["complete"]) == (1, True)
    assert ("contact", "first_name", None, "Ada") in values(plan)
    assert not Contact.objects.exists()


def test_the_outbound_plan_tells_what_waits(
    api: Any, connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(first_name="Augusta")
    plan = planned(api, "outbound", app_id=connection.public_id)
    assert values(plan) == {("crm", "first_name", "Ada", "Augusta")}
    assert crm.value(linked, "first_name") == "Ada"
    assert PendingPush.objects.count() == 1
    push()
    assert planned(api, "outbound", app_id=connection.public_id)["changes"] == []


def test_a_crm_that_does_not_answer_is_a_400_that_says_so(
    api: Any, connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.fail("read", AuthError("The CRM refused the credentials.", code="INVALID"))
    refused = api.post("/api/v1/plans/contact/", {"contact_id": contact(ADA).public_id})
    assert refused.status_code == 400
    assert "refused the credentials" in refused.json()["message"]
    connection.refresh_from_db()
    assert connection.status == "error"


def test_without_an_app_there_is_no_plan(api: Any, connection: Connection, linked: str) -> None:
    Connection.objects.update(enabled=False)
    refused = api.post("/api/v1/plans/contact/", {"contact_id": contact().public_id})
    assert (refused.status_code, "app_id" in refused.json()["message"]) == (400, True)


@pytest.mark.parametrize(("most", "seconds", "done"), [(2, 60.0, 2), (10, 60.0, 5), (10, -1.0, 1)])
def test_a_look_ends_when_enough_was_seen_and_says_whether_that_is_all(
    most: int, seconds: float, done: int
) -> None:
    def at(watch: Any) -> Preview:
        result = Preview(total=5)
        for _ in range(5):
            result.done += 1
            watch(result)
        return result

    looked = look(at, most=most, seconds=seconds)
    assert (looked.preview.done, looked.complete) == (done, done == 5)
