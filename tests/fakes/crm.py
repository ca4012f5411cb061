"""A CRM in memory: what its users do in it, and what goes wrong with it on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from contacts.values import FieldType, Value
from integrations.providers.base import Activity, ExternalField, Option, Permissions, Record

FIELDS = (
    ExternalField("first_name", "First name", FieldType.STRING, max_length=40),
    ExternalField("last_name", "Last name", FieldType.STRING, required=True, max_length=80),
    ExternalField("phone", "Phone", FieldType.STRING, phone=True, max_length=40),
    ExternalField("mobile", "Mobile", FieldType.STRING, phone=True, max_length=40),
    ExternalField("do_not_call", "Do not call", FieldType.BOOLEAN),
    ExternalField(
        "plan",
        "Plan",
        FieldType.ENUM,
        options=tuple(Option(one, one) for one in ("Free", "Starter", "Pro", "Enterprise")),
        restricted=True,
    ),
    ExternalField("value", "Lifetime value", FieldType.NUMBER),
    ExternalField("renewal", "Renewal date", FieldType.DATE),
    ExternalField("visited", "Last visit", FieldType.DATETIME),
    ExternalField("vip", "VIP", FieldType.BOOLEAN),
    ExternalField("notes", "Notes", FieldType.STRING, max_length=32_000),
    ExternalField("score", "Score", FieldType.NUMBER, createable=False, updateable=False, calculated=True),
)


@dataclass
class Fault:
    """`error` for the next `times` calls of `method`; `applied`: only the answer is lost, the work was done."""

    method: str
    error: BaseException
    times: int = 1
    applied: bool = False
    skip: int = 0


@dataclass
class Interruption:
    """Something that happens in the middle of a call of `method`: before the CRM does it, or `after`, before we hear of it."""

    method: str
    action: Callable[[], object]
    after: bool = False
    skip: int = 0


@dataclass
class FakeCrm:
    """The vendor's side. `now` is its clock: every change takes the next second of it, or shares one (`frozen`).

    `lag`: how long its search does not show a new record. `refused`: values by field that a validation rule does not take.
    `unique`: a field whose value one live record holds; a creation with it is answered with that record.
    For tests to look at: `created_keys` (our key, id) of every record made by us, `needless` (id, field) of every field
    that was written though it already held the value.
    """

    fields: list[ExternalField] = field(default_factory=lambda: list(FIELDS))
    now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    frozen: bool = False
    records: dict[str, Record] = field(default_factory=dict)
    activities: dict[str, Activity] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lag: timedelta = timedelta(0)
    refused: dict[str, set[Value]] = field(default_factory=dict)
    unique: str = ""
    created_keys: list[tuple[str, str]] = field(default_factory=list)
    needless: list[tuple[str, str]] = field(default_factory=list)
    permissions: Permissions = field(default_factory=lambda: Permissions(True, True, True))

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._born: dict[str, datetime] = {}
        self._amid: list[Interruption] = []

    def holder(self, values: Mapping[str, Value]) -> str | None:
        """The live record that has the unique field's value among `values` already."""
        wanted = values.get(self.unique)
        live = [one for one in self.live() if wanted is not None and one.values.get(self.unique) == wanted]
        return live[0].external_id if live else None

    # What the CRM's users do

    def add(self, **values: Value) -> str:
        """A new record; returns its id."""
        external_id = f"R{next(self._ids):06d}"
        self.records[external_id] = Record(external_id, self._blank() | values, modified=self._stamp())
        self._born[external_id] = self.now
        return external_id

    def edit(self, external_id: str, **values: Value) -> None:
        """Change fields, as a person in the CRM does."""
        record = self.records[external_id]
        self.records[external_id] = replace(
            record, values={**record.values, **values}, modified=self._stamp()
        )

    def edit_late(self, external_id: str, **values: Value) -> Callable[[], None]:
        """An edit that has its stamp already and is seen only when the returned function commits it."""
        stamp, before = self._stamp(), self.records[external_id]

        def commit() -> None:
            now = self.records.get(external_id)
            # Whoever changed the record meanwhile would have waited for this transaction's lock.
            if now is before:
                self.records[external_id] = replace(
                    before, values={**before.values, **values}, modified=stamp
                )
            elif now is not None:
                self.edit(external_id, **values)

        return commit

    def touch(self, external_id: str) -> None:
        """A new stamp without a change, as automations make."""
        self.edit(external_id)

    def delete(self, external_id: str) -> None:
        """Into the bin: listed as deleted from now on."""
        record = self.records[external_id]
        self.records[external_id] = replace(record, deleted=True, modified=self._stamp())

    def restore(self, external_id: str) -> None:
        """Out of the bin."""
        record = self.records[external_id]
        self.records[external_id] = replace(record, deleted=False, modified=self._stamp())

    def purge(self, external_id: str) -> None:
        """Gone without a trace."""
        del self.records[external_id]

    def merge(self, winner: str, loser: str) -> None:
        """The winner keeps its values; the loser is deleted and names it."""
        stamp = self._stamp()
        lost = replace(self.records[loser], deleted=True, merged_into=winner, modified=stamp)
        kept = self.records[winner]
        merged = (*kept.merged_ids, loser, *lost.merged_ids)
        self.records |= {loser: lost, winner: replace(kept, merged_ids=merged, modified=stamp)}

    def hide(self, *names: str) -> None:
        """Take fields away from the integration's user."""
        self.fields = [one for one in self.fields if one.name not in names]

    def advance(self, **duration: float) -> None:
        """Let time pass, as in `timedelta(minutes=30)`."""
        self.now += timedelta(**duration)

    def fail(
        self, method: str, error: BaseException, *, times: int = 1, applied: bool = False, skip: int = 0
    ) -> None:
        """Let calls of `method` fail; with `applied` the work is done and only the answer lost."""
        self.faults.append(Fault(method, error, times, applied, skip))

    def amid(self, method: str, action: Callable[[], object], *, after: bool = False, skip: int = 0) -> None:
        """Let something happen once during a call of `method`, for example a person's edit after a page was read."""
        self._amid.append(Interruption(method, action, after, skip))

    def heal(self) -> None:
        """No more faults or interruptions."""
        self.faults.clear()
        self._amid.clear()

    # What tests look at

    def value(self, external_id: str, name: str) -> Value:
        """One field of one record."""
        return self.records[external_id].values[name]

    def live(self) -> list[Record]:
        """Records that are not deleted, in the order of their ids."""
        return [self.records[one] for one in sorted(self.records) if not self.records[one].deleted]

    def count(self, method: str) -> int:
        """How many calls of a kind were made."""
        return sum(1 for name, _ in self.calls if name == method)

    def logged(self, marker: str) -> list[Activity]:
        """The activities that carry a conversation's id."""
        return [one for one in self.activities.values() if one.marker == marker]

    # What the provider does

    def happen(self, method: str, *, after: bool) -> None:
        """Whatever was to happen during this call."""
        for one in [one for one in self._amid if (one.method, one.after) == (method, after)]:
            if one.skip:
                one.skip -= 1
            else:
                self._amid.remove(one)
                one.action()

    def searchable(self) -> list[Record]:
        """Live records that the search shows by now."""
        return [one for one in self.live() if self._born[one.external_id] + self.lag <= self.now]

    def keep_activity(self, activity: Activity) -> str:
        """A new activity; returns its id."""
        external_id = f"A{next(self._ids):06d}"
        self.activities[external_id] = replace(activity, external_id=external_id)
        return external_id

    def named(self, names: Iterable[str]) -> dict[str, ExternalField | None]:
        """Fields by name, None for unknown ones."""
        known = {one.name: one for one in self.fields}
        return {name: known.get(name) for name in names}

    def fault(self, method: str, inputs: Sequence[Any]) -> Fault | None:
        """Note a call, let happen what was to happen first, and find the fault that is due for it."""
        self.happen(method, after=False)
        self.calls.append((method, len(inputs)))
        for fault in self.faults:
            if fault.method == method:
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _blank(self) -> dict[str, Value]:
        return {one.name: None for one in self.fields}

    def _stamp(self) -> datetime:
        if not self.frozen:
            self.now += timedelta(seconds=1)
        return self.now
