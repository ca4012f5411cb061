"""Questions over the API: shown with both sides as the CRM holds them now, and answered for good under the key's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contacts.changes import change_contact
from contacts.models import Contact, ContactChange, CustomField
from integrations.models import Connection
from integrations.providers.errors import Transient
from integrations.providers.registry import PROVIDERS
from sync import issues
from sync.models import ExternalRecord, RecordState, SyncIssue
from tests.crmsync.api_client import client_with, problems
from tests.fakes.provider import CRMS
from tests.sync.world import ADA, ENTRY, PERSON, LiveCrm, connect, sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCrm]:
    """The CRM that the connection leads to, with Ada in it."""
    monkeypatch.setitem(PROVIDERS, "fake", ENTRY)
    CRMS["one"] = made = LiveCrm()
    made.add(first_name="Ada", last_name="Lovelace", phone="(415) 555-0100", plan="Free", notes="calm")
    yield made
    CRMS.clear()


@pytest.fixture
def connection(crm: LiveCrm) -> Connection:
    for name, kind in {"plan": "enum", "lifetime": "number", "renewal": "date", "visited": "datetime", "vip": "boolean",
                       "notes": "string"}.items():  # fmt: skip
        CustomField.objects.create(name=name, type=kind, options=["Free", "Pro"] if kind == "enum" else [])
    made = connect()
    sync(made)
    return made


@pytest.fixture
def api() -> Any:
    return client_with("run_jobs", "read_contacts", "write_contacts", name="mender")


def ada() -> Contact:
    return Contact.objects.get(phone_number=ADA)


def asked(connection: Connection, kind: str, **detail: Any) -> str:
    """The address of a question about Ada's notes."""
    field = "" if kind == "ambiguous" else "notes"
    issue = issues.report(connection, kind, contact=ada(), field=field, detail=detail, count=1)
    return f"/api/v1/issues/{issue.pk}/"


def test_a_conflict_shows_both_sides_and_is_answered_once(api, crm, connection):
    at = asked(connection, "conflict", key="notes:notes")
    change_contact(ada().pk, {"notes": "ours"}, source=PERSON)
    crm.edit("R000001", notes="theirs")
    question = api.get(f"{at}question/").json()
    assert question["sides"] == {"ours": "ours", "theirs": "theirs", "incoming": "theirs"}
    assert (question["answer_with"], question["issue"]["kind"]) == ("winner", "conflict")
    answered = api.post(f"{at}answer/", {"winner": "crm"}).json()
    assert (answered["state"], answered["acted_by"]) == ("resolved", "mender")
    assert ada().value("notes") == "theirs"
    assert ContactChange.objects.latest("pk").source_label.endswith("chosen by mender")
    again = api.post(f"{at}answer/", {"winner": "ours"})
    assert (again.status_code, "decided already" in again.json()["message"]) == (400, True)


def test_several_records_are_told_apart_and_one_is_chosen(api, crm, connection):
    twin = crm.add(first_name="Ada", last_name="King", phone="(415) 555-0100", notes="second")
    ExternalRecord.objects.filter(contact=ada()).update(contact=None, state=RecordState.SKIPPED)
    at = asked(connection, "ambiguous", candidates=["R000001", twin])
    question = api.get(f"{at}question/").json()
    assert question["answer_with"] == "external_id"
    assert {one["external_id"]: one["values"]["notes"] for one in question["candidates"]} == {
        "R000001": "calm", twin: "second",
    }  # fmt: skip
    assert api.post(f"{at}answer/", {"external_id": "R999999"}).status_code == 400
    assert api.post(f"{at}answer/", {"external_id": twin}).json()["state"] == "resolved"
    assert ExternalRecord.objects.get(contact=ada()).external_id == twin


def test_a_fight_is_ended_by_the_value_that_is_sent(api, crm, connection):
    at = asked(connection, "oscillation")
    crm.edit("R000001", notes="theirs")
    question = api.get(f"{at}question/").json()
    assert question["held"] == [{"value": "calm"}, {"name": connection.name, "value": "theirs"}]
    assert problems(api.post(f"{at}answer/", {"value": 7 * ["x"]})) == {"value": "wrong_type"}
    assert api.post(f"{at}answer/", {"value": "agreed"}).json()["state"] == "resolved"
    assert ada().value("notes") == "agreed"
    changes = ContactChange.objects.filter(contact=ada(), source_kind="person")
    assert changes.latest("pk").source_label == "mender"


@pytest.mark.parametrize("body", [{}, {"value": "x"}, {"winner": "crm", "value": "x"}])
def test_a_question_takes_its_own_kind_of_answer_alone(api, connection, body):
    at = asked(connection, "conflict", key="notes:notes")
    assert problems(api.post(f"{at}answer/", body)) == {"": "exactly_one"}
    assert SyncIssue.objects.get(kind="conflict").state == "open"


def test_a_crm_that_does_not_answer_costs_no_question(api, crm, connection):
    at = asked(connection, "conflict", key="notes:notes")
    crm.fail("read", Transient("The CRM is out."), times=2)
    for response in (api.get(f"{at}question/"), api.post(f"{at}answer/", {"winner": "crm"})):
        assert (response.status_code, "could not be asked" in response.json()["message"]) == (400, True)
    assert SyncIssue.objects.get(kind="conflict").state == "open"


def test_what_asks_nothing_is_refused_and_what_is_not_there_is_a_422(api, connection):
    issue = issues.report(connection, "no_phone", message="1 record.", count=1)
    assert api.get(f"/api/v1/issues/{issue.pk}/question/").status_code == 400
    assert api.post(f"/api/v1/issues/{issue.pk}/answer/", {"winner": "crm"}).status_code == 400
    assert api.get("/api/v1/issues/77777/question/").status_code == 422


def test_both_scopes_are_needed(connection):
    at = asked(connection, "conflict", key="notes:notes")
    assert client_with("run_jobs", "write_contacts").get(f"{at}question/").status_code == 403
    assert client_with("run_jobs", "read_contacts").post(f"{at}answer/", {"winner": "crm"}).status_code == 403
    assert (
        client_with("write_contacts", "read_contacts").post(f"{at}answer/", {"winner": "crm"}).status_code
        == 403
    )
