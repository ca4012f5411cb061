"""Arming: nothing is written to a CRM before a person has approved a preview of it (failure mode 44)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from contacts.changes import Source, create_contact
from crmsync.tasks import sweep
from integrations.connections import record_failure, set_credentials
from integrations.models import Connection, ConnectionStatus
from integrations.providers.errors import AuthError
from sync.arming import approve_outbound, disarm, preview_outbound, remind
from sync.breaker import approve_pushes
from sync.links import want_record
from sync.models import ExternalRecord, PendingPush, RecordState, SyncIssue
from sync.push import push_some
from tests.sync.world import (
    ADA,
    GRACE,
    PERSON,
    LiveCrm,
    connect,
    contact,
    edit,
    link,
    pull,
    push,
    sync,
    waiting,
)


@pytest.fixture
def unarmed(fields: None, crm: LiveCrm, ada: str) -> Connection:
    """A connection that nobody has armed, with Ada imported."""
    made = connect(armed_at=None)
    sync(made)
    return made


def writes(crm: LiveCrm) -> int:
    """How often anything was written to the CRM."""
    return crm.count("update") + crm.count("create")


def notices() -> list[SyncIssue]:
    """Open notices that a connection is not armed."""
    return list(SyncIssue.objects.filter(kind="outbound_not_armed", state="open"))


def test_until_it_is_armed_a_connection_writes_nothing_and_loses_nothing(
    unarmed: Connection, crm: LiveCrm, ada: str
) -> None:
    """Row 44: the first outbound run is seen and approved before it happens."""
    edit(notes="Likes tea", plan="Pro")
    pull(unarmed)
    push()
    push_some(urgent_only=True)
    assert writes(crm) == 0
    assert len(waiting()) == 1
    approve_outbound(unarmed, by="olga")
    push()
    assert crm.value(ada, "notes") == "Likes tea"
    assert crm.value(ada, "plan") == "Pro"
    assert waiting() == []


def test_a_creation_waits_for_the_approval_and_then_happens_once(unarmed: Connection, crm: LiveCrm) -> None:
    grace = create_contact(GRACE, {"last_name": "Hopper"}, source=PERSON).contact
    want_record(unarmed, grace)
    push()
    assert crm.count("create") == 0
    approve_outbound(unarmed, by="olga")
    push()
    push()
    assert [one.values["last_name"] for one in crm.live() if one.values["phone"] == GRACE] == ["Hopper"]


def test_the_preview_shows_changes_and_creations_and_writes_nothing(
    unarmed: Connection, crm: LiveCrm, ada: str
) -> None:
    edit(plan="Pro", notes="Likes tea")
    want_record(unarmed, create_contact(GRACE, {"last_name": "Hopper"}, source=PERSON).contact)
    seen = preview_outbound(unarmed)
    assert seen.counts == {"updated": 1, "created": 1, "values_out": 4, "overwrites": 1}
    rows = {(row.contact, row.field): (row.side, row.old, row.new, row.rule) for row in seen.rows}
    assert rows["Ada Lovelace", "plan"] == ("crm", "Free", "Pro", "plan:plan")
    assert rows["Ada Lovelace", "notes"] == ("crm", None, "Likes tea", "notes:notes")
    assert rows["Hopper", "phone"][2] == GRACE
    assert rows["Hopper", "last_name"][2] == "Hopper"
    assert writes(crm) == 0
    assert len(waiting()) == 2
    assert link(ada).settled["plan:plan"] == "Free"


def test_the_preview_is_what_is_pushed_after_the_approval(
    unarmed: Connection, crm: LiveCrm, ada: str
) -> None:
    edit(plan="Pro", vip=True)
    crm.edit(ada, notes="Written in the CRM meanwhile")
    promised = {
        (row.external_id, row.field, row.new) for row in preview_outbound(unarmed).rows if row.side == "crm"
    }
    approve_outbound(unarmed, by="olga")
    push()
    assert {
        (one.external_id, name, value) for one in crm.sent for name, value in one.values.items()
    } == promised


def test_the_preview_says_what_it_did_not_look_at(unarmed: Connection, crm: LiveCrm) -> None:
    crm.add(last_name="Hopper", phone=GRACE)
    pull(unarmed)
    edit(plan="Pro")
    edit(GRACE, plan="Pro")
    seen = preview_outbound(unarmed, at_most=1)
    assert seen.counts["not_examined"] == 1
    assert seen.counts["updated"] == 1


def test_a_record_that_is_in_the_crm_by_now_is_previewed_as_linked(unarmed: Connection, crm: LiveCrm) -> None:
    want_record(unarmed, create_contact(GRACE, {}, source=PERSON).contact)
    crm.add(last_name="Hopper", phone=GRACE)
    assert preview_outbound(unarmed).counts == {"linked": 1}


def test_one_notice_tells_how_much_waits_and_closes_with_the_approval(
    unarmed: Connection, crm: LiveCrm
) -> None:
    crm.add(last_name="Hopper", phone=GRACE)
    pull(unarmed)
    edit(plan="Pro")
    push()
    sweep()
    assert [issue.count for issue in notices()] == [1]
    edit(GRACE, plan="Pro")
    push()
    remind()
    remind()
    assert [issue.count for issue in notices()] == [2]
    assert "2 contacts" in notices()[0].message
    approve_outbound(unarmed, by="olga")
    assert notices() == []
    assert SyncIssue.objects.get(kind="outbound_not_armed").acted_by == "olga"


def test_a_connection_without_waiting_work_needs_no_notice(unarmed: Connection) -> None:
    remind()
    assert notices() == []


def test_the_approval_is_recorded_and_a_second_one_changes_nothing(unarmed: Connection) -> None:
    approve_outbound(unarmed, by="olga")
    first = unarmed.armed_at
    approve_outbound(unarmed, by="somebody else")
    assert (unarmed.armed_by, unarmed.armed_at) == ("olga", first)


def test_a_disarmed_connection_waits_again(unarmed: Connection, crm: LiveCrm, ada: str) -> None:
    approve_outbound(unarmed, by="olga")
    disarm(unarmed, by="ada")
    edit(plan="Pro")
    push()
    assert crm.value(ada, "plan") == "Free"
    assert len(waiting()) == 1


def test_only_what_waited_when_the_preview_was_made_is_approved_with_it(
    fields: None, crm: LiveCrm, ada: str
) -> None:
    unarmed = connect(armed_at=None, overwrite_floor=1, overwrite_percent=0)
    grace = crm.add(last_name="Hopper", phone=GRACE, plan="Free", notes="Old")
    sync(unarmed)
    edit(source=Source("import", urgent=False), plan="Pro", last_name="Byron")
    push()
    previewed_at = timezone.now()
    edit(GRACE, source=Source("import", urgent=False), plan="Pro", notes="New")
    push()
    PendingPush.objects.filter(contact=contact(GRACE)).update(created_at=previewed_at + timedelta(seconds=1))
    approve_outbound(unarmed, by="olga", previewed_at=previewed_at)
    push()
    unarmed.refresh_from_db()
    # Two values were approved; two later ones exceed the limit of one, and hold the batch they came in.
    assert unarmed.held_at is not None
    assert crm.value(grace, "plan") == "Free"
    assert SyncIssue.objects.filter(kind="push_held", state="open").exists()


def test_inbound_sync_needs_no_arming(unarmed: Connection, crm: LiveCrm, ada: str) -> None:
    crm.edit(ada, plan="Enterprise")
    pull(unarmed)
    assert contact(ADA).value("plan") == "Enterprise"
    assert ExternalRecord.objects.get(external_id=ada).state == RecordState.LINKED


@pytest.mark.parametrize("act", [approve_outbound, disarm, approve_pushes])
def test_work_with_old_credentials_says_nothing_of_new_ones_after_an_approval(
    unarmed: Connection, act: Callable[..., None]
) -> None:
    """An approval reads its own fields again: a refusal of the credentials replaced meanwhile stays with the old copy."""
    at_work = Connection.objects.get(pk=unarmed.pk)
    set_credentials(unarmed, {"key": "new"})
    act(at_work, by="olga")
    record_failure(at_work, AuthError("The CRM refuses the credentials."))
    assert Connection.objects.get(pk=unarmed.pk).status == ConnectionStatus.NOT_CONNECTED
    stored = Connection.objects.get(pk=unarmed.pk)
    assert (at_work.armed_at, at_work.held_at) == (stored.armed_at, stored.held_at)
