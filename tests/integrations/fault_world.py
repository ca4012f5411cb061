"""A connection to a stand-in CRM with one flow under way: what is begun, one try of it, and what must be there in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import time_machine
from django.db.models import Sum
from django.utils import timezone

from activity.log import log_some
from activity.models import ActivityEntry
from activity.process import process_some
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, CustomField
from integrations.connections import set_credentials
from integrations.connections import test_connection as try_connection
from integrations.health import health_of
from integrations.models import ApiUse, Connection, Pace
from mappings.models import InboundMapping, OutboundMapping
from sync.links import want_record
from sync.models import ExternalRecord, PendingPush, RunState, SyncIssue, SyncRun
from sync.pull import pull_some
from sync.push import push_some
from sync.retries import retry_some
from sync.runs import request_due_runs
from sync.touch import drain_touched
from tests.activity.payloads import ADA, GRACE, analyzed, deliver

LINUS, OTHER = "+14155550103", "+14155550104"
SECRETS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}
# Our field → the CRM's.
NAMES = {
    "salesforce": {"phone_number": "Phone", "first_name": "FirstName", "last_name": "LastName", "title": "Title"},
    "hubspot": {"phone_number": "phone", "first_name": "firstname", "last_name": "lastname", "title": "jobtitle"},
}  # fmt: skip
PERSON = Source("person", "user:1", "olga")


@dataclass
class Site:
    """One CRM with Ada in it, imported; `begin` starts the flow, `attempt` lets the workers try once."""

    sandbox: Any
    crm: str
    connection: Connection = field(init=False)
    ada: str = ""
    other: str = ""
    since: int = 0
    scope: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self.sandbox.world.reset(2)
        CustomField.objects.create(name="title", type="string")
        self.ada = self.add("Ada", "Lovelace", ADA)
        self.other = self.add("Adeline", "Lovelace", OTHER)
        made = Connection(
            provider=self.crm, name=self.crm, tenant_url=self.sandbox.base_url, armed_at=timezone.now(),
            sync_conversation_activity=True,
        )  # fmt: skip
        set_credentials(made, SECRETS[self.crm])
        self.connection = made
        assert try_connection(made), made.status_reason
        for ours, theirs in NAMES[self.crm].items():
            InboundMapping.objects.create(connection=made, contact_field=ours, external_field=theirs)
            if ours != "phone_number":
                OutboundMapping.objects.create(connection=made, contact_field=ours, external_field=theirs)
        self.pull_once()
        self.connection = Connection.objects.get()
        assert ExternalRecord.objects.filter(external_id=self.ada, contact__phone_number=ADA).exists()

    def add(self, first: str, last: str, number: str) -> str:
        """A new contact, made by the CRM's own user."""
        names = NAMES[self.crm]
        fields = {names["first_name"]: first, names["last_name"]: last, names["phone_number"]: number}
        fields[names["title"]] = "Analyst"
        return str(self.sandbox.control.create_contact(self.crm, fields)["id"])

    def begin(self) -> None:
        """Something happens that the flow has to carry over."""
        raise NotImplementedError

    def attempt(self) -> None:
        """The workers try once."""
        raise NotImplementedError

    def state(self) -> str:
        """The flow's own word: of the run, the pushes, or the activity entry."""
        raise NotImplementedError

    def complete(self) -> bool:
        """Whether everything is where it belongs, once."""
        raise NotImplementedError

    def pull_once(self) -> None:
        """The minute has come: a run is queued if the connection may have one, and a worker looks for work."""
        rest()
        Connection.objects.update(next_sync_at=timezone.now())
        request_due_runs()
        while pull_some():
            pass

    def mend(self) -> None:
        """A person enters the credentials again and tests the connection."""
        connection = Connection.objects.get()
        set_credentials(connection, SECRETS[self.crm])
        assert try_connection(connection), connection.status_reason

    def health(self) -> str:
        """The last word of what pages show of the connection: Healthy, Paused, Error, Attention."""
        last = SyncRun.objects.filter(state=RunState.SUCCEEDED).order_by("-finished_at").first()
        return (
            health_of(Connection.objects.get(), last.finished_at if last else None)
            .word.split()[-1]
            .capitalize()
        )

    def issues(self) -> list[str]:
        """The kinds of open issues."""
        open_ones = SyncIssue.objects.filter(state__in=["open", "parked"])
        return sorted(set(open_ones.values_list("kind", flat=True)))

    def shown(self) -> str:
        """Health, the flow's state, the open issues, and how many calls the CRM saw since the flow began."""
        asked = len(self.sandbox.control.requests(system=self.crm, since=self.since))
        told = "+".join([self.state(), *self.issues()])
        return f"{self.health()} {told} {asked}"

    def counted(self) -> int:
        """What our own books say of all calls of the connection."""
        return ApiUse.objects.aggregate(all=Sum("calls"))["all"] or 0

    def asked(self) -> int:
        """What the CRM's log says of all calls."""
        return len(self.sandbox.control.requests(system=self.crm))

    def fields(self, record: str) -> dict[str, Any]:
        """A record as the CRM holds it."""
        found: dict[str, Any] = self.sandbox.control.contact(self.crm, record)["fields"]
        return found

    def holders(self, number: str) -> list[dict[str, Any]]:
        """The CRM's live records with a number."""
        phone = NAMES[self.crm]["phone_number"]
        return [one for one in self.sandbox.control.contacts(self.crm) if one["fields"].get(phone) == number]


class Inbound(Site):
    """Ada is renamed in the CRM, and Grace is new there."""

    scope = "reading"

    def begin(self) -> None:
        names = NAMES[self.crm]
        self.sandbox.control.edit_contact(
            self.crm, self.ada, {names["first_name"]: "Augusta", names["title"]: "Countess"}
        )
        self.add("Grace", "Hopper", GRACE)

    def attempt(self) -> None:
        self.pull_once()

    def state(self) -> str:
        return str(SyncRun.objects.order_by("pk").last().state)  # type: ignore[union-attr]

    def complete(self) -> bool:
        held = {one.phone_number: (one.first_name, one.value("title")) for one in Contact.objects.all()}
        there = (held.get(ADA), held.get(GRACE)) == (("Augusta", "Countess"), ("Grace", "Analyst"))
        return there and self.state() == "succeeded"


class Outbound(Site):
    """Ada is renamed here, and Linus, who has no record, is to get one."""

    scope = "writing contacts"

    def begin(self) -> None:
        ada = Contact.objects.get(phone_number=ADA)
        change_contact(ada.pk, {"first_name": "Augusta", "title": "Countess"}, source=PERSON)
        linus = create_contact(LINUS, {"first_name": "Linus", "last_name": "Pauling"}, source=PERSON)
        want_record(self.connection, linus.contact)

    def attempt(self) -> None:
        rest()
        retry_some()
        while drain_touched():
            pass
        push_some()

    def state(self) -> str:
        return "waits" if PendingPush.objects.exists() else "done"

    def complete(self) -> bool:
        first = NAMES[self.crm]["first_name"]
        made = [one["fields"][first] for one in self.holders(LINUS)]
        linked = ExternalRecord.objects.filter(contact__phone_number=LINUS, external_id__isnull=False)
        ada = self.fields(self.ada)
        renamed = (ada.get(first), ada.get(NAMES[self.crm]["title"])) == ("Augusta", "Countess")
        return renamed and made == ["Linus"] and linked.count() == 1 and self.state() == "done"


class Activities(Site):
    """Ada has had a call."""

    scope = "writing activities"

    def begin(self) -> None:
        deliver(analyzed())
        while process_some():
            pass
        ActivityEntry.objects.update(due_at=timezone.now())

    def attempt(self) -> None:
        log_some()

    def state(self) -> str:
        return str(ActivityEntry.objects.get().state)

    def complete(self) -> bool:
        found = self.sandbox.control.activities(self.crm, self.ada)
        told = [one for one in found if "call_ada" in " ".join(map(str, one["fields"].values()))]
        return len(told) == len(found) == 1 and self.state() == "logged"


def rest() -> None:
    """As if so much time had passed that the CRM's rate limits hold nothing back."""
    Pace.objects.all().delete()


FLOWS: dict[str, type[Site]] = {"inbound": Inbound, "outbound": Outbound, "activity": Activities}


class Hours:
    """Time that passes here and in the CRM alike, from where it stood."""

    def __init__(self) -> None:
        self._now = timezone.now()

    def after(self, **duration: float) -> Any:
        """A context that much later than the last one."""
        self._now += timedelta(**duration)
        return time_machine.travel(self._now, tick=True)
