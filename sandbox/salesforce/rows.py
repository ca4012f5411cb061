"""Single records over REST: read, create, change, delete, by id and by external id."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from sandbox.salesforce.errors import ApiError, entity_is_deleted, not_found
from sandbox.salesforce.fields import Field
from sandbox.salesforce.ids import canonical
from sandbox.salesforce.query import shown
from sandbox.salesforce.records import Records
from sandbox.salesforce.schema import LABELS
from sandbox.salesforce.store import LOOKUPS, Row
from sandbox.wire import BadJson, Request, Response


class Rows:
    """The resources below sobjects/X that stand for one record."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def create(self, sobject: str, request: Request) -> Response:
        """POST sobjects/X."""
        body = object_body(request, sobject)
        _refuse_keys(body, "Id")
        return created(self._records.insert(sobject, body, save_duplicates=may_save_duplicates(request)))

    def read(self, sobject: str, id_text: str, request: Request, base: str) -> Response:
        """GET sobjects/X/ID?fields=a,b (all fields when none are named)."""
        return self._shown(sobject, self._found(sobject, id_text), request, base)

    def update(self, sobject: str, id_text: str, request: Request) -> Response:
        """PATCH sobjects/X/ID."""
        if canonical(id_text) is None:
            raise malformed_id(sobject, id_text)
        row, body = self._found(sobject, id_text), object_body(request, sobject)
        _refuse_keys(body, "Id")
        self._records.update(sobject, row["Id"], body)
        return Response(204)

    def delete(self, sobject: str, id_text: str) -> Response:
        """DELETE sobjects/X/ID."""
        if canonical(id_text) is None:
            raise malformed_id(sobject, id_text)
        self._records.delete(sobject, self._found(sobject, id_text)["Id"])
        return Response(204)

    def read_by(self, sobject: str, field_name: str, value: str, request: Request, base: str) -> Response:
        """GET sobjects/X/ExtField/value; 300 with the addresses when several match."""
        field = self.external_field(sobject, field_name)
        ids = self._records.store.holders(sobject, field, value)
        if not ids:
            raise not_found()
        if len(ids) > 1:
            return Response.of(300, [f"{base}/sobjects/{sobject}/{id18}" for id18 in ids])
        return self._shown(sobject, self._records.live(sobject, ids[0]), request, base)

    def upsert(self, sobject: str, field_name: str, value: str, request: Request, base: str) -> Response:
        """PATCH sobjects/X/ExtField/value: 201 created, 200 updated, 300 when several match."""
        field, body = self.external_field(sobject, field_name), object_body(request, sobject)
        _refuse_keys(body, "Id", field.name)
        ids = self._records.store.holders(sobject, field, value.strip())
        if len(ids) > 1:
            return Response.of(300, [f"{base}/sobjects/{sobject}/{id18}" for id18 in ids])
        if not ids:
            id18 = self._records.insert(
                sobject, {**body, field.name: value}, save_duplicates=may_save_duplicates(request)
            )
            return created(id18, created=True)
        self._records.update(sobject, ids[0], body)
        return created(ids[0], created=False)

    def delete_by(self, sobject: str, field_name: str, value: str, base: str) -> Response:
        """DELETE sobjects/X/ExtField/value; 300 with the addresses when several match."""
        ids = self._records.store.holders(sobject, self.external_field(sobject, field_name), value)
        if not ids:
            raise not_found()
        if len(ids) > 1:
            return Response.of(300, [f"{base}/sobjects/{sobject}/{id18}" for id18 in ids])
        self._records.delete(sobject, ids[0])
        return Response(204)

    def external_field(self, sobject: str, name: str) -> Field:
        """The field of an upsert, which must be an external id or an id look-up."""
        field = self._records.schema.field(sobject, name)
        if field is None or field.name not in {known.name for known in LOOKUPS[sobject]}:
            raise not_found(f"Provided external ID field does not exist or is not accessible: {name}")
        return field

    def chosen(self, sobject: str, names: Iterable[str]) -> list[Field]:
        """The fields of a `fields` parameter; an unknown one is INVALID_FIELD."""
        found = []
        for name in names:
            field = self._records.schema.field(sobject, name.strip())
            if field is None:
                raise ApiError(
                    "INVALID_FIELD", f"No such column '{name.strip()}' on sobject of type {sobject}"
                )
            found.append(field)
        return found

    def _shown(self, sobject: str, row: Row, request: Request, base: str) -> Response:
        named = request.param("fields")
        fields = (
            self.chosen(sobject, named.split(","))
            if named
            else list(self._records.schema.fields(sobject).values())
        )
        if not any(field.name == "Id" for field in fields):
            fields = [*fields, *self.chosen(sobject, ["Id"])]
        return Response.of(200, shown(sobject, row, fields, base))

    def _found(self, sobject: str, id_text: str) -> Row:
        id18 = canonical(id_text)
        if id18 is None:
            raise not_found(f"Provided external ID field does not exist or is not accessible: {id_text}")
        row = self._records.store.get(sobject, id18)
        if row is None:
            raise not_found()
        if row["IsDeleted"]:
            raise entity_is_deleted()
        return row


def created(id18: str, *, created: bool | None = None) -> Response:
    """201 for a new record (`created` None or True), 200 for an upsert that changed one."""
    document: dict[str, Any] = {"id": id18, "success": True, "errors": []}
    if created is not None:
        document["created"] = created
    return Response.of(200 if created is False else 201, document)


def json_body(request: Request) -> Any:
    """The JSON body; 415 without its content type, JSON_PARSER_ERROR when it is no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Content-type '{kind}' is not supported.", status=415)
    try:
        body = request.json()
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair parses, but is no text
        return body
    except UnicodeEncodeError as error:
        raise ApiError("JSON_PARSER_ERROR", "Invalid UTF-16 surrogate at [line:1, column:1]") from error
    except BadJson as error:
        message = re.sub(
            r".*: line (\d+) column (\d+).*", r"Unexpected character at [line:\1, column:\2]", str(error)
        )
        raise ApiError("JSON_PARSER_ERROR", message) from error


def object_body(request: Request, sobject: str = "") -> dict[str, Any]:
    """The JSON body, which must be an object; one that says of which type must say `sobject`."""
    body = json_body(request)
    if not isinstance(body, dict):
        raise ApiError(
            "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object at [line:1, column:1]"
        )
    attributes = body.get("attributes")
    said = attributes.get("type") if isinstance(attributes, dict) else None
    if sobject and said is not None and str(said).lower() != sobject.lower():
        raise ApiError("INVALID_TYPE", f"The record is of type {said}, not {sobject}.")
    return body


def may_save_duplicates(request: Request) -> bool:
    """Whether the duplicate rule header asks to save past rules that only alert."""
    return (
        re.search(
            r"allowSave\s*=\s*true", request.headers.get("sforce-duplicate-rule-header", ""), re.IGNORECASE
        )
        is not None
    )


def malformed_id(sobject: str, id_text: str) -> ApiError:
    """The refusal of an id that cannot be one."""
    message = f"{LABELS.get(sobject, sobject)} ID: id value of incorrect type: {id_text}"
    return ApiError("MALFORMED_ID", message, fields=["Id"])


def _refuse_keys(body: dict[str, Any], *names: str) -> None:
    for name in names:
        if any(key.lower() == name.lower() for key in body):
            raise ApiError("INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")
