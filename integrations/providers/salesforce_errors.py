"""Salesforce's error codes in our error tree: one table, closed by default. An unlisted code is ours, and loud.

Texts are ours: the vendor's repeat values of the record. Sources: REST API guide, status codes and error responses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.providers.errors import (
    AmbiguousMatch,
    AuthError,
    ConfigError,
    NeedsAttention,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)

DAILY_PAUSE = 3600.0
CONCURRENT_PAUSE = 45.0

# errorCode / statusCode → (our class, what a person reads). {field} is filled with the fields at fault, if named.
CODES: Mapping[str, tuple[type[ProviderError], str]] = {
    "INVALID_SESSION_ID": (AuthError, "Salesforce does not accept the session."),
    "INVALID_AUTH_HEADER": (AuthError, "Salesforce does not accept the session."),
    "INVALID_LOGIN": (AuthError, "Salesforce refuses the credentials."),
    "USER_INACTIVE": (AuthError, "The integration user is inactive in Salesforce."),
    "API_DISABLED_FOR_ORG": (NeedsAttention, "This Salesforce edition or user has no API access."),
    "API_CURRENTLY_DISABLED": (Transient, "Salesforce has switched its API off for the moment."),
    "FUNCTIONALITY_NOT_ENABLED": (NeedsAttention, "A Salesforce feature that is needed here is not enabled."),
    "STORAGE_LIMIT_EXCEEDED": (NeedsAttention, "Salesforce has no data storage left."),
    "UNABLE_TO_LOCK_ROW": (Transient, "Another process holds the Salesforce record."),
    "SERVER_UNAVAILABLE": (Transient, "Salesforce is unavailable for the moment."),
    "UNKNOWN_EXCEPTION": (Transient, "Salesforce failed with an internal error."),
    "QUERY_TIMEOUT": (Transient, "The Salesforce query took too long."),
    "QUERY_TOO_COMPLICATED": (ConfigError, "Too many fields are mapped for one Salesforce query."),
    "INVALID_QUERY_LOCATOR": (Transient, "The Salesforce listing expired; it starts again from the cursor."),
    "INVALID_REPLICATION_DATE": (
        Transient,
        "Salesforce no longer keeps the list of deletions for this time.",
    ),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": (Transient, "Undone because of another record in the same batch."),
    "PROCESSING_HALTED": (Transient, "Not tried because of another record in the same batch."),
    "INVALID_FIELD": (
        ConfigError,
        "Salesforce has no such field, or hides it from the integration user{field}.",
    ),
    "INVALID_FIELD_FOR_INSERT_UPDATE": (
        ConfigError,
        "The integration user may not write this field in Salesforce{field}.",
    ),
    "INVALID_TYPE": (ConfigError, "The integration user cannot see this Salesforce object."),
    "INVALID_TYPE_FOR_OPERATION": (ConfigError, "Salesforce does not allow this on the object."),
    "MALFORMED_QUERY": (ConfigError, "Salesforce does not understand the query; check the mapped fields."),
    "MALFORMED_SEARCH": (Rejected, "Salesforce cannot search for this number."),
    "NOT_FOUND": (RecordGone, "The Salesforce record does not exist."),
    "ENTITY_IS_DELETED": (RecordGone, "The Salesforce record was deleted."),
    "INVALID_CROSS_REFERENCE_KEY": (
        RecordGone,
        "The Salesforce record does not exist or cannot be seen{field}.",
    ),
    "MALFORMED_ID": (Rejected, "This is no Salesforce id{field}."),
    "REQUIRED_FIELD_MISSING": (Rejected, "Salesforce requires a field that is blank{field}."),
    "STRING_TOO_LONG": (Rejected, "The text is too long for the Salesforce field{field}."),
    "INVALID_EMAIL_ADDRESS": (Rejected, "Salesforce does not accept the e-mail address{field}."),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (
        Rejected,
        "The value is not in the Salesforce picklist{field}.",
    ),
    "NUMBER_OUTSIDE_VALID_RANGE": (Rejected, "The number is too large for the Salesforce field{field}."),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": (
        Rejected,
        "The value has the wrong type for the Salesforce field{field}.",
    ),
    "JSON_PARSER_ERROR": (Rejected, "A value has the wrong type for its Salesforce field{field}."),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": (
        Rejected,
        "A validation rule in Salesforce refuses the record{field}.",
    ),
    "FIELD_INTEGRITY_EXCEPTION": (Rejected, "Salesforce refuses the combination of values{field}."),
    "FIELD_FILTER_VALIDATION_EXCEPTION": (
        Rejected,
        "A lookup filter in Salesforce refuses the value{field}.",
    ),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (
        Rejected,
        "An automation in Salesforce refuses the record{field}.",
    ),
    "DUPLICATES_DETECTED": (Rejected, "A duplicate rule in Salesforce refuses the record."),
    "DUPLICATE_VALUE": (Rejected, "Another Salesforce record has this unique value{field}."),
    "DUPLICATE_EXTERNAL_ID": (AmbiguousMatch, "Several Salesforce records have this external id."),
    "INSUFFICIENT_ACCESS_OR_READONLY": (
        Rejected,
        "The integration user may not write this Salesforce record{field}.",
    ),
    "INSUFFICIENT_ACCESS": (Rejected, "The integration user may not do this in Salesforce."),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (
        Rejected,
        "The integration user may not use the related record{field}.",
    ),
    "INACTIVE_OWNER_OR_USER": (Rejected, "The owner of the Salesforce record is inactive."),
    "LIMIT_EXCEEDED": (Rejected, "A Salesforce limit refuses the record."),
    "EXCEEDED_ID_LIMIT": (ProviderError, "Too many records were sent to Salesforce at once."),
    "METHOD_NOT_ALLOWED": (ProviderError, "Salesforce does not offer this call."),
    "INVALID_INPUT": (ProviderError, "Salesforce does not accept the form of the request."),
    "MISSING_ARGUMENT": (ProviderError, "Salesforce misses something in the request."),
    "UNSUPPORTED_MEDIA_TYPE": (ProviderError, "Salesforce does not accept the form of the request."),
    "UNSUPPORTED_API_VERSION": (
        ConfigError,
        "Salesforce does not offer this API version. Correct the option api_version.",
    ),
}

# Codes of the token endpoint (RFC 6749 and the OAuth pages of Salesforce help).
TOKEN_CODES: Mapping[str, tuple[type[ProviderError], str]] = {
    "invalid_grant": (
        AuthError,
        "Salesforce refuses the login. Check the app's run-as user and its permissions.",
    ),
    "invalid_client": (AuthError, "Salesforce refuses the client id or secret."),
    "invalid_client_id": (AuthError, "Salesforce does not know the client id."),
    "invalid_client_credentials": (AuthError, "Salesforce refuses the client secret."),
    "unauthorized_client": (
        AuthError,
        "The app may not log in this way. Enable the client credentials flow in Salesforce.",
    ),
    "unsupported_grant_type": (
        AuthError,
        "The app may not log in this way. Enable the client credentials flow in Salesforce.",
    ),
    "invalid_app_access": (AuthError, "The run-as user is not allowed to use the app in Salesforce."),
    "inactive_user": (AuthError, "The app's run-as user is inactive in Salesforce."),
    "inactive_org": (AuthError, "The Salesforce org is locked, closed or suspended."),
    "invalid_scope": (AuthError, "The app lacks the API scope in Salesforce."),
    "rate_limit_exceeded": (Transient, "Salesforce asks for fewer logins."),
    "server_error": (Transient, "The Salesforce login failed with an internal error."),
    "temporarily_unavailable": (Transient, "The Salesforce login is unavailable for the moment."),
}

# What invalid_grant is about, by its error_description.
GRANT_ADVICE: Mapping[str, str] = {
    "inactive user": "The integration user is inactive in Salesforce. Activate it, or connect with another user.",
    "user is locked": "The integration user is locked in Salesforce.",
    "user hasn't approved": "The user is not pre-authorised for the app in Salesforce; allow its profile or permission set.",
    "audience is invalid": "Salesforce refuses the login's audience. Check the My Domain address.",
    "invalid assertion": "Salesforce cannot verify the private key. Upload its certificate to the app.",
    "expired authorization code": "Salesforce refuses the login's time. Check this server's clock.",
    "no valid scopes": "The app lacks the API scope in Salesforce.",
    "no client credentials user": "The app has no run-as user for client credentials in Salesforce.",
    "client identifier invalid": "Salesforce does not know the client id.",
}

# HTTP statuses of answers without a known code. Any other 5xx is Transient as well.
STATUSES: Mapping[int, tuple[type[ProviderError], str]] = {
    300: (AmbiguousMatch, "Several Salesforce records match."),
    401: (AuthError, "Salesforce does not accept the session."),
    404: (RecordGone, "The Salesforce record does not exist."),
    406: (Transient, "Salesforce did not answer as it should."),
    420: (Transient, "Salesforce asks to slow down."),
    429: (Transient, "Salesforce asks to slow down."),
}
# These say for certain that nothing was written; other server errors leave that open.
_NOTHING_WRITTEN = ("SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "API_CURRENTLY_DISABLED")
_COLUMN = re.compile(r"No such column '([^']+)'")
_FIELDS = re.compile(r"(?:fields|field)[^:]*: ([\w, ]+)")
_EXISTING = re.compile(r"record with id: (\w{15,18})")


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an error answer, whichever of Salesforce's two shapes it has."""

    code: str
    message: str
    fields: tuple[str, ...]
    raw: Mapping[str, Any]


def problem_of(content: object) -> Problem:
    """The first error of a body: a list of {errorCode, message, fields}, a row's {statusCode, …}, or anything at all."""
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, Mapping):
        return Problem("", "", (), {})
    code = str(first.get("errorCode") or first.get("statusCode") or "")
    fields = first.get("fields")
    names = (
        tuple(str(name) for name in fields)
        if isinstance(fields, Sequence) and not isinstance(fields, str)
        else ()
    )
    return Problem(code, str(first.get("message") or ""), names, first)


def error_of(
    content: object, status: int | None, *, request_id: str = "", once: bool = False
) -> ProviderError:
    """The error for an answer's body. `once`: the call must not be repeated blindly, so an open outcome is OutcomeUnknown."""
    problem = problem_of(content)
    details: dict[str, Any] = {
        "status": status,
        "code": problem.code,
        "field": _field(problem),
        "request_id": request_id,
    }
    special = _SPECIAL.get(problem.code)
    if special is not None and (found := special(problem, details)) is not None:
        return found
    kind, words = _row(problem.code, status)
    if (
        once
        and kind is Transient
        and status is not None
        and status >= 500
        and problem.code not in _NOTHING_WRITTEN
    ):
        return OutcomeUnknown("Salesforce failed while it was writing; it may have been applied.", **details)
    text = words.replace("{field}", f": {details['field']}" if details["field"] else "")
    if kind is Transient and status in (420, 429):
        return RateLimited(text, retry_after=CONCURRENT_PAUSE, scope="requests", **details)
    return kind(text, **details)


def login_error(code: object, status: int | None, description: str = "") -> ProviderError:
    """The error for a refused login: `code` as the SDK gives it, `status` and error_description of the token answer."""
    name = str(code or "")
    for words, advice in GRANT_ADVICE.items():
        if name == "invalid_grant" and words in description.lower():
            return AuthError(advice, status=status, code=name)
    if status is not None and (status >= 500 or status in (420, 429)):
        return Transient("The Salesforce login is unavailable for the moment.", status=status, code=name)
    kind, words = TOKEN_CODES.get(name, (ProviderError, "Salesforce answered the login in an unknown way."))
    return kind(words, status=status, code=name)


def existing_id(error: Problem) -> tuple[str, ...]:
    """The ids of the records that a duplicate refusal points to."""
    if error.code == "DUPLICATE_VALUE":
        return tuple(_EXISTING.findall(error.message))
    result = error.raw.get("duplicateResult") or error.raw.get("duplicateResut") or {}
    matches = [
        match for found in result.get("matchResults") or [] for match in found.get("matchRecords") or []
    ]
    ids = [
        str(match["record"].get("Id") or "") for match in matches if isinstance(match.get("record"), Mapping)
    ]
    return tuple(dict.fromkeys(one for one in ids if one))


def _row(code: str, status: int | None) -> tuple[type[ProviderError], str]:
    if code in CODES:
        return CODES[code]
    if not code and status is not None and status in STATUSES:
        return STATUSES[status]
    if status is not None and (status >= 500 or status in (406, 420, 429)):
        return Transient, "Salesforce failed with a server error."
    return ProviderError, "Salesforce answered in an unknown way."


def _field(problem: Problem) -> str:
    if problem.fields:
        return ", ".join(problem.fields)
    column = _COLUMN.search(problem.message)
    if column is not None:
        return column[1]
    named = _FIELDS.search(problem.message) if problem.code == "INVALID_FIELD_FOR_INSERT_UPDATE" else None
    return named[1].strip() if named is not None else ""


def _limit(problem: Problem, details: Mapping[str, Any]) -> ProviderError:
    if "concurrent" in problem.message.lower():
        words = "Too many long Salesforce requests run at once."
        return RateLimited(words, retry_after=CONCURRENT_PAUSE, scope="concurrent", **details)
    words = "Salesforce's daily number of API calls is used up."
    return RateLimited(words, retry_after=DAILY_PAUSE, daily=True, scope="daily", **details)


def _hidden_lock(problem: Problem, details: Mapping[str, Any]) -> ProviderError | None:
    if "UNABLE_TO_LOCK_ROW" in problem.message or "unable to obtain exclusive access" in problem.message:
        return Transient(CODES["UNABLE_TO_LOCK_ROW"][1], **details)
    return None


def _duplicates(problem: Problem, details: Mapping[str, Any]) -> ProviderError | None:
    candidates = existing_id(problem)
    if len(candidates) < 2:
        return None
    words = "A duplicate rule in Salesforce found several matching records."
    return AmbiguousMatch(words, candidates=candidates, **details)


_SPECIAL = {
    "REQUEST_LIMIT_EXCEEDED": _limit,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _hidden_lock,
    "DUPLICATES_DETECTED": _duplicates,
}
