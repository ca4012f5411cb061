"""Reconciliation finds what no feed tells of, and concludes nothing from half a listing (failure modes 23, 36, 46)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.models import Contact, CustomField
from integrations.models import Connection
from integrations.providers.errors import AuthError, RateLimited, Transient
from mappings.compile import compile_rules
from mappings.models import InboundMapping
from sync.breaker import approve_run
from sync.models import ExternalRecord, RecordState, RunState, SyncIssue, SyncRun
from sync.preview import preview
from sync.pull import pull_some, run_now
from sync.reconcile import backfill_offer, next_time, request_due
from sync.runs import RunOpen, request_run
from sync.wake import awake
from tests.sync.world import ADA, LiveCrm, connect, contact, later, link, pull, sync


def number(place: int) -> str:
    """The number of one of many people."""
    return f"+1415555{1000 + place}"


@pytest.fixture
def many(connection: Connection, crm: LiveCrm) -> list[str]:
    """Nine imported people; returns the ids of their records."""
    ids = [
        crm.add(first_name="Ada", last_name="Lovelace", phone=number(place), plan="Free")
        for place in range(9)
    ]
    sync(connection)
    return ids


def reconcile(connection: Connection) -> SyncRun:
    """A reconciliation, to its end or to where it has to wait."""
    return run_now(request_run(connection, reconcile=True))


def test_a_purged_record_is_found_and_its_link_ends(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.purge(many[4])
    pull(connection)
    pull(connection, full=True)
    assert link(many[4]).state == RecordState.LINKED
    run = reconcile(connection)
    assert (run.kind, run.state, run.counts["deleted"]) == ("reconcile", RunState.SUCCEEDED, 1)
    gone = link(many[4])
    assert (gone.state, gone.contact) == (RecordState.GONE, None)
    assert contact(number(4)).last_name == "Lovelace"
    assert ExternalRecord.objects.filter(state=RecordState.LINKED).count() == 8


@pytest.mark.parametrize(
    ("policy", "left", "archived"), [("unlink", 9, 0), ("archive", 9, 1), ("delete", 8, 0)]
)
def test_a_purged_record_follows_the_delete_policy(
    connection: Connection, crm: LiveCrm, many: list[str], policy: str, left: int, archived: int
) -> None:
    Connection.objects.update(delete_policy=policy)
    crm.purge(many[0])
    reconcile(connection)
    assert Contact.objects.count() == left
    assert Contact.objects.filter(archived_at__isnull=False).count() == archived


def test_23_a_listing_that_breaks_off_deletes_nothing(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.purge(many[0])
    crm.fail("changes", AuthError("The credentials are refused."), skip=2, times=9)
    run = reconcile(connection)
    assert run.state == RunState.PARTIAL
    assert run.listed_at is None
    assert ExternalRecord.objects.filter(state=RecordState.LINKED).count() == 9


def test_23_an_unreadable_record_is_not_a_deleted_one(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.purge(many[0])
    crm.fail("read", Transient("The CRM is unavailable."), times=1)
    run = request_run(connection, reconcile=True)
    awake()
    pull_some()
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    assert link(many[0]).state == RecordState.LINKED
    with later(minutes=1):
        assert run_now(run).state == RunState.SUCCEEDED
    assert link(many[0]).state == RecordState.GONE


def test_a_run_that_died_after_the_listing_goes_on_there(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.purge(many[0])
    crm.fail("read", RateLimited("Slow down.", retry_after=30.0))
    run = request_run(connection, reconcile=True)
    awake()
    pull_some()
    pages = crm.count("changes")
    with later(minutes=1):
        assert run_now(run).state == RunState.SUCCEEDED
    assert crm.count("changes") == pages
    assert link(many[0]).state == RecordState.GONE


def test_a_change_that_the_feed_missed_is_taken(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.advance(days=2)
    pull(connection)
    record = crm.records[many[3]]
    crm.records[many[3]] = type(record)(many[3], {**record.values, "plan": "Pro"}, record.modified)
    pull(connection)
    assert contact(number(3)).value("plan") == "Free"
    reconcile(connection)
    assert contact(number(3)).value("plan") == "Pro"


def test_mass_deletes_wait_for_a_person(fields: None, crm: LiveCrm) -> None:
    strict = connect(overwrite_floor=3, overwrite_percent=0, delete_policy="delete")
    ids = [crm.add(last_name="Lovelace", phone=number(place)) for place in range(9)]
    sync(strict)
    for one in ids[:5]:
        crm.purge(one)
    run = reconcile(strict)
    assert run.state == RunState.WAITING
    assert Contact.objects.count() == 9
    assert len(run.held) == 5
    approve_run(run, by="olga")
    assert run_now(run).state == RunState.SUCCEEDED
    assert Contact.objects.count() == 4


def test_a_record_that_was_only_hidden_is_linked_again_when_it_is_listed(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    hidden = crm.records.pop(many[2])
    reconcile(connection)
    assert link(many[2]).state == RecordState.GONE
    crm.records[many[2]] = hidden
    reconcile(connection)
    assert link(many[2]).contact == contact(number(2))


def test_records_linked_while_the_listing_was_read_are_left_alone(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    run = request_run(connection, reconcile=True)
    crm.then["changes"].append(
        lambda: ExternalRecord.objects.create(connection=connection, external_id="R999999", state="linked")
    )
    run_now(run)
    assert link("R999999").state == RecordState.LINKED


def test_a_reconciliation_is_due_once_a_period_and_not_beside_another_run(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    connection.refresh_from_db()
    assert connection.next_reconcile_at is not None
    assert timedelta(hours=20) < connection.next_reconcile_at - timezone.now() < timedelta(hours=27)
    assert request_due() == 0
    with later(hours=28):
        pull(connection)
        other = request_run(connection)
        assert request_due() == 0
        run_now(other)
        assert request_due() == 1
        assert request_due() == 0
        run = SyncRun.objects.latest("pk")
        assert (run.kind, run.trigger) == ("reconcile", "cron")
        assert run_now(run).state == RunState.SUCCEEDED


def test_the_due_times_of_many_connections_are_spread() -> None:
    now = timezone.now()
    times = {next_time(Connection(public_id=f"app_{place}"), now) for place in range(20)}
    assert len(times) > 15
    assert all(timedelta(hours=21) < time - now < timedelta(hours=27) for time in times)


def test_46_after_forty_days_offline_everything_is_compared_with_a_warning(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    crm.purge(many[0])
    with later(days=40):
        crm.advance(days=40)
        run = request_run(connection, trigger="cron")
        assert run.kind == "reconcile"
        issue = SyncIssue.objects.get(kind="long_pause")
        assert (issue.state, "40 days" in issue.message) == ("open", True)
        run_now(run)
        issue.refresh_from_db()
        assert issue.state == "resolved"
        assert link(many[0]).state == RecordState.GONE
        assert request_run(connection).kind == "incremental"


def test_a_pause_of_a_weekend_needs_no_comparison(connection: Connection, many: list[str]) -> None:
    with later(days=3):
        assert request_run(connection).kind == "incremental"


# 36: a new or edited mapping


def test_36_a_new_mapping_offers_a_backfill_until_everything_was_read_again(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    crm.edit(ada, mobile="4155550199")
    assert backfill_offer(connection) is None
    sync(connection)
    crm.advance(days=1)
    pull(connection)
    connection.refresh_from_db()
    assert backfill_offer(connection) is None
    CustomField.objects.create(name="second_number", type="string")
    InboundMapping.objects.create(
        connection=connection, external_field="mobile", contact_field="second_number"
    )
    offer = backfill_offer(connection)
    assert offer is not None
    assert "read everything again" in offer
    pull(connection)
    connection.refresh_from_db()
    assert backfill_offer(connection) == offer
    assert contact(ADA).value("second_number") is None
    run = request_run(connection, full=True, by="olga")
    assert backfill_offer(connection) is None
    run_now(run)
    connection.refresh_from_db()
    assert backfill_offer(connection) is None
    assert contact(ADA).value("second_number") == "4155550199"
    assert (run.counts["updated"], run.done) == (1, 1)


def test_36_mappings_changed_during_the_backfill_are_offered_again(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    CustomField.objects.create(name="second_number", type="string")
    crm.then["changes"].append(
        lambda: InboundMapping.objects.create(
            connection=connection, external_field="mobile", contact_field="second_number"
        )
    )
    run_now(request_run(connection, full=True))
    connection.refresh_from_db()
    assert backfill_offer(connection) is not None


def test_36_a_backfill_is_previewed_and_survives_its_worker(
    connection: Connection, crm: LiveCrm, many: list[str]
) -> None:
    for one in many:
        crm.edit(one, mobile="4155550199")
    sync(connection)
    crm.advance(days=1)
    CustomField.objects.create(name="second_number", type="string")
    InboundMapping.objects.create(
        connection=connection, external_field="mobile", contact_field="second_number"
    )
    connection.refresh_from_db()
    seen = preview(connection, full=True)
    assert (seen.counts["values_in"], seen.rows[0].rule) == (9, "mobile:second_number")
    crm.fail("changes", Transient("The CRM is unavailable."), skip=2)
    run = request_run(connection, full=True)
    awake()
    pull_some()
    run.refresh_from_db()
    assert (run.state, run.done) == (RunState.RUNNING, 6)
    with later(minutes=1):
        assert run_now(run).state == RunState.SUCCEEDED
    assert run.done == 9
    assert {one.value("second_number") for one in Contact.objects.all()} == {"4155550199"}


def test_an_edited_mapping_can_be_previewed_before_it_is_saved(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    connection.refresh_from_db()
    mapping = InboundMapping.objects.get(contact_field="last_name")
    mapping.external_field = "notes"
    crm.edit(linked, notes="King")
    rules = compile_rules(connection, inbound=[*connection.inbound_mappings.exclude(pk=mapping.pk), mapping])
    seen = preview(connection, full=True, rules=rules)
    assert ("last_name", "Lovelace", "King") in [(row.field, row.old, row.new) for row in seen.rows]
    assert contact(ADA).last_name == "Lovelace"


def test_a_preview_shows_links_that_would_end(connection: Connection, crm: LiveCrm, linked: str) -> None:
    connection.refresh_from_db()
    crm.delete(linked)
    rows = [(row.external_id, row.field, row.old, row.rule) for row in preview(connection).rows]
    assert rows == [(linked, "", "Ada Lovelace", "unlink")]
    assert link(linked).state == RecordState.LINKED


def test_a_second_request_names_the_open_reconciliation(connection: Connection, many: list[str]) -> None:
    run = request_run(connection, reconcile=True)
    with pytest.raises(RunOpen, match=f"run {run.pk}"):
        request_run(connection)
