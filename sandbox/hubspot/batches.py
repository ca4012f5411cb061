"""Batches of up to 100: an invalid input fails all, save where all are traced and HubSpot answers for each; what is missing
gives a 207. Source: HubSpot's error handling page (multi-status errors), which promises them for creates only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.documents import batch, document, shown, stored, with_history
from sandbox.hubspot.errors import Refusal, invalid
from sandbox.hubspot.objects import find
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.requests import Call
from sandbox.hubspot.writes import Apply, change, creation
from sandbox.wire import Response

MOST = 100
Input = Mapping[str, Any]
Prepare = Callable[[Input], Callable[[], dict[str, Any]]]


def _inputs(body: Mapping[str, Any], addressed: bool = True) -> list[Input]:
    inputs: list[Input] = body["inputs"]
    if not inputs:
        raise invalid("The batch must contain at least one input")
    if len(inputs) > MOST:
        raise invalid(f"The maximum number of inputs supported is {MOST}, but {len(inputs)} were sent")
    ids = [one["id"] for one in inputs] if addressed else []
    _refuse_twice("IDs", ids)
    _refuse_twice(
        "objectWriteTraceIds", [one["objectWriteTraceId"] for one in inputs if "objectWriteTraceId" in one]
    )
    return inputs


def _refuse_twice(what: str, ids: list[str]) -> None:
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise invalid(f"Duplicate {what} found in batch input: [{', '.join(twice)}]. {what} must be unique")


def read(call: Call) -> Response:
    """Read by id or unique property; unknown ids make the answer a 207."""
    table, body = call.table, call.body(bodies.BATCH_READ)
    archived = call.flag("archived")
    names = shown(table, body.get("properties", []))
    history = body.get("propertiesWithHistory", [])
    results, missing = [], []
    for one in _inputs(body):
        try:
            record = find(table, one["id"], body.get("idProperty"), archived)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            missing.append(one["id"])
            continue
        shape = document(table, record, names)
        results.append(
            shape | ({"propertiesWithHistory": with_history(table, record, history)} if history else {})
        )
    errors = [_missing(table, missing)] if missing else []
    return Response.of(call.partial(200, errors), batch(call.portal, results, errors))


def _missing(table: Table, ids: list[str]) -> dict[str, Any]:
    kind = table.singular.upper()
    message = (
        f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid."
    )
    return Refusal(404, message, "OBJECT_NOT_FOUND").listed(ids=ids)


def create(call: Call) -> Response:
    """Create; an existing e-mail fails the whole batch unless every input carries a trace id."""
    table, inputs = call.table, _inputs(call.body(bodies.BATCH_CREATE), addressed=False)

    def prepare(one: Input) -> Callable[[], dict[str, Any]]:
        apply = creation(call.portal, table, one, call.version)
        return lambda: stored(table, apply())

    return _run(call, inputs, prepare, "create", 201)


def update(call: Call) -> Response:
    """Update by id or unique property; unknown ids are reported in a 207."""
    table, inputs = call.table, _inputs(call.body(bodies.BATCH_UPDATE))

    def prepare(one: Input) -> Callable[[], dict[str, Any]]:
        record = find(table, one["id"], one.get("idProperty"))
        return _echo(table, change(call.portal, table, record, one["properties"]), one)

    return _run(call, inputs, prepare, "update", 200)


def upsert(call: Call) -> Response:
    """Create or update by a unique property; each result says whether it is new."""
    table, inputs = call.table, _inputs(call.body(bodies.BATCH_UPSERT))
    names = {one.get("idProperty") for one in inputs}
    if len(names) > 1:
        raise invalid("All inputs of a batch must have the same idProperty")
    name = names.pop()
    if name not in table.unique:
        raise invalid(f"idProperty must be a unique property of {table.kind}, but is {name}")

    def prepare(one: Input) -> Callable[[], dict[str, Any]]:
        holder = table.holder(name, one["id"])
        record = table.get(holder) if holder is not None else None
        if record is not None:
            changed = _echo(table, change(call.portal, table, record, one["properties"]), one)
            return lambda: changed() | {"new": False}
        made = creation(
            call.portal, table, {"properties": {name: one["id"], **one["properties"]}}, call.version
        )
        return lambda: stored(table, made()) | {"new": True}

    return _run(call, inputs, prepare, "upsert", 200)


def archive(call: Call) -> Response:
    """Archive; ids that are no live record are ignored."""
    table = call.table
    for one in _inputs(call.body(bodies.BATCH_IDS)):
        record = table.get(int(one["id"])) if one["id"].isdecimal() else None
        if record is not None:
            table.archive(record, call.portal.now)
    return Response(204)


def _echo(table: Table, apply: Apply, one: Input) -> Callable[[], dict[str, Any]]:
    def finish() -> dict[str, Any]:
        record: Record = apply()
        return document(table, record, shown(table, list(one["properties"]) or table.basics))

    return finish


def _run(call: Call, inputs: list[Input], prepare: Prepare, action: str, status: int) -> Response:
    """Check every input before the first is applied; then apply, or report each failure on its own."""
    settings = call.portal.settings
    traced = action in settings["traced_batches"] and all("objectWriteTraceId" in one for one in inputs)
    _refuse_shared_values(call.table, inputs)
    ready: list[tuple[Input, Callable[[], dict[str, Any]]]] = []
    errors, missing = [], []
    for one in inputs:
        try:
            ready.append((one, prepare(one)))
        except Refusal as refusal:
            if traced:
                errors.append(refusal.listed(objectWriteTraceId=[one["objectWriteTraceId"]]))
            elif refusal.status == 404:
                missing.append(one["id"])
            else:
                raise
    results = [_traced(one, apply(), told=settings["trace_results"]) for one, apply in ready]
    if settings["silent_updates"]:
        return Response.of(call.partial(status, errors + missing), batch(call.portal, results, errors))
    errors += [_missing(call.table, missing)] if missing else []
    return Response.of(call.partial(status, errors), batch(call.portal, results, errors))


def _refuse_shared_values(table: Table, inputs: list[Input]) -> None:
    for name in table.unique:
        given = [one["properties"][name].lower() for one in inputs if one["properties"].get(name)]
        _refuse_twice(f"values of {name}", given)


def _traced(one: Input, result: dict[str, Any], *, told: bool) -> dict[str, Any]:
    trace = {"objectWriteTraceId": one["objectWriteTraceId"]} if told and "objectWriteTraceId" in one else {}
    return result | trace
