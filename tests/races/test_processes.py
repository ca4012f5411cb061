"""Races for real: two processes, a barrier, a hundred rounds of each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone

from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactChange
from crmsync.api_keys import issue_key
from integrations.models import Connection, dump_field
from integrations.providers.registry import PROVIDERS, ProviderEntry
from mappings.models import InboundMapping, OutboundMapping
from sync.models import ExternalRecord, PendingPush, RecordState
from sync.runs import request_run
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import FakeProvider
from tests.races.contestant import contestant

ROUNDS = 100
PERSON = Source("person", "user:1", "ada")
Race = Callable[..., list[Any]]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def pair(django_db_setup: None, django_db_blocker: Any) -> Iterator[Callable[[Any], list[Pipe]]]:
    """Starts two processes at first need; they serve all races of this file."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    pipes: list[Pipe] = []
    processes = []

    def started(_: Any) -> list[Pipe]:
        if not pipes:
            place = {
                name: str(database.settings_dict[name])
                for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")
            }
            for _number in range(2):
                ours, theirs = context.Pipe()
                process = context.Process(target=contestant, args=(place, barrier, theirs), daemon=True)
                process.start()
                pipes.append(ours)
                processes.append(process)
        return pipes

    yield started
    for pipe in pipes:
        pipe.send(None)
    for process in processes:
        process.join(30)
        process.close()


@pytest.fixture
def race(pair: Callable[[Any], list[Pipe]]) -> Race:
    """Let two jobs run at the same moment, each in its own process; returns what each answered."""

    def run(*jobs: tuple[str, dict[str, Any]]) -> list[Any]:
        pipes = pair(None)
        for pipe, job in zip(pipes, jobs, strict=True):
            pipe.send(job)
        answers = []
        for pipe in pipes:
            assert pipe.poll(90), "a process does not answer"
            state, answer = pipe.recv()
            assert state == "done", answer
            answers.append(answer)
        return answers

    return run


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        PROVIDERS, "fake", ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
    )


def connect(name: str) -> Connection:
    """A connection that maps the names both ways; its schema is known, so no call is needed for it."""
    connection = Connection.objects.create(
        provider="fake", name=name, tenant_url=name, status="connected", armed_at=timezone.now(), armed_by="ada",
        overwrite_floor=1_000_000, sync_new_contacts=True, schema_at=timezone.now(),
        schema=[dump_field(one) for one in FakeProvider(FakeCrm()).fields()],
    )  # fmt: skip
    for ours, theirs in (("phone_number", "phone"), ("first_name", "first_name"), ("last_name", "last_name")):
        InboundMapping.objects.create(connection=connection, external_field=theirs, contact_field=ours)
        OutboundMapping.objects.create(connection=connection, external_field=theirs, contact_field=ours)
    return connection


def number_of(one: int) -> str:
    """A number of its own for every round."""
    return f"+1415555{one:04d}"


def test_no_pending_push_is_claimed_by_two_workers(race: Race) -> None:
    connection = connect("north")
    contacts = [create_contact(number_of(one), {}, source=PERSON).contact for one in range(8)]
    rows = [PendingPush.objects.create(connection=connection, contact=contact) for contact in contacts]
    for _ in range(ROUNDS):
        PendingPush.objects.update(claimed_until=None)
        first, second = race(*[("claim", {"connection": connection.pk})] * 2)
        assert not set(first) & set(second)
        assert sorted(first + second) == [row.pk for row in rows]


def test_two_syncs_that_meet_one_number_link_one_contact(race: Race) -> None:
    north, south = connect("north"), connect("south")
    for one in range(ROUNDS):
        number = number_of(one)
        answers = race(*[
            ("pull", {"run": request_run(connection).pk, "tenant": connection.name,
                      "records": [{"first_name": "Ada", "last_name": "Lovelace", "phone": number}]})
            for connection in (north, south)
        ])  # fmt: skip
        assert answers == ["succeeded "] * 2
        contact = Contact.objects.get(phone_number=number)
        links = ExternalRecord.objects.filter(contact=contact, state=RecordState.LINKED)
        assert sorted(links.values_list("connection__name", flat=True)) == ["north", "south"]
        ExternalRecord.objects.all().delete()
        Connection.objects.update(cursor="")


def test_a_call_and_a_sync_that_meet_a_new_number_make_one_contact(race: Race) -> None:
    """Failure modes 9 and 10: two events about an unknown number make one contact."""
    north = connect("north")
    for one in range(ROUNDS):
        number = number_of(one)
        record = {"first_name": "Ada", "last_name": "Lovelace", "phone": number}
        pulled, called = race(
            ("pull", {"run": request_run(north).pk, "tenant": "north", "records": [record]}),
            ("call", {"number": number}),
        )
        assert pulled == "succeeded "
        contact = Contact.objects.get(phone_number=number)
        assert contact.pk == called
        assert contact.first_name == "Ada"
        assert ExternalRecord.objects.get(contact=contact).state == RecordState.LINKED
        ExternalRecord.objects.all().delete()
        Connection.objects.update(cursor="")


def test_a_record_wanted_twice_at_once_is_created_once(race: Race) -> None:
    """Failure modes 7 and 9: the reservation is the row, so no search of the CRM is needed to see it."""
    north = connect("north")
    for one in range(ROUNDS):
        contact = create_contact(number_of(one), {"first_name": "Ada"}, source=PERSON).contact
        made = race(*[("want", {"connection": north.pk, "contact": contact.pk, "tenant": "north"})] * 2)
        assert sum(made) == 1
        link = ExternalRecord.objects.get(contact=contact)
        assert link.state == RecordState.LINKED
        assert not PendingPush.objects.exists()
        link.delete()


def test_a_create_sent_twice_at_once_happens_once_and_both_get_its_answer(race: Race) -> None:
    _, secret = issue_key("Ada's script", rate=0)
    for one in range(ROUNDS):
        job = ("create", {"secret": secret, "name": f"row-{one}", "number": number_of(one)})
        (first, body, _), (second, other, _) = race(job, job)
        assert (first, second) == (201, 201)
        assert body == other
        contact = Contact.objects.get(phone_number=number_of(one))
        assert contact.changes.count() == 1


def test_an_edit_while_a_page_is_applied_is_never_lost(race: Race) -> None:
    north = connect("north")
    contact = create_contact(number_of(0), {"first_name": "Ada"}, source=PERSON).contact
    record = {"last_name": "Unknown", "phone": number_of(0)}
    race(
        (
            "pull",
            {"run": request_run(north).pk, "tenant": "north", "records": [{**record, "first_name": "Ada"}]},
        ),
        ("edit", {"contact": contact.pk, "field": "last_name", "values": []}),
    )
    for one in range(ROUNDS):
        Connection.objects.update(cursor="")
        _, changed = race(
            ("pull", {"run": request_run(north).pk, "tenant": "north",
                      "records": [{**record, "first_name": f"There {one}"}]}),
            ("edit", {"contact": contact.pk, "field": "last_name", "values": [f"Here {one}.{n}" for n in range(4)]}),
        )  # fmt: skip
        contact.refresh_from_db()
        assert changed == 4
        assert (contact.first_name, contact.last_name) == (f"There {one}", f"Here {one}.3")
    by_person = ContactChange.objects.filter(source_kind="person", diff__has_key="last_name")
    assert by_person.count() == 4 * ROUNDS
