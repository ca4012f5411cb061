"""What the daily work costs in calls, from the stand-in CRMs' request logs, through the whole sync."""

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest

from contacts.changes import Source, change_contact
from contacts.models import Contact
from integrations.connections import test_connection
from integrations.models import Connection
from mappings.models import InboundMapping, OutboundMapping
from sync.models import RunState, SyncRun
from sync.pull import run_now
from sync.push import push_some
from sync.runs import request_run
from sync.touch import drain_touched

pytestmark = pytest.mark.django_db
Connect = Callable[..., Connection]
FIELDS = {
    "salesforce": {"Phone": "phone_number", "FirstName": "first_name"},
    "hubspot": {"phone": "phone_number", "firstname": "first_name"},
}
PAGE = {"salesforce": 2000, "hubspot": 100}
BATCH = {"salesforce": 200, "hubspot": 100}


@pytest.fixture(params=["salesforce", "hubspot"])
def connection(request: pytest.FixtureRequest, connect: Connect, sandbox: Any) -> Connection:
    """Connected, with a name mapped both ways; 250 contacts in the CRM."""
    sandbox.control.reset(250)
    made = connect(request.param)
    assert test_connection(made)
    for external, ours in FIELDS[request.param].items():
        InboundMapping.objects.create(connection=made, external_field=external, contact_field=ours)
        if ours != "phone_number":
            OutboundMapping.objects.create(connection=made, external_field=external, contact_field=ours)
    return made


def cycle(connection: Connection) -> SyncRun:
    run = run_now(request_run(connection))
    assert run.state == RunState.SUCCEEDED, run.error
    return run


def calls(sandbox: Any, connection: Connection, since: int) -> list[str]:
    found = sandbox.control.requests(system=connection.provider, since=since)
    return [f"{one['method']} {one['path']}" for one in found]


def test_an_import_costs_its_pages_and_a_few(connection: Connection, sandbox: Any) -> None:
    before = sandbox.control.last_request()
    cycle(connection)
    spent = calls(sandbox, connection, before)
    assert len(spent) <= ceil(250 / PAGE[connection.provider]) + 3


def test_an_idle_cycle_costs_at_most_two_calls_and_the_run_knows_how_many(
    connection: Connection, sandbox: Any
) -> None:
    cycle(connection)
    cycle(connection)
    before = sandbox.control.last_request()
    run = cycle(connection)
    spent = calls(sandbox, connection, before)
    assert len(spent) <= 2, spent
    assert run.api_calls == len(spent)


def test_updates_cost_two_calls_a_batch(connection: Connection, sandbox: Any) -> None:
    cycle(connection)
    Connection.objects.update(armed_at="2026-01-01T00:00:00Z", overwrite_floor=10_000)
    contacts = list(Contact.objects.values_list("pk", flat=True))
    drain_touched()
    while push_some():
        pass
    for pk in contacts:
        change_contact(pk, {"first_name": "Grace"}, source=Source("person", "user:1", "ada"))
    while drain_touched():
        pass
    before, rounds = sandbox.control.last_request(), 0
    while push_some():
        rounds += 1
    assert sandbox.control.contacts(connection.provider)
    spent = calls(sandbox, connection, before)
    # Pushes are claimed 200 at a time; each claim is read and written in the vendor's batches.
    claims = [200] * (len(contacts) // 200) + ([len(contacts) % 200] if len(contacts) % 200 else [])
    assert len(contacts) > 200
    assert len(spent) <= 2 * sum(ceil(one / BATCH[connection.provider]) for one in claims), spent
