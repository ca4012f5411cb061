"""Issues with their buttons, and the questions that only a person can answer, against a CRM in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client

from contacts.changes import change_contact
from contacts.models import Contact, ContactChange, CustomField
from crmsync.roles import OPERATOR, REVIEWER
from integrations.models import Connection
from integrations.providers.errors import Transient
from integrations.providers.registry import PROVIDERS
from sync import issues
from sync.models import ExternalRecord, RecordState, RunState, SyncIssue, SyncRun
from tests.crmsync.pages_world import client_of, text
from tests.fakes.provider import CRMS
from tests.sync.world import ADA, ENTRY, PERSON, LiveCrm, connect, sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCrm]:
    """The CRM that the connection "one" leads to, with Ada in it."""
    monkeypatch.setitem(PROVIDERS, "fake", ENTRY)
    CRMS["one"] = made = LiveCrm()
    made.add(first_name="Ada", last_name="Lovelace", phone="(415) 555-0100", plan="Free", notes="calm")
    yield made
    CRMS.clear()


@pytest.fixture
def connection(crm: LiveCrm) -> Connection:
    """A connection with every field mapped both ways and Ada imported."""
    for name, kind in {"plan": "enum", "lifetime": "number", "renewal": "date", "visited": "datetime", "vip": "boolean",
                       "notes": "string"}.items():  # fmt: skip
        CustomField.objects.create(name=name, type=kind, options=["Free", "Pro"] if kind == "enum" else [])
    made = connect()
    sync(made)
    return made


@pytest.fixture
def client(db: None) -> Client:
    """A reviewer's browser."""
    return client_of(REVIEWER, "rita")


def ada() -> Contact:
    return Contact.objects.get(phone_number=ADA)


def conflict(connection: Connection, contact: Contact | None = None) -> SyncIssue:
    return issues.report(
        connection,
        "conflict",
        contact=contact or ada(),
        field="notes",
        detail={"key": "notes:notes"},
        count=1,
    )


def test_both_values_stand_side_by_side_and_the_crms_is_taken(
    client: Client, crm: LiveCrm, connection: Connection
):
    issue = conflict(connection)
    change_contact(ada().pk, {"notes": "<b>ours</b>"}, source=PERSON)
    crm.edit("R000001", notes="theirs")
    page = text(client.get("/questions/?kind=conflict"))
    assert "theirs" in page
    assert "&lt;b&gt;ours&lt;/b&gt;" in page
    assert "by olga, " in " ".join(page.split())
    assert "the record was changed" in page
    assert "open in the CRM" in page
    client.post(f"/questions/{issue.pk}/decide/", {"winner": "crm"})
    assert ada().value("notes") == "theirs"
    issue.refresh_from_db()
    assert (issue.state, issue.acted_by) == (SyncIssue.State.RESOLVED, "rita")
    assert "decided already" in text(
        client.post(f"/questions/{issue.pk}/decide/", {"winner": "crm"}, follow=True)
    )


def test_ours_is_kept_and_what_lost_stays_in_the_history(
    client: Client, crm: LiveCrm, connection: Connection
):
    issue = conflict(connection)
    crm.edit("R000001", notes="theirs")
    client.post(f"/questions/{issue.pk}/decide/", {"winner": "ours"})
    assert ada().value("notes") == "calm"
    assert ContactChange.objects.filter(contact=ada(), source_kind="conflict").exists()


def test_all_questions_about_a_field_are_answered_at_once(
    client: Client, crm: LiveCrm, connection: Connection
):
    crm.add(first_name="Grace", last_name="Hopper", phone="(415) 555-0101", notes="calm")
    sync(connection)
    people = list(Contact.objects.order_by("pk"))
    first, _ = [conflict(connection, one) for one in people]
    for record in list(crm.records):
        crm.edit(record, notes="theirs")
    assert "2 questions are about this field" in text(client.get(f"/questions/{first.pk}/"))
    shown = client.post(f"/questions/{first.pk}/decide/", {"winner": "crm", "all": "1"}, follow=True)
    assert "2 questions answered" in text(shown)
    assert {one.value("notes") for one in Contact.objects.all()} == {"theirs"}


def test_a_crm_that_does_not_answer_costs_no_question(client: Client, crm: LiveCrm, connection: Connection):
    issue = conflict(connection)
    crm.fail("read", Transient("The CRM is down."))
    assert "The CRM is down." in text(client.get("/questions/"))
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.OPEN


def test_one_of_several_records_is_chosen_for_good(client: Client, crm: LiveCrm, connection: Connection):
    other = crm.add(first_name="Ada", last_name="Byron", phone="(415) 555-0100")
    ExternalRecord.objects.create(
        connection=connection,
        external_id=other,
        number=ADA,
        state=RecordState.SKIPPED,
        reason="duplicate_number",
    )
    issue = issues.report(
        connection, "ambiguous", contact=ada(), detail={"candidates": ["R000001", other]}, count=1
    )
    page = text(client.get(f"/questions/{issue.pk}/"))
    assert "Byron" in page
    assert "Lovelace" in page
    refused = client.post(f"/questions/{issue.pk}/choose/", {"record": "R999999"}, follow=True)
    assert "not one of the candidates" in text(refused)
    client.post(f"/questions/{issue.pk}/choose/", {"record": other})
    assert ExternalRecord.objects.get(contact=ada()).external_id == other


def test_a_fight_ends_with_a_value_and_what_was_typed_is_kept(client: Client, connection: Connection):
    issue = issues.report(connection, "oscillation", contact=ada(), field="lifetime", count=1)
    wrong = text(client.post(f"/questions/{issue.pk}/thaw/", {"value": "a lot"}))
    assert 'value="a lot"' in wrong
    assert 'role="alert"' in wrong
    client.post(f"/questions/{issue.pk}/thaw/", {"value": "1500"})
    assert ada().value("lifetime") == 1500
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


def test_an_issue_is_retried_ignored_or_followed_to_the_crm(client: Client, connection: Connection):
    issue = issues.report(connection, "push_rejected", contact=ada(), external_id="R000001", field="notes")
    page = text(client.get("/issues/"))
    for words in (
        "The CRM refused a field",
        "Open in the CRM",
        "R000001",
        f"/issues/{issue.pk}/retry/",
        ada().get_absolute_url(),
    ):
        assert words in page
    where = "/issues/?kind=push_rejected"
    assert client.post(f"/issues/{issue.pk}/retry/", {"back": where})["Location"] == where
    issue.refresh_from_db()
    assert (issue.acted_by, issue.attempts) == ("rita", 0)
    client.post(f"/issues/{issue.pk}/ignore/")
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.IGNORED
    assert "settled already" in text(client.post(f"/issues/{issue.pk}/ignore/", follow=True))


@pytest.mark.parametrize("kind", ["run_held", "push_held", "outbound_not_armed", "oscillation"])
def test_what_is_held_back_cannot_be_ignored(client: Client, connection: Connection, kind: str):
    issue = issues.report(connection, kind, message="Held.")
    assert f"/issues/{issue.pk}/ignore/" not in text(client.get("/issues/"))
    client.post(f"/issues/{issue.pk}/ignore/")
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.OPEN


def test_a_connection_number_beyond_the_database_is_not_found(client: Client):
    answer = client.post("/issues/retry/", {"kind": "push_rejected", "connection": "9" * 40})
    assert answer.status_code == 404


def test_all_of_a_kind_are_retried_where_that_can_help(client: Client, connection: Connection):
    for field in ("notes", "plan"):
        issues.report(connection, "push_rejected", contact=ada(), field=field)
    page = text(client.get(f"/issues/?kind=push_rejected&connection={connection.pk}"))
    assert "Retry all of this kind" in page
    body = {"kind": "push_rejected", "connection": str(connection.pk)}
    assert "2 issues are tried again" in text(client.post("/issues/retry/", body, follow=True))
    conflict(connection)
    refused = client.post("/issues/retry/", body | {"kind": "conflict"}, follow=True)
    assert "Choose which value to keep" in text(refused)
    assert client.post("/issues/retry/", {"kind": "x", "connection": "²"}).status_code == 404


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_way_back_never_leads_to_another_host(client: Client, connection: Connection, elsewhere: str):
    issue = issues.report(connection, "push_rejected", contact=ada())
    assert client.post(f"/issues/{issue.pk}/retry/", {"back": elsewhere})["Location"] == "/issues/"


def test_every_queue_tells_how_much_waits_in_it(client: Client, connection: Connection):
    conflict(connection)
    issues.report(connection, "oscillation", contact=ada(), field="vip", count=1)
    for where in ("/questions/", "/questions/?kind=conflict", "/reviews/"):
        said = " ".join(re.sub(r"<[^>]+>", " ", text(client.get(where)).split('class="queues"')[1]).split())
        assert said.split("aria-label", 1)[-1].find("Merges of texts 0") >= 0
        for words in (
            "Changed on both sides 1",
            "Several CRM records have the number 0",
            "fight over a field 1",
        ):
            assert words in said


def test_issues_are_counted_by_kind_and_a_kind_is_tried_again_from_there(connection: Connection):
    client = client_of(OPERATOR, "olga")
    for field in ("notes", "vip"):
        issues.report(connection, "push_rejected", contact=ada(), field=field, count=1)
    issues.report(connection, "bad_phone", count=18)
    part = text(client.get("/issues/")).split('id="by-kind"')[1].split("</section>")[0]
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in part.split("<tr>")[2:]]
    assert [row.split(" Retry all")[0] for row in rows] == [
        f"The CRM refused a field {connection.name} 2",
        f"Records whose phone number is not valid {connection.name} 18",
    ]
    sent = {"kind": "push_rejected", "connection": str(connection.pk), "back": "/issues/"}
    assert "2 issues are tried again now" in text(client.post("/issues/retry/", sent, follow=True))
    assert SyncIssue.objects.filter(kind="push_rejected", acted_by="olga").count() == 2
    assert 'id="by-kind"' not in text(client.get("/issues/?kind=push_rejected"))


def test_what_waits_for_approval_leads_to_where_it_is_decided(connection: Connection):
    client = client_of(OPERATOR, "olga")
    run = SyncRun.objects.create(connection=connection, state=RunState.WAITING, held=[])
    issues.report(connection, "run_held", message="24 values or more; the limit is 3.", count=24)
    issues.report(connection, "outbound_not_armed", count=3)
    page = text(client.get("/issues/"))
    assert f'href="/runs/{run.pk}/">Look at it and decide' in page
    assert f'href="/connections/{connection.public_id}/outbound/">Look at it and decide' in page
    assert "24 values or more; the limit is 3." in text(client.get(f"/runs/{run.pk}/"))


def test_an_issue_about_a_contact_leads_to_its_record_in_the_crm(client: Client, connection: Connection):
    issues.report(connection, "activity_failed", contact=ada(), count=1)
    page = text(client.get("/issues/?kind=activity_failed"))
    assert "R000001" in page.split("Open in the CRM")[0].rsplit("<a ", 1)[1]
