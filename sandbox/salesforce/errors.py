"""How Salesforce refuses: one exception that knows both forms of an error, and wordings of many places."""

from __future__ import annotations

from typing import Any

from sandbox.wire import Response

READ_WRITE_HINT = (
    "Please check the security settings of this field and verify that it is read/write for your profile "
    "or permission set."
)
NAMES_HINT = "Please reference your WSDL or the describe call for the appropriate names."


class ApiError(Exception):
    """A refused request or row; `fields` of None leaves the key out, as errors outside of writes do."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        fields: list[str] | None = None,
        duplicates: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.fields, self.duplicates = fields, duplicates

    def document(self) -> list[dict[str, Any]]:
        """The body of a refused request. The misspelt key is the vendor's own."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = self.fields
        if self.duplicates is not None:
            error["duplicateResut"] = self.duplicates
        return [error]

    def row(self) -> dict[str, Any]:
        """The error as it stands inside one result row of a collection."""
        error: dict[str, Any] = {
            "statusCode": self.code,
            "message": self.message,
            "fields": self.fields or [],
        }
        if self.duplicates is not None:
            error["duplicateResult"] = self.duplicates
        return error

    def response(self) -> Response:
        """The whole answer."""
        return Response.of(self.status, self.document())


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """404, for paths and for records."""
    return ApiError("NOT_FOUND", message, status=404)


def not_writable(*names: str) -> ApiError:
    """The fields exist, but this caller may not write them (or not in this operation)."""
    message = f"Unable to create/update fields: {', '.join(names)}. {READ_WRITE_HINT}"
    return ApiError("INVALID_FIELD_FOR_INSERT_UPDATE", message, fields=list(names))


def entity_is_deleted(status: int = 404) -> ApiError:
    """The record is in the recycle bin."""
    return ApiError("ENTITY_IS_DELETED", "entity is deleted", status=status, fields=[])


FAULTS = {
    "daily_limit": (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "concurrent_limit": (
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    ),
    "row_lock": (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records"),
    "session_expired": (401, "INVALID_SESSION_ID", "Session expired or invalid"),
    "server_unavailable": (503, "SERVER_UNAVAILABLE", "Server is busy. Please try again later."),
    "server_error": (
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 1-2 (3)",
    ),
    "query_timeout": (400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    "api_disabled": (403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization."),
    "storage_limit": (403, "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded"),
}
MAINTENANCE = b"<html><head><title>Maintenance</title></head><body>We are down for maintenance.</body></html>"


def fault_response(kind: str) -> Response | None:
    """The vendor-worded answer of a named fault, or None when the name is unknown."""
    if kind == "html":
        return Response(200, MAINTENANCE, {"Content-Type": "text/html;charset=UTF-8"})
    if kind not in FAULTS:
        return None
    status, code, message = FAULTS[kind]
    fields: list[str] | None = [] if kind == "row_lock" else None
    return ApiError(code, message, status=status, fields=fields).response()
