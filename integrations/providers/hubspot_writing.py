"""Writing contacts and activities to a HubSpot portal in batches of 100, with one outcome per input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from integrations.providers.base import Activity, ActivityKind, Creation, Outcome, Update
from integrations.providers.batches import in_batches
from integrations.providers.errors import (
    ConfigError,
    OutcomeUnknown,
    ProviderError,
    RecordGone,
    Rejected,
    Transient,
)
from integrations.providers.hubspot_activities import (
    CHANNEL_FIELD,
    COMMUNICATIONS,
    NOTES,
    ObjectKind,
    kind_of,
    properties_of,
)
from integrations.providers.hubspot_errors import AlreadyThere, row_error
from integrations.providers.hubspot_reading import BATCH, Answer, Portal, Row, objects
from integrations.providers.hubspot_schema import encode

UNNAMED = "Unknown"  # HubSpot wants a name or an e-mail address; people see this word where nobody knows one
_NAMES = ("email", "firstname", "lastname")
T = TypeVar("T", Creation, Update)


def create_contacts(portal: Portal, creations: Sequence[Creation]) -> list[Outcome]:
    """New contacts; one whose e-mail exists already is linked to that contact.

    With the option `unique_key` each carries our key in a unique property, and sending it again finds it.
    """
    key_name = portal.setup.options.get("unique_key", "")
    if key_name and creations:
        portal.ensure_unique_property(key_name)
        return in_batches(creations, BATCH, _apart(lambda batch: _upsert(portal, batch, key_name)))

    def send(batch: list[Creation]) -> list[Outcome]:
        return _create(portal, "contacts", [{"properties": _new_contact(one.values)} for one in batch])

    return in_batches(creations, BATCH, _apart(send))


def update_contacts(portal: Portal, updates: Sequence[Update]) -> list[Outcome]:
    """Changed properties. An id that was merged away writes to the winner, whose id is in the outcome."""

    def send(batch: list[Update]) -> list[Outcome]:
        return _update(portal, "contacts", [(one.external_id, _texts(one.values)) for one in batch])

    return in_batches(updates, BATCH, _apart(send))


def _apart(send: Callable[[list[T]], list[Outcome]]) -> Callable[[list[T]], list[Outcome]]:
    """`send` for batches that are refused for one property: those that have it fail, the others are sent without them."""

    def sent(batch: list[T]) -> list[Outcome]:
        try:
            return send(batch)
        except ConfigError as error:
            refused = Outcome(error=error)
            if not any(error.field in one.values for one in batch):
                raise
            others = [one for one in batch if error.field not in one.values]
            rest = iter(sent(others) if others else [])
            return [refused if error.field in one.values else next(rest) for one in batch]

    return sent


def log_activities(portal: Portal, activities: Sequence[Activity]) -> list[Outcome]:
    """Calls, communications or notes with their association made in the same call."""
    options = portal.setup.options

    def send(batch: list[Activity]) -> list[Outcome]:
        kind = kind_of(batch[0], options)
        if batch[0].external_id:
            return _update_logged(portal, batch, kind, options)
        return _log(portal, batch, kind, options)

    return in_batches(activities, BATCH, send, key=lambda one: (one.kind, bool(one.external_id)))


def _log(
    portal: Portal, batch: list[Activity], kind: ObjectKind, options: Mapping[str, str]
) -> list[Outcome]:
    inputs = [
        {
            "properties": properties_of(one, kind, options),
            "associations": [_association(one.contact_id, kind)],
        }
        for one in batch
    ]
    outcomes = _create(portal, kind.path, inputs)
    # HubSpot does not document a channel for web chats: where it refuses ours, the chat becomes a note.
    refused = [one for one, made in zip(batch, outcomes, strict=True) if _channel_refused(one, made)]
    if not refused:
        return outcomes
    notes = iter(_log(portal, refused, NOTES, options))
    return [next(notes) if _channel_refused(*pair) else pair[1] for pair in zip(batch, outcomes, strict=True)]


def _channel_refused(activity: Activity, outcome: Outcome) -> bool:
    error = outcome.error
    return activity.kind is ActivityKind.CHAT and isinstance(error, Rejected) and CHANNEL_FIELD in error.field


def _update_logged(
    portal: Portal, batch: list[Activity], kind: ObjectKind, options: Mapping[str, str]
) -> list[Outcome]:
    def rows(some: list[Activity], as_kind: ObjectKind) -> list[tuple[str, dict[str, str]]]:
        return [(str(one.external_id), properties_of(one, as_kind, options)) for one in some]

    outcomes = _update(portal, kind.path, rows(batch, kind))
    pairs = list(zip(batch, outcomes, strict=True))
    # A web chat is what it was made as: the channel may have been refused then, or chosen since.
    other = COMMUNICATIONS if kind is NOTES else NOTES
    gone = [
        one for one, made in pairs if one.kind is ActivityKind.CHAT and isinstance(made.error, RecordGone)
    ]
    if not gone:
        return outcomes
    again = iter(_update(portal, other.path, rows(gone, other)))
    return [next(again) if one in gone else made for one, made in pairs]


def _association(contact_id: str, kind: ObjectKind) -> dict[str, Any]:
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind.to_contact}
    return {"to": {"id": contact_id}, "types": [spec]}


def _new_contact(values: Mapping[str, Any]) -> dict[str, str]:
    given = {name: text for name, text in _texts(values).items() if text}
    return given if any(given.get(name) for name in _NAMES) else {**given, "lastname": UNNAMED}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: encode(value) for name, value in values.items()}


def _create(portal: Portal, path: str, inputs: list[dict[str, Any]]) -> list[Outcome]:
    traced = [{"associations": [], **one, "objectWriteTraceId": str(i)} for i, one in enumerate(inputs)]
    try:
        answer = portal.batch(path, "create", {"inputs": traced}, once=True)
    except AlreadyThere as error:
        if len(inputs) > 1:
            raise
        return [Outcome(external_id=error.existing_id)]
    results, errors = _by_trace(answer)
    for row in [one for one in answer.results if "objectWriteTraceId" not in one]:
        place = _same_values(row, inputs, results)
        if place is not None:
            results[place] = row
    lost = OutcomeUnknown(
        "HubSpot did not answer for this record; it may have been written.", code="no_answer"
    )
    return [
        _outcome(results.get(str(i)), errors.get(str(i)), lost, created=True, linking=True)
        for i in range(len(inputs))
    ]


def _upsert(portal: Portal, batch: list[Creation], key_name: str) -> list[Outcome]:
    """By our key: a lost answer is no loss, so it is Transient."""
    inputs = [
        {
            "id": one.key,
            "idProperty": key_name,
            "properties": {**_new_contact(one.values), key_name: one.key},
            "objectWriteTraceId": str(i),
        }
        for i, one in enumerate(batch)
    ]
    try:
        answer = portal.batch("contacts", "upsert", {"inputs": inputs})
    except AlreadyThere as error:
        if len(batch) > 1:
            raise
        return [Outcome(external_id=error.existing_id)]
    results, errors = _by_trace(answer)
    held = {str((row.get("properties") or {}).get(key_name) or ""): row for row in answer.results}
    lost = Transient("HubSpot did not answer for this record.", code="no_answer")
    outcomes = []
    for i, one in enumerate(batch):
        row = results.get(str(i)) or held.get(one.key)
        new = bool(row and row.get("new", True))
        outcomes.append(_outcome(row, errors.get(str(i)), lost, created=new, linking=True))
    return outcomes


def _update(portal: Portal, path: str, rows: list[tuple[str, dict[str, str]]]) -> list[Outcome]:
    inputs = [
        {"id": external_id, "properties": values, "objectWriteTraceId": str(i)}
        for i, (external_id, values) in enumerate(rows)
    ]
    answer = portal.batch(path, "update", {"inputs": inputs})
    results, errors = _by_trace(answer)
    by_id = {str(row["id"]): row for row in answer.results}
    told = [results.get(str(i)) or by_id.get(one) or errors.get(str(i)) for i, (one, _) in enumerate(rows)]
    missing = {str(one) for entry in _entries(answer) for one in _context(entry, "ids")}
    unheard = [one for (one, _), row in zip(rows, told, strict=True) if row is None and one not in missing]
    missing |= _not_there(portal, path, unheard)
    gone = RecordGone("The HubSpot record does not exist.", status=404, code="OBJECT_NOT_FOUND")
    silent = Transient("HubSpot did not answer for this record.", code="no_answer")
    return [
        _outcome(
            results.get(str(i)) or by_id.get(external_id),
            errors.get(str(i)),
            gone if external_id in missing else silent,
        )
        for i, (external_id, _) in enumerate(rows)
    ]


def _not_there(portal: Portal, path: str, ids: Sequence[str]) -> set[str]:
    """Which of these no longer exist: HubSpot is known to pass over such rows of an update without a word."""
    if not ids:
        return set()
    with suppress(ProviderError):  # what was written must not be lost with this look
        return {*ids} - {str(row["id"]) for row in objects(portal, path, ids, ["hs_object_id"])}
    return set()


def _outcome(
    result: Row | None,
    entry: Row | None,
    otherwise: ProviderError,
    *,
    created: bool = False,
    linking: bool = False,
) -> Outcome:
    if result is not None:
        return Outcome(external_id=str(result["id"]), created=created)
    if entry is None:
        return Outcome(error=otherwise)
    error = row_error(entry)
    if linking and isinstance(error, AlreadyThere):
        return Outcome(external_id=error.existing_id)
    return Outcome(error=error)


def _by_trace(answer: Answer) -> tuple[dict[str, Row], dict[str, Row]]:
    results = {str(row["objectWriteTraceId"]): row for row in answer.results if "objectWriteTraceId" in row}
    errors = {str(trace): one for one in _entries(answer) for trace in _context(one, "objectWriteTraceId")}
    return results, errors


def _entries(answer: Answer) -> list[Row]:
    return [one for one in answer.document.get("errors") or () if isinstance(one, Mapping)]


def _context(entry: Row, name: str) -> list[Any]:
    found = (entry.get("context") or {}).get(name) or []
    return found if isinstance(found, list) else [found]


def _same_values(row: Row, inputs: list[dict[str, Any]], taken: Mapping[str, Row]) -> str | None:
    """The input that a result without trace id belongs to: results come in any order, their values in HubSpot's form."""
    held = row.get("properties") or {}
    for place, one in enumerate(inputs):
        sent = one["properties"]
        if str(place) not in taken and all(_alike(held.get(name), text) for name, text in sent.items()):
            return str(place)
    return None


def _alike(held: str | None, sent: str) -> bool:
    """Whether a value is what was sent: e-mail addresses come back in lower case, instants without empty fractions."""
    kept = str(held or "")
    if kept.lower() == sent.lower():
        return True
    with suppress(ValueError):
        return datetime.fromisoformat(kept) == datetime.fromisoformat(sent)
    return False
