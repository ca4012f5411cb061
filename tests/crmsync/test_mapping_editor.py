"""The mapping editor in the admin: pickers that offer what can work, problems where they are, a trial on a real contact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from contacts.models import Contact, CustomField
from crmsync.roles import OPERATOR, REVIEWER, STAFF
from integrations.models import Connection
from integrations.providers.errors import Transient
from integrations.providers.registry import PROVIDERS, ProviderEntry
from mappings.models import InboundMapping, OutboundMapping
from sync.models import ExternalRecord
from sync.pull import run_now
from sync.runs import request_run
from tests.crmsync.pages_world import client_of, contact, text
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS

pytestmark = pytest.mark.django_db


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCrm]:
    """A CRM in memory, as the provider "fake"."""
    monkeypatch.setitem(
        PROVIDERS, "fake", ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
    )
    CRMS["fake"] = FakeCrm()
    cache.clear()
    yield CRMS["fake"]
    CRMS.clear()


@pytest.fixture
def linked(crm: FakeCrm) -> Connection:
    """A connection that has read one record: Ada, on the plan Pro."""
    CustomField.objects.create(name="plan", label="Plan", type="enum", options=["Free", "Pro", "Gold"])
    CustomField.objects.create(name="vip", label="VIP", type="boolean")
    made = Connection.objects.create(
        provider="fake", name="Fake CRM", tenant_url="fake", credentials={"token": "t"}, status="connected"
    )
    for external, ours in (("phone", "phone_number"), ("first_name", "first_name"), ("plan", "plan")):
        InboundMapping.objects.create(connection=made, external_field=external, contact_field=ours)
    OutboundMapping.objects.create(connection=made, external_field="plan", contact_field="plan")
    crm.add(phone="415-555-0100", first_name="Ada", plan="Pro", notes="Likes tea.")
    run_now(request_run(made, full=True, by="olga"))
    made.refresh_from_db()
    return made


@pytest.fixture
def client(db: None) -> Client:
    """An operator's browser."""
    return client_of(OPERATOR, "olga")


def at(connection: Connection, more: str = "") -> str:
    return f"/admin/integrations/connection/{connection.pk}/mappings/{more}"


def row(external: str, ours: str, way: str = "both", **rules: str) -> dict[str, str]:
    """A new row as it is typed."""
    usual = {"conflict": "crm_wins", "blank_in": "ignore", "blank_out": "ignore"}
    return {"key": "", "external_field": external, "contact_field": ours, "way": way} | usual | rules


def sent(connection: Connection, *more: dict[str, str], **changes: str) -> dict[str, str]:
    """What the editor sends back: the saved rows, with `changes` by "<contact field>__<input>", and `more` new ones."""
    rows = []
    saved: dict[str, tuple[str, str, set[str]]] = {}
    mappings: list[Any] = [*connection.inbound_mappings.all(), *connection.outbound_mappings.all()]
    for mapping in mappings:
        key = f"{mapping.external_field}:{mapping.contact_field}"
        ways = saved.setdefault(key, (mapping.external_field, mapping.contact_field, set()))[2]
        ways.add("in" if isinstance(mapping, InboundMapping) else "out")
    for key, (external, ours, ways) in saved.items():
        one = row(external, ours, "both" if len(ways) == 2 else ways.pop()) | {"key": key}
        rows.append(
            one | {name.split("__")[1]: v for name, v in changes.items() if name.startswith(f"{ours}__")}
        )
    rows += more
    data = {f"pair-{number}-{name}": value for number, one in enumerate(rows) for name, value in one.items()}
    data |= {name: value for name, value in changes.items() if name.startswith("_")}
    return data | {"pair-TOTAL_FORMS": str(len(rows)), "pair-INITIAL_FORMS": str(len(saved))}


def pairs(connection: Connection) -> list[str]:
    """The saved mappings in words."""
    found: list[Any] = [*connection.inbound_mappings.all(), *connection.outbound_mappings.all()]
    return sorted(map(str, found))


def told(page: str, number: int) -> str:
    """What stands beside a row, as one line."""
    part = (
        page.split(f'id="told-pair-{number}">')[1]
        .split('id="told-', maxsplit=1)[0]
        .split("<details", maxsplit=1)[0]
    )
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", part).split()))


def test_a_row_is_a_pair_whichever_way_it_goes(client: Client, linked: Connection):
    page = text(client.get(at(linked)))
    assert re.findall(r'data-way="(\w+)"', page)[:3] == ["in", "in", "both"]
    assert 'value="First name"' in page
    assert told(page, 2).startswith("plan enum Free, Starter, Pro, Enterprise plan enum Free, Pro, Gold")


def test_rows_are_added_by_name_or_by_label_and_go_the_way_that_was_chosen(
    client: Client, linked: Connection
):
    new = [row("NOTES", "Last name", "in"), row("vip", "vip"), row("last_name", "first_name", "out")]
    assert client.post(at(linked), sent(linked, *new)).status_code == 302
    assert set(pairs(linked)) == {
        "phone → phone_number", "first_name → first_name", "plan → plan", "notes → last_name", "vip → vip",
        "first_name → last_name",
    }  # fmt: skip
    assert linked.outbound_mappings.filter(contact_field="vip", external_field="vip").exists()


def test_a_pair_that_stays_keeps_its_row_and_what_was_found_of_its_values(client: Client, linked: Connection):
    linked.inbound_mappings.filter(contact_field="plan").update(unknown_values={"Starter": 7})
    before = dict(linked.inbound_mappings.values_list("contact_field", "pk"))
    page = text(client.get(at(linked)))
    assert "7 records have “Starter”" in page
    changes = {"plan__conflict": "ask", "plan__map_in": "Enterprise = Gold", "plan__way": "in"}
    assert client.post(at(linked), sent(linked, **changes)).status_code == 302
    assert dict(linked.inbound_mappings.values_list("contact_field", "pk")) == before
    plan = linked.inbound_mappings.get(contact_field="plan")
    assert (plan.conflict_policy, plan.value_map, plan.unknown_values) == (
        "ask", {"Enterprise": "Gold"}, {"Starter": 7},
    )  # fmt: skip
    assert not linked.outbound_mappings.exists()


def test_a_removed_row_goes_and_the_phone_number_s_stays_whatever_is_sent(client: Client, linked: Connection):
    data = sent(linked, plan__DELETE="on", phone_number__DELETE="on", phone_number__contact_field="first_name",
                first_name__DELETE="on")  # fmt: skip
    assert client.post(at(linked), data).status_code == 302
    assert pairs(linked) == ["phone → phone_number"]
    page = text(client.post(at(linked), sent(linked, phone_number__way="out")))
    assert "it has to be read in from somewhere" in page
    client.post(at(linked), sent(linked, phone_number__external_field="Mobile"))
    assert pairs(linked) == ["mobile → phone_number"]


def test_two_rows_swap_their_fields_in_one_go(client: Client, linked: Connection):
    InboundMapping.objects.create(connection=linked, external_field="last_name", contact_field="last_name")
    data = sent(linked, first_name__contact_field="last_name", last_name__contact_field="first_name")
    assert client.post(at(linked), data).status_code == 302
    assert {"first_name → last_name", "last_name → first_name"} <= set(pairs(linked))


REFUSED = (
    (row("Score", "vip"), "A number in the CRM cannot become a boolean."),
    (row("score", "first_name", "out"), "is computed by the CRM and cannot be written"),
    (row("shoe_size", "vip"), "no contact field “shoe_size”"),
    (row("vip", "shoe size"), "no contact field named “shoe size”"),
    (row("mobile", "plan", "in"), "Another row feeds this field already"),
    (
        row("plan", "vip", "out", map_out="true = Pro\nfalse = Free"),
        "Another row writes to this field already",
    ),
    (row("notes", "last_name", map_in="Augusta"), "is not like “Yes = true”"),
    (row("notes", "last_name", map_in="A = B\nA = C"), "stands there twice"),
    (row("plan", "vip", "in", map_in="Pro = perhaps"), "does not fit the field it is written to"),
    (row("", "vip"), "Choose the CRM field."),
)


def test_what_cannot_work_is_said_where_it_is_and_nothing_is_saved(client: Client, linked: Connection):
    before = pairs(linked)
    for new, words in REFUSED:
        page = text(client.post(at(linked), sent(linked, new, plan__conflict="ask")))
        assert words in told(page, 3)
        assert "Nothing is saved yet" in page
    assert pairs(linked) == before
    assert linked.inbound_mappings.get(contact_field="plan").conflict_policy == "crm_wins"


def test_what_a_mapping_will_not_do_is_said_before_it_is_saved_and_after(client: Client, linked: Connection):
    new = row("score", "first_name", "in", default_in="friend", blank_in="clear")
    page = text(client.post(at(linked), sent(linked, row("score", "last_name", "in"), _check="1")))
    assert "is computed by the CRM: changes of a computed field do not move" in told(page, 3)
    assert len(pairs(linked)) == 4
    linked.inbound_mappings.filter(contact_field="first_name").delete()
    page = text(client.post(at(linked), sent(linked, new, _check="1")))
    assert "The default is never used" in told(page, 2)
    InboundMapping.objects.create(connection=linked, external_field="gone", contact_field="last_name")
    assert "no contact field “gone”" in text(client.get(at(linked)))


def test_a_real_contact_shows_what_each_row_does_while_it_is_typed(
    client: Client, linked: Connection, crm: FakeCrm
):
    page = text(client.get(at(linked)))
    assert "In the CRM Pro Here Pro In step." in told(page, 2)
    crm.edit("R000001", plan="Enterprise")
    cache.clear()
    data = sent(linked, row("Notes", "Last name"), _told="1", plan__map_in="Enterprise = Gold")
    page = text(client.post(at(linked), data))
    assert "<html" not in page
    assert "In the CRM Enterprise reads here as Gold Here Pro Gold" in told(page, 2)
    assert "The next sync takes the CRM's value." in told(page, 2)
    assert "In the CRM Likes tea. Here – Likes tea." in told(page, 3)
    page = text(client.post(at(linked), sent(linked, _told="1")))
    assert "Not taken: The value is not one of the field's options: Free, Pro, Gold." in told(page, 2)
    assert Contact.objects.get().value("plan") == "Pro"


def test_what_waits_for_the_first_approval_is_not_promised(client: Client, linked: Connection):
    Contact.objects.update(custom_fields={"plan": "Free"})
    assert "Ours is written once outbound sync is approved." in told(text(client.get(at(linked))), 2)
    Connection.objects.update(armed_at=timezone.now())
    page = told(text(client.get(at(linked))), 2)
    assert "In the CRM Pro Free" in page
    assert "The next sync writes ours." in page


def test_a_crm_that_cannot_be_asked_leaves_the_editor_working(
    client: Client, linked: Connection, crm: FakeCrm
):
    crm.fail("read", Transient("The CRM is down."))
    page = text(client.get(at(linked)))
    assert "The CRM could not be asked: The CRM is down." in page
    Connection.objects.update(schema_at=None)
    crm.fail("fields", Transient("The CRM is down."))
    page = text(client.get(at(linked)))
    assert "does not tell its fields now" in page
    assert 'value="First name"' in page


def test_the_editor_works_on_the_crm_s_fields_as_they_are_now(
    client: Client, linked: Connection, crm: FakeCrm
):
    crm.hide("vip")
    assert "VIP" in text(client.post(at(linked, "choices/"), {"side": "crm", "q": "vip"}))
    client.get(at(linked) + "?_refresh=1")
    assert "VIP" not in text(client.post(at(linked, "choices/"), {"side": "crm", "q": "vip"}))


def offered(client: Client, connection: Connection, **asked: str) -> tuple[list[str], str]:
    """The names a picker offers, and the rest of what it says."""
    page = text(client.post(at(connection, "choices/"), asked))
    fit = re.findall(r'role="option" data-value="([^"]+)"', page)
    return fit, " ".join(
        re.sub(r"<[^>]+>", " ", page.split("unfit", 1)[-1] if "unfit" in page else "").split()
    )


OFFERED: tuple[tuple[dict[str, str], list[str], str], ...] = (
    ({"side": "crm", "q": "life"}, ["value"], ""),
    ({"side": "crm", "q": "NUMBER score", "way": "in"}, ["score"], ""),
    ({"side": "crm", "q": "score", "way": "out"}, [], "it can only be read in"),
    ({"side": "crm", "q": "score", "other": "First name", "way": "both"}, [], "computed by the CRM"),
    ({"side": "crm", "q": "starter", "other": "plan"}, ["plan"], ""),
    (
        {"side": "crm", "q": "last", "other": "vip", "way": "in"},
        ["last_name"],
        "A datetime in the CRM cannot",
    ),
    ({"side": "contact", "q": "", "other": "VIP", "way": "in"}, ["vip"], ""),
    ({"side": "contact", "q": "plan", "other": "score", "way": "both"}, [], "cannot be written"),
    ({"side": "contact", "q": "gold"}, ["plan"], ""),
    ({"side": "crm", "q": "nothing like it"}, [], ""),
)


def test_a_picker_offers_what_can_work_and_says_why_not(client: Client, linked: Connection):
    for asked, fit, why in OFFERED:
        found, rest = offered(client, linked, **asked)
        assert found[: len(fit)] == fit, asked
        assert bool(found) == bool(fit), asked
        assert why in rest, asked


def test_a_picker_begins_with_what_suggests_itself(client: Client, linked: Connection):
    page = text(client.post(at(linked, "choices/"), {"side": "crm", "other": "VIP", "way": "both"}))
    assert page.index("suggested") < page.index("</li>")
    assert page.index(">VIP<") < page.index("suggested")


def test_the_contact_to_try_on_is_found_by_name_or_number_among_those_with_a_record(
    client: Client, linked: Connection
):
    contact("+14155550199", "Adam", "Unlinked")
    for asked in ("ad", "(415) 555-0100"):
        assert offered(client, linked, side="person", q=asked)[0] == [
            Contact.objects.get(first_name="Ada").public_id
        ]
    assert client.get(at(linked, "choices/?side=person&q=415")).status_code == 405
    ExternalRecord.objects.all().delete()
    assert "As soon as a contact is linked" in text(client.get(at(linked)))


def test_what_somebody_else_added_meanwhile_stays(client: Client, linked: Connection):
    data = sent(linked)
    InboundMapping.objects.create(connection=linked, external_field="vip", contact_field="vip")
    assert client.post(at(linked), data).status_code == 302
    assert "vip → vip" in pairs(linked)
    new = row("mobile", "vip", "in", map_in="1 = true")
    assert "Another row feeds this field already" in text(client.post(at(linked), data | {
        f"pair-3-{name}": value for name, value in new.items()} | {"pair-TOTAL_FORMS": "4"}))  # fmt: skip


def test_without_a_schema_any_field_name_is_accepted(client: Client, linked: Connection):
    Connection.objects.update(schema=[], schema_at=timezone.now())
    linked.refresh_from_db()
    assert client.post(at(linked), sent(linked, row("Shoe_Size__c", "vip", "in"))).status_code == 302


def test_the_editor_is_for_those_who_run_the_system(linked: Connection):
    for role in (REVIEWER, STAFF, ""):
        other = client_of(role)
        assert other.get(at(linked), follow=True).status_code == 403
        assert other.post(at(linked), sent(linked), follow=True).status_code == 403
        assert other.post(at(linked, "choices/"), {"side": "crm"}, follow=True).status_code == 403
