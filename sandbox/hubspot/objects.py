"""Single records: list, read, create, update, archive, merge, and delete for good."""

from __future__ import annotations

import base64
from bisect import bisect_right
from typing import Any

from sandbox.hubspot import bodies
from sandbox.hubspot.documents import associated, document, shown, stored, with_history
from sandbox.hubspot.errors import Refusal, invalid, not_found, odd_id
from sandbox.hubspot.records import Record, Table
from sandbox.hubspot.requests import Call
from sandbox.hubspot.writes import change, creation
from sandbox.wire import Response


def find(table: Table, text: str, id_property: str | None, archived: bool = False) -> Record:
    """The record that an id, or the value of a unique property, names; 404 or 400 when it names none."""
    if id_property in (None, "", "hs_object_id"):
        if not text.isdecimal():
            raise odd_id(text)
        found = table.archived.get(int(text)) if archived else table.get(int(text))
    elif id_property in table.unique:
        holder = table.holder(id_property or "", text)
        found = table.get(holder) if holder is not None else None
    else:
        raise invalid(f"Property {id_property} is not a unique property and cannot be used as idProperty")
    if found is None:
        raise not_found()
    return found


def list_page(call: Call) -> Response:
    """GET of a page: at most 100 records (50 with history) in id order, `after` opaque."""
    table, history = call.table, call.names("propertiesWithHistory")
    limit = call.limit(10, 50 if history else 100)
    kept = table.archived if call.flag("archived") else table.live
    ids = sorted(kept) if kept is table.archived else list(kept)
    start = bisect_right(ids, _cursor(call.request.param("after")))
    page = ids[start : start + limit]
    names, kinds = shown(table, call.names("properties")), call.names("associations")
    results = [_full(call, table, kept[one], names, history, kinds) for one in page]
    body: dict[str, Any] = {"results": results}
    if start + limit < len(ids):
        after = base64.b64encode(str(page[-1]).encode()).decode()
        body["paging"] = {"next": {"after": after, "link": f"{call.here()}?limit={limit}&after={after}"}}
    return Response.of(200, body)


def _cursor(after: str | None) -> int:
    if not after:
        return -1
    try:
        return int(base64.b64decode(after, validate=True))
    except ValueError as error:
        raise invalid(f"Invalid paging offset: {after}") from error


def _full(
    call: Call, table: Table, record: Record, names: list[str], history: list[str], kinds: list[str]
) -> dict[str, Any]:
    body = document(table, record, names)
    if history:
        body["propertiesWithHistory"] = with_history(table, record, history)
    return body | associated(call.portal, table, record, kinds)


def read(call: Call) -> Response:
    """GET of one record; a merged-away id answers with the record it became."""
    table = call.table
    record = find(table, call.parts["id"], call.request.param("idProperty"), call.flag("archived"))
    names, history = shown(table, call.names("properties")), call.names("propertiesWithHistory")
    return Response.of(200, _full(call, table, record, names, history, call.names("associations")))


def create(call: Call) -> Response:
    """POST of a new record."""
    table = call.table
    record = creation(call.portal, table, call.body(bodies.CREATE), call.version)()
    return Response.of(201, stored(table, record), {"Location": f"{call.here()}/{record.id}"})


def update(call: Call) -> Response:
    """PATCH of one record; echoes what was sent beside the ever-present three."""
    table = call.table
    raw = call.body(bodies.UPDATE)["properties"]
    record = find(table, call.parts["id"], call.request.param("idProperty"))
    change(call.portal, table, record, raw)()
    return Response.of(200, document(table, record, shown(table, list(raw) or table.basics)))


def archive(call: Call) -> Response:
    """DELETE to the recycle bin; a second time is fine."""
    table, text = call.table, call.parts["id"]
    if not (text.isdecimal() and int(text) in table.archived):
        table.archive(find(table, text, None), call.portal.now)
    return Response(204)


def merge(call: Call) -> Response:
    """Merge two contacts."""
    table, body = _contacts(call), call.body(bodies.MERGE)
    primary = find(table, body["primaryObjectId"], None)
    loser = find(table, body["objectIdToMerge"], None)
    if primary is loser:
        raise invalid("Cannot merge a record with itself")
    return Response.of(200, stored(table, call.portal.merge(primary, loser)))


def delete_for_good(call: Call) -> Response:
    """GDPR delete of a contact, live or archived; no trace is left."""
    table, body = _contacts(call), call.body(bodies.GDPR)
    text = body["objectId"]
    binned = table.archived.get(int(text)) if text.isdecimal() else None
    record = binned or find(table, text, body.get("idProperty"))
    call.portal.links.drop(table.kind, record.id)
    table.purge(record)
    return Response(204)


def _contacts(call: Call) -> Table:
    if not call.table.is_contact:
        raise Refusal(404, "resource not found")
    return call.table
