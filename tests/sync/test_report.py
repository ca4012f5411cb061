"""The report of records that will never match: by reason, with examples and the fix."""

from __future__ import annotations

from integrations.models import Connection
from sync.joining import merge_contacts
from sync.models import ExternalRecord, RecordState
from sync.report import never_match
from tests.sync.world import ADA, GRACE, LINUS, LiveCrm, contact, pull


def test_records_are_grouped_by_reason_with_examples_and_the_fix(
    connection: Connection, crm: LiveCrm
) -> None:
    crm.add(last_name="Lovelace", phone=ADA)
    twins = [crm.add(last_name="Twin", phone=ADA) for _ in range(2)]
    blank = [crm.add(last_name="Nobody") for _ in range(3)]
    junk = crm.add(last_name="Junk", phone="call the office")
    kept, merged = crm.add(last_name="One", phone=GRACE), crm.add(last_name="Two", phone=LINUS)
    pull(connection)
    merge_contacts(contact(GRACE), contact(LINUS), "olga")
    groups = {group.reason: group for group in never_match(connection, examples=2)}
    assert {reason: group.count for reason, group in groups.items()} == {
        "no_phone": 3,
        "duplicate_number": 2,
        "bad_phone": 1,
        "joined": 1,
    }
    assert groups["no_phone"].examples == tuple(blank[:2])
    assert groups["bad_phone"].examples == (junk,)
    assert groups["joined"].examples == (merged,)
    assert set(groups["duplicate_number"].examples) <= {*twins, "R000001"}
    assert groups["duplicate_number"].numbers == 1
    assert str(groups["duplicate_number"]) == (
        "2 records that share their number with a record that is linked (1 number)"
    )
    assert all(group.fix and group.words for group in groups.values())
    assert kept not in {one for group in groups.values() for one in group.examples}


def test_most_common_reason_comes_first_and_unknown_ones_are_shown(
    connection: Connection, crm: LiveCrm
) -> None:
    crm.add(last_name="Nobody")
    for number in range(2):
        ExternalRecord.objects.create(
            connection=connection, external_id=f"X{number}", state=RecordState.SKIPPED, reason="new_reason"
        )
    pull(connection)
    assert [(group.reason, group.count) for group in never_match(connection)] == [
        ("new_reason", 2),
        ("no_phone", 1),
    ]


def test_a_record_that_heals_leaves_the_report(connection: Connection, crm: LiveCrm) -> None:
    record = crm.add(last_name="Nobody")
    pull(connection)
    crm.edit(record, phone=ADA)
    pull(connection)
    assert never_match(connection) == []
