"""Two CRMs, one contact book and the real engine between them, with everything that can go wrong in between.

The world does what people, CRMs and workers do and remembers who wrote what since all was quiet last, for the oracle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import time_machine
from django.apps import apps
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from contacts.changes import Source, change_contact, find_or_create
from contacts.models import Contact, ContactTouched, CustomField, field_specs
from contacts.values import FieldSpec, Value, coerce
from integrations.connections import test_connection
from integrations.models import Connection
from integrations.providers.registry import PROVIDERS, ProviderEntry
from mappings.models import InboundMapping, OutboundMapping
from sync.links import want_record
from sync.models import ExternalRecord, PendingPush, RecordState, SyncRun
from sync.pull import pull_some
from sync.push import push_some
from sync.runs import OPEN, RunOpen, request_run
from sync.touch import drain_touched
from tests.fakes.crashes import Killed, killed_at_commit
from tests.fakes.crm import FakeCrm
from tests.fakes.provider import CRMS
from tests.model.accounts import BY_CONTACT_FIELD, CUSTOM, FIELDS, NAMES, REFUSED, Account, FieldPair, Mapped

FAKE = ProviderEntry("Fake", "tests.fakes.provider:fake_provider", (), "phone", "")
PERSON = Source("person", "user:1", "ada", may_clear_opt_out=True)
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@dataclass
class Quiet:
    """Everything as it was when all was quiet last."""

    local: dict[int, dict[str, Value]] = field(default_factory=dict)
    remote: dict[tuple[str, str], dict[str, Value]] = field(default_factory=dict)
    links: dict[tuple[str, str], int] = field(default_factory=dict)
    open_issues: set[tuple[int | None, str]] = field(default_factory=set)


class World:
    """The whole installation. `clock` moves our time; the CRMs have their own."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock = clock
        self.crms: dict[str, FakeCrm] = {}
        self.accounts: dict[str, Account] = {}
        self.connections: dict[str, Connection] = {}
        self.quiet = Quiet()
        self.late: list[Callable[[], None]] = []
        self.writes: dict[tuple[int, str], list[tuple[str, Value]]] = defaultdict(list)
        self.unsure: set[int] = set()
        self.unsure_fields: set[str] = set()
        self.edited_there: set[tuple[str, str, str]] = set()
        self.opted_out: set[int] = set()
        self.wanted: set[tuple[str, int]] = set()
        self.full_due: set[str] = set()
        self.kills = 0
        self.ended: set[tuple[str, int]] = set()
        self.ended_records: set[tuple[str, str]] = set()

    # Making it

    def begin(self, accounts: Mapping[str, Account]) -> None:
        """An empty contact book and two empty CRMs with these settings."""
        if database.vendor == "postgresql":
            with database.cursor() as cursor:  # nobody minds if the machine loses power
                cursor.execute("SET synchronous_commit TO off")
        empty_tables()
        self.accounts = dict(accounts)
        for name, kind in CUSTOM.items():
            options = ["Free", "Starter", "Pro", "Enterprise", "Gold"] if kind == "enum" else []
            CustomField.objects.create(name=name, type=kind, options=options)
        for rank, name in enumerate(NAMES, 1):
            crm = CRMS[name] = self.crms[name] = FakeCrm(now=START, lag=timedelta(seconds=10))
            crm.refused = {"first_name": {REFUSED}}
            account = accounts[name]
            self.connections[name] = connection = Connection.objects.create(
                provider="fake", name=name, tenant_url=name, rank=rank, status="connected",
                duplicate_policy=account.duplicates, delete_policy=account.deletes, sync_new_contacts=True,
                armed_at=timezone.now(), armed_by="ada", overwrite_floor=1_000_000,
            )  # fmt: skip
            InboundMapping.objects.create(
                connection=connection, external_field="phone", contact_field="phone_number"
            )
            OutboundMapping.objects.create(
                connection=connection, external_field="phone", contact_field="phone_number"
            )
            for pair in FIELDS:
                self._map(name, pair, self.mapped(name, pair.contact))

    def mapped(self, name: str, contact_field: str) -> Mapped:
        """How a field is mapped now."""
        return self.accounts[name].fields.get(contact_field, Mapped())

    def remap(self, name: str, contact_field: str, mapped: Mapped) -> None:
        """An operator changes a mapping, and has the CRM read anew."""
        pair, connection = BY_CONTACT_FIELD[contact_field], self.connections[name]
        InboundMapping.objects.filter(connection=connection, contact_field=contact_field).delete()
        OutboundMapping.objects.filter(connection=connection, contact_field=contact_field).delete()
        account = self.accounts[name]
        fields = {**account.fields, contact_field: mapped}
        self.accounts[name] = Account(account.duplicates, account.deletes, fields)
        self._map(name, pair, mapped)
        self.unsure_fields.add(contact_field)
        self.full_due.add(name)

    def _map(self, name: str, pair: FieldPair, mapped: Mapped) -> None:
        names = {
            "connection": self.connections[name],
            "external_field": pair.external.name,
            "contact_field": pair.contact,
        }
        if mapped.pulls:
            InboundMapping.objects.create(
                **names, conflict_policy=mapped.conflict, blank_policy=mapped.blank_in
            )
        if mapped.pushes:
            OutboundMapping.objects.create(**names, blank_policy=mapped.blank_out)

    # What happens in the CRMs

    def crm_create(self, name: str, number: str | None, values: Mapping[str, Value]) -> str:
        """A new record, perhaps with a number that others have."""
        named = {BY_CONTACT_FIELD[field].external.name: value for field, value in values.items()}
        external_id = self.crms[name].add(last_name="Unknown", phone=number, **named)
        self.edited_there |= {(name, external_id, external) for external in named}
        self._same_number(number)
        return external_id

    def crm_edit(
        self, name: str, external_id: str, field_name: str, value: Value, *, late: bool = False
    ) -> None:
        """A user of the CRM changes a field; `late`: the stamp is taken now, and seen only when it is committed."""
        external = BY_CONTACT_FIELD[field_name].external.name
        self.edited_there.add((name, external_id, external))

        def happened() -> None:
            if commit:
                commit()
            contact = self.quiet.links.get((name, external_id))
            if contact is not None:
                self.writes[contact, field_name].append((name, value))

        commit = self.crms[name].edit_late(external_id, **{external: value}) if late else None
        if late:
            self.late.append(happened)
        else:
            self.crms[name].edit(external_id, **{external: value})
            happened()

    def crm_phone(self, name: str, external_id: str, number: str | None) -> None:
        """A user of the CRM changes the phone number."""
        self._unsure_record(name, external_id)
        self.crms[name].edit(external_id, phone=number)
        self._same_number(number)

    def crm_swap(self, name: str, first: str, second: str) -> None:
        """Two records exchange their numbers."""
        crm = self.crms[name]
        numbers = crm.value(first, "phone"), crm.value(second, "phone")
        self.crm_phone(name, first, str(numbers[1]) if numbers[1] else None)
        self.crm_phone(name, second, str(numbers[0]) if numbers[0] else None)

    def crm_delete(self, name: str, external_id: str) -> None:
        """Into the bin."""
        self._unsure_record(name, external_id)
        self.crms[name].delete(external_id)

    def crm_restore(self, name: str, external_id: str) -> None:
        """Out of the bin."""
        self._unsure_record(name, external_id)
        # With the stamp of its deletion it could not be told from a late update of a deleted record: see guarantees.md.
        self.crms[name].advance(seconds=1)
        self.crms[name].restore(external_id)

    def crm_merge(self, name: str, winner: str, loser: str) -> None:
        """Two records become one."""
        self._unsure_record(name, winner)
        self._unsure_record(name, loser)
        self.crms[name].merge(winner, loser)

    def _unsure_record(self, name: str, external_id: str) -> None:
        """From here on the oracle does not foretell what becomes of the record's contact, or of those with its number."""
        contact = self.quiet.links.get((name, external_id))
        if contact is not None:
            self.unsure.add(contact)
            self.ended.add((name, contact))
        self.ended_records.add((name, external_id))
        link = ExternalRecord.objects.filter(
            connection=self.connections[name], external_id=external_id
        ).first()
        if link is not None and link.contact_id is not None:
            self.unsure.add(link.contact_id)
            self.ended.add((name, link.contact_id))
        number = self.crms[name].value(external_id, "phone")
        self._same_number(str(number) if number else None)

    def _same_number(self, number: str | None) -> None:
        if number:
            self.unsure.update(Contact.objects.filter(phone_number=number).values_list("pk", flat=True))
            self.unsure.update(
                Contact.objects.filter(aliases__phone_number=number).values_list("pk", flat=True)
            )
            for (name, external_id), contact in self.quiet.links.items():
                if self.crms[name].records[external_id].values.get("phone") == number:
                    self.unsure.add(contact)

    # What people do here

    def local_edit(self, contact: int, field_name: str, raw: Any) -> None:
        """A person changes a field of a contact."""
        with suppress(Contact.DoesNotExist):
            written = change_contact(contact, {field_name: raw}, source=PERSON)
            if field_name in written.changed:
                new = written.changed[field_name][1]
                self.writes[contact, field_name].append(("person", new))
                if field_name == "do_not_call" and not new:
                    self.opted_out.discard(contact)

    def local_contact(self, number: str) -> None:
        """A conversation with somebody new: the contact is to get a record in every CRM."""
        contact, _ = find_or_create(number, source=Source("conversation", "conversation:1"))
        self._same_number(number)
        self.unsure.add(contact.pk)
        for name, connection in self.connections.items():
            want_record(connection, contact)
            self.wanted.add((name, contact.pk))

    # What workers do

    def poll(self, name: str, *, full: bool = False) -> None:
        """Queue a run; where one is open already it is that one."""
        connection = Connection.objects.get(pk=self.connections[name].pk)
        with suppress(RunOpen):
            request_run(connection, full=full)

    def drain(self) -> None:
        """The workers do all that is due now."""
        with self._perhaps_killed():
            for _ in range(100):
                if not sum(sum(iter(step, 0)) for step in (drain_touched, push_some, pull_some)):
                    return
                self.watch()
            raise AssertionError("the workers never come to an end")

    def push(self) -> None:
        """Only one batch of pushes, while runs wait."""
        with self._perhaps_killed():
            drain_touched()
            push_some(urgent_only=True)

    def killed_drain(self, number: int, *, after: bool) -> None:
        """The workers work until one is killed at a commit."""
        with self._perhaps_killed(), killed_at_commit(number, after=after):
            self.drain()

    @contextmanager
    def _perhaps_killed(self) -> Iterator[None]:
        try:
            yield
        except Killed:
            self.kills += 1

    def wait(self, seconds: float) -> None:
        """Time passes, here and there. What is to be committed late is committed before the overlap ends."""
        if seconds > 60:
            self.commit_late()
        self.clock.shift(seconds)
        for crm in self.crms.values():
            crm.advance(seconds=seconds)

    def commit_late(self) -> None:
        """Late commits become visible."""
        while self.late:
            self.late.pop(0)()

    # Coming to rest

    def heal(self) -> None:
        """Nothing goes wrong from now on, and what was left lying is due."""
        self.commit_late()
        for name, crm in self.crms.items():
            crm.heal()
            connection = Connection.objects.get(pk=self.connections[name].pk)
            if connection.status == "error":
                assert test_connection(connection)

    def cycle(self, *, full: bool = False) -> None:
        """Hours later: every connection is read and everything that is due is done."""
        self.wait(3 * 3600)
        self.drain()
        for name in NAMES:
            self.poll(name, full=full or name in self.full_due)
        self.full_due.clear()
        self.drain()

    def written(self) -> tuple[int, ...]:
        """Counts that rise with every write on either side."""
        change = apps.get_model("contacts", "ContactChange").objects.count()
        return (change, *(crm.count(kind) for crm in self.crms.values() for kind in ("create", "update")))

    def idle(self) -> bool:
        """Whether nothing waits to be done but what waits for a person, with an issue that says so."""
        issue = apps.get_model("sync", "SyncIssue")
        asked = issue.objects.filter(
            state__in=["open", "parked"], kind__in=["record_taken", "ambiguous", "create_failed"]
        ).values("contact_id")
        return not (
            PendingPush.objects.exclude(contact_id__in=asked).exists()
            or ContactTouched.objects.exists()
            or SyncRun.objects.filter(state__in=OPEN).exists()
        )

    def remember(self) -> None:
        """All is quiet: the oracle starts anew from here."""
        names = [pair.contact for pair in FIELDS]
        quiet = Quiet()
        for contact in Contact.objects.all():
            quiet.local[contact.pk] = {name: contact.value(name) for name in names}
        for name, link in self.linked():
            record = self.crms[name].records[link.external_id or ""]
            quiet.links[name, record.external_id] = link.contact_id or 0
            quiet.remote[name, record.external_id] = dict(record.values)
        issue = apps.get_model("sync", "SyncIssue")
        quiet.open_issues = set(
            issue.objects.filter(state__in=["open", "parked"]).values_list("contact_id", "field")
        )
        self.quiet = quiet
        self.writes.clear()
        self.unsure.clear()
        self.unsure_fields.clear()

    def linked(self) -> Iterator[tuple[str, ExternalRecord]]:
        """Every live link, with its connection's name."""
        for name, connection in self.connections.items():
            rows = ExternalRecord.objects.filter(connection=connection, state=RecordState.LINKED)
            for link in rows.filter(contact__isnull=False).select_related("contact"):
                yield name, link

    def watch(self) -> None:
        """At every moment: an opt-out that was seen stays, unless a person clears it."""
        now = set(Contact.objects.filter(do_not_call=True).values_list("pk", flat=True))
        there = set(Contact.objects.values_list("pk", flat=True))
        lost = (self.opted_out & there) - now
        assert not lost, f"the opt-out of contacts {lost} is lost"
        self.opted_out |= now

    # Conversions, for the oracle

    def inward(self, field_name: str, value: Value) -> Value:
        """A CRM value as the contact field holds it. Raises DoesNotFit."""
        return coerce(value, self.specs[field_name])

    def outward(self, field_name: str, value: Value) -> Value:
        """A contact value as the CRM field holds it. Raises DoesNotFit."""
        return coerce(value, BY_CONTACT_FIELD[field_name].external)

    @property
    def specs(self) -> Mapping[str, FieldSpec]:
        """The contact's fields."""
        return field_specs()


def empty_tables() -> None:
    """Empty every table of ours, quicker than a flush."""
    with transaction.atomic(), database.cursor() as cursor:
        for table in _tables():
            cursor.execute(f'DELETE FROM "{table}"')


@cache
def _tables() -> list[str]:
    wanted = {"contacts", "integrations", "mappings", "sync", "activity", "django_q"}
    models = apps.get_models(include_auto_created=True)
    return [model._meta.db_table for model in models if model._meta.app_label in wanted]


@contextmanager
def a_world() -> Iterator[World]:
    """A world on this database; real commits, so the caller's test must be one with transactions."""
    PROVIDERS["fake"] = FAKE
    with time_machine.travel(START, tick=False) as clock:
        try:
            yield World(clock)
        finally:
            del PROVIDERS["fake"]
            CRMS.clear()
            empty_tables()
