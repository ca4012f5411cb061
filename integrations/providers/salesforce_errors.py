"""Salesforce's refusals as errors of our tree, by the tables of salesforce_codes: what is in none of them is loud. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.providers.errors import (
    AmbiguousMatch,
    OutcomeUnknown,
    ProviderError,
    RateLimited,
    Rejected,
    Transient,
)
from integrations.providers.salesforce_codes import CODES, STATUSES, Meaning
from integrations.providers.salesforce_ids import CONTACT, long_id

DAILY_PAUSE = 3600.0
CONCURRENT_PAUSE = 45.0
# These say for certain that nothing was written; other server errors leave that open.
_NOTHING_WRITTEN = (
    "SERVER_UNAVAILABLE",
    "UNABLE_TO_LOCK_ROW",
    "API_CURRENTLY_DISABLED",
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
    "ORG_IN_MAINTENANCE",
)
_SAFE_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,79}")
# The governor limits of Salesforce, as automations that do not cope with many rows at once meet them.
_OVERTAXED = re.compile(r"LimitException|CPU time limit|Too many (?:SOQL|DML|query rows)", re.IGNORECASE)
_COLUMN = re.compile(r"No such column '([^']+)'")
_FIELDS = re.compile(r"(?:fields|field)[^:]*: ([\w, ]+)")
_EXISTING = re.compile(r"record with id: (\w{15,18})")


class Overtaxed(Rejected):
    """An automation in Salesforce broke off at one of its limits: fewer rows at once may pass."""


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
    named = _fields(problem)
    details: dict[str, Any] = {
        "status": status,
        "code": problem.code,
        "field": named[0] if named else "",  # left out of the next try, where the next of them is named
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
    text = words.replace("{field}", f": {', '.join(named)[:100]}" if named else "")
    if kind is Transient and status in (420, 429):
        return RateLimited(text, retry_after=CONCURRENT_PAUSE, scope="requests", **details)
    return kind(text, **details)


def existing_ids(problem: Problem, prefix: str = CONTACT) -> tuple[str, ...]:
    """The records that a duplicate refusal points to, of the object with this id prefix, by their 18-character ids.

    A duplicate rule for contacts may match leads too; those cannot be linked.
    """
    if problem.code == "DUPLICATE_VALUE":
        found = _EXISTING.findall(problem.message)
    else:
        result = problem.raw.get("duplicateResult") or problem.raw.get("duplicateResut") or {}
        matches = [
            match for found in result.get("matchResults") or [] for match in found.get("matchRecords") or []
        ]
        records = [match["record"] for match in matches if isinstance(match.get("record"), Mapping)]
        found = [str(record.get("Id") or "") for record in records]
    return tuple(dict.fromkeys(long_id(one) for one in found if one.startswith(prefix)))


def _row(code: str, status: int | None) -> Meaning:
    if code in CODES:
        return CODES[code]
    if not code and status is not None and status in STATUSES:
        return STATUSES[status]
    if status is not None and (status >= 500 or status in (406, 420, 429)):
        return Transient, "Salesforce failed with a server error."
    named = f" ({code})" if _SAFE_CODE.fullmatch(code) else ""
    return ProviderError, f"Salesforce answered in a way that is not known here{named}."


def _fields(problem: Problem) -> tuple[str, ...]:
    if problem.fields:
        return problem.fields
    column = _COLUMN.search(problem.message)
    if column is not None:
        return (column[1],)
    named = _FIELDS.search(problem.message) if problem.code == "INVALID_FIELD_FOR_INSERT_UPDATE" else None
    return tuple(name.strip() for name in named[1].split(",") if name.strip()) if named is not None else ()


def _limit(problem: Problem, details: Mapping[str, Any]) -> ProviderError:
    if "concurrent" in problem.message.lower():
        words = "Too many long Salesforce requests run at once."
        return RateLimited(words, retry_after=CONCURRENT_PAUSE, scope="concurrent", **details)
    words = "Salesforce's daily number of API calls is used up."
    return RateLimited(words, retry_after=DAILY_PAUSE, daily=True, scope="daily", **details)


def _automation(problem: Problem, details: Mapping[str, Any]) -> ProviderError | None:
    """What an automation reports as its own failure may be a row lock, or one of its limits."""
    if "UNABLE_TO_LOCK_ROW" in problem.message or "unable to obtain exclusive access" in problem.message:
        return Transient(CODES["UNABLE_TO_LOCK_ROW"][1], **details)
    if _OVERTAXED.search(problem.message):
        return Overtaxed(
            "An automation in Salesforce exceeds a limit of Salesforce on the record.", **details
        )
    return None


def _reference(problem: Problem, details: Mapping[str, Any]) -> ProviderError | None:
    """With a field of the record named, it is that value which points nowhere, not the record that is gone."""
    if not problem.fields or {name.lower() for name in problem.fields} & {"id", "whoid"}:
        return None
    return Rejected(f"Salesforce does not accept the related record: {details['field']}.", **details)


def _duplicates(problem: Problem, details: Mapping[str, Any]) -> ProviderError | None:
    candidates = existing_ids(problem)
    if not candidates and existing_ids(problem, ""):
        words = "A duplicate rule in Salesforce refuses the record for one that is no contact, like a lead."
        return Rejected(words, **details)
    if len(candidates) < 2:
        return None
    words = "A duplicate rule in Salesforce found several matching records."
    return AmbiguousMatch(words, candidates=candidates, **details)


_SPECIAL = {
    "REQUEST_LIMIT_EXCEEDED": _limit,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _automation,
    "CANNOT_EXECUTE_FLOW_TRIGGER": _automation,
    "INVALID_CROSS_REFERENCE_KEY": _reference,
    "DUPLICATES_DETECTED": _duplicates,
}
