"""A connection's pages at work, against a CRM in memory: previews, arming, held work, drift, what stays out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import signing
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.changes import change_contact
from contacts.models import Contact, CustomField
from crmsync.pages.previews import SEEN
from crmsync.roles import OPERATOR
from integrations.models import Connection
from integrations.providers.errors import AuthError
from integrations.providers.registry import PROVIDERS
from mappings.models import InboundMapping
from sync import breaker
from sync.models import ExternalRecord, PendingPush, RunState, SyncRun
from sync.touch import drain_touched
from tests.crmsync.pages_world import client_of, text
from tests.fakes.provider import CRMS
from tests.sync.world import ADA, ENTRY, PERSON, LiveCrm, connect, sync

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveCrm]:
    """The CRM that the connection "one" leads to, with Ada in it."""
    monkeypatch.setitem(PROVIDERS, "fake", ENTRY)
    CRMS["one"] = made = LiveCrm()
    made.add(first_name="Ada", last_name="Lovelace", phone="(415) 555-0100", plan="Free", notes="calm")
    yield made
    CRMS.clear()


@pytest.fixture
def connection(crm: LiveCrm) -> Connection:
    """A connection with every field mapped both ways, Ada imported, not armed."""
    for name, kind in {"plan": "enum", "lifetime": "number", "renewal": "date", "visited": "datetime", "vip": "boolean",
                       "notes": "string"}.items():  # fmt: skip
        options = ["Free", "Pro"] if kind == "enum" else []
        CustomField.objects.create(name=name, type=kind, options=options)
    made = connect()
    sync(made)
    Connection.objects.update(armed_at=None, armed_by="", status="connected", enabled=True)
    made.refresh_from_db()
    return made


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


@pytest.fixture
def page(connection: Connection) -> str:
    """Where the connection's page is."""
    return f"/connections/{connection.public_id}/"


def ada() -> Contact:
    return Contact.objects.get(phone_number=ADA)


def edit_here(**values: object) -> None:
    change_contact(ada().pk, values, source=PERSON)
    drain_touched()


def test_the_page_shows_mappings_and_what_waits(client: Client, page: str, connection: Connection):
    edit_here(notes="wants a demo")
    shown = text(client.get(page))
    for words in (
        "outbound not armed",
        "Changes of 1 contact wait",
        "Preview and approve",
        "⇄ both ways",
        "Linked contacts",
    ):
        assert words in shown


def test_a_dry_run_shows_each_value_and_writes_nothing(client: Client, page: str, crm: LiveCrm):
    crm.edit(next(iter(crm.records)), notes="moved to Rome", plan="Pro")
    shown = text(client.post(f"{page}dry-run/"))
    for words in (
        "<del>calm</del>",
        "<ins>moved to Rome</ins>",
        "<ins>Pro</ins>",
        "notes → notes",
        "Nothing has been written",
    ):
        assert words in shown
    assert ada().value("notes") == "calm"
    assert "moved to Rome" not in text(client.get(f"{page}dry-run/"))


def test_a_dry_run_that_the_crm_refuses_says_why(client: Client, page: str, crm: LiveCrm):
    crm.fail("changes", AuthError("The token was revoked."))
    assert "The token was revoked." in text(client.post(f"{page}dry-run/"))
    assert Connection.objects.get().status == "error"


def test_outbound_is_armed_only_by_whoever_was_shown_the_preview(client: Client, page: str, crm: LiveCrm):
    edit_here(notes="wants a demo")
    shown = text(client.post(f"{page}outbound/"))
    assert "<ins>wants a demo</ins>" in shown
    assert crm.records["R000001"].values["notes"] == "calm"
    client.post(f"{page}outbound/arm/", {"seen": "made up"})
    client.post(f"{page}outbound/arm/", {"seen": signing.dumps([999, timezone.now().isoformat()], salt=SEEN)})
    assert Connection.objects.get().armed_at is None
    seen = shown.split('name="seen" value="')[1].split('"')[0]
    client.post(f"{page}outbound/arm/", {"seen": seen})
    armed = Connection.objects.get()
    assert armed.armed_by == "olga"
    assert armed.pushes_approved_at is not None
    assert "Disarm outbound" in text(client.get(page))
    client.post(f"{page}outbound/disarm/")
    assert Connection.objects.get().armed_at is None


def test_held_pushes_are_shown_value_by_value_and_released(client: Client, page: str, connection: Connection):
    edit_here(notes="wants a demo")
    loss = breaker.Loss("R000001", "", "notes", "calm", "wants a demo", "notes:notes")
    breaker.hold_pushes(connection, breaker.Tripped([loss], 120, 100))
    shown = text(client.get(page))
    for words in (
        "Writing to the CRM is held",
        "120 values would be overwritten",
        "<del>calm</del>",
        "Approve: write what waits",
    ):
        assert words in shown
    client.post(f"{page}release/")
    assert Connection.objects.get().held_at is None
    assert "Writing to the CRM is held" not in text(client.get(page))


def test_an_unknown_value_is_given_its_meaning_with_one_click(client: Client, page: str):
    InboundMapping.objects.filter(contact_field="plan").update(unknown_values={"Professional": 4, "Gold": 2})
    mapping = InboundMapping.objects.get(contact_field="plan")
    assert "4 records" in text(client.get(page))
    where = f"{page}unknown/{mapping.pk}/"
    client.post(where, {"value": "Professional", "to": "Pro"})
    client.post(where, {"value": "Gold", "add": "1"})
    mapping.refresh_from_db()
    assert mapping.value_map == {"Professional": "Pro"}
    assert mapping.unknown_values == {}
    assert "Gold" in CustomField.objects.get(name="plan").options
    refused = client.post(where, {"value": "Silver", "to": "No such option"}, follow=True)
    assert "note-error" in text(refused)


def test_records_that_stay_out_are_named_with_the_reason_and_the_fix(
    client: Client, page: str, crm: LiveCrm, connection
):
    crm.add(first_name="Linus", last_name="Torvalds", phone="")
    sync(connection)
    assert "no phone number" in text(client.get(page))
    shown = text(client.get(f"{page}left-out/?reason=no_phone"))
    assert "R000002" in shown
    assert "Fill in the phone field in the CRM" in shown


def test_the_test_button_checks_everything_and_keeps_the_lines(client: Client, page: str, crm: LiveCrm):
    shown = text(client.post(f"{page}test/", follow=True))
    assert "fields were read" in shown
    assert "The CRM answers as" in shown
    crm.hide("notes")
    assert "or hides it from" in text(client.post(f"{page}test/", follow=True))


def test_everything_and_reconcile_are_asked_for_by_name(client: Client, page: str):
    client.post(f"{page}sync/", {"reconcile": "1"})
    assert SyncRun.objects.latest("pk").kind == "reconcile"
    SyncRun.objects.update(state=RunState.SUCCEEDED)
    client.post(f"{page}sync/", {"full": "1"})
    assert SyncRun.objects.latest("pk").kind == "full"


def test_changed_mappings_offer_to_read_everything_again(client: Client, page: str, connection: Connection):
    assert "The mappings have changed" not in text(client.get(page))
    connection.inbound_mappings.filter(contact_field="vip").delete()
    connection.outbound_mappings.filter(contact_field="vip").delete()
    assert "The mappings have changed" in text(client.get(page))


def test_drift_is_shown_and_a_selection_repaired_by_choosing_a_side(client: Client, page: str, crm: LiveCrm):
    crm.edit("R000001", notes="from the CRM")
    shown = text(client.post(f"{page}drift/"))
    assert "1 of 1 records compared" in shown
    assert f'value="{ada().pk}|notes:notes"' in shown
    assert "Choose at least one" in text(client.post(f"{page}drift/repair/", {"side": "crm"}, follow=True))
    beyond = {"side": "crm", "row": f"{'9' * 40}|custom:plan"}
    assert "Choose at least one" in text(client.post(f"{page}drift/repair/", beyond, follow=True))
    chosen = {"row": [f"{ada().pk}|notes:notes"], "side": "crm"}
    assert "1 values taken from the CRM" in text(client.post(f"{page}drift/repair/", chosen, follow=True))
    assert ada().value("notes") == "from the CRM"
    edit_here(notes="ours")
    client.post(f"{page}drift/repair/", chosen | {"side": "ours"})
    assert PendingPush.objects.filter(contact=ada()).exists()


def test_the_page_costs_the_same_few_queries_however_much_there_is(
    client: Client, page: str, connection: Connection
):
    def cost() -> int:
        with CaptureQueriesContext(database) as queries:
            assert client.get(page).status_code == 200
        return len(queries)

    ExternalRecord.objects.create(connection=connection, external_id="x", state="skipped", reason="no_phone")
    SyncRun.objects.create(connection=connection, state=RunState.SUCCEEDED, finished_at=timezone.now())
    few = cost()
    for number in range(8):
        ExternalRecord.objects.create(
            connection=connection, external_id=f"x{number}", state="skipped", reason="no_phone"
        )
        at = timezone.now() - timedelta(minutes=number)
        SyncRun.objects.create(connection=connection, state=RunState.SUCCEEDED, finished_at=at)
    assert cost() == few <= 45


def test_a_contact_is_resynced_on_its_page_with_the_result(client: Client, page: str, crm: LiveCrm):
    Connection.objects.update(armed_at=timezone.now())
    [record] = crm.records
    crm.edit(record, plan="Pro")
    edit_here(notes="wants a demo")
    where = f"{ada().get_absolute_url()}resync/"
    shown = text(client.post(where))
    result = shown[shown.index("Resynced just now") : shown.index("Fields</h2>")]
    assert "1 value taken from it. Written to it: notes." in result
    assert "<del>Free</del>" in result
    assert "<ins>Pro</ins>" in result
    assert crm.value(record, "notes") == "wants a demo"
    assert "Both sides held the same." in text(client.post(where))
    assert client.get(where)["Location"] == ada().get_absolute_url()


def test_a_contact_that_a_resync_finds_deleted_leads_back_to_the_list(
    client: Client, connection: Connection, crm: LiveCrm
):
    Connection.objects.update(delete_policy="delete")
    crm.delete(next(iter(crm.records)))
    answer = client.post(f"{ada().get_absolute_url()}resync/", follow=True)
    assert answer.redirect_chain == [("/contacts/", 302)]
    assert "The CRM had deleted this record" in text(answer)
