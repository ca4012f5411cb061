"""Failure modes of CRM syncs that no other file here proves; each test names its row of docs/guarantees.md."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from contacts.models import Contact, ContactChange, CustomField
from integrations.connections import test_connection as try_connection
from integrations.models import Connection
from integrations.providers.errors import AuthError, ProviderError, Transient
from mappings.models import InboundMapping
from sync.models import ExternalRecord, RunState, SyncIssue
from tests.sync.world import ADA, LiveCrm, contact, edit, later, link, pull, push, sync, waiting

NUMBERS = [f"+1415555{place:04d}" for place in range(200, 230)]


def test_one_trouble_is_told_once_and_its_end_closes_it(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 16: three runs that fail for one reason are one issue, and the first good one closes it."""
    crm.fail("changes", ProviderError("The answer is a web page.", code="html", status=200), times=3)
    for _ in range(3):
        run = pull(connection)
        assert (run.state, run.error) == (RunState.FAILED, "The answer is a web page.")
    issue = SyncIssue.objects.get()
    assert (issue.kind, issue.state) == ("run_failed", SyncIssue.State.OPEN)
    assert pull(connection).state == RunState.SUCCEEDED
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


def test_a_session_that_ends_in_the_middle_of_an_import_costs_no_record(sandbox: Any, db: None) -> None:
    """Row 19: the token expires while the listing is read: all records arrive, and none twice."""
    connection = Connection.objects.create(
        provider="salesforce",
        name="Salesforce",
        tenant_url=sandbox.base_url,
        credentials={"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    )
    assert try_connection(connection)
    InboundMapping.objects.create(connection=connection, external_field="Phone", contact_field="phone_number")
    sandbox.control.add_fault(action="vendor", kind="session_expired", system="salesforce", path="queryAll")
    run = pull(connection)
    assert run.state == RunState.SUCCEEDED
    records = [one["id"] for one in sandbox.control.contacts("salesforce") if not one["deleted"]]
    assert run.done == len(records) == ExternalRecord.objects.count()
    assert len(sandbox.control.requests(system="salesforce", path="oauth2/token")) == 2


@pytest.mark.parametrize(
    "zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "America/New_York"]
)
def test_a_date_is_the_same_day_wherever_the_server_stands(
    connection: Connection, crm: LiveCrm, linked: str, zone: str
) -> None:
    """Row 25: UTC+14, UTC−11 and the hour that summer time skips; dates and moments go round unchanged."""
    with timezone.override(zone):
        crm.edit(linked, renewal="2026-03-29", visited="2026-03-29T01:30:00Z")
        pull(connection)
        held = contact().custom_fields
        assert (held["renewal"], held["visited"]) == ("2026-03-29", "2026-03-29T01:30:00Z")
        edit(renewal="2026-12-31", visited="2026-10-25T00:30:00Z")
        push()
        assert crm.value(linked, "renewal") == "2026-12-31"
        assert crm.value(linked, "visited") == "2026-10-25T00:30:00Z"
        crm.sent.clear()
        sync(connection)
        assert crm.sent == []


def test_one_bad_row_fails_alone(connection: Connection, crm: LiveCrm) -> None:
    """Row 30: of many pushed at once, the one that a rule of the CRM refuses is an issue and all others are written."""
    ids = [crm.add(last_name=f"Number {place}", phone=number) for place, number in enumerate(NUMBERS)]
    pull(connection)
    crm.refused = {"first_name": {"Zed"}}
    for place, number in enumerate(NUMBERS):
        edit(number, first_name="Zed" if place == 7 else "Ada")
    push()
    assert [place for place, one in enumerate(ids) if crm.value(one, "first_name") != "Ada"] == [7]
    assert SyncIssue.objects.get(state=SyncIssue.State.OPEN).external_id == ids[7]
    assert waiting() == []


def test_a_row_locked_twice_and_then_free_is_written_without_an_alert(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 31: a locked row is tried again later, by itself."""
    edit(plan="Pro")
    crm.fail("update", Transient("The row is locked.", code="UNABLE_TO_LOCK_ROW"), times=2)
    for minutes in (0, 10, 20):
        with later(minutes=minutes):
            push()
    assert crm.value(linked, "plan") == "Pro"
    assert waiting() == []
    assert not SyncIssue.objects.exists()


def test_a_computed_field_that_changes_without_a_stamp_is_found_by_a_full_run(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 47: an incremental run cannot see it; whatever reads everything takes it."""
    CustomField.objects.create(name="rating", type="number")
    InboundMapping.objects.create(connection=connection, external_field="score", contact_field="rating")
    crm.advance(hours=1)
    pull(connection, full=True)
    record = crm.records[linked]
    crm.records[linked] = type(record)(linked, {**record.values, "score": 42}, record.modified)
    with later(hours=1):
        pull(connection)
        assert "rating" not in contact().custom_fields
        pull(connection, full=True)
    assert contact().custom_fields["rating"] == 42


def test_an_older_stamp_does_not_take_an_opt_out_back(connection: Connection, crm: LiveCrm) -> None:
    """Row 40: true on the first pull; a record told late, with an older stamp and false, changes nothing."""
    record = crm.add(last_name="Lovelace", phone=ADA, do_not_call=False)
    commit = crm.edit_late(record, first_name="Ada", do_not_call=False)
    before = crm.records[record]
    crm.records[record] = type(before)(record, {**before.values, "do_not_call": True}, before.modified)
    pull(connection)
    assert contact().do_not_call
    commit()
    sync(connection)
    assert contact().do_not_call
    assert crm.value(record, "do_not_call") is True


def test_nothing_is_lost_by_a_query_that_fails_after_pages_were_stored(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 45: the cursor never runs ahead of the work, so the same window is read again after a failure."""
    for place, number in enumerate(NUMBERS[:9]):
        crm.add(last_name=f"Number {place}", phone=number)
    crm.fail("changes", AuthError("The session ended."), skip=2)
    run = pull(connection)
    assert (run.state, run.done) == (RunState.PARTIAL, 6)
    connection.refresh_from_db()
    assert connection.cursor == ""
    assert try_connection(connection)
    again = pull(connection)
    assert again.state == RunState.SUCCEEDED
    assert Contact.objects.count() == 9
    assert ContactChange.objects.count() == 9
    assert link(crm.live()[0].external_id).contact is not None
