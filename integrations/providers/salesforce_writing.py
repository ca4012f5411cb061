"""Writing contacts and tasks to a Salesforce org in collections of 200, with one outcome per row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from contacts.values import DoesNotFit, FieldSpec, FieldType, coerce
from integrations.providers import salesforce_queries as soql
from integrations.providers.base import Activity, Creation, Outcome, Record, Update
from integrations.providers.batches import in_batches
from integrations.providers.errors import ConfigError, ProviderError, RecordGone
from integrations.providers.salesforce_errors import Overtaxed, error_of, existing_ids, problem_of
from integrations.providers.salesforce_ids import TASK
from integrations.providers.salesforce_reading import Org, Row, records_by_id
from integrations.providers.salesforce_tasks import subtype_of, task_values
from integrations.providers.setup import Setup

BATCH = 200
COLLECTIONS = "composite/sobjects"
UNNAMED = "Unknown"  # Salesforce requires a last name; people see this word where nobody knows it
DEFAULT = "default."
T = TypeVar("T")


def create_contacts(org: Org, creations: Sequence[Creation]) -> list[Outcome]:
    """New contacts. The record that a duplicate rule or a unique field points to is linked instead."""
    defaults = defaults_of(org.setup)

    def send(batch: list[Creation]) -> list[Outcome]:
        rows = [_row("Contact", _new_contact(defaults, one.values)) for one in batch]
        return _outcomes(org, org.collection("POST", COLLECTIONS, rows, once=True), created=True)

    return in_batches(creations, BATCH, with_fewer(send))


def update_contacts(org: Org, updates: Sequence[Update]) -> list[Outcome]:
    """Changed fields; a record that is gone names what it was merged into."""

    def send(batch: list[Update]) -> list[Outcome]:
        rows = [_row("Contact", {**one.values, "id": one.external_id}) for one in batch]
        return _outcomes(org, org.collection("PATCH", COLLECTIONS, rows))

    outcomes = in_batches(updates, BATCH, with_fewer(send))
    pairs = list(zip(updates, outcomes, strict=True))
    gone = [update.external_id for update, outcome in pairs if isinstance(outcome.error, RecordGone)]
    found: dict[str, Record] = {}
    if gone:
        with suppress(ProviderError):
            found = records_by_id(org, gone, ())
    return [_follow(outcome, found.get(update.external_id)) for update, outcome in pairs]


def with_fewer(send: Callable[[list[T]], list[Outcome]]) -> Callable[[list[T]], list[Outcome]]:
    """`send`, which sends again half as many at once of what the org's automations could not cope with, down to one.

    Of such rows nothing was written; the others of their batch stay as they were answered.
    """

    def attempt(batch: list[T]) -> list[Outcome]:
        outcomes = send(batch)
        places = [place for place, outcome in enumerate(outcomes) if isinstance(outcome.error, Overtaxed)]
        if len(batch) == 1 or not places:
            return outcomes
        try:
            again = in_batches([batch[place] for place in places], max(1, len(places) // 2), attempt)
        except ProviderError as error:
            again = [Outcome(error=error)] * len(places)
        for place, outcome in zip(places, again, strict=True):
            outcomes[place] = outcome
        return outcomes

    return attempt


class TaskLog:
    """Logs conversations as Tasks, and remembers which fields the org lacks."""

    def __init__(self, org: Org) -> None:
        self._org = org
        # None: not known yet, every field is tried.
        self._writable: frozenset[str] | None = frozenset(org.setup.activity_fields) or None
        self._asked = False

    def log(self, activities: Sequence[Activity]) -> list[Outcome]:
        """New or updated Tasks; an upsert where the org has a key field."""
        return in_batches(
            activities, BATCH, with_fewer(self._log_batch), key=lambda one: bool(one.external_id)
        )

    def fields(self, activity: Activity) -> dict[str, Any]:
        """A Task's fields as they would be sent."""
        values = self._values(activity)
        return values | ({} if activity.external_id else self._subtype(activity))

    def _log_batch(self, batch: list[Activity]) -> list[Outcome]:
        outcomes = self._try(batch)
        refused = [
            one for one, made in zip(batch, outcomes, strict=True) if isinstance(made.error, ConfigError)
        ]
        if not refused or self._asked:
            return outcomes
        # Nothing of these rows was written. The org lacks a field or hides it: look which, and tell it in the text.
        self._asked = True
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
        rows = [_row("Task", self._values(one)) for one in batch]
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
        outcomes = _outcomes(self._org, self._org.collection("PATCH", path, born), key_field=key_field)
        there = [place for place, outcome in enumerate(outcomes) if _takes_no_subtype(outcome)]
        if there:
            rest = [keyed[place] for place in there]
            again = _outcomes(self._org, self._org.collection("PATCH", path, rest), key_field=key_field)
            for place, outcome in zip(there, again, strict=True):
                outcomes[place] = outcome
        return outcomes

    def _values(self, activity: Activity) -> dict[str, Any]:
        setup = self._org.setup
        return task_values(activity, self._writable, setup.options, setup.time_zone)

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


def _outcomes(
    org: Org, answers: Sequence[Row], *, created: bool = False, key_field: str = ""
) -> list[Outcome]:
    """One outcome per row; the rows' errors carry the request's id, as the rows themselves have none.

    `created`: the rows were contacts to create; `key_field`: they were tasks with a unique key in this field.
    """
    request_id = org.request_id()
    return [_outcome(answer, request_id, created=created, key_field=key_field) for answer in answers]


def _outcome(answer: Row, request_id: str, *, created: bool, key_field: str) -> Outcome:
    if answer.get("success"):
        return Outcome(external_id=str(answer["id"]), created=bool(answer.get("created", created)))
    problem = problem_of(answer.get("errors"))
    # A contact that a rule or a unique field points to is linked; a task with our key was logged by somebody faster.
    existing = existing_ids(problem) if created else ()
    if key_field and problem.code == "DUPLICATE_VALUE" and key_field in problem.message:
        existing = existing_ids(problem, TASK)
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
