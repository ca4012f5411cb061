"""The associations API (v4 and dated): link, unlink and list, one by one and in batches."""

from __future__ import annotations

import base64
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.associations import default_type, target
from sandbox.hubspot.documents import batch
from sandbox.hubspot.errors import Refusal, invalid
from sandbox.hubspot.objects import find
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.requests import Call
from sandbox.wire import Response

MOST_CREATES, MOST_READS = 2_000, 1_000


def _types(table: Table, to: Table) -> list[dict[str, Any]]:
    return [{"category": "HUBSPOT_DEFINED", "typeId": default_type(table.kind, to.kind), "label": None}]


def _check_specs(table: Table, to: Table, specs: list[dict[str, Any]]) -> None:
    if not specs:
        raise invalid("At least one association type is required")
    for spec in specs:
        if target(table.kind, spec["associationCategory"], spec["associationTypeId"]) != to.kind:
            raise invalid(f"Association type {spec['associationTypeId']} does not lead to {to.kind}")


def _pair(call: Call) -> tuple[Record, Record]:
    return find(call.table, call.parts["id"], None), find(call.to, call.parts["other"], None)


def put(call: Call) -> Response:
    """Associate two records with the listed types."""
    _check_specs(call.table, call.to, call.body(bodies.many(bodies.SPEC)))
    one, other = _pair(call)
    call.portal.link(call.table, one, call.to, other)
    return Response.of(201, _labels(call, one, other))


def _labels(call: Call, one: Record, other: Record) -> dict[str, Any]:
    return {
        "fromObjectTypeId": call.table.type_id,
        "fromObjectId": str(one.id),
        "toObjectTypeId": call.to.type_id,
        "toObjectId": str(other.id),
        "labels": [],
    }


def put_default(call: Call) -> Response:
    """Associate two records with the unlabelled type, both ways."""
    default_type(call.table.kind, call.to.kind)
    one, other = _pair(call)
    call.portal.link(call.table, one, call.to, other)
    return Response.of(200, batch(call.portal, _defaults(call, one, other), []))


def _defaults(call: Call, one: Record, other: Record) -> list[dict[str, Any]]:
    ends = ((call.table, one, call.to, other), (call.to, other, call.table, one))
    return [
        {
            "from": {"id": str(here.id)},
            "to": {"id": str(there.id)},
            "associationSpec": {
                "associationCategory": "HUBSPOT_DEFINED",
                "associationTypeId": default_type(table.kind, to.kind),
            },
        }
        for table, here, to, there in ends
    ]


def delete(call: Call) -> Response:
    """Dissolve all associations between two records."""
    one, other = _pair(call)
    call.portal.links.remove(call.table.kind, one.id, call.to.kind, other.id)
    return Response(204)


def page(call: Call) -> Response:
    """The associated records of one type, up to 500 a page."""
    record, limit = find(call.table, call.parts["id"], None), call.limit(500, 500)
    rows, after = _rows(call, record, call.request.param("after"), limit)
    body: dict[str, Any] = {"results": rows}
    if after:
        body["paging"] = {"next": {"after": after, "link": f"{call.here()}?after={after}"}}
    return Response.of(200, body)


def _rows(
    call: Call, record: Record, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    types = _types(call.table, call.to)
    ids = [
        one for one in call.portal.links.of(call.table.kind, record.id, call.to.kind) if one in call.to.live
    ]
    start = _offset(after)
    rows = [{"toObjectId": str(one), "associationTypes": types} for one in ids[start : start + limit]]
    more = start + limit < len(ids)
    return rows, base64.b64encode(str(start + limit).encode()).decode() if more else None


def _offset(after: str | None) -> int:
    try:
        return int(base64.b64decode(after, validate=True)) if after else 0
    except ValueError as error:
        raise invalid(f"Invalid paging offset: {after}") from error


def _inputs(call: Call, item: bodies.Check, most: int) -> list[dict[str, Any]]:
    inputs: list[dict[str, Any]] = call.body(bodies.batch(item))["inputs"]
    if not 1 <= len(inputs) <= most:
        raise invalid(f"The number of inputs must be between 1 and {most}, but {len(inputs)} were sent")
    return inputs


def batch_read(call: Call) -> Response:
    """The associated records of many; those without any are reported in a 207."""
    results, errors = [], []
    for one in _inputs(call, bodies.FETCH, MOST_READS):
        record = call.table.get(int(one["id"])) if one["id"].isdecimal() else None
        rows, after = _rows(call, record, one.get("after"), 500) if record else ([], None)
        if not rows:
            errors.append(_none(call, one["id"]))
            continue
        row: dict[str, Any] = {"from": {"id": one["id"]}, "to": rows}
        results.append(row | ({"paging": {"next": {"after": after}}} if after else {}))
    return Response.of(call.partial(200, errors), batch(call.portal, results, errors))


def _none(call: Call, identifier: str) -> dict[str, Any]:
    message = f"No {call.to.singular} is associated with {call.table.singular} {identifier}."
    row = Refusal(404, message, "OBJECT_NOT_FOUND").listed(fromObjectId=[identifier])
    return row | {"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}


def batch_create(call: Call) -> Response:
    """Associate many pairs; those with an unknown record are reported in a 207."""
    inputs = _inputs(call, bodies.LINK, MOST_CREATES)
    for one in inputs:
        _check_specs(call.table, call.to, one["types"])
    return _link_all(
        call,
        inputs,
        200 if call.version == "2026-09" else 201,
        lambda one, other: [_labels(call, one, other)],
    )


def batch_default(call: Call) -> Response:
    """Associate many pairs with the unlabelled type."""
    default_type(call.table.kind, call.to.kind)
    inputs = _inputs(call, bodies.PLAIN_LINK, MOST_CREATES)
    return _link_all(call, inputs, 200, lambda one, other: _defaults(call, one, other))


def _link_all(call: Call, inputs: list[dict[str, Any]], status: int, shape: Any) -> Response:
    results, errors = [], []
    for pair in inputs:
        ends = {"fromObjectId": [pair["from"]["id"]], "toObjectId": [pair["to"]["id"]]}
        try:
            one, other = find(call.table, pair["from"]["id"], None), find(call.to, pair["to"]["id"], None)
        except Refusal as refusal:
            errors.append(refusal.listed(**ends))
            continue
        call.portal.link(call.table, one, call.to, other)
        results += shape(one, other)
    return Response.of(call.partial(status, errors), batch(call.portal, results, errors))


def batch_archive(call: Call) -> Response:
    """Dissolve the associations of many pairs; the dated versions answer with an empty batch."""
    for one in _inputs(call, bodies.UNLINK, MOST_CREATES):
        record = find(call.table, one["from"]["id"], None)
        for other in one["to"]:
            found = find(call.to, other["id"], None)
            call.portal.links.remove(call.table.kind, record.id, call.to.kind, found.id)
    if call.version == "v4":
        return Response(204)
    return Response.of(200, batch(call.portal, [], []))


def labels(call: Call) -> Response:
    """The association types between two object types."""
    return Response.of(200, {"results": _types(call.table, call.to)})
