"""HubSpot's refusals: one exception, its documents in the vendor's words, and the vendor-worded faults."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.wire import Response

NO_CREDENTIALS = (
    "Authentication credentials not found. This API supports OAuth 2.0 authentication "
    "and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
)
MISSING_SCOPES = (
    "This app hasn't been granted all required scopes to make this call. "
    "Read more about required scopes here: https://developers.hubspot.com/scopes."
)


class Refusal(Exception):
    """An answer other than the one asked for: status, HubSpot's category and message, further body keys."""

    def __init__(self, status: int, message: str, category: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.category, self.more = status, message, category, more
        self.headers: dict[str, str] = {}

    def document(self, correlation: str) -> dict[str, Any]:
        """The error body, keys in the vendor's order."""
        body: dict[str, Any] = {"status": "error", "message": self.message, "correlationId": correlation}
        body.update(self.more)
        if self.category is not None:
            body["category"] = self.category
        return body

    def listed(self, **context: list[str]) -> dict[str, Any]:
        """The same refusal as one entry of a 207's `errors`."""
        errors = self.more.get("errors", [])
        return {
            "status": "error",
            "category": self.category or "OBJECT_NOT_FOUND",
            "message": self.message,
            "context": {**self.more.get("context", {}), **context},
            "errors": errors,
            "links": {},
        }


def invalid(message: str, **more: Any) -> Refusal:
    """A 400 VALIDATION_ERROR."""
    return Refusal(400, message, "VALIDATION_ERROR", **more)


def bad_json(reason: str, column: int = 1) -> Refusal:
    """The body cannot be read into the request model."""
    return invalid(f"Invalid input JSON on line 1, column {column}: {reason}")


def bad_request(detail: str, code: str | None = None) -> Refusal:
    """The search engine's refusal: a bland message with the reason among its errors."""
    entry = {"message": detail} if code is None else {"message": detail, "code": code}
    return invalid("There was a problem with the request.", errors=[entry])


def not_found() -> Refusal:
    """A numeric id that is no record."""
    return Refusal(404, "resource not found")


def odd_id(text: str) -> Refusal:
    """An id that is not a number."""
    message = "Object not found.  objectId are usually numeric."
    return Refusal(404, message, "OBJECT_NOT_FOUND", context={"id": [text]})


def conflict(existing: int) -> Refusal:
    """A create whose e-mail another contact holds; the id stands only in the message."""
    return Refusal(409, f"Contact already exists. Existing ID: {existing}", "CONFLICT")


def scopes(required: list[str]) -> Refusal:
    """The token lacks every one of `required`."""
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": required},
    }
    links = {"scopes": "https://developers.hubspot.com/scopes"}
    return Refusal(403, MISSING_SCOPES, "MISSING_SCOPES", errors=[detail], links=links)


def bad_values(problems: Iterable[tuple[str, str, str, str]], portal_id: int) -> Refusal:
    """All invalid properties of one write: (property, code, message, value) each."""
    rows = list(problems)
    verdicts = [
        {
            "isValid": False,
            "message": message,
            "error": code,
            "name": name,
            "localizedErrorMessage": message,
            "propertyValue": value[:100],
            "portalId": portal_id,
        }
        for name, code, message, value in rows
    ]
    errors = [
        {"message": message, "code": code, "context": {"propertyName": [name]}}
        for name, code, message, _ in rows
    ]
    text = json.dumps(verdicts, separators=(",", ":"), ensure_ascii=False)
    return invalid(f"Property values were not valid: {text}", errors=errors)


def missing_properties(singular: str, names: list[str]) -> Refusal:
    """A create without a property that its object requires."""
    message = f"Error creating {singular}. Some required properties were not set."
    return invalid(message, context={"properties": names})


def rate_limit(policy: str, retry_after: int | None = None) -> Refusal:
    """A 429 for one policy: SECONDLY (search), TEN_SECONDLY_ROLLING or DAILY; `retry_after` in seconds."""
    refusal = Refusal(
        429,
        f"You have reached your {policy.lower()} limit.",
        None,
        errorType="RATE_LIMIT",
        policyName=policy,
        groupName="publicapi:private-apps:calls:api",
    )
    if retry_after is not None:
        refusal.headers["Retry-After"] = str(retry_after)
    return refusal


def moving() -> Refusal:
    """A 477 of an account that is moved between data centres, with the seconds to wait."""
    refusal = Refusal(477, "Migration in progress")
    refusal.headers["Retry-After"] = "5400"
    return refusal


def answer(refusal: Refusal, correlation: str | None = None) -> Response:
    """The response of a refusal, with its correlation header."""
    correlation = correlation or str(uuid.uuid4())
    headers = {"x-hubspot-correlation-id": correlation, **refusal.headers}
    return Response.of(refusal.status, refusal.document(correlation), headers)


def fault(kind: str) -> Response | None:
    """A vendor-worded fault by name, or None for a name that HubSpot has no words for."""
    if kind == "html":
        title = b"502 Bad Gateway"
        page = b"<html><head><title>%s</title></head><body><h1>%s</h1></body></html>" % (title, title)
        return Response(502, page, {"Content-Type": "text/html; charset=UTF-8"})
    refusals: dict[str, Callable[[], Refusal]] = {
        "rate_limit_secondly": lambda: rate_limit("SECONDLY"),
        "rate_limit_ten_secondly": lambda: rate_limit("TEN_SECONDLY_ROLLING"),
        "rate_limit_daily": lambda: rate_limit("DAILY"),
        "server_error": lambda: Refusal(500, "internal error"),
        "server_unavailable": lambda: Refusal(503, "Service Unavailable"),
        "gateway_timeout": lambda: Refusal(504, "gateway timeout"),
        "locked": lambda: Refusal(
            423, "Object is locked by another process. Please try again later.", "LOCKED"
        ),
        "migration": moving,
        "unauthorized": lambda: Refusal(401, NO_CREDENTIALS, "INVALID_AUTHENTICATION"),
        "forbidden": lambda: scopes(["crm.objects.contacts.write"]),
    }
    build = refusals.get(kind)
    return answer(build()) if build else None
