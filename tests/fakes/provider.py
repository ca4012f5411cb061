"""A provider over a CRM in memory: the same contract as the real ones, and the same strictness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from contacts.phone import BadPhone, to_e164
from contacts.values import Value, same
from integrations.providers.base import (
    Account,
    Activity,
    ActivityKind,
    Creation,
    ExternalField,
    Outcome,
    Page,
    Permissions,
    Record,
    Update,
)
from integrations.providers.batches import in_batches
from integrations.providers.errors import ConfigError, OutcomeUnknown, ProviderError, RecordGone, Rejected
from integrations.providers.setup import Setup
from tests.fakes.crm import FakeCrm

OVERLAP = timedelta(minutes=10)
T = TypeVar("T")
CRMS: dict[str, FakeCrm] = {}


def fake_provider(setup: Setup) -> FakeProvider:
    """For a registry entry: one FakeCrm per tenant_url, in `CRMS`."""
    return FakeProvider(CRMS.setdefault(setup.tenant_url, FakeCrm()))


class FakeProvider:
    """Reads and writes a FakeCrm. Sizes are small so that few records make several pages and batches."""

    name = "fake"

    def __init__(
        self, crm: FakeCrm | None = None, *, page: int = 3, batch: int = 2, region: str = "US"
    ) -> None:
        self.crm = crm or FakeCrm()
        self._page, self._batch, self._region = page, batch, region
        self.closed = False
        self._calls_before = len(self.crm.calls)

    @property
    def calls(self) -> int:
        """How often the CRM was asked."""
        return len(self.crm.calls) - self._calls_before

    def permissions(self) -> Permissions:
        """Everything is allowed, unless a test says otherwise."""
        self._begin("permissions", ())
        return self.crm.permissions

    def check(self) -> Account:
        """The one account there is."""
        self._begin("check", ())
        return Account("fake-1", "Fake CRM", "integration", web_base="https://crm.example.com")

    def fields(self) -> list[ExternalField]:
        """The CRM's fields as they are now."""
        self._begin("fields", ())
        return list(self.crm.fields)

    def changes(self, cursor: str, fields: Sequence[str], *, full: bool = False) -> Iterator[Page]:
        """By the keyset (modified, id), deleted records too."""
        kept = json.loads(cursor) if cursor else {}
        middle = "at" in kept and (kept["full"] or not full)
        everything = kept["full"] if middle else full or "since" not in kept
        position = (kept["at"], kept["id"]) if middle else ("", "")
        since = kept.get("since", "") if middle else "" if everything else _earlier(kept["since"])
        while True:
            self._begin("changes", ())
            self._check_known(fields)
            rows = sorted(self.crm.records.values(), key=_place)
            rows = [row for row in rows if _place(row) > position and _place(row)[0] >= since]
            page, last = rows[: self._page], len(rows) <= self._page
            position = _place(page[-1]) if page else position
            at = {"at": position[0], "id": position[1], "full": everything, "since": since}
            end = {"since": self.crm.now.isoformat()}
            records = [self._shown(row, fields) for row in page]
            self.crm.happen("changes", after=True)
            yield Page(records, json.dumps(end if last else at), last, total=len(self.crm.records))
            if last:
                return

    def read(self, external_ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """By id, deleted records too."""
        found: dict[str, Record] = {}
        for start in range(0, len(external_ids), self._batch):
            chunk = external_ids[start : start + self._batch]
            self._begin("read", chunk)
            self._check_known(fields)
            rows = self.crm.records
            found |= {one: self._shown(rows[one], fields) for one in chunk if one in rows}
            self.crm.happen("read", after=True)
        return found

    def find_by_phone(
        self, numbers: Sequence[str], fields: Sequence[str], phone_fields: Sequence[str]
    ) -> dict[str, list[Record]]:
        """By normalised phone fields of live records."""
        self._begin("find_by_phone", numbers)
        self._check_known([*fields, *phone_fields])
        found: dict[str, list[Record]] = {}
        for record in self.crm.searchable():
            for number in sorted(self._numbers(record, phone_fields) & set(numbers)):
                found.setdefault(number, []).append(self._shown(record, [*fields, *phone_fields]))
        self.crm.happen("find_by_phone", after=True)
        return found

    def create(self, creations: Sequence[Creation]) -> list[Outcome]:
        """New records; without a last name "Unknown"."""
        return in_batches(creations, self._batch, lambda batch: self._write("create", batch, self._create))

    def update(self, updates: Sequence[Update]) -> list[Outcome]:
        """Changed fields."""
        return in_batches(updates, self._batch, lambda batch: self._write("update", batch, self._update))

    def log_activities(self, activities: Sequence[Activity]) -> list[Outcome]:
        """New or updated activities."""
        return in_batches(
            activities, self._batch, lambda batch: self._write("log_activities", batch, self._log)
        )

    def find_activity(self, marker: str, contact_id: str, kind: ActivityKind) -> str | None:
        """By marker, contact and kind."""
        self._begin("find_activity", (marker,))
        for external_id, one in self.crm.activities.items():
            if (one.marker, one.contact_id, one.kind) == (marker, contact_id, kind):
                return external_id
        return None

    def web_url(self, external_id: str) -> str:
        """Where a person would see the record."""
        return f"https://crm.example.com/contacts/{external_id}"

    def activity_url(self, external_id: str, kind: ActivityKind, contact_id: str) -> str:
        """Where a person would see the activity."""
        return f"https://crm.example.com/contacts/{contact_id}/{kind}/{external_id}"

    def activity_fields(self, activity: Activity) -> Mapping[str, str]:
        """Title, text and marker, as `FakeCrm` keeps them."""
        return {"title": activity.title, "body": activity.body, "marker": activity.marker}

    def close(self) -> None:
        """Remember that somebody closed it."""
        self.closed = True

    def _begin(self, method: str, inputs: Sequence[object]) -> None:
        fault = self.crm.fault(method, inputs)
        if fault is not None:
            raise fault.error

    def _write(self, method: str, batch: list[T], apply: Callable[[T], Outcome]) -> list[Outcome]:
        fault = self.crm.fault(method, batch)
        if fault is not None and not fault.applied:
            raise fault.error
        outcomes = []
        for one in batch:
            try:
                outcomes.append(apply(one))
            except ProviderError as error:
                outcomes.append(Outcome(error=error))
        self.crm.happen(method, after=True)
        if fault is not None:
            raise fault.error
        return outcomes

    def _create(self, creation: Creation) -> Outcome:
        self._check_values(creation.values, creating=True)
        values = {name: value for name, value in creation.values.items() if value is not None}
        if there := self.crm.holder(values):
            return Outcome(external_id=there)
        made = self.crm.add(**{**values, "last_name": values.get("last_name") or "Unknown"})
        self.crm.created_keys.append((creation.key, made))
        return Outcome(external_id=made, created=True)

    def _update(self, update: Update) -> Outcome:
        record = self.crm.records.get(update.external_id)
        if record is None or record.deleted:
            raise RecordGone(
                "The record was deleted.", merged_into=record.merged_into if record else None, status=404
            )
        self._check_values(update.values, creating=False)
        equal = [name for name, value in update.values.items() if same(record.values.get(name), value)]
        self.crm.needless += [(update.external_id, name) for name in equal]
        self.crm.edit(update.external_id, **update.values)
        return Outcome(external_id=update.external_id)

    def _log(self, activity: Activity) -> Outcome:
        contact = self.crm.records.get(activity.contact_id)
        if contact is None or contact.deleted:
            raise RecordGone("The contact was deleted.", merged_into=contact.merged_into if contact else None)
        if activity.external_id is None:
            return Outcome(external_id=self.crm.keep_activity(activity), created=True)
        if activity.external_id not in self.crm.activities:
            raise RecordGone("The activity was deleted.")
        self.crm.activities[activity.external_id] = activity
        return Outcome(external_id=activity.external_id)

    def _check_known(self, names: Sequence[str]) -> None:
        for name, one in self.crm.named(names).items():
            if one is None:
                raise ConfigError(f"There is no such field: {name}.", code="INVALID_FIELD", field=name)

    def _check_values(self, values: Mapping[str, Value], *, creating: bool) -> None:
        self._check_known([*values])
        for name, one in self.crm.named(values).items():
            if one is not None and not (one.createable if creating else one.updateable):
                raise ConfigError(f"This field is read-only: {name}.", code="READ_ONLY", field=name)
            if one is not None:
                _check_value(one, values[name])
            if values[name] in self.crm.refused.get(name, ()):
                raise Rejected(f"A rule refuses {name}.", status=400, code="VALIDATION_RULE", field=name)

    def _numbers(self, record: Record, phone_fields: Sequence[str]) -> set[str]:
        found = set()
        for name in phone_fields:
            with suppress(BadPhone):
                found.add(to_e164(record.values.get(name), self._region))
        return found

    def _shown(self, record: Record, fields: Sequence[str]) -> Record:
        values = {name: record.values.get(name) for name in fields}
        known = (record.modified, record.deleted, record.merged_into, record.merged_ids)
        return Record(record.external_id, values, *known)


def lost_answer() -> OutcomeUnknown:
    """The error of a write whose answer was lost, for `FakeCrm.fail(…, applied=True)`."""
    return OutcomeUnknown("The answer was lost; the record may have been written.", code="answer_lost")


def _check_value(one: ExternalField, value: Value) -> None:
    allowed = [option.value for option in one.options]
    if value is not None and one.restricted and value not in allowed:
        raise Rejected(
            f"The value is not in the picklist: {one.name}.", status=400, code="BAD_OPTION", field=one.name
        )
    if one.max_length is not None and isinstance(value, str) and len(value) > one.max_length:
        raise Rejected(f"The text is too long: {one.name}.", status=400, code="TOO_LONG", field=one.name)


def _place(record: Record) -> tuple[str, str]:
    return (record.modified.isoformat() if record.modified else "", record.external_id)


def _earlier(since: str) -> str:
    return (datetime.fromisoformat(since) - OVERLAP).isoformat()
