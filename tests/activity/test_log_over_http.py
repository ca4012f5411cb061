"""The activity log against both stand-in CRMs over HTTP: one activity a conversation, whatever is lost on the way."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.utils import timezone

from activity.log import log_some
from activity.models import ActivityEntry
from activity.process import process_some
from contacts.models import Contact
from integrations.connections import set_credentials
from integrations.models import Connection
from sync.models import ExternalRecord
from tests.activity.payloads import analyzed, chat, deliver

pytestmark = pytest.mark.django_db
CREDENTIALS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}
SENDING = {"salesforce": "composite/sobjects", "hubspot": "(calls|communications)/batch/create"}


class Timeline(NamedTuple):
    """One CRM, and what it holds on Ada's record."""

    system: str
    activities: Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["salesforce", "hubspot"])
def timeline(request, sandbox):
    """A call and a chat with Ada, to be logged on her record; the CRM's view of them."""
    system = request.param
    connection = Connection(
        provider=system, name=system, tenant_url=sandbox.base_url, sync_conversation_activity=True
    )
    set_credentials(connection, CREDENTIALS[system])
    deliver(analyzed(), {"event": "chat_analyzed", "chat": chat()})
    while process_some():
        pass
    record = sandbox.control.contacts(system)[0]["id"]
    ExternalRecord.objects.create(connection=connection, external_id=record, contact=Contact.objects.get())

    return Timeline(system, lambda: sandbox.control.activities(system, record))


def log_until_idle():
    for _ in range(6):
        ActivityEntry.objects.update(due_at=timezone.now())
        log_some()
    assert set(ActivityEntry.objects.values_list("state", flat=True)) == {"logged"}


def test_a_call_and_a_chat_are_logged_once_each(timeline):
    log_until_idle()
    found = sorted(one["kind"] for one in timeline.activities())
    assert found == {"salesforce": ["task", "task"], "hubspot": ["call", "communication"]}[timeline.system]
    told = " ".join(str(one["fields"]) for one in timeline.activities())
    assert told.count("Ada asked about her plan.") == 1
    assert "call_ada" in told
    assert "chat_ada" in told


@pytest.mark.parametrize("action", ["drop_after", "drop_before"])
def test_a_lost_answer_leaves_one_activity_each(timeline, sandbox, action):
    sandbox.control.add_fault(action=action, system=timeline.system, path=SENDING[timeline.system], times=2)
    log_until_idle()
    assert len(timeline.activities()) == 2


def test_a_later_summary_updates_what_was_logged(timeline):
    log_until_idle()
    deliver(analyzed(summary="Ada asked about her bill."))
    while process_some():
        pass
    log_until_idle()
    assert len(timeline.activities()) == 2
    assert "Ada asked about her bill." in " ".join(str(one["fields"]) for one in timeline.activities())
