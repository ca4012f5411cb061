"""Writing contacts and tasks to a Salesforce org in collections of 200, with one outcome per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from contacts.values import DoesNotFit, FieldSpec, FieldType, coerce
from integrations.providers import salesforce_queries as soql
from integrations.providers.base import Activity, Creation, Outcome, Record, Update
from integrations.providers.batches import in_batches
from integrations.providers.errors import ConfigError, ProviderError, RecordGone
from integrations.providers.salesforce_errors import error_of, existing_id, problem_of
from integrations.providers.salesforce_reading import Org, Row, records_by_id
from integrations.providers.salesforce_tasks import subtype_of, task_values
from integrations.providers.setup import Setup

BATCH = 200
COLLECTIONS = "composite/sobjects"
UNNAMED = "Unknown"  # Salesforce requires a last name; people see this word where nobody knows it
DEFAULT = "default."


def create_contacts(org: Org, creations: Sequence[Creation]) -> list[Outcome]:
    """New contacts. The record that a duplicate rule or a unique field points to is linked instead."""
    defaults = defaults_of(org.setup)

    def send(batch: list[Creation]) -> list[Outcome]:
        rows = [_row("Contact", _new_contact(defaults, one.values)) for one in batch]
        return _outcomes(org, org.collection("POST", COLLECTIONS, rows, once=True), created=True)

    return in_batches(creations, BATCH, send)


def update_contacts(org: Org, updates: Sequence[Update]) -> list[Outcome]:
    """Changed fields; a record that is gone names what it was merged into."""

    def send(batch: list[Update]) -> list[Outcome]:
        rows = [_row("Contact", {**one.values, "id": one.external_id}) for one in batch]
        return _outcomes(org, org.collection("PATCH", COLLECTIONS, rows))

    outcomes = in_batches(updates, BATCH, send)
    pairs = list(zip(updates, outcomes, strict=True))
    gone = [update.external_id for update, outcome in pairs if isinstance(outcome.error, RecordGone)]
    found: dict[str, Record] = {}
    if gone:
        with suppress(ProviderError):
            found = records_by_id(org, gone, ())
    return [_follow(outcome, found.get(update.external_id)) for update, outcome in pairs]


class TaskLog:
    """Logs conversations as Tasks, and remembers which fields the org lacks."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._writable: frozenset[str] | None = None  # None: not asked yet, every field is tried

    def log(self, activities: Sequence[Activity]) -> list[Outcome]:
        """New or updated Tasks; an upsert where the org has a key field."""
        return in_batches(activities, BATCH, self._log_batch, key=lambda one: bool(one.external_id))

    def fields(self, activity: Activity) -> dict[str, Any]:
        """A Task's fields as they would be sent."""
        values = task_values(activity, self._writable, self._org.setup.options)
        return values | ({} if activity.external_id else self._subtype(activity))

    def _log_batch(self, batch: list[Activity]) -> list[Outcome]:
        outcomes = self._try(batch)
        refused = [
            one for one, made in zip(batch, outcomes, strict=True) if isinstance(made.error, ConfigError)
        ]
        if not refused or self._writable is not None:
            return outcomes
        # Nothing of these rows was written. The org lacks a field or hides it: look which, and tell it in the text.
        fields = self._org.describe("Task")["fields"]
        self._writable = frozenset(field["name"] for field in fields if field["createable"])
        again = iter(self._try(refused))
        return [next(again) if isinstance(made.error, ConfigError) else made for made in outcomes]

    def _try(self, batch: list[Activity]) -> list[Outcome]:
        try:
            return self._send(batch)
        except ConfigError as error:
            return [Outcome(error=error)] * len(batch)

    def _send(self, batch: list[Activity]) -> list[Outcome]:
        options = self._org.setup.options
        rows = [_row("Task", task_values(one, self._writable, options)) for one in batch]
        key_field = options.get("activity_key_field", "")
        if batch[0].external_id:
            rows = [row | {"id": one.external_id} for one, row in zip(batch, rows, strict=True)]
            return _outcomes(self._org, self._org.collection("PATCH", COLLECTIONS, rows))
        if key_field:
            return self._upsert(batch, rows, key_field)
        rows = [row | self._subtype(one) for one, row in zip(batch, rows, strict=True)]
        return _outcomes(self._org, self._org.collection("POST", COLLECTIONS, rows, once=True), created=True)

    def _upsert(self, batch: list[Activity], rows: list[dict[str, Any]], key_field: str) -> list[Outcome]:
        """By key: safe to repeat. Only a new Task takes a subtype: what is there already is sent again without it."""
        soql.columns((key_field,))  # it becomes part of an address
        path = f"{COLLECTIONS}/Task/{key_field}"
        keyed = [row | {key_field: one.marker} for one, row in zip(batch, rows, strict=True)]
        born = [row | self._subtype(one) for one, row in zip(batch, keyed, strict=True)]
        outcomes = _outcomes(self._org, self._org.collection("PATCH", path, born))
        there = [place for place, outcome in enumerate(outcomes) if _takes_no_subtype(outcome)]
        if there:
            rest = [keyed[place] for place in there]
            again = _outcomes(self._org, self._org.collection("PATCH", path, rest))
            for place, outcome in zip(there, again, strict=True):
                outcomes[place] = outcome
        return outcomes

    def _subtype(self, activity: Activity) -> dict[str, str]:
        known = self._writable is None or "TaskSubtype" in self._writable
        return {"TaskSubtype": subtype_of(activity)} if known else {}


def _takes_no_subtype(outcome: Outcome) -> bool:
    return isinstance(outcome.error, ConfigError) and outcome.error.field == "TaskSubtype"


def defaults_of(setup: Setup) -> dict[str, Any]:
    """What new contacts carry unless a mapping gives it, from options like default.OwnerId, in their fields' types."""
    found = {}
    for option, value in setup.options.items():
        name = option.removeprefix(DEFAULT)
        if name != option and value:
            kind = setup.field_types.get(name, FieldType.STRING)
            with suppress(DoesNotFit):
                found[name] = coerce(
                    value, FieldSpec(name, kind if kind is not FieldType.ENUM else FieldType.STRING)
                )
    return found


def _new_contact(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    given = {**defaults, **{name: value for name, value in values.items() if value is not None}}
    return {**given, "LastName": given.get("LastName") or UNNAMED}


def _row(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **values}


def _outcomes(org: Org, answers: Sequence[Row], *, created: bool = False) -> list[Outcome]:
    """One outcome per row; the rows' errors carry the request's id, as the rows themselves have none."""
    request_id = org.request_id()
    return [_outcome(answer, request_id, created=created) for answer in answers]


def _outcome(answer: Row, request_id: str, *, created: bool) -> Outcome:
    if answer.get("success"):
        return Outcome(external_id=str(answer["id"]), created=bool(answer.get("created", created)))
    problem = problem_of(answer.get("errors"))
    existing = existing_id(problem) if created else ()
    if len(existing) == 1:
        return Outcome(external_id=existing[0])
    return Outcome(error=error_of(answer.get("errors"), 400, request_id=request_id))


def _follow(outcome: Outcome, record: Record | None) -> Outcome:
    error = outcome.error
    if not isinstance(error, RecordGone) or record is None or record.merged_into is None:
        return outcome
    details = {
        "status": error.status,
        "code": error.code,
        "field": error.field,
        "request_id": error.request_id,
    }
    return Outcome(error=RecordGone(error.message, merged_into=record.merged_into, **details))
