"""A run's page: what waits for approval, what it wrote, and taking it back."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact
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
    assert f'filename="run-{run.pk}-' in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert {row["field"]: (row["old"], row["new"]) for row in rows if row["created"] == "false"} == {
        "last_name": ("Lovelace", "'=1+1"),
        "first_name": ("Ada", ""),
    }
    assert {row["number"] for row in rows} == {"+14155550100"}


def test_a_run_tells_row_by_row_what_became_of_its_records(client: Client):
    counts = {"created": 1, "updated": 1, "skipped_no_phone": 2, "conflicts": 1, "unchanged": 7}
    run = SyncRun.objects.create(connection=connection(), state=RunState.SUCCEEDED, counts=counts, done=12)
    source = Source("crm", run.ref, "Salesforce")
    ada = contact()
    change_contact(ada.pk, {"last_name": "Byron"}, source=source)
    create_contact("+14155550101", {"first_name": "Grace"}, source=source)
    where = f"/runs/{run.pk}/"
    page = text(client.get(where))
    assert "<del>Lovelace</del> → <ins>Byron</ins>" in page
    assert "Grace" in page
    for link in (
        f"{where}?outcome=created#rows", f"{where}?outcome=updated#rows", "/questions/?kind=conflict",
        f"/connections/{run.connection.public_id}/left-out/?reason=no_phone",
    ):  # fmt: skip
        assert f'href="{link}"' in page
    updated = text(client.get(f"{where}?outcome=updated"))
    assert ("<ins>Byron" in updated, "Grace" in updated) == (True, False)
    created = text(client.get(f"{where}?outcome=created"))
    assert ("<ins>Byron" in created, "Grace" in created) == (False, True)


def test_a_run_under_way_tells_how_fast_it_is_and_how_long_it_takes(client: Client):
    begun = timezone.now() - timedelta(seconds=10)
    run = SyncRun.objects.create(
        connection=connection(), state=RunState.RUNNING, started_at=begun, done=500, total=2000
    )
    page = text(client.get(f"/runs/{run.pk}/"))
    assert "500 of 2000 records read" in page
    assert re.search(r"[45]\d a second, about 3\d s left", page)
    assert 'value="25"' in page
    listed = text(client.get("/runs/"))
    assert 'data-live="open"' in listed
    assert re.search(r"500 of 2000 read · [345]\d a second", listed)
    SyncRun.objects.update(state=RunState.WAITING)
    assert 'data-live="closed"' in text(client.get("/runs/"))


def test_runs_are_narrowed_to_those_with_news_and_to_a_day(client: Client):
    crm, now = connection(), timezone.now()
    for days, done, state in ((0, 0, "succeeded"), (1, 0, "failed"), (2, 4, "succeeded")):
        SyncRun.objects.create(connection=crm, state=state, done=done, created_at=now - timedelta(days=days))
    quiet, failed, busy = SyncRun.objects.order_by("pk").values_list("pk", flat=True)

    def listed(query: str) -> set[int]:
        return {int(pk) for pk in re.findall(r'href="/runs/(\d+)/"', text(client.get(f"/runs/?{query}")))}

    assert listed("") == {quiet, failed, busy}
    assert listed("news=1") == {failed, busy}
    assert listed(f"until={now - timedelta(days=1):%Y-%m-%d}") == {failed, busy}
    assert listed("until=2026-13-77&news=no") == {quiet, failed, busy}


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
