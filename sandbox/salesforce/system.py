"""The stand-in Salesforce org: judges a request as a whole and routes it to its resource."""

from __future__ import annotations

import re
from dataclasses import replace
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from sandbox.clock import Clock
from sandbox.salesforce import errors
from sandbox.salesforce.auth import KEY, SECRET, USERNAME, Sessions, base_url, soap_login
from sandbox.salesforce.collections import Collections
from sandbox.salesforce.composite import composite
from sandbox.salesforce.desk import Desk
from sandbox.salesforce.errors import ApiError, not_found
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.query import Queries
from sandbox.salesforce.records import INTEGRATION_USER, Records
from sandbox.salesforce.replication import changed_between
from sandbox.salesforce.rows import Rows
from sandbox.salesforce.schema import Schema, described, summarised
from sandbox.salesforce.seeding import ORG, seed
from sandbox.salesforce.sosl import search
from sandbox.salesforce.store import Store
from sandbox.seed import Person
from sandbox.wire import Request, Response

VERSIONS = range(50, 67)
LONGEST_URI = 16_384
_DATA = re.compile(r"(/services/data/v(\d+)\.0)(/.*)?")


class Salesforce(Desk):
    """One org. `settings` may be changed at any time:

    token_seconds, locator_seconds: how long sessions and query locators live
    search_lag_seconds: how late search finds a change
    hidden_fields, readonly_fields: what the integration user cannot see or write (`Phone` or `Contact.Phone`)
    hidden_objects: objects that the integration user may not use at all, such as Task
    validation_rules: field (`Contact.Title`) → a regular expression that the saved record's text must match
    locked_rows: how many more writes of rows meet a row that another process holds; negative: all of them
    client_secret, user_active: the app's secret, which may be rotated, and whether the run-as user may log in
    daily_limit, daily_used: the day's API requests
    duplicate_rule: "off", "alert" or "block"
    call_center, activity_key_field: whether Task has the call fields, and Conversation_Key__c
    activity_bumps_contact: whether a closed task moves its contact's stamp
    collections_refuse_whole_request: whether one unknown field or wrong JSON type fails a whole collection
    automation_rows: how many rows of one collection the org's automations cope with; 0: any number
    jwt_public_key: PEM of the key that signs JWT assertions; empty: the signature is not checked
    """

    name = "salesforce"

    def __init__(self, clock: Clock, people: list[Person]) -> None:
        self.settings: dict[str, Any] = {
            "token_seconds": 7200,
            "locator_seconds": 172_800,
            "search_lag_seconds": 0,
            "hidden_fields": [],
            "readonly_fields": [],
            "hidden_objects": [],
            "validation_rules": {},
            "locked_rows": 0,
            "client_secret": SECRET,
            "user_active": True,
            "daily_limit": 100_000,
            "daily_used": 0,
            "duplicate_rule": "off",
            "call_center": True,
            "activity_key_field": True,
            "activity_bumps_contact": False,
            "collections_refuse_whole_request": False,
            "automation_rows": 0,
            "jwt_public_key": "",
        }
        self._clock, self._answered = clock, 0
        self._store, schema = Store(), Schema(self.settings)
        self._records = Records(self._store, schema, clock, self.settings)
        self._schema, self._queries, self._rows = (
            schema,
            Queries(self._records, self.settings),
            Rows(self._records),
        )
        self._collections = Collections(self._records, self._rows, self.settings)
        self.sessions = Sessions(clock, self.settings, ORG, INTEGRATION_USER)
        seed(self._records, people, clock)

    def handles(self, path: str) -> bool:
        """Everything below /services/, and the identity address that tokens carry."""
        return path.startswith(("/services/", "/id/"))

    def end_sessions(self) -> None:
        """End every session, as an administrator may at any time; a new login is not refused."""
        self.sessions.revoke_all()

    def fault_response(self, kind: str) -> Response | None:
        """The vendor's answer for a named fault, or None for an unknown name."""
        return errors.fault_response(kind)

    def respond(self, request: Request) -> Response:
        """Answer one request, with the org's own clock in the Date header."""
        try:
            response = self._outer(request)
        except ApiError as error:
            response = error.response()
        if request.path.startswith("/services/data/v"):
            response.headers["Sforce-Limit-Info"] = (
                f"api-usage={self.settings['daily_used']}/{self.settings['daily_limit']}"
            )
        self._answered += 1
        response.headers["X-Request-Id"] = f"sandbox-{self._answered:06d}"
        response.headers["Date"] = format_datetime(self._clock.now().replace(microsecond=0), usegmt=True)
        return response

    def _outer(self, request: Request) -> Response:
        if len(quote(request.path)) + len(request.query_string) + 1 > LONGEST_URI:
            return Response(
                414,
                b"<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>",
                {"Content-Type": "text/html;charset=iso-8859-1"},
            )
        path = request.path.rstrip("/")
        if path == "/services/oauth2/token":
            return self.sessions.token(request)
        if match := re.fullmatch(r"/services/Soap/[uc]/([^/]+).*", path):
            return soap_login(match[1])
        if path == "/services/data":
            return _only("GET", request, lambda: Response.of(200, _versions()))
        if path in ("/services/oauth2/userinfo", f"/id/{ORG}/{INTEGRATION_USER}"):
            self.sessions.check(request)
            return Response.of(200, _identity(request))
        return self._data(request)

    def _data(self, request: Request) -> Response:
        match = _DATA.fullmatch(request.path)
        if match is None or int(match[2]) not in VERSIONS:
            if match is not None and int(match[2]) < 31:
                raise ApiError(
                    "UNSUPPORTED_API_VERSION", "The requested resource no longer exists", status=410
                )
            raise not_found()
        self.sessions.check(request)
        if self.settings["daily_used"] >= self.settings["daily_limit"]:
            raise ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
        self.settings["daily_used"] += 1
        if request.method == "POST" and (meant := request.param("_HTTP_METHOD")):
            request = replace(request, method=meant.upper())  # for clients that cannot send PATCH
        return self._resource(request)

    def _resource(self, request: Request) -> Response:
        """One resource below /services/data/vNN.0; also answers the calls inside a composite."""
        match = _DATA.fullmatch(request.path)
        if match is None:
            raise not_found()
        base, parts = match[1], [part for part in (match[3] or "").split("/") if part]
        match parts:
            case ["query" | "queryAll", *rest] if len(rest) < 2:
                return _only("GET", request, lambda: Response.of(200, self._query(request, base, parts)))
            case ["search"]:
                lag = self.settings["search_lag_seconds"]
                return _only(
                    "GET",
                    request,
                    lambda: Response.of(
                        200, search(self._records, _asked(request, "MALFORMED_SEARCH"), base, lag)
                    ),
                )
            case ["limits"]:
                return _only("GET", request, lambda: Response.of(200, self._limits()))
            case ["composite"]:
                return self._composite(request, base)
            case ["composite", "sobjects", *rest]:
                return self._collection(request, base, rest)
            case ["sobjects", *rest]:
                return self._sobjects(request, base, rest)
            case []:
                return Response.of(
                    200,
                    {
                        name: f"{base}/{name}"
                        for name in ("sobjects", "query", "queryAll", "search", "limits", "composite")
                    },
                )
        raise not_found()

    def _composite(self, request: Request, base: str) -> Response:
        if request.method == "GET":
            return Response.of(200, {"sobjects": f"{base}/composite/sobjects"})
        if request.method != "POST":
            raise _not_allowed(request.method, "GET,POST")
        return composite(request, base, self._store, self._resource)

    def _query(self, request: Request, base: str, parts: list[str]) -> dict[str, Any]:
        options = request.headers.get("sforce-query-options")
        if len(parts) == 2:
            return self._queries.more(parts[1], base, options)
        return self._queries.run(
            _asked(request, "MALFORMED_QUERY"), base, everything=parts[0] == "queryAll", options=options
        )

    def _sobjects(self, request: Request, base: str, parts: list[str]) -> Response:
        if not parts:
            summaries = [summarised(name, base) for name in OBJECTS if self._schema.visible(name)]
            return _only(
                "GET",
                request,
                lambda: Response.of(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": summaries}),
            )
        sobject, method = self._schema.named(parts[0]), request.method
        match method, parts[1:]:
            case "GET", []:
                return Response.of(200, {"objectDescribe": summarised(sobject, base), "recentItems": []})
            case "POST", []:
                return self._rows.create(sobject, request)
            case "GET", ["describe"]:
                return Response.of(200, described(sobject, self._schema.fields(sobject), base))
            case "GET", ["deleted" | "updated" as kind]:
                return Response.of(200, changed_between(self._records, sobject, kind, request))
            case _, [one]:
                return self._row(request, base, sobject, one)
            case _, [field, value]:
                return self._keyed(request, base, sobject, field, value)
            case _, []:
                raise _not_allowed(method, "GET,POST")
        raise not_found()

    def _keyed(self, request: Request, base: str, sobject: str, field: str, value: str) -> Response:
        match request.method:
            case "GET":
                return self._rows.read_by(sobject, field, value, request, base)
            case "PATCH":
                return self._rows.upsert(sobject, field, value, request, base)
            case "DELETE":
                return self._rows.delete_by(sobject, field, value, base)
        raise _not_allowed(request.method, "GET,PATCH,DELETE")

    def _row(self, request: Request, base: str, sobject: str, id_text: str) -> Response:
        match request.method:
            case "GET":
                return self._rows.read(sobject, id_text, request, base)
            case "PATCH":
                return self._rows.update(sobject, id_text, request)
            case "DELETE":
                return self._rows.delete(sobject, id_text)
        raise _not_allowed(request.method, "GET,PATCH,DELETE")

    def _collection(self, request: Request, base: str, parts: list[str]) -> Response:
        match request.method, parts:
            case "POST", []:
                return self._collections.create(request)
            case "PATCH", []:
                return self._collections.update(request)
            case "DELETE", []:
                return self._collections.delete(request)
            case "GET" | "POST", [name]:
                return self._collections.read(self._schema.named(name), request, base)
            case "PATCH", [name, field]:
                return self._collections.upsert(self._schema.named(name), field, request)
        if len(parts) > 2:
            raise not_found()
        raise _not_allowed(request.method, ("POST,PATCH,DELETE", "GET,POST", "PATCH")[len(parts)])

    def _limits(self) -> dict[str, Any]:
        left = max(self.settings["daily_limit"] - self.settings["daily_used"], 0)
        return {
            "DailyApiRequests": {"Max": self.settings["daily_limit"], "Remaining": left},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DataStorageMB": {"Max": 1024, "Remaining": 1000},
        }


def _only(method: str, request: Request, answer: Any) -> Response:
    if request.method != method:
        raise _not_allowed(request.method, method)
    response: Response = answer()
    return response


def _not_allowed(method: str, allowed: str) -> ApiError:
    return ApiError(
        "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {allowed}", status=405
    )


def _asked(request: Request, code: str) -> str:
    text = request.param("q")
    if not text:
        raise ApiError(code, "A query string has to be specified")
    return text


def _versions() -> list[dict[str, str]]:
    return [
        {"label": f"Release {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in VERSIONS
    ]


def _identity(request: Request) -> dict[str, Any]:
    base = base_url(request)
    return {
        "id": f"{base}/id/{ORG}/{INTEGRATION_USER}",
        "sub": f"{base}/id/{ORG}/{INTEGRATION_USER}",
        "user_id": INTEGRATION_USER,
        "organization_id": ORG,
        "username": USERNAME,
        "preferred_username": USERNAME,
        "display_name": "Integration User",
        "name": "Integration User",
        "client_id": KEY,
        "active": True,
        "user_type": "STANDARD",
        "urls": {"rest": base + "/services/data/v{version}/"},
    }
