"""The drift audit: what differs between us and the CRM now, why, and a repair of a selection."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from contacts.models import ContactChange
from integrations.models import Connection
from mappings.compile import compile_rules
from sync import drift
from sync.decisions import CannotDecide
from sync.drift import audit, difference
from sync.models import ExternalRecord
from sync.repair import repair
from tests.sync.world import FIELDS, LiveCrm, connect, contact, edit, link, pull, push, sync

FIRST = "first_name:first_name"


def reasons(connection: Connection) -> dict[str, tuple[str, str]]:
    """Field → kind and reason of every difference."""
    return {row.field: (row.kind, row.reason) for row in audit(connection).rows}


def test_after_a_sync_everything_is_equal(connection: Connection, linked: str) -> None:
    report = audit(connection)
    assert (report.done, report.total, report.gone, report.rows) == (1, 1, 0, [])
    assert all(counts.equal == 1 for counts in report.fields.values())
    assert set(report.fields) == {f"{external}:{name}" for name, external in FIELDS.items()}


def test_every_difference_has_its_reason(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, first_name="Adah", notes=None)
    edit(last_name="King")
    connection.outbound_mappings.filter(contact_field="vip").delete()
    connection.inbound_mappings.filter(contact_field="lifetime").delete()
    sync(connection)
    edit(vip=True, first_name="Augusta")
    crm.edit(linked, value=7, plan="Pro")
    assert reasons(connection) == {
        "first_name": ("differs", "not_pushed_yet"),
        "vip": ("only_here", "kept_here"),
        "lifetime": ("only_there", "changed_in_crm"),
        "plan": ("differs", "not_pulled_yet"),
    }
    assert {row.why for row in audit(connection).rows} == {
        drift.WHY[one] for one in ("not_pushed_yet", "kept_here", "changed_in_crm", "not_pulled_yet")
    }


def test_a_blank_that_is_ignored_is_missing_on_one_side(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, first_name=None)
    pull(connection)
    assert reasons(connection) == {"first_name": ("only_here", "blank_ignored")}


def test_a_computed_field_that_changed_without_a_stamp_is_found_and_repaired(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    """Row 47."""
    connection = connect(inbound={"lifetime": "score"}, outbound={})
    pull(connection)
    stamp = crm.records[ada].modified
    crm.frozen, crm.now = True, stamp or crm.now
    crm.edit(ada, score=9)
    assert reasons(connection) == {"lifetime": ("only_there", "unnoticed")}
    repair(connection, [(contact().pk, "score:lifetime")], "crm", "olga")
    assert contact().value("lifetime") == 9


def test_a_refused_value_keeps_its_reason(connection: Connection, crm: LiveCrm, linked: str) -> None:
    edit(first_name="A" * 60)
    push()
    ((kind, reason),) = reasons(connection).values()
    assert kind == "differs"
    assert reason == link(linked).skipped_fields[FIRST]


def test_records_that_are_gone_are_counted(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.purge(linked)
    report = audit(connection)
    assert (report.gone, report.done) == (1, 1)


def test_the_audit_writes_nothing(connection: Connection, crm: LiveCrm, linked: str) -> None:
    crm.edit(linked, first_name="Adah")
    before = (len(crm.sent), ContactChange.objects.count(), link(linked).updated_at)
    audit(connection)
    assert (len(crm.sent), ContactChange.objects.count(), link(linked).updated_at) == before


def test_progress_comes_with_each_batch_and_rows_are_bounded(
    connection: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "BATCH", 2)
    for number in range(5):
        crm.add(first_name="A", last_name="B", phone=f"+1415555030{number}")
    pull(connection)
    for record in crm.live():
        crm.edit(record.external_id, first_name="C")
    seen: list[int] = []
    report = audit(connection, progress=lambda now: seen.append(now.done), limit=3)
    assert seen == [2, 4, 5]
    assert (len(report.rows), report.fields[FIRST].differs) == (3, 5)


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "kind"),
    [
        ("notes", None, None, "equal"),
        ("notes", "a", "a", "equal"),
        ("notes", "a", None, "only_here"),
        ("notes", None, "a", "only_there"),
        ("notes", "a", "b", "differs"),
        ("lifetime", 0, 0, "equal"),
        ("lifetime", 0, None, "only_here"),
        ("vip", False, None, "only_here"),
        ("vip", False, False, "equal"),
        ("do_not_call", False, None, "equal"),
        ("do_not_call", False, False, "equal"),
        ("do_not_call", True, None, "only_here"),
        ("do_not_call", False, True, "only_there"),
        ("plan", "Pro", "Gold", "differs"),
    ],
)
def test_how_two_values_compare(connection: Connection, name: str, ours: Any, theirs: Any, kind: str) -> None:
    (rule,) = [rule for rule in compile_rules(connection).fields if rule.contact.name == name]
    assert difference(rule, ours, theirs) == kind


# Repair.


def drifted(connection: Connection, crm: LiveCrm, linked: str) -> tuple[int, str]:
    """First name and notes differ; returns the selection of the first name."""
    crm.edit(linked, first_name="Adah", notes="There.")
    edit(first_name="Augusta", notes="Here.")
    return contact().pk, FIRST


def test_repair_takes_the_crms_side_of_what_is_selected_only(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    result = repair(connection, [drifted(connection, crm, linked)], "crm", "olga")
    assert (result.written, result.to_push, result.skipped, result.done) == (1, 0, {}, 1)
    assert (contact().first_name, contact().value("notes")) == ("Adah", "Here.")
    assert contact().sources["first_name"]["label"] == "CRM one, chosen by olga"


def test_repair_carries_our_side_out(connection: Connection, crm: LiveCrm, linked: str) -> None:
    result = repair(connection, [drifted(connection, crm, linked)], "ours", "olga")
    assert (result.written, result.to_push) == (0, 1)
    push()
    assert crm.value(linked, "first_name") == contact().first_name == "Augusta"
    lost = ContactChange.objects.filter(source_kind="conflict").order_by("id")
    assert {"first_name": ["Adah", "Augusta"]} in [row.diff for row in lost]


def test_repair_of_drift_in_an_outbound_only_field_takes_either_side(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    connection = connect(inbound={"last_name": "last_name"}, outbound={"first_name": "first_name"})
    sync(connection)
    edit(first_name="Ada")
    push()
    crm.edit(ada, first_name="Adah")
    sync(connection)
    assert crm.value(ada, "first_name") == "Adah"
    repair(connection, [(contact().pk, FIRST)], "ours", "olga")
    push()
    assert crm.value(ada, "first_name") == "Ada"
    crm.edit(ada, first_name="Adah")
    repair(connection, [(contact().pk, FIRST)], "crm", "olga")
    assert contact().first_name == "Adah"


@pytest.mark.parametrize(
    ("ours", "theirs", "side", "reason"),
    [
        ({"do_not_call": True}, {"do_not_call": False}, "crm", "opt_out_kept"),
        ({"do_not_call": False}, {"do_not_call": True}, "ours", "opt_out_kept"),
        ({"first_name": "Ada"}, {"first_name": "Ada"}, "crm", "equal"),
        ({"first_name": None}, {"first_name": "Adah"}, "ours", "blank_ignored"),
        ({"lifetime": 1}, {"value": 10**19}, "crm", "does_not_fit"),
    ],
)
def test_what_is_not_repaired_says_why(
    connection: Connection, crm: LiveCrm, linked: str, ours: Any, theirs: Any, side: str, reason: str
) -> None:
    edit(**ours)
    crm.edit(linked, **theirs)
    (field,) = ours
    result = repair(connection, [(contact().pk, f"{FIELDS[field]}:{field}")], side, "olga")
    assert (result.written, result.to_push, result.skipped) == (0, 0, {reason: 1})


def test_what_is_gone_or_only_comes_in_is_skipped(connection: Connection, crm: LiveCrm, linked: str) -> None:
    connection.outbound_mappings.filter(contact_field="first_name").delete()
    edit(first_name="Augusta")
    rows = [(contact().pk, FIRST), (contact().pk, "none:none"), (10**9, FIRST)]
    assert repair(connection, rows, "ours", "olga").skipped == {"only_comes_in": 1, "gone": 2}
    with pytest.raises(CannotDecide):
        repair(connection, rows, "theirs", "olga")


def test_an_opt_out_is_repaired_where_it_is_missing(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    edit(do_not_call=True)
    key = (contact().pk, "do_not_call:do_not_call")
    assert repair(connection, [key], "ours", "olga").to_push == 1
    push()
    assert crm.value(linked, "do_not_call") is True


def test_memory_stays_flat_however_many_records_there_are(
    connection: Connection, crm: LiveCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "BATCH", 20)

    def peak(count: int) -> int:
        for number in range(len(crm.records), count):
            crm.add(first_name="A", last_name="B", phone=f"+1415556{number:04d}")
        pull(connection)
        tracemalloc.start()
        audit(connection, limit=10)
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    small = peak(40)
    assert ExternalRecord.objects.count() == 40
    assert peak(200) < small * 2
