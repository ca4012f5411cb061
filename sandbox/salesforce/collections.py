"""sObject collections: up to 200 records in one call, one result row each, in the order of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import canonical, sobject_of
from sandbox.salesforce.query import shown
from sandbox.salesforce.records import Records
from sandbox.salesforce.rows import Rows, json_body, malformed_id, may_save_duplicates, object_body
from sandbox.salesforce.schema import WRITABLE
from sandbox.wire import Request, Response

Result = dict[str, Any]
ROLLED_BACK = (
    "Record rolled back because not all records were valid and the request was using AllOrNone header"
)


OVERTAXED = "ContactTrigger: execution of BeforeUpdate\n\ncaused by: System.LimitException: Apex CPU time limit exceeded"


class RolledBack(Exception):
    """An all-or-none call with a failed row."""


class Collections:
    """The resources below composite/sobjects."""

    def __init__(self, records: Records, rows: Rows, settings: dict[str, Any]) -> None:
        self._records, self._rows, self._settings = records, rows, settings

    def create(self, request: Request) -> Response:
        """POST composite/sobjects."""
        records, all_or_none = _records(request)
        save = may_save_duplicates(request)

        def insert(body: dict[str, Any]) -> Result:
            if _key(body, "Id") in body:
                raise ApiError(
                    "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", fields=["Id"]
                )
            return _success(self._records.insert(_sobject(body), body, save_duplicates=save))

        return self._answer(records, insert, all_or_none)

    def update(self, request: Request) -> Response:
        """PATCH composite/sobjects."""
        records, all_or_none = _records(request)

        def change(body: dict[str, Any]) -> Result:
            id18 = self._identified(_sobject(body), body.get(_key(body, "Id")))
            self._records.update(_sobject(body), id18, _without(body, "Id"))
            return _success(id18)

        return self._answer(records, change, all_or_none)

    def upsert(self, sobject: str, field_name: str, request: Request) -> Response:
        """PATCH composite/sobjects/X/ExtField."""
        if field_name.lower() == "id":
            return self.update(request)
        field = self._rows.external_field(sobject, field_name)
        records, all_or_none = _records(request)
        save, seen = may_save_duplicates(request), set[str]()

        def change(body: dict[str, Any]) -> Result:
            if _sobject(body) != sobject:
                raise ApiError("INVALID_INPUT", f"All records must be of type {sobject}", fields=[])
            value = body.get(_key(body, field.name))
            if not isinstance(value, str) or not value.strip():
                raise ApiError("MISSING_ARGUMENT", f"{field.name} not specified", fields=[field.name])
            if value.strip().lower() in seen:
                raise ApiError(
                    "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", fields=[field.name]
                )
            seen.add(value.strip().lower())
            return self._upsert_one(sobject, body, field.name, value.strip(), save=save)

        return self._answer(records, change, all_or_none)

    def delete(self, request: Request) -> Response:
        """DELETE composite/sobjects?ids=a,b&allOrNone=false."""
        ids = [id_text.strip() for id_text in (request.param("ids") or "").split(",") if id_text.strip()]
        if not ids:
            raise ApiError("MISSING_ARGUMENT", "The ids parameter is required.")
        _limit(ids, 200)

        def remove(id_text: str) -> Result:
            sobject = sobject_of(canonical(id_text) or "")
            if sobject is None:
                raise ApiError("MALFORMED_ID", f"malformed id {id_text}", fields=[])
            id18 = self._identified(sobject, id_text)
            self._records.delete(sobject, id18)
            return _success(id18)

        return self._answer(ids, remove, (request.param("allOrNone") or "").lower() == "true")

    def read(self, sobject: str, request: Request, base: str) -> Response:
        """GET composite/sobjects/X?ids=&fields=, or POST with a body; null for each id that is not there."""
        if request.method == "POST":
            body = object_body(request)
            ids, names = body.get("ids"), body.get("fields")
        else:
            ids, names = (request.param("ids") or "").split(","), (request.param("fields") or "").split(",")
        if not _are_texts(ids) or not _are_texts(names):
            raise ApiError("INVALID_INPUT", "Both ids and fields must be specified.")
        _limit(ids, 2000)
        fields = self._rows.chosen(sobject, names)
        found = (self._records.store.get(sobject, canonical(id_text.strip()) or "") for id_text in ids)
        live = (row if row and not row["IsDeleted"] else None for row in found)
        return Response.of(200, [row and shown(sobject, row, fields, base) for row in live])

    def _upsert_one(
        self, sobject: str, body: dict[str, Any], field_name: str, value: str, *, save: bool
    ) -> Result:
        field = self._rows.external_field(sobject, field_name)
        ids = self._records.store.holders(sobject, field, value)
        if len(ids) > 1:
            message = f"{field_name}: more than one record found for external id field: [{', '.join(ids)}]"
            raise ApiError("DUPLICATE_EXTERNAL_ID", message, fields=[field_name])
        if not ids:
            return _success(self._records.insert(sobject, body, save_duplicates=save)) | {"created": True}
        self._records.update(sobject, ids[0], _without(body, field_name))
        return _success(ids[0]) | {"created": False}

    def _identified(self, sobject: str, id_text: Any) -> str:
        if id_text is None:
            raise ApiError("MISSING_ARGUMENT", "Id not specified in an update call", fields=["Id"])
        id18 = canonical(id_text) if isinstance(id_text, str) else None
        if id18 is None:
            raise malformed_id(sobject, str(id_text))
        if self._records.store.get(sobject, id18) is None:
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=[])
        return id18

    def _answer(self, items: Iterable[Any], act: Callable[[Any], Result], all_or_none: bool) -> Response:
        items, results = list(items), list[Result]()
        act = self._strained(len(items), act)
        try:
            with self._records.store.savepoint():
                results.extend(self._attempt(item, act) for item in items)
                if all_or_none and not all(result["success"] for result in results):
                    raise RolledBack
        except RolledBack:
            rolled_back = ApiError("ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK, fields=[])
            results = [_failure(rolled_back) if result["success"] else result for result in results]
        return Response.of(200, results)

    def _strained(self, rows: int, act: Callable[[Any], Result]) -> Callable[[Any], Result]:
        """An automation that is not made for many rows at once breaks off for each of them."""
        most = self._settings["automation_rows"]
        if not most or rows <= most:
            return act

        def broken(_item: Any) -> Result:
            raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", OVERTAXED, fields=[])

        return broken

    def _attempt(self, item: Any, act: Callable[[Any], Result]) -> Result:
        try:
            with self._records.store.savepoint():
                return act(item)
        except ApiError as error:
            unparsable = error.code in ("JSON_PARSER_ERROR", "INVALID_FIELD")
            if unparsable and self._settings["collections_refuse_whole_request"]:
                raise
            if error.code == "INVALID_TYPE":
                raise  # an object that the caller may not use is refused as one that does not exist
            return _failure(error)


def _records(request: Request) -> tuple[list[dict[str, Any]], bool]:
    """The records of a body and its allOrNone; refuses bad bodies, too many records and too many chunks."""
    body = json_body(request)
    if not isinstance(body, dict) or not isinstance(body.get("records"), list):
        raise ApiError(
            "JSON_PARSER_ERROR",
            "The body must be an object with a list of records at [line:1, column:1]",
        )
    unknown = sorted(set(body) - {"records", "allOrNone"})
    if unknown:
        raise ApiError("JSON_PARSER_ERROR", f'Unrecognized field "{unknown[0]}" at [line:1, column:1]')
    records, all_or_none = body["records"], body.get("allOrNone", False)
    if not isinstance(all_or_none, bool) or not all(isinstance(record, dict) for record in records):
        raise ApiError("JSON_PARSER_ERROR", "Cannot deserialize the request body at [line:1, column:1]")
    _limit(records, 200)
    types = [_sobject(record) for record in records]
    if sum(a != b for a, b in zip(types, [None, *types], strict=False)) > 10:
        raise ApiError(
            "LIMIT_EXCEEDED", "cannot submit more than 10 chunks of object types in a single operation"
        )
    return records, all_or_none


def _sobject(record: dict[str, Any]) -> str:
    attributes = record.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    found = next(
        (known for known in WRITABLE if isinstance(name, str) and known.lower() == name.lower()), None
    )
    if found is None:
        raise ApiError(
            "INVALID_TYPE",
            f"sObject type '{name}' is not supported."
            if name
            else "The type attribute of each record is required.",
        )
    return found


def _limit(items: list[Any], most: int) -> None:
    if len(items) > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise ApiError("EXCEEDED_ID_LIMIT", message)


def _are_texts(items: Any) -> TypeGuard[list[str]]:
    return isinstance(items, list) and bool(items) and all(isinstance(item, str) and item for item in items)


def _key(body: dict[str, Any], name: str) -> str:
    """The spelling in which a body carries a field name."""
    return next((key for key in body if key.lower() == name.lower()), name)


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key.lower() != name.lower()}


def _success(id18: str) -> Result:
    return {"id": id18, "success": True, "errors": []}


def _failure(error: ApiError) -> Result:
    return {"success": False, "errors": [error.row()]}
