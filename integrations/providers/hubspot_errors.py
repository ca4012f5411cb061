"""HubSpot's statuses, categories and codes in our error tree: closed tables. What is not listed is ours, and loud.

Texts are ours: the vendor's repeat property values. Source: HubSpot's error handling page and recorded answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from integrations.providers.errors import (
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

# The day ends at the account's midnight, which the answer does not tell: without the time zone, look every hour.
DAILY_PAUSE = 3600.0
SHORT_PAUSE = 10.0


class AlreadyThere(Rejected):
    """The contact to create is there already, by its e-mail address: `existing_id`."""

    def __init__(self, message: str, *, existing_id: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.existing_id = existing_id


Row = tuple[type[ProviderError], str]

# errors[].code, the most precise HubSpot has.
CODES: Mapping[str, Row] = {
    "PROPERTY_DOESNT_EXIST": (ConfigError, "HubSpot has no such property{field}."),
    "READ_ONLY_VALUE": (ConfigError, "This HubSpot property is read-only{field}."),
    "INVALID_OPTION": (Rejected, "The value is not one of the property's options in HubSpot{field}."),
    "INVALID_EMAIL": (Rejected, "HubSpot does not accept the e-mail address{field}."),
    "INVALID_DATE": (Rejected, "HubSpot does not accept the date{field}."),
    "INVALID_LONG": (Rejected, "HubSpot needs a whole number or a time here{field}."),
    "INVALID_INTEGER": (Rejected, "HubSpot needs a whole number here{field}."),
    "INVALID_DOUBLE": (Rejected, "HubSpot needs a number here{field}."),
    "INVALID_URL": (Rejected, "HubSpot does not accept the address{field}."),
    "INVALID_OWNER_ID": (Rejected, "HubSpot does not know the owner{field}."),
    "PROPERTY_VALUE_TOO_LONG": (Rejected, "The text is too long for the HubSpot property{field}."),
    "CONFLICTING_UNIQUE_VALUE": (Rejected, "Another HubSpot record has this unique value{field}."),
    "OBJECT_ALREADY_EXISTS": (Rejected, "The HubSpot record exists already."),
    "PAGING_LIMIT": (ProviderError, "A HubSpot search was read past its 10,000 results."),
}
# The body's `category`.
CATEGORIES: Mapping[str, Row] = {
    "VALIDATION_ERROR": (Rejected, "HubSpot refuses the record{field}."),
    "CONFLICT": (Rejected, "The HubSpot record exists already."),
    "OBJECT_NOT_FOUND": (RecordGone, "The HubSpot record does not exist."),
    "INVALID_AUTHENTICATION": (AuthError, "HubSpot refuses the access token."),
    "EXPIRED_AUTHENTICATION": (AuthError, "The HubSpot access token has expired."),
    "REVOKED_AUTHENTICATION": (AuthError, "The HubSpot access token was revoked."),
    "MISSING_SCOPES": (NeedsAttention, "The HubSpot token lacks a scope{scopes}."),
    "BANNED": (NeedsAttention, "HubSpot has blocked the app."),
    "LOCKED": (Transient, "The HubSpot record is locked for the moment."),
    "RATE_LIMITS": (RateLimited, "HubSpot asks to slow down."),
}
STATUSES: Mapping[int, Row] = {
    400: (Rejected, "HubSpot refuses the record{field}."),
    401: (AuthError, "HubSpot refuses the access token."),
    402: (NeedsAttention, "The HubSpot account's plan does not include this."),
    403: (NeedsAttention, "The HubSpot token lacks a permission{scopes}."),
    404: (RecordGone, "The HubSpot record does not exist."),
    408: (Transient, "HubSpot did not answer in time."),
    409: (Rejected, "The HubSpot record exists already."),
    413: (ProviderError, "HubSpot finds the request too large."),
    414: (ProviderError, "HubSpot finds the address too long."),
    415: (ProviderError, "HubSpot does not accept the form of the request."),
    423: (Transient, "The HubSpot record is locked for the moment."),
    429: (RateLimited, "HubSpot asks to slow down."),
    477: (RateLimited, "HubSpot is moving the account to another place."),
    500: (Transient, "HubSpot failed with an internal error."),
    502: (Transient, "HubSpot is unavailable for the moment."),
    503: (Transient, "HubSpot is unavailable for the moment."),
    504: (Transient, "HubSpot did not answer in time."),
}
_EDGE = range(520, 531)  # Cloudflare in front of HubSpot
_EXISTING = re.compile(r"Existing ID: (\d+)")


def error_of(
    status: int | None,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    once: bool = False,
    day_left: float | None = None,
) -> ProviderError:
    """The error for an answer. `body`: parsed or not. `once`: a server error leaves open whether it was written.

    `day_left`: seconds until the account's midnight, when its daily limit is reset, where that is known.
    """
    document = parsed(body)
    found = {key.lower(): value for key, value in (headers or {}).items()}
    code, field = _first_error(document)
    details: dict[str, Any] = {
        "status": status,
        "code": code or str(document.get("category") or document.get("policyName") or ""),
        "field": field,
        "request_id": str(document.get("correlationId") or found.get("x-hubspot-correlation-id") or ""),
    }
    if status == 429:
        return _limit(document, found, details, day_left)
    if status == 477:
        return _moving(found, details)
    if _names_a_missing_object(document):
        return RecordGone("The HubSpot record to log on does not exist.", **details)
    kind, words = _row(status, code, str(document.get("category") or ""))
    if kind is Transient and once and status is not None and (status >= 500 or status == 408):
        return OutcomeUnknown("HubSpot failed while it was writing; it may have been applied.", **details)
    if kind is RateLimited:
        return _limit(document, found, details, day_left)
    # The id stands only in the message.
    existing = _EXISTING.search(str(document.get("message") or "")) if status == 409 else None
    if existing is not None:
        return AlreadyThere("The HubSpot contact exists already.", existing_id=existing[1], **details)
    text = words.replace("{field}", f": {field}" if field else "").replace("{scopes}", _scopes(document))
    return kind(text, **details)


def unreadable(
    status: int | None, headers: Mapping[str, str], *, once: bool = False, day_left: float | None = None
) -> ProviderError:
    """The error for an answer that is not the JSON object asked for: an empty one, or a page of somebody in between."""
    if status is not None and status >= 300:
        return error_of(status, None, headers, once=once, day_left=day_left)
    details: dict[str, Any] = {
        "status": status, "code": "unreadable", "request_id": headers.get("x-hubspot-correlation-id", ""),
    }  # fmt: skip
    if once:
        return OutcomeUnknown(
            "HubSpot's answer could not be read; the record may have been written.", **details
        )
    return Transient("HubSpot answered with something other than the data asked for.", **details)


def row_error(entry: Mapping[str, Any]) -> ProviderError:
    """The error for one entry of a 207's `errors`; its category stands for the status."""
    statuses = {"VALIDATION_ERROR": 400, "OBJECT_NOT_FOUND": 404, "CONFLICT": 409}
    return error_of(statuses.get(str(entry.get("category"))), entry)


def parsed(body: object) -> Mapping[str, Any]:
    """An error body as a mapping, whatever it is: HubSpot promises none of its keys."""
    if isinstance(body, str | bytes):
        try:
            body = json.loads(body)
        except ValueError:
            return {}
    return body if isinstance(body, Mapping) else {}


def _moving(headers: Mapping[str, str], details: Mapping[str, Any]) -> RateLimited:
    """The account moves to another data centre, which takes up to a day; HubSpot tells how long to wait."""
    told = headers.get("retry-after", "")
    wait = float(told) if told.isdecimal() else DAILY_PAUSE
    return RateLimited(STATUSES[477][1], retry_after=wait, scope="migration", **details)


def _row(status: int | None, code: str, category: str) -> Row:
    if code in CODES:
        return CODES[code]
    if category in CATEGORIES:
        return CATEGORIES[category]
    if status in _EDGE or (status is not None and status not in STATUSES and status >= 500):
        return STATUSES[503]
    return STATUSES.get(status or 0, (ProviderError, "HubSpot answered in an unknown way."))


def _first_error(document: Mapping[str, Any]) -> tuple[str, str]:
    for entry in document.get("errors") or ():
        if isinstance(entry, Mapping):
            names = (entry.get("context") or {}).get("propertyName") or ()
            field = ", ".join(str(name) for name in names) if not isinstance(names, str) else names
            return str(entry.get("code") or ""), field
    names = (document.get("context") or {}).get("properties") or ()
    return "", ", ".join(str(name) for name in names) if not isinstance(names, str) else names


def _names_a_missing_object(document: Mapping[str, Any]) -> bool:
    return bool((document.get("context") or {}).get("INVALID_OBJECT_IDS"))


def _scopes(document: Mapping[str, Any]) -> str:
    for entry in document.get("errors") or ():
        if not isinstance(entry, Mapping):
            continue
        scopes = (entry.get("context") or {}).get("requiredGranularScopes") or ()
        if scopes:
            return ": " + ", ".join(str(scope) for scope in scopes)
    return ""


def _limit(
    document: Mapping[str, Any],
    headers: Mapping[str, str],
    details: Mapping[str, Any],
    day_left: float | None,
) -> RateLimited:
    policy = str(document.get("policyName") or "").upper()
    told = headers.get("retry-after", "")
    wait = float(told) if told.isdecimal() else None
    if "DAILY" in policy or "daily limit" in str(document.get("message") or "").lower():
        words = "HubSpot's daily number of calls is used up."
        # Nothing is free before the account's midnight, however soon an answer says to come again.
        pause = max(wait or 0.0, day_left or DAILY_PAUSE)
        return RateLimited(words, retry_after=pause, daily=True, scope="daily", **details)
    scope = "search" if policy == "SECONDLY" else "burst"
    pause = wait if wait is not None else (1.0 if policy == "SECONDLY" else SHORT_PAUSE)
    return RateLimited("HubSpot asks to slow down.", retry_after=pause, scope=scope, **details)
