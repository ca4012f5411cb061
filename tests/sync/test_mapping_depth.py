"""Mappings at work against a CRM: transforms in both directions, unknown values, phone fields in order, broken mappings."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, CustomField
from contacts.values import FieldType
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.models import InboundMapping
from mappings.unknown import MOST, add_option, map_value, suggestions
from sync.models import ExternalRecord, RunState, SyncIssue
from tests.sync.world import ADA, GRACE, LINUS, LiveCrm, connect, contact, edit, pull, push, sync

pytestmark = pytest.mark.django_db(transaction=True)
OPEN = SyncIssue.State.OPEN


@pytest.fixture
def linked(connection: Connection, crm: LiveCrm) -> str:
    """Ada, on both sides and settled."""
    record = crm.add(
        first_name="Ada", last_name="Lovelace", phone="(415) 555-0100", plan="Free", do_not_call=False
    )
    sync(connection)
    return record


def of_plan(connection: Connection) -> InboundMapping:
    return connection.inbound_mappings.get(contact_field="plan")


def free_text_plans(crm: LiveCrm) -> None:
    """In this CRM the plan is whatever people write."""
    plain = ExternalField("plan", "Plan", FieldType.STRING)
    crm.fields = [plain if one.name == "plan" else one for one in crm.fields]


def test_mapped_values_travel_both_ways_and_come_to_rest(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Rows 1 and 2: our own mapped value coming back is no change."""
    free_text_plans(crm)
    connection.inbound_mappings.filter(contact_field="plan").update(
        value_map={"gold": "Pro", "silver": "Starter"}
    )
    connection.outbound_mappings.filter(contact_field="plan").update(value_map={"Pro": "GOLD"}, case="lower")
    Connection.objects.update(schema_at=None)
    crm.edit(linked, plan=" Silver ")
    sync(connection)
    assert contact().custom_fields["plan"] == "Starter"
    assert crm.value(linked, "plan") == " Silver "  # theirs stays as they wrote it
    edit(plan="Pro")
    sync(connection)
    assert crm.value(linked, "plan") == "GOLD"
    edit(plan="Enterprise")
    sync(connection)
    assert crm.value(linked, "plan") == "enterprise"
    crm.sent.clear()
    crm.touch(linked)
    sync(connection)
    sync(connection)
    assert crm.sent == []
    assert contact().custom_fields["plan"] == "Enterprise"


def test_a_default_fills_what_both_sides_lack_and_goes_on_to_the_other_crm(
    connection: Connection, crm: LiveCrm, other_crm: LiveCrm
) -> None:
    second = connect("two", rank=2)
    connection.inbound_mappings.filter(contact_field="plan").update(default_value="Free")
    record = crm.add(last_name="Lovelace", phone=ADA)
    theirs = other_crm.add(last_name="Lovelace", phone=ADA)
    sync(connection, second)
    sync(connection, second)
    assert contact().custom_fields["plan"] == "Free"
    assert crm.value(record, "plan") == "Free"
    assert other_crm.value(theirs, "plan") == "Free"
    edit(plan=None)
    sync(connection, second)
    assert "plan" not in contact().custom_fields  # what a person cleared is not filled again


def three_with_odd_plans(crm: LiveCrm) -> list[str]:
    free_text_plans(crm)
    return [
        crm.add(last_name="Lovelace", phone=ADA, plan="Platinum"),
        crm.add(last_name="Hopper", phone=GRACE, plan="Platinum"),
        crm.add(last_name="Torvalds", phone=LINUS, plan="Entreprise"),
    ]


def test_unknown_picklist_values_are_counted_on_the_mapping_once_a_record(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 15: the other fields of the records come in."""
    three_with_odd_plans(crm)
    pull(connection)
    assert of_plan(connection).unknown_values == {"Platinum": 2, "Entreprise": 1}
    assert Contact.objects.get(phone_number=GRACE).last_name == "Hopper"
    pull(connection, full=True)
    crm.edit(next(iter(crm.records)), notes="Changed.")
    pull(connection)
    assert of_plan(connection).unknown_values == {"Platinum": 2, "Entreprise": 1}


def test_an_operator_is_told_what_can_be_done_about_an_unknown_value(
    connection: Connection, crm: LiveCrm
) -> None:
    three_with_odd_plans(crm)
    pull(connection)
    found = suggestions(of_plan(connection))
    assert [(one.value, one.count, one.nearest, one.can_add) for one in found] == [
        ("Platinum", 2, "", True), ("Entreprise", 1, "Enterprise", True),
    ]  # fmt: skip
    assert found[1].advice == (
        "1 record has “Entreprise”: map it to “Enterprise”, or add it to the options of plan, or correct it in the CRM."
    )


def test_a_mapped_value_and_a_new_option_reach_the_records_with_the_next_full_run(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 36: what was skipped is tried again, and only where the contact's field is blank."""
    three_with_odd_plans(crm)
    pull(connection)
    edit(GRACE, plan="Starter")
    push()
    map_value(of_plan(connection), value="Entreprise", to="Enterprise", by="olga")
    assert of_plan(connection).unknown_values == {"Platinum": 2}
    add_option(of_plan(connection), value="Platinum", by="olga")
    assert of_plan(connection).unknown_values == {}
    assert CustomField.objects.get(name="plan").options[-1] == "Platinum"
    pull(connection, full=True)
    assert [contact(number).custom_fields["plan"] for number in (ADA, GRACE, LINUS)] == [
        "Platinum", "Starter", "Enterprise",
    ]  # fmt: skip
    assert not any(ExternalRecord.objects.values_list("skipped_fields", flat=True)[0])


def test_a_value_is_mapped_only_to_what_the_field_can_hold(connection: Connection, crm: LiveCrm) -> None:
    three_with_odd_plans(crm)
    pull(connection)
    with pytest.raises(ValidationError):
        map_value(of_plan(connection), value="Platinum", to="Diamond", by="olga")
    assert of_plan(connection).value_map == {}


def test_an_option_added_elsewhere_is_forgotten_with_the_next_run(
    connection: Connection, crm: LiveCrm
) -> None:
    three_with_odd_plans(crm)
    pull(connection)
    CustomField.objects.filter(name="plan").update(options=["Free", "Platinum"])
    pull(connection)
    assert of_plan(connection).unknown_values == {"Entreprise": 1}


def test_at_most_fifty_values_are_kept_and_prose_is_not_collected(
    connection: Connection, crm: LiveCrm
) -> None:
    free_text_plans(crm)
    for number in range(60):
        crm.add(last_name=f"N{number}", phone=f"+1415555{1000 + number}", plan=f"Plan {number}")
    for number in range(2):
        crm.add(last_name=f"M{number}", phone=f"+1415555{1100 + number}", plan="Plan 0")
    crm.add(
        last_name="Prose",
        phone=LINUS,
        plan="Said that she would think about it and call back next week, " * 2,
    )
    pull(connection)
    kept = of_plan(connection).unknown_values
    assert len(kept) == MOST
    assert kept["Plan 0"] == 3
    assert not any(value.startswith("Said") for value in kept)


def test_known_values_cost_no_write_to_the_mapping(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, plan="Pro")
    with CaptureQueriesContext(
        database,
    ) as queries:
        pull(connection)
    assert not [one for one in queries.captured_queries if 'UPDATE "mappings' in one["sql"]]


def test_a_number_is_found_in_the_first_phone_field_that_has_a_usable_one(
    connection: Connection, crm: LiveCrm
) -> None:
    """Row 13: Phone, then MobilePhone; with the connection's region."""
    Connection.objects.update(phone_fields=["mobile"], phone_region="GB")
    connection.refresh_from_db()
    crm.add(last_name="Lovelace", phone="ask her", mobile="07400 123456 / 020 7946 0018")
    crm.add(last_name="Hopper", phone="020 7946 0018 ext 12", mobile="07400 123457")
    pull(connection)
    assert {one.phone_number: one.last_name for one in Contact.objects.all()} == {
        "+447400123456": "Lovelace", "+442079460018": "Hopper",
    }  # fmt: skip


def test_a_phone_field_that_breaks_is_told_while_the_others_go_on_and_nobody_gets_another_number(
    connection: Connection, crm: LiveCrm
) -> None:
    Connection.objects.update(phone_fields=["work", "mobile"])
    connection.refresh_from_db()
    crm.fields.append(ExternalField("work", "Work", FieldType.STRING, phone=True))
    ada = crm.add(last_name="Lovelace", work=ADA, mobile=GRACE)
    pull(connection)
    crm.hide("work")
    crm.add(last_name="Torvalds", mobile=LINUS)
    crm.edit(ada, first_name="Ada")
    Connection.objects.update(schema_at=None)
    run = pull(connection)
    assert run.state == RunState.PARTIAL
    assert SyncIssue.objects.get(kind="broken_mapping", state=OPEN).field == "work → phone_number"
    assert contact(ADA).first_name == "Ada"
    assert contact(LINUS).last_name == "Torvalds"
    crm.fields.append(ExternalField("work", "Work", FieldType.STRING, phone=True))
    Connection.objects.update(schema_at=None)
    assert pull(connection).state == RunState.SUCCEEDED
    assert not SyncIssue.objects.filter(state=OPEN).exists()
    assert contact(ADA).last_name == "Lovelace"


def test_a_push_reports_a_broken_mapping_once_sends_the_rest_and_closes_it_when_mended(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    """Row 22, outbound: exactly one issue that names the mapping."""
    crm.edit(linked, notes="Agreed long ago.")
    sync(connection)
    whole = list(crm.fields)
    crm.hide("notes")
    for first_name in ("Augusta", "Ada Augusta"):
        Connection.objects.update(schema_at=None)
        edit(first_name=first_name, notes=f"Typed by a person as {first_name}.")
        push()
        assert crm.value(linked, "first_name") == first_name
        issue = SyncIssue.objects.get(kind="broken_mapping")
        assert (issue.field, issue.count, issue.state) == ("notes ↔ notes", 1, OPEN)
    crm.fields = whole
    Connection.objects.update(schema_at=None)
    edit(first_name="Ada")
    push()
    assert SyncIssue.objects.get(kind="broken_mapping").state == SyncIssue.State.RESOLVED
    # What a person typed meanwhile was kept for the CRM, and not taken for a first link.
    assert crm.value(linked, "notes") == "Typed by a person as Ada Augusta."


def test_a_field_that_becomes_read_only_still_comes_in(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.fields = [
        ExternalField("notes", "Notes", one.type, createable=False, updateable=False)
        if one.name == "notes"
        else one
        for one in crm.fields
    ]
    Connection.objects.update(schema_at=None)
    crm.edit(linked, notes="From the CRM.")
    assert pull(connection).state == RunState.PARTIAL
    assert contact().custom_fields["notes"] == "From the CRM."
    assert SyncIssue.objects.get(kind="broken_mapping").field == "notes → notes"
