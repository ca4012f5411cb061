"""`manage.py sync`, as a person at a terminal uses it."""

# ruff: noqa: F401, F811 - fixtures of the sync tests

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from contacts.models import Contact
from integrations.models import Connection
from integrations.providers.errors import AuthError, RateLimited
from sync.models import ExternalRecord, PendingPush, SyncIssue, SyncRun
from sync.runs import request_run
from tests.sync.conftest import ada, connection, crm, fields, linked, other_crm
from tests.sync.world import ADA, LiveCrm, connect, contact, edit


def run(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("sync", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_it_syncs_all_connections_and_says_what_was_done(
    connection: Connection, crm: LiveCrm, other_crm: LiveCrm, ada: str
) -> None:
    connect("two", rank=2)
    other_crm.add(last_name="Lovelace", phone=ADA)
    first, second = run().splitlines()
    assert first == "CRM one: succeeded: 1 created"
    assert second.startswith("CRM two: succeeded: ")
    assert "1 linked" in second


def test_it_also_sends_what_changed_here(connection: Connection, crm: LiveCrm, linked: str) -> None:
    edit(plan="Pro")
    run("CRM one")
    assert crm.value(linked, "plan") == "Pro"


def test_full_reads_everything_again(connection: Connection, crm: LiveCrm, linked: str) -> None:
    run("--full")
    assert SyncRun.objects.first().kind == SyncRun.Kind.FULL  # type: ignore[union-attr]


def test_a_dry_run_prints_the_difference_and_writes_nothing_anywhere(
    connection: Connection, crm: LiveCrm, linked: str
) -> None:
    crm.edit(linked, plan="Pro")
    crm.add(first_name="Grace", last_name="Hopper", phone="+14155550101")
    edit(notes="Ours.")
    before = (Contact.objects.count(), SyncRun.objects.count(), ExternalRecord.objects.count())
    printed = run("--dry-run")
    assert "nothing was written" in printed
    assert "1 created" in printed
    assert "plan here: 'Free' → 'Pro'" in printed
    assert "notes in the CRM: None → 'Ours.'" in printed
    assert (Contact.objects.count(), SyncRun.objects.count(), ExternalRecord.objects.count()) == before
    assert contact().custom_fields == {"plan": "Free", "notes": "Ours."}
    assert crm.sent == []
    assert PendingPush.objects.count() == 0


@pytest.mark.parametrize("word", ["CRM one", "fake"])
def test_a_connection_is_found_by_its_words(connection: Connection, crm: LiveCrm, word: str) -> None:
    assert run(word).startswith("CRM one")
    assert run(connection.public_id).startswith("CRM one")


def test_an_unknown_word_is_an_error(connection: Connection) -> None:
    with pytest.raises(CommandError, match="No connection is called “Nowhere”"):
        run("Nowhere")


def test_a_connection_that_is_off_is_named_at_once(connection: Connection) -> None:
    Connection.objects.update(enabled=False)
    with pytest.raises(CommandError, match="Switched off: CRM one"):
        run("CRM one")
    with pytest.raises(CommandError, match="no enabled connection"):
        run()


def test_a_failure_is_a_failure_with_its_reason(connection: Connection, crm: LiveCrm, ada: str) -> None:
    """Row 16: no success is printed after a failure."""
    crm.fail("changes", AuthError("The credentials were refused."), times=9)
    out = StringIO()
    with pytest.raises(CommandError, match="Not in order: CRM one"):
        call_command("sync", stdout=out, stderr=StringIO())
    assert "failed (The credentials were refused.)" in out.getvalue()
    assert SyncIssue.objects.get().kind == "run_failed"


def test_a_paused_connection_does_not_hang_the_command(
    connection: Connection, crm: LiveCrm, ada: str
) -> None:
    crm.fail("changes", RateLimited("The day's quota is used up.", retry_after=9 * 3600))
    out = StringIO()
    with pytest.raises(CommandError, match="Not in order"):
        call_command("sync", stdout=out, stderr=StringIO())
    assert "The day's quota is used up." in out.getvalue()


def test_a_run_that_is_open_is_joined(connection: Connection, crm: LiveCrm, ada: str) -> None:
    request_run(connection)
    assert "1 created" in run()
    assert SyncRun.objects.count() == 1
