"""Everything that can be made to go wrong at a CRM, by name: one table for the control API, the page and the tests.

A fault is one of three. A rule is answered instead of, or around, what the CRM would say. A state is something that holds
in the CRM until it is put right: its clock, a hidden field, a rotated secret. An act happens once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to choose. `kind`: scope, count, seconds, text, pattern, choice, field, fields, id, ids or flag.

    A `default` of None must be given, unless it is `optional`.
    """

    name: str
    kind: str
    label: str
    default: Any = None
    optional: bool = False
    choices: tuple[str, ...] = ()
    most: float = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """`rule`: the fixed parts of a fault rule. `settings`: setting → its value, or the Parameter's name in braces.

    `act`: the CRM's method, called with the parameters in their order. `clock`: sets the CRM's clock.
    """

    system: str
    name: str
    title: str
    about: str
    parameters: tuple[Parameter, ...] = ()
    rule: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    act: str = ""
    clock: bool = False


# Which requests a rule is for: system → scope → the conditions of a rule.
SCOPES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "salesforce": {
        "everything": {"path": "^/services/data/"},
        "login": {"path": "/oauth2/token$"},
        "fields": {"path": "/describe$"},
        "reading": {"method": "GET", "path": "/(query|queryAll|search)(/|$)"},
        "writing contacts": {"path": "/(sobjects/Contact|composite)", "body": '"Contact"'},
        "writing activities": {"path": "/(sobjects/Task|composite)", "body": '"Task"'},
    },
    "hubspot": {
        "everything": {},
        "fields": {"path": "^/crm/(v3/)?properties/"},
        "search": {"path": "/search$"},
        "reading": {"path": "/contacts(/search|/batch/read)?$"},
        "writing contacts": {"path": "/contacts/batch/(create|update|upsert)$"},
        "writing activities": {"path": "/(calls|communications|notes)/batch/(create|update)$"},
    },
}
TIMES = Parameter("times", "count", "How often (empty: until switched off)", optional=True)
SKIP = Parameter("skip", "count", "Let so many pass first", 0)
FIELDS = Parameter("fields", "fields", "Fields")
PERSON = Parameter("id", "id", "Contact id")


def _scope(default: str = "everything") -> Parameter:
    return Parameter("scope", "scope", "Requests", default)


def _rule(system: str, name: str, title: str, about: str, scope: str = "everything", **rule: Any) -> Fault:
    seconds = (Parameter("seconds", "seconds", "Seconds", 5.0),) if rule.get("action") == "delay" else ()
    return Fault(system, name, title, about, (_scope(scope), *seconds, TIMES, SKIP), rule=rule)


def _vendor(system: str, name: str, title: str, about: str, kind: str, scope: str = "everything") -> Fault:
    return _rule(system, name, title, about, scope, action="vendor", kind=kind)


def _of_any(system: str) -> tuple[Fault, ...]:
    """What every CRM on a network can do."""
    return (
        _rule(system, "slow", "Slow", "The answer comes late; a caller may have given up.", action="delay"),
        _rule(system, "html", "HTML instead of JSON", "A maintenance page with status 200.", action="html"),
        _rule(system, "drop_before", "Request lost", "The connection breaks; nothing was done.",
              action="drop_before"),
        _rule(system, "drop_after", "Answer lost", "The request is carried out and its answer never comes.",
              "writing contacts", action="drop_after"),
        _rule(system, "truncated", "Half an answer", "The connection breaks in the midst of the answer.",
              action="truncate"),
        Fault(system, "clock_skew", "Clock is wrong", "Stamps and dates are ahead of the real time, or behind it.",
              (Parameter("seconds", "seconds", "Seconds ahead (negative: behind)", 3600.0, most=1e9),), clock=True),
        Fault(system, "search_lag", "Search lags", "What has just changed is found by searches only later.",
              (Parameter("seconds", "seconds", "Seconds", 30.0),), settings={"search_lag_seconds": "{seconds}"}),
        Fault(system, "validation_rule", "Validation rule", "An administrator's rule refuses what does not match.",
              (Parameter("field", "field", "Field"), Parameter("pattern", "pattern", "Must match (a regular expression)")),
              settings={"validation_rules": {"{field}": "{pattern}"}}),
        Fault(system, "background_bump", "Background job", "Moves modified stamps to one instant; no value changes.",
              (Parameter("ids", "ids", "Contact ids (empty: all)", optional=True),), act="bump"),
        Fault(system, "merge", "Merge", "The CRM's user merges one contact into another.",
              (Parameter("winner", "id", "Contact that stays"), Parameter("loser", "id", "Contact that goes")),
              act="merge_contacts"),
        Fault(system, "archive", "Delete a contact", "The CRM's user moves a contact to the bin.", (PERSON,),
              act="delete_contact"),
    )  # fmt: skip


SALESFORCE = (
    _vendor("salesforce", "daily_limit", "Daily quota used up", "403 REQUEST_LIMIT_EXCEEDED for the day.", "daily_limit"),
    _vendor("salesforce", "concurrent_limit", "Too many long requests", "403 REQUEST_LIMIT_EXCEEDED for a moment.",
            "concurrent_limit"),
    _vendor("salesforce", "token_refused", "Session ends", "401 INVALID_SESSION_ID; a new login works.", "session_expired"),
    Fault("salesforce", "credentials_revoked", "Secret rotated", "All sessions end and the app's secret is another one.",
          settings={"client_secret": "rotated-secret"}),
    Fault("salesforce", "user_inactive", "Integration user deactivated", "All sessions end; logins meet invalid_grant.",
          settings={"user_active": False}),
    Fault("salesforce", "row_lock", "Row locked", "UNABLE_TO_LOCK_ROW for single rows of a write.",
          (Parameter("rows", "count", "Rows (empty: all)", optional=True),), settings={"locked_rows": "{rows}"}),
    _vendor("salesforce", "server_error", "Internal error", "500 UNKNOWN_EXCEPTION.", "server_error"),
    _vendor("salesforce", "server_unavailable", "Unavailable", "503 SERVER_UNAVAILABLE.", "server_unavailable"),
    _vendor("salesforce", "query_timeout", "Query too slow", "400 QUERY_TIMEOUT.", "query_timeout", "reading"),
    _vendor("salesforce", "api_disabled", "API switched off", "403 API_DISABLED_FOR_ORG.", "api_disabled"),
    _vendor("salesforce", "storage_limit", "Storage full", "403 STORAGE_LIMIT_EXCEEDED.", "storage_limit", "writing contacts"),
    Fault("salesforce", "hidden_field", "Field hidden", "The integration user does not see the fields at all.", (FIELDS,),
          settings={"hidden_fields": "{fields}"}),
    Fault("salesforce", "readonly_field", "Field read-only", "The integration user may read the fields only.", (FIELDS,),
          settings={"readonly_fields": "{fields}"}),
    Fault("salesforce", "hidden_object", "Object hidden", "The integration user may not use the object.",
          (Parameter("object", "choice", "Object", "Task", choices=("Task", "Contact", "Lead", "Account")),),
          settings={"hidden_objects": ["{object}"]}),
    Fault("salesforce", "duplicate_rule", "Duplicate rule", "New contacts with a known number or e-mail are refused.",
          (Parameter("mode", "choice", "Rule", "alert", choices=("alert", "block")),), settings={"duplicate_rule": "{mode}"}),
    Fault("salesforce", "no_call_center", "No Call Center", "Tasks lack the call fields.", settings={"call_center": False}),
    Fault("salesforce", "overtaxed", "Automation at its limit", "Collections of more rows fail: Apex CPU time limit exceeded.",
          (Parameter("rows", "count", "Rows that pass at once", 10),), settings={"automation_rows": "{rows}"}),
    Fault("salesforce", "strict_collections", "Strict collections", "One unknown field refuses a whole collection.",
          settings={"collections_refuse_whole_request": True}),
    Fault("salesforce", "sessions_end", "End all sessions", "An administrator ends every session.", act="end_sessions"),
    Fault("salesforce", "tasks_archived", "Archive old tasks", "Closed tasks of a year ago leave ordinary queries.",
          act="archive_tasks"),
    *_of_any("salesforce"),
)  # fmt: skip
HUBSPOT = (
    _vendor("hubspot", "secondly_limit", "Search limit", "429 SECONDLY: too many searches.", "rate_limit_secondly", "search"),
    _vendor("hubspot", "ten_secondly_limit", "Burst limit", "429 TEN_SECONDLY_ROLLING.", "rate_limit_ten_secondly"),
    _vendor("hubspot", "daily_limit", "Daily quota used up", "429 DAILY.", "rate_limit_daily"),
    Fault("hubspot", "limits_enforced", "Limits enforced", "Calls beyond HubSpot's own limits are bounced with a 429.",
          settings={"enforce_limits": True}),
    _vendor("hubspot", "token_refused", "Token refused for a moment", "401 INVALID_AUTHENTICATION.", "unauthorized"),
    Fault("hubspot", "credentials_revoked", "Token rotated", "The token is another one; the old one gets a 401.",
          settings={"token": "pat-rotated"}),
    Fault("hubspot", "token_expired", "Token expired", "401 EXPIRED_AUTHENTICATION.", settings={"token_expired": True}),
    _vendor("hubspot", "locked", "Record locked", "423 LOCKED.", "locked", "writing contacts"),
    _vendor("hubspot", "migration", "Account is moved", "477 with a Retry-After of an hour and a half.", "migration"),
    _vendor("hubspot", "server_error", "Internal error", "500.", "server_error"),
    _vendor("hubspot", "server_unavailable", "Unavailable", "503.", "server_unavailable"),
    _vendor("hubspot", "gateway_timeout", "Gateway timeout", "504: the request may have been carried out.", "gateway_timeout"),
    _vendor("hubspot", "bad_gateway", "Bad gateway", "A 502 with an HTML page.", "html"),
    Fault("hubspot", "hidden_field", "Property taken away", "The properties are not in use any more.", (FIELDS,),
          settings={"hidden_properties": "{fields}"}),
    Fault("hubspot", "readonly_field", "Property read-only", "Only HubSpot may write the properties.", (FIELDS,),
          settings={"readonly_properties": "{fields}"}),
    Fault("hubspot", "hidden_object", "Scopes missing", "The token has these scopes only: 403 MISSING_SCOPES elsewhere.",
          (Parameter("scopes", "text", "Scopes (commas between them)", "oauth,crm.objects.contacts.read"),),
          settings={"scopes": "{scopes}"}),
    Fault("hubspot", "required_properties", "Required properties", "2026-09 refuses new contacts without these.", (FIELDS,),
          settings={"required_contact_properties": "{fields}"}),
    Fault("hubspot", "no_custom_channel", "No custom channel", "Web chats are refused as communications.",
          settings={"custom_channel": False}),
    Fault("hubspot", "whole_batches", "Batches fail whole", "Trace ids do not help: one bad input refuses its whole batch.",
          settings={"traced_batches": []}),
    Fault("hubspot", "untraced_results", "Results without trace ids", "Answers do not tell which result is for which input.",
          settings={"trace_results": False}),
    Fault("hubspot", "silent_updates", "Silent updates", "Updates pass over records that are gone without a word.",
          settings={"silent_updates": True}),
    Fault("hubspot", "property_added", "Add a property", "An administrator adds a contact property.",
          (Parameter("name", "text", "Name"), Parameter("label", "text", "Label"),
           Parameter("type", "choice", "Type", "string", choices=("string", "number", "bool", "date", "datetime")),
           Parameter("unique", "flag", "Unique", False)), act="add_contact_property"),
    *_of_any("hubspot"),
)  # fmt: skip
CATALOGUE: tuple[Fault, ...] = (*SALESFORCE, *HUBSPOT)


def fault_named(system: str, name: str) -> Fault | None:
    """One fault, or None."""
    return next((fault for fault in CATALOGUE if (fault.system, fault.name) == (system, name)), None)
