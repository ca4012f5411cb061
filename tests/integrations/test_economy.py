"""What the daily work costs in calls, from the stand-in CRMs' request logs, through the whole sync."""

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
from django.utils import timezone

from activity.log import log_some
from activity.models import ActivityEntry
from activity.process import process_some
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
from tests.activity.payloads import call, deliver

pytestmark = pytest.mark.django_db
Connect = Callable[..., Connection]
FIELDS = {
    "salesforce": {"Phone": "phone_number", "FirstName": "first_name"},
    "hubspot": {"phone": "phone_number", "firstname": "first_name"},
}
PAGE = {"salesforce": 2000, "hubspot": 100}
BATCH = {"salesforce": 200, "hubspot": 100}
# One query; or the contact's list of calls, and those calls.
LOOK = {"salesforce": 1, "hubspot": 2}


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
    before = sandbox.control.last_request()
    while push_some():
        pass
    spent = calls(sandbox, connection, before)
    first_name = {external for external, ours in FIELDS[connection.provider].items() if ours == "first_name"}
    named = sandbox.control.contacts(connection.provider, **dict.fromkeys(first_name, "Grace"))
    assert len(named) >= len(contacts) > 200
    assert len(spent) == 2 * ceil(len(contacts) / BATCH[connection.provider]), spent


def test_a_call_on_a_known_contact_is_logged_in_one_call_and_a_second_look_only_where_the_outcome_is_unknown(
    connection: Connection, sandbox: Any
) -> None:
    cycle(connection)
    Connection.objects.update(sync_conversation_activity=True)
    known = Contact.objects.order_by("pk")[0]
    path = {"salesforce": "composite/sobjects", "hubspot": "calls/batch/create"}[connection.provider]
    for call_id, lost, cost in (("call_1", False, 1), ("call_2", True, 1 + LOOK[connection.provider])):
        deliver({"event": "call_analyzed", "call": call(call_id, from_number=known.phone_number)})
        while process_some():
            pass
        if lost:
            sandbox.control.add_fault(action="drop_after", system=connection.provider, path=path)
        before = sandbox.control.last_request()
        for _ in range(2):
            ActivityEntry.objects.update(due_at=timezone.now())
            while log_some():
                pass
        spent = calls(sandbox, connection, before)
        assert len(spent) == cost, spent
    assert set(ActivityEntry.objects.values_list("state", flat=True)) == {"logged"}
    assert len(sandbox.control.activities(connection.provider)) == 2
