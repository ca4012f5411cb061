"""A run's page: what waits for approval, what it wrote, and taking it back."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client
from django.utils import timezone

from contacts.changes import Source, change_contact
from contacts.models import Contact
from crmsync.pages.runs import _safe
from crmsync.roles import OPERATOR, STAFF
from sync.models import RunState, SyncRun, UndoRequest
from sync.undo_requests import undo_some
from tests.crmsync.pages_world import client_of, connection, contact, text

pytestmark = pytest.mark.django_db
LOSS = {
    "record": "003A", "contact": "Ada Lovelace", "field": "last_name", "old": "Lovelace", "new": "Byron",
    "rule": "LastName:last_name", "applied": False,
}  # fmt: skip


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.fixture
def waiting() -> SyncRun:
    """A run that the circuit breaker has stopped."""
    ended = LOSS | {"field": "", "old": "Ada Lovelace", "new": None, "rule": "archive", "applied": True}
    run: SyncRun = SyncRun.objects.create(
        connection=connection(),
        state=RunState.WAITING,
        started_at=timezone.now(),
        held=[LOSS, ended],
        overwrites=134,
    )
    return run


def test_a_run_that_waits_shows_its_diff_and_goes_on_when_approved(client: Client, waiting: SyncRun):
    page = text(client.get(f"/runs/{waiting.pk}/"))
    for words in (
        "It waits for your approval",
        "<del>Lovelace</del>",
        "<ins>Byron</ins>",
        "the contact is archived",
        "134",
    ):
        assert words in page
    assert "live.js" not in page
    client.post(f"/runs/{waiting.pk}/approve/")
    waiting.refresh_from_db()
    assert (waiting.state, waiting.approved_by) == (RunState.RUNNING, "olga")
    assert "does not wait for approval" in text(client.post(f"/runs/{waiting.pk}/reject/", follow=True))


def test_a_rejected_run_is_over_and_says_by_whom(client: Client, waiting: SyncRun):
    page = text(client.post(f"/runs/{waiting.pk}/reject/", follow=True))
    assert "Rejected by olga." in page
    assert SyncRun.objects.get().state == RunState.CANCELLED


def test_an_open_run_is_cancelled_once(client: Client):
    run = SyncRun.objects.create(connection=connection(), state=RunState.RUNNING)
    client.post(f"/runs/{run.pk}/cancel/")
    assert SyncRun.objects.get().state == RunState.CANCELLED
    assert "has ended already" in text(client.post(f"/runs/{run.pk}/cancel/", follow=True))


def test_the_export_has_every_value_and_no_formula(client: Client):
    run = SyncRun.objects.create(connection=connection(), state=RunState.SUCCEEDED)
    ada = contact()
    change_contact(
        ada.pk, {"last_name": "=1+1", "first_name": None}, source=Source("crm", run.ref, "Salesforce")
    )
    answer = client.get(f"/runs/{run.pk}/export.csv")
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.pk}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert {row["field"]: (row["old"], row["new"]) for row in rows if row["created"] == "false"} == {
        "last_name": ("Lovelace", "'=1+1"),
        "first_name": ("Ada", ""),
    }
    assert {row["number"] for row in rows} == {"+14155550100"}


@pytest.mark.parametrize("value", [" =1+1", "\n=1+1", "\tx", "\nx", "@x", "-1+1"])
def test_no_spreadsheet_takes_a_value_for_a_formula(value: str):
    assert _safe(value) == f"'{value}"


def test_numbers_stay_as_they_are_in_the_export():
    assert [_safe(one) for one in ("+14155550100", "-5", "a = b")] == ["+14155550100", "-5", "a = b"]


def test_a_run_is_taken_back_after_a_preview(client: Client):
    run = SyncRun.objects.create(connection=connection(), state=RunState.SUCCEEDED)
    ada, grace = contact(), contact("+14155550101", "Grace", "Hopper")
    for one, name in ((ada, "Byron"), (grace, "Murray")):
        change_contact(one.pk, {"last_name": name}, source=Source("crm", run.ref, "Salesforce"))
    person = Source("person", "user:1", "olga")
    change_contact(grace.pk, {"last_name": "Hopper-Murray"}, source=person)
    page = text(client.get(f"/undo/run/{run.pk}/"))
    assert "restore 1 value" in page
    assert "It has been changed since." in page
    assert Contact.objects.get(pk=ada.pk).last_name == "Byron"
    first = client.post(f"/undo/run/{run.pk}/")
    again = client.post(f"/undo/run/{run.pk}/")
    assert first["Location"] == again["Location"]
    assert 'data-live="open"' in text(client.get(first["Location"]))
    undo_some()
    done = text(client.get(first["Location"]))
    assert 'data-live="closed"' in done
    assert "It has been changed since." in done
    assert Contact.objects.get(pk=ada.pk).last_name == "Lovelace"
    assert Contact.objects.get(pk=grace.pk).last_name == "Hopper-Murray"
    assert UndoRequest.objects.get().requested_by == "olga"


def test_one_change_is_taken_back_from_the_profile(client: Client):
    ada = contact()
    change_contact(ada.pk, {"first_name": "Augusta"}, source=Source("person", "user:1", "olga"))
    change = ada.changes.get(source_kind="person")
    assert f"/undo/change/{change.pk}/" in text(client.get(f"/contacts/{ada.public_id}/"))
    assert f"/undo/change/{change.pk}/" not in text(client_of(STAFF).get(f"/contacts/{ada.public_id}/"))
    client.post(f"/undo/change/{change.pk}/")
    undo_some()
    assert Contact.objects.get().first_name == "Ada"
    assert "There is nothing to restore." in text(client.get(f"/undo/change/{change.pk}/"))


def test_there_is_no_undo_of_what_does_not_exist(client: Client):
    for where in ("/undo/change/99/", "/undo/run/99/", "/undo/conversation/99/", "/undo/nonsense/1/"):
        assert client.get(where).status_code == 404
