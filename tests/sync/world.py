"""CRMs in memory whose users act at a chosen moment of our calls, and short words for what the engine does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import time_machine
from django.utils import timezone

from contacts.changes import Source, change_contact
from contacts.models import Contact
from integrations.models import Connection, ConnectionStatus
from integrations.providers.base import Creation, Outcome, Page, Record, Update
from integrations.providers.registry import ProviderEntry
from integrations.providers.setup import Setup
from mappings.models import InboundMapping, OutboundMapping
from sync.models import ExternalRecord, PendingPush, SyncRun
from sync.pull import run_now
from sync.push import push_some
from sync.runs import request_run
from sync.touch import drain_touched
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS, FakeProvider

ENTRY = ProviderEntry("Fake", "tests.sync.world:live_provider", ("key",), "phone", "")
ADA, GRACE, LINUS, MARGARET = "+14155550100", "+14155550101", "+14155550102", "+14155550103"
PERSON = Source("person", "user:1", "olga", may_clear_opt_out=True)
FIELDS = {
    "first_name": "first_name",
    "last_name": "last_name",
    "do_not_call": "do_not_call",
    "plan": "plan",
    "lifetime": "value",
    "renewal": "renewal",
    "visited": "visited",
    "vip": "vip",
    "notes": "notes",
}


@dataclass
class LiveCrm(FakeCrm):
    """`then[method]`: what happens in the CRM or here right after that call was answered, once each, in order."""

    then: dict[str, list[Callable[[], object]]] = field(default_factory=lambda: defaultdict(list))
    unsearchable: set[str] = field(default_factory=set)
    sent: list[Update] = field(default_factory=list)

    def after(self, method: str) -> None:
        """Let the next thing happen."""
        if self.then[method]:
            self.then[method].pop(0)()


class LiveProvider(FakeProvider):
    """The fake, with life going on between its answers and what we do with them."""

    crm: LiveCrm

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """Pages; afterwards the page is as old as what happened meanwhile."""
        for page in super().changes(cursor, fields, full=full):
            self.crm.after("changes")
            yield page

    def read(self, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """Records by id."""
        found = super().read(external_ids, fields)
        self.crm.after("read")
        return found

    def find_by_phone(
        self, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
    ) -> dict[str, list[Record]]:
        """What the search index shows by now."""
        found = super().find_by_phone(numbers, fields, phone_fields)
        shown = {
            number: [row for row in rows if row.external_id not in self.crm.unsearchable]
            for number, rows in found.items()
        }
        self.crm.after("find_by_phone")
        return {number: rows for number, rows in shown.items() if rows}

    def create(self, creations: Sequence[Creation]) -> list[Outcome]:
        """New records."""
        outcomes = super().create(creations)
        self.crm.after("create")
        return outcomes

    def update(self, updates: Sequence[Update]) -> list[Outcome]:
        """Changed fields; `crm.sent` keeps what was asked for."""
        self.crm.sent += updates
        outcomes = super().update(updates)
        self.crm.after("update")
        return outcomes


def live_provider(setup: Setup) -> LiveProvider:
    """For the registry: one LiveCrm per address."""
    crm = CRMS.setdefault(setup.tenant_url, LiveCrm())
    assert isinstance(crm, LiveCrm)
    return LiveProvider(crm)


def connect(
    address: str = "one",
    *,
    rank: int = 1,
    both: Mapping[str, str] = FIELDS,
    inbound: Mapping[str, str] | None = None,
    outbound: Mapping[str, str] | None = None,
    policy: str = "crm_wins",
    **options: Any,
) -> Connection:
    """A connection to the CRM at `address`; contact field → CRM field, `both` ways unless told otherwise."""
    connection = Connection.objects.create(
        provider="fake",
        name=f"CRM {address}",
        tenant_url=address,
        rank=rank,
        status=ConnectionStatus.CONNECTED,
        credentials={"key": "secret"},
        **({"armed_at": timezone.now()} | options),
    )
    coming = {"phone_number": "phone", **(both if inbound is None else inbound)}
    for contact_field, external_field in coming.items():
        InboundMapping.objects.create(
            connection=connection,
            contact_field=contact_field,
            external_field=external_field,
            conflict_policy=policy,
        )
    for contact_field, external_field in (both if outbound is None else outbound).items():
        OutboundMapping.objects.create(
            connection=connection, contact_field=contact_field, external_field=external_field
        )
    return connection


def pull(connection: Connection, *, full: bool = False) -> SyncRun:
    """Run an inbound sync to its end, or to where it has to wait."""
    return run_now(request_run(connection, full=full))


def push() -> int:
    """Send everything that is due; returns how many rows were handled."""
    handled = 0
    while count := drain_touched() or push_some():
        handled += count
    return handled


def sync(*connections: Connection) -> None:
    """One cycle of everything."""
    for connection in connections:
        pull(connection)
    push()


def steps(*jobs: Callable[[], object]) -> Callable[[], None]:
    """One thing after the other."""

    def run() -> None:
        for job in jobs:
            job()

    return run


def later(**duration: float) -> Any:
    """A context in which that much time has passed here; the CRM keeps its own clock."""
    return time_machine.travel(timezone.now() + timedelta(**duration), tick=True)


def contact(number: str = ADA) -> Contact:
    """The contact with this number."""
    return Contact.objects.get(phone_number=number)


def link(external_id: str) -> ExternalRecord:
    """What we remember of a CRM record."""
    return ExternalRecord.objects.get(external_id=external_id)


def edit(number: str = ADA, *, source: Source = PERSON, **values: Any) -> None:
    """A person, or whoever else, changes fields here."""
    change_contact(contact(number).pk, values, source=source)


def waiting() -> list[PendingPush]:
    """Pushes that have not been done."""
    return list(PendingPush.objects.order_by("pk"))
