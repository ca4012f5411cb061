"""The whole loop over real HTTP, against the stand-in Salesforce and HubSpot: in, out, and quiet afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from contacts.changes import Source, change_contact
from contacts.models import Contact, ContactChange, CustomField
from integrations.connections import set_credentials
from integrations.connections import test_connection as try_connection
from integrations.models import Connection
from mappings.models import InboundMapping, OutboundMapping
from sandbox.seed import Person, expected, people, shared_numbers
from sync.models import ExternalRecord, RunState
from tests.sync.world import PERSON, later, pull, push

COUNT = 40
FIELDS = {
    "plan": "enum", "lifetime_value": "number", "renewal_date": "date", "last_visit": "datetime", "vip": "boolean",
    "notes": "string",
}  # fmt: skip
NAMES = {
    "salesforce": {
        "phone_number": "Phone", "first_name": "FirstName", "last_name": "LastName", "do_not_call": "DoNotCall",
        "plan": "Plan__c", "lifetime_value": "Lifetime_Value__c", "renewal_date": "Renewal_Date__c",
        "last_visit": "Last_Visit__c", "vip": "VIP__c", "notes": "Notes__c",
    },
    "hubspot": {
        "phone_number": "phone", "first_name": "firstname", "last_name": "lastname", "do_not_call": "do_not_call",
        "plan": "plan", "lifetime_value": "lifetime_value", "renewal_date": "renewal_date", "last_visit": "last_visit",
        "vip": "vip", "notes": "notes_summary",
    },
}  # fmt: skip
SECRETS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}
CRMS = sorted(NAMES)
READS = ("/search", "/batch/read", "/oauth2/token")


@pytest.fixture
def fields(db: None) -> None:
    """Custom fields of all six types."""
    for name, kind in FIELDS.items():
        options = ["Free", "Starter", "Pro", "Enterprise"] if kind == "enum" else []
        CustomField.objects.create(name=name, type=kind, options=options)


def connect(crm: str, sandbox: Any, rank: int = 1) -> Connection:
    """A tested connection with every field mapped both ways."""
    connection = Connection.objects.create(
        provider=crm,
        name=crm,
        rank=rank,
        tenant_url=sandbox.base_url,
        credentials=SECRETS[crm],
        armed_at=timezone.now(),
    )
    assert try_connection(connection), connection.status_reason
    for contact_field, external_field in NAMES[crm].items():
        rows: list[InboundMapping | OutboundMapping] = [
            InboundMapping(connection=connection, contact_field=contact_field, external_field=external_field)
        ]
        if contact_field != "phone_number":
            rows.append(
                OutboundMapping(
                    connection=connection, contact_field=contact_field, external_field=external_field
                )
            )
        for row in rows:
            row.full_clean()
            row.save()
    return connection


def writes(sandbox: Any, since: int) -> list[str]:
    """The writes that reached the CRMs, by the sandbox's own log."""
    rows = sandbox.control.requests(since=since)
    return [
        f"{row['method']} {row['path']}"
        for row in rows
        if row["method"] != "GET" and not any(part in row["path"] for part in READS)
    ]


def winners(crm: str) -> dict[str, Person]:
    """By number, the record that is linked: the most recently changed of those that share one."""
    return {person.number: person for person in people(crm, COUNT) if person.number}


def record_of(sandbox: Any, crm: str, contact: Contact) -> dict[str, Any]:
    """The CRM's own record of a contact."""
    link = ExternalRecord.objects.get(connection__provider=crm, contact=contact)
    fields: dict[str, Any] = sandbox.control.contact(crm, link.external_id)["fields"]
    return fields


@pytest.mark.parametrize("crm", CRMS)
def test_the_first_import_ends_with_the_counts_that_the_seed_promises(
    fields: None, sandbox: Any, crm: str
) -> None:
    sandbox.world.reset(100)  # large enough to hold numbers twice
    want = expected(100)
    assert want.duplicates
    run = pull(connect(crm, sandbox))
    assert (run.state, run.done) == (RunState.SUCCEEDED, want.records)
    assert run.counts["created"] == want.numbers == Contact.objects.count()
    assert run.counts["skipped_no_phone"] == want.no_phone
    assert run.counts["skipped_bad_phone"] == want.junk
    assert run.counts["skipped_duplicate_number"] == want.duplicates


@pytest.mark.parametrize("crm", CRMS)
def test_every_value_of_every_type_arrives_as_the_crm_has_it(fields: None, sandbox: Any, crm: str) -> None:
    pull(connect(crm, sandbox))
    seeded = winners(crm)
    assert {contact.phone_number for contact in Contact.objects.all()} == set(seeded)
    for contact in Contact.objects.all():
        person = seeded[contact.phone_number]
        held = contact.custom_fields
        assert (contact.first_name or None, contact.last_name) == (person.first_name, person.last_name)
        assert contact.do_not_call == person.do_not_call
        assert held.get("plan") == person.plan
        assert held.get("lifetime_value") == person.lifetime_value
        assert held.get("renewal_date") == (person.renewal_date and person.renewal_date.isoformat())
        assert held.get("notes") == person.notes
        visit = person.last_visit and person.last_visit.isoformat().replace("+00:00", "Z")
        assert held.get("last_visit") == visit
        # Salesforce knows no blank checkbox.
        assert held.get("vip") == (bool(person.vip) if crm == "salesforce" else person.vip)


@pytest.mark.parametrize("crm", CRMS)
def test_an_edit_here_is_in_the_crms_record_and_the_next_polls_write_nothing(
    fields: None, sandbox: Any, crm: str
) -> None:
    """Rows 1, 25: values of all six types, in the CRM's own record; then silence on both sides."""
    connection = connect(crm, sandbox)
    pull(connection)
    push()
    contact = Contact.objects.filter(do_not_call=False).order_by("pk")[3]
    values: dict[str, Any] = {
        "plan": "Enterprise", "lifetime_value": 0, "renewal_date": "2027-02-28", "last_visit": "2026-05-14T09:30:00Z",
        "vip": True, "notes": "Prefers “tea”.\nCall in May.", "do_not_call": True,
    }  # fmt: skip
    change_contact(contact.pk, values, source=PERSON)
    mark = sandbox.control.last_request()
    push()
    assert len(writes(sandbox, mark)) == 1
    record = record_of(sandbox, crm, contact)
    seen = {name: record[NAMES[crm][name]] for name in values}
    assert str(seen["plan"]).title() == "Enterprise"  # HubSpot's options have values in lower case
    assert float(seen["lifetime_value"]) == 0
    assert str(seen["renewal_date"]).startswith("2027-02-28")
    assert str(seen["last_visit"]).startswith("2026-05-14T09:30:00")
    assert str(seen["vip"]).lower() == str(seen["do_not_call"]).lower() == "true"
    assert seen["notes"] == "Prefers “tea”.\nCall in May."
    mark, changes = sandbox.control.last_request(), ContactChange.objects.count()
    for _ in range(2):
        run = pull(connection)
        push()
        assert run.state == RunState.SUCCEEDED
        assert "updated" not in run.counts
    assert writes(sandbox, mark) == []
    assert ContactChange.objects.count() == changes


@pytest.mark.parametrize("crm", CRMS)
def test_an_edit_by_the_crms_user_arrives_with_the_next_poll(fields: None, sandbox: Any, crm: str) -> None:
    connection = connect(crm, sandbox)
    pull(connection)
    contact = Contact.objects.order_by("pk")[5]
    link = ExternalRecord.objects.get(contact=contact)
    names = NAMES[crm]
    plan = "Pro" if crm == "salesforce" else "pro"
    sandbox.control.edit_contact(
        crm, link.external_id, {names["plan"]: plan, names["notes"]: "Edited there."}
    )
    run = pull(connection)
    assert run.counts["updated"] == 1
    contact.refresh_from_db()
    assert (contact.custom_fields["plan"], contact.custom_fields["notes"]) == ("Pro", "Edited there.")


def test_both_crms_share_one_contact_and_an_edit_in_one_reaches_the_other(fields: None, sandbox: Any) -> None:
    """Row 2: through the contact, and no further."""
    salesforce, hubspot = connect("salesforce", sandbox), connect("hubspot", sandbox, rank=2)
    for connection in (salesforce, hubspot):
        assert pull(connection).state == RunState.SUCCEEDED
    push()
    want = 2 * expected(COUNT).numbers - shared_numbers(COUNT)
    assert Contact.objects.count() == want
    shared = Contact.objects.filter(
        records__connection=salesforce, pk__in=Contact.objects.filter(records__connection=hubspot)
    )
    assert shared.count() == shared_numbers(COUNT)
    contact = shared[0]
    link = ExternalRecord.objects.get(connection=salesforce, contact=contact)
    sandbox.control.edit_contact("salesforce", str(link.external_id), {"Notes__c": "Met in Berlin."})
    pull(salesforce)
    push()
    assert record_of(sandbox, "hubspot", contact)["notes_summary"] == "Met in Berlin."
    mark = sandbox.control.last_request()
    for connection in (hubspot, salesforce, hubspot):
        pull(connection)
        push()
    assert writes(sandbox, mark) == []


@pytest.mark.parametrize("crm", CRMS)
def test_an_answer_lost_after_the_write_leaves_one_value_and_no_second_edit(
    fields: None, sandbox: Any, crm: str
) -> None:
    """Row 8: the CRM applied the write and its answer never came."""
    connection = connect(crm, sandbox)
    pull(connection)
    push()
    contact = Contact.objects.order_by("pk")[4]
    change_contact(contact.pk, {"notes": "Once."}, source=Source("person"))
    path = r"composite/sobjects|batch/update"
    sandbox.control.add_fault(system=crm, path=path, action="drop_after")
    push()
    assert record_of(sandbox, crm, contact)[NAMES[crm]["notes"]] == "Once."
    mark = sandbox.control.last_request()
    with later(minutes=2):
        push()
    assert writes(sandbox, mark) == []
    assert connection.pending_pushes.count() == 0


@pytest.mark.parametrize("crm", CRMS)
def test_wrong_credentials_put_the_connection_into_error_and_keep_the_queue(
    fields: None, sandbox: Any, crm: str
) -> None:
    """Rows 16, 20."""
    connection = connect(crm, sandbox)
    pull(connection)
    contact = Contact.objects.order_by("pk")[2]
    change_contact(contact.pk, {"notes": "Kept."}, source=PERSON)
    wrong = dict.fromkeys(SECRETS[crm], "wrong")
    set_credentials(Connection.objects.get(), wrong)
    push()
    stored = Connection.objects.get()
    assert stored.status == "error"
    assert stored.status_reason
    assert connection.pending_pushes.count() == 1
    set_credentials(stored, SECRETS[crm])
    assert try_connection(stored)
    connection.pending_pushes.update(due_at=timezone.now())
    push()
    assert record_of(sandbox, crm, contact)[NAMES[crm]["notes"]] == "Kept."
