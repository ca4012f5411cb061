"""Inbound sync: what a run does to contacts and links, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactChange, ContactTouched
from contacts.phone import to_e164
from integrations.models import Connection
from integrations.providers.errors import ConfigError
from mappings.compile import compile_rules
from mappings.models import InboundMapping
from sync.apply import apply_records
from sync.models import ExternalRecord, PendingPush, RunState, SyncIssue, SyncRun
from sync.settling import applying
from tests.fakes.crm import FakeCrm
from tests.sync.conftest import make_fields
from tests.sync.world import (
    ADA,
    GRACE,
    LINUS,
    LiveCrm,
    connect,
    contact,
    edit,
    later,
    link,
    pull,
    push,
    sync,
)


def test_first_import_reads_everything_and_counts_by_outcome(connection: Connection, crm: LiveCrm) -> None:
    """Row 29: the first run has no window, however old the records are."""
    for number in (ADA, GRACE, LINUS):
        crm.add(last_name="Known", phone=number)
    crm.add(last_name="Nobody")
    crm.add(last_name="Junk", phone="call the office")
    crm.add(last_name="Twin", phone="(415) 555-0100")
    crm.advance(days=2000)
    run = pull(connection)
    assert run.state == RunState.SUCCEEDED
    assert run.kind == SyncRun.Kind.FULL
    assert run.done == 6
    assert run.total == 6
    assert run.counts["created"] == 3
    assert run.counts["skipped_no_phone"] == 1
    assert run.counts["skipped_bad_phone"] == 1
    assert run.counts["skipped_duplicate_number"] == 1
    assert Contact.objects.count() == 3
    connection.refresh_from_db()
    assert connection.cursor == run.cursor != ""


def test_values_of_all_six_types_come_in_with_their_source(connection: Connection, crm: LiveCrm) -> None:
    ada = crm.add(
        first_name="Ada", last_name="Lovelace", phone=ADA, do_not_call=True, plan="Pro", value=12.5,
        renewal="2026-05-14", visited="2026-05-14T09:30:00Z", vip=False, notes="Likes tea.",
    )  # fmt: skip
    run = pull(connection)
    found = contact()
    assert (found.first_name, found.last_name, found.do_not_call) == ("Ada", "Lovelace", True)
    assert found.custom_fields == {
        "plan": "Pro", "lifetime": 12.5, "renewal": "2026-05-14", "visited": "2026-05-14T09:30:00Z",
        "vip": False, "notes": "Likes tea.",
    }  # fmt: skip
    source = found.sources["plan"]
    assert (source["kind"], source["ref"], source["connection"], source["external_id"]) == (
        "crm",
        f"run:{run.pk}",
        connection.pk,
        ada,
    )


def test_the_row_of_a_first_import_holds_names_but_no_values(connection: Connection, linked: str) -> None:
    change = ContactChange.objects.get()
    assert change.created
    assert set(change.diff) == {"phone_number", "first_name", "last_name", "plan"}
    assert all(values == [] for values in change.diff.values())


def test_a_poll_without_news_writes_nothing(connection: Connection, crm: LiveCrm, linked: str) -> None:
    """Row 1: the overlap shows the record again, and nothing happens."""
    before = contact()
    run = pull(connection)
    assert run.kind == SyncRun.Kind.INCREMENTAL
    assert run.counts == {"unchanged": 1}
    assert contact().updated_at == before.updated_at
    assert ContactChange.objects.count() == 1
    assert ContactTouched.objects.count() == 0
    assert crm.sent == []


def test_a_new_stamp_without_a_change_costs_no_write_to_contact_or_link(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.touch(linked)
    before = link(linked).updated_at
    assert pull(connection).counts == {"unchanged": 1}
    assert link(linked).updated_at == before


def test_an_incremental_run_takes_only_what_changed(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, plan="Pro", notes="")
    run = pull(connection)
    assert run.counts["updated"] == 1
    assert contact().custom_fields["plan"] == "Pro"
    change = ContactChange.objects.first()
    assert change is not None
    assert change.diff == {"plan": ["Free", "Pro"]}
    assert change.source_ref == f"run:{run.pk}"


def test_a_chunk_costs_the_same_queries_however_many_records_it_holds(
    connection: Connection, crm: LiveCrm
) -> None:
    """The unit of work is a page: no query per record, on creation and on change."""

    def cost(count: int, start: int, change: str) -> tuple[int, int]:
        ids = [
            crm.add(last_name=f"L{i}", phone=f"+1415555{start + i:04d}", plan="Free") for i in range(count)
        ]
        results = []
        for plan in ("Free", change):
            for external_id in ids:
                crm.edit(external_id, plan=plan)
            records = [crm.records[external_id] for external_id in ids]
            ctx = applying(connection, compile_rules(connection), "run:1")
            with CaptureQueriesContext(
                database,
            ) as captured:
                apply_records(ctx, records)
            results.append(len(captured))
        return results[0], results[1]

    assert cost(3, 1000, "Pro") == cost(40, 2000, "Pro")


def test_a_contact_that_exists_already_is_linked_by_its_number(connection: Connection, crm: LiveCrm) -> None:
    create_contact(ADA, {"first_name": "Augusta", "notes": "Ours."}, source=Source("person"))
    record = crm.add(first_name="Ada", last_name="Lovelace", phone="415.555.0100")
    run = pull(connection)
    assert run.counts["linked"] == 1
    assert contact().first_name == "Ada"  # both held a value: the CRM wins at first link
    assert contact().last_name == "Lovelace"  # a blank is filled from the other side
    push()
    assert crm.value(record, "notes") == "Ours."


def test_the_better_ranked_connection_keeps_its_values_at_first_link(
    connection: Connection, crm: LiveCrm, other_crm: LiveCrm, linked: str
) -> None:
    second = connect("two", rank=2)
    record = other_crm.add(first_name="A.", last_name="King", phone=ADA, notes="Only here.")
    sync(second)
    assert contact().last_name == "Lovelace"
    assert contact().custom_fields["notes"] == "Only here."
    assert other_crm.value(record, "last_name") == "Lovelace"
    assert pull(second).counts == {"unchanged": 1}


def test_a_hidden_field_is_named_on_the_run_while_the_others_go_on(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 22: a field whose permission was removed stops its own mapping only."""
    crm.hide("plan")
    crm.edit(linked, first_name="Augusta")
    Connection.objects.update(schema_at=None)
    run = pull(connection)
    assert run.state == RunState.PARTIAL
    assert "plan" in run.error
    assert contact().first_name == "Augusta"
    assert SyncIssue.objects.get(kind="broken_mapping").field == "plan ↔ plan"
    crm.__init__(records=crm.records, now=crm.now)  # type: ignore[misc]  # the permission is given back
    Connection.objects.update(schema_at=None)
    assert pull(connection).state == RunState.SUCCEEDED
    assert not SyncIssue.objects.filter(state=SyncIssue.State.OPEN).exists()


def test_a_field_that_vanishes_under_a_cached_schema_is_found_out(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 22: the schema is read anew when the CRM refuses a field."""
    crm.hide("notes")
    crm.edit(linked, first_name="Augusta")
    with later(minutes=5):
        run = pull(connection)
    assert run.state == RunState.PARTIAL
    assert "notes" in run.error
    assert contact().first_name == "Augusta"


def test_without_a_mapping_of_the_phone_the_run_fails_with_words(
    connection: Connection, crm: LiveCrm
) -> None:
    InboundMapping.objects.filter(contact_field="phone_number").delete()
    run = pull(connection)
    assert run.state == RunState.FAILED
    assert "phone_number" in run.error
    assert SyncIssue.objects.get(kind="run_failed").message.endswith(run.error)


def test_a_value_that_does_not_fit_is_skipped_and_its_reason_stays_on_record(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 15: the other fields still sync; the reason outlives changes of other fields."""
    crm.fields = [one if one.name != "plan" else type(one)("plan", "Plan", one.type) for one in crm.fields]
    record = crm.add(last_name="Lovelace", phone=ADA, plan="Platinum")
    pull(connection)
    assert contact().last_name == "Lovelace"
    assert "plan" not in contact().custom_fields
    assert link(record).skipped_fields == {"plan:plan": "unknown_option"}
    crm.edit(record, first_name="Ada")
    pull(connection)
    assert link(record).skipped_fields == {"plan:plan": "unknown_option"}
    crm.edit(record, plan="Pro")
    pull(connection)
    assert contact().custom_fields["plan"] == "Pro"
    assert link(record).skipped_fields == {}


def test_records_without_a_usable_number_become_one_issue_a_reason_and_heal(
    connection: Connection, crm: LiveCrm
) -> None:
    nobody = crm.add(last_name="Nobody")
    crm.add(last_name="Noone")
    pull(connection)
    issue = SyncIssue.objects.get(kind="no_phone")
    assert (issue.count, issue.state) == (2, SyncIssue.State.OPEN)
    assert link(nobody).reason == "no_phone"
    for record in crm.live():
        crm.edit(record.external_id, phone=GRACE if record.external_id == nobody else LINUS)
    pull(connection)
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED
    assert contact(GRACE).last_name == "Nobody"


def test_an_opt_out_seen_once_stays(connection: Connection, crm: LiveCrm) -> None:
    """Row 40: true on the first pull, then blank, then false in the CRM: still true here, and true again there."""
    record = crm.add(last_name="Lovelace", phone=ADA, do_not_call=True)
    pull(connection)
    assert contact().do_not_call
    for value in (None, False):
        crm.edit(record, do_not_call=value)
        sync(connection)
        assert contact().do_not_call
        assert crm.value(record, "do_not_call") is True


def test_a_person_takes_an_opt_out_back_in_both_places(connection: Connection, crm: LiveCrm) -> None:
    record = crm.add(last_name="Lovelace", phone=ADA, do_not_call=True)
    pull(connection)
    edit(do_not_call=False)
    sync(connection)
    assert crm.value(record, "do_not_call") is False
    assert not contact().do_not_call
    assert pull(connection).counts == {"unchanged": 1}


def test_an_edit_between_reading_and_writing_is_not_lost(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """A person types while the page is under way: another field stays, the same field is a conflict on record."""
    crm.edit(linked, plan="Pro")
    crm.then["changes"].append(lambda: edit(notes="Typed meanwhile."))
    run = pull(connection)
    assert contact().custom_fields == {"plan": "Pro", "notes": "Typed meanwhile."}
    assert "conflicts" not in run.counts
    crm.edit(linked, plan="Starter")
    crm.then["changes"].append(lambda: edit(plan="Enterprise"))
    run = pull(connection)
    assert run.counts["conflicts"] == 1
    assert contact().custom_fields["plan"] == "Starter"
    lost = [change.diff.get("plan") for change in ContactChange.objects.all()]
    assert ["Enterprise", "Starter"] in lost  # the losing value is kept in the history


@pytest.mark.parametrize(("policy", "winner"), [("crm_wins", "Pro"), ("ours_wins", "Starter")])
def test_a_conflict_ends_with_the_winner_on_both_sides(
    fields: None, crm: LiveCrm, ada: str, policy: str, winner: str
) -> None:
    connection = connect(policy=policy)
    sync(connection)
    crm.edit(ada, plan="Pro")
    edit(plan="Starter")
    sync(connection)
    assert contact().custom_fields["plan"] == winner
    assert crm.value(ada, "plan") == winner
    assert pull(connection).counts == {"unchanged": 1}


def test_a_conflict_to_be_asked_waits_and_its_question_closes_when_the_sides_agree(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    connection = connect(policy="ask")
    sync(connection)
    crm.edit(ada, plan="Pro")
    edit(plan="Starter")
    sync(connection)
    assert (contact().custom_fields["plan"], crm.value(ada, "plan")) == ("Starter", "Pro")
    issue = SyncIssue.objects.get(kind="conflict")
    assert (issue.field, issue.contact) == ("plan", contact())
    sync(connection)
    assert SyncIssue.objects.count() == 1  # asked once, however often it is read
    crm.edit(ada, plan="Starter")
    sync(connection)
    issue.refresh_from_db()
    assert issue.state == SyncIssue.State.RESOLVED


def test_an_inbound_field_never_goes_back(fields: None, crm: LiveCrm, ada: str) -> None:
    connection = connect(both={}, inbound={"plan": "plan", "last_name": "last_name"}, outbound={})
    sync(connection)
    edit(plan="Pro")
    sync(connection)
    assert contact().custom_fields["plan"] == "Pro"
    assert crm.value(ada, "plan") == "Free"
    assert crm.sent == []
    assert PendingPush.objects.count() == 0


def test_a_field_mapped_outbound_only_is_left_alone_in_the_crm_until_ours_changes(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    connection = connect(both={}, inbound={"last_name": "last_name"}, outbound={"plan": "plan"})
    sync(connection)
    assert "plan" not in contact().custom_fields
    assert crm.value(ada, "plan") == "Free"
    edit(plan="Pro")
    sync(connection)
    assert crm.value(ada, "plan") == "Pro"
    crm.edit(ada, plan="Starter")
    sync(connection)
    assert contact().custom_fields["plan"] == "Pro"
    assert crm.value(ada, "plan") == "Starter"


def test_a_contact_created_by_a_pull_still_gets_its_outbound_only_field_pushed(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    """Row 2: what an import wrote is no reason not to push another field of the same contact."""
    connection = connect(both={}, inbound={"first_name": "first_name"}, outbound={"first_name": "notes"})
    sync(connection)
    assert crm.value(ada, "notes") == "Ada"


def test_an_edit_in_one_crm_reaches_the_other(
    connection: Connection, crm: LiveCrm, other_crm: LiveCrm, linked: str
) -> None:
    """Row 2: no guard holds back a change that another connection brought."""
    second = connect("two", rank=2)
    there = other_crm.add(last_name="Lovelace", phone=ADA)
    sync(connection, second)
    crm.edit(linked, plan="Enterprise")
    sync(connection, second)
    assert other_crm.value(there, "plan") == "Enterprise"
    other_crm.edit(there, notes="From the second.")
    sync(connection, second)
    assert crm.value(linked, "notes") == "From the second."
    crm.calls.clear()
    other_crm.calls.clear()
    sync(connection, second)
    assert crm.count("update") == other_crm.count("update") == 0


def test_an_import_is_not_urgent(connection: Connection, linked: str, crm: LiveCrm) -> None:
    """Row 37: what an import touched waits behind what a conversation or a person touched."""
    crm.add(last_name="Hopper", phone=GRACE)
    crm.edit(linked, plan="Pro")
    pull(connection)
    assert set(ContactTouched.objects.values_list("urgent", flat=True)) == {False}
    edit(notes="Now.")
    assert ContactTouched.objects.filter(urgent=True).count() == 1


def test_a_late_record_in_the_overlap_is_found(connection: Connection, crm: LiveCrm, linked: str) -> None:
    """Row 26: a record committed below the cursor after the run is read by the next one."""
    late = crm.now
    crm.advance(minutes=5)
    pull(connection)
    record = crm.add(last_name="Hopper", phone=GRACE)
    held = crm.records[record]
    crm.records[record] = type(held)(held.external_id, held.values, modified=late)
    pull(connection)
    assert contact(GRACE).last_name == "Hopper"


def test_many_records_with_one_stamp_all_arrive(connection: Connection, crm: LiveCrm) -> None:
    """Row 27: a page boundary within one stamp loses nothing and ends."""
    crm.frozen = True
    for index in range(20):
        crm.add(last_name=f"L{index}", phone=f"+1415555{1000 + index}")
    assert pull(connection).counts["created"] == 20


def test_an_empty_crm_is_a_success(connection: Connection, crm: FakeCrm) -> None:
    run = pull(connection)
    assert (run.state, run.counts, run.done) == (RunState.SUCCEEDED, {}, 0)


def test_a_new_mapping_is_applied_to_records_read_from_then_on(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    """Row 36 in part: the mapping's version makes an unchanged record count as new."""
    InboundMapping.objects.filter(contact_field="plan").delete()
    connection.outbound_mappings.filter(contact_field="plan").delete()
    sync(connection)
    assert "plan" not in contact().custom_fields
    InboundMapping.objects.create(connection=connection, contact_field="plan", external_field="plan")
    pull(connection, full=True)
    assert contact().custom_fields["plan"] == "Free"


def test_config_errors_name_the_field_on_the_issue(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.fail(
        "changes", ConfigError("The field “plan” is hidden.", code="INVALID_FIELD", field="plan"), times=9
    )
    run = pull(connection)
    assert run.state == RunState.FAILED
    assert SyncIssue.objects.get(kind="run_failed").field == "plan"
    assert ExternalRecord.objects.count() == 1
    assert to_e164(crm.value(linked, "phone")) == ADA


def test_people_edit_while_pages_come_in_and_nothing_is_lost(
    transactional_db: None, crm: LiveCrm, in_threads: Callable[..., list[object]]
) -> None:
    """For real, on the database's locks: one thread pulls changes of one field, another types into a second one."""
    make_fields()
    connection = connect()
    numbers = [f"+1415555{8000 + index}" for index in range(9)]
    ids = [crm.add(last_name="L", phone=number) for number in numbers]
    pull(connection)
    for number in range(10):
        for external_id in ids:
            crm.edit(external_id, value=number)

        def type_in(text: str = f"Typed {number}") -> None:
            for one in numbers:
                edit(one, notes=text)

        in_threads(lambda: pull(connection), type_in)
        kept = [found.custom_fields for found in Contact.objects.all()]
        assert kept == [{"lifetime": number, "notes": f"Typed {number}"}] * 9
