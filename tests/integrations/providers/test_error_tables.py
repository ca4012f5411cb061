"""Every class and code that the vendors document has its place in our error tree; everything else is loud."""

import re
from pathlib import Path
from typing import Any

import pytest
from hubspot.crm.contacts import exceptions as hubspot_exceptions
from simple_salesforce import exceptions as salesforce_exceptions
from simple_salesforce.util import exception_handler

from integrations.providers import hubspot_errors, salesforce_errors
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

ROOT = Path(__file__).parents[3]
PERSONAL = "Ada Lovelace +14155550100"
# errorCode, HTTP status, what it must become. Source: Salesforce's status codes and the practice of other clients.
SALESFORCE = [
    ("INVALID_SESSION_ID", 401, AuthError),
    ("REQUEST_LIMIT_EXCEEDED", 403, RateLimited),
    ("API_DISABLED_FOR_ORG", 403, NeedsAttention),
    ("API_CURRENTLY_DISABLED", 403, Transient),
    ("FUNCTIONALITY_NOT_ENABLED", 403, NeedsAttention),
    ("UNABLE_TO_LOCK_ROW", 400, Transient),
    ("SERVER_UNAVAILABLE", 503, Transient),
    ("UNKNOWN_EXCEPTION", 500, Transient),
    ("QUERY_TIMEOUT", 400, Transient),
    ("INVALID_QUERY_LOCATOR", 400, Transient),
    ("INVALID_REPLICATION_DATE", 400, Transient),
    ("INVALID_FIELD", 400, ConfigError),
    ("INVALID_TYPE", 400, ConfigError),
    ("MALFORMED_QUERY", 400, ConfigError),
    ("MALFORMED_SEARCH", 400, Rejected),
    ("REQUIRED_FIELD_MISSING", 400, Rejected),
    ("STRING_TOO_LONG", 400, Rejected),
    ("INVALID_EMAIL_ADDRESS", 400, Rejected),
    ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", 400, Rejected),
    ("JSON_PARSER_ERROR", 400, Rejected),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", 400, Rejected),
    ("FIELD_INTEGRITY_EXCEPTION", 400, Rejected),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", 400, Rejected),
    ("DUPLICATES_DETECTED", 400, Rejected),
    ("DUPLICATE_VALUE", 400, Rejected),
    ("DUPLICATE_EXTERNAL_ID", 400, AmbiguousMatch),
    ("INSUFFICIENT_ACCESS_OR_READONLY", 403, Rejected),
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", 400, Rejected),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", 400, ConfigError),
    ("ENTITY_IS_DELETED", 404, RecordGone),
    ("NOT_FOUND", 404, RecordGone),
    ("INVALID_CROSS_REFERENCE_KEY", 400, RecordGone),
    ("STORAGE_LIMIT_EXCEEDED", 403, NeedsAttention),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", 400, Transient),
    ("PROCESSING_HALTED", 400, Transient),
    ("UNABLE_TO_LOCK_ROW", 500, Transient),
    ("INVALID_AUTH_HEADER", 401, AuthError),
    ("INVALID_LOGIN", 400, AuthError),
    ("USER_INACTIVE", 400, AuthError),
    ("QUERY_TOO_COMPLICATED", 400, ConfigError),
    ("INVALID_TYPE_FOR_OPERATION", 400, ConfigError),
    ("UNSUPPORTED_API_VERSION", 410, ConfigError),
    ("MALFORMED_ID", 400, Rejected),
    ("NUMBER_OUTSIDE_VALID_RANGE", 400, Rejected),
    ("INVALID_TYPE_ON_FIELD_IN_RECORD", 400, Rejected),
    ("FIELD_FILTER_VALIDATION_EXCEPTION", 400, Rejected),
    ("INSUFFICIENT_ACCESS", 400, Rejected),
    ("INACTIVE_OWNER_OR_USER", 400, Rejected),
    ("LIMIT_EXCEEDED", 400, Rejected),
    ("EXCEEDED_ID_LIMIT", 400, ProviderError),
    ("METHOD_NOT_ALLOWED", 405, ProviderError),
    ("INVALID_INPUT", 400, ProviderError),
    ("MISSING_ARGUMENT", 400, ProviderError),
    ("UNSUPPORTED_MEDIA_TYPE", 415, ProviderError),
]
SALESFORCE_STATUSES = [
    (300, AmbiguousMatch), (401, AuthError), (404, RecordGone), (406, Transient), (420, RateLimited), (429, RateLimited),
    (500, Transient), (502, Transient), (503, Transient), (504, Transient), (418, ProviderError), (400, ProviderError),
]  # fmt: skip
LOGIN = [
    ("invalid_grant", AuthError),
    ("invalid_client", AuthError),
    ("invalid_client_id", AuthError),
    ("invalid_client_credentials", AuthError),
    ("unauthorized_client", AuthError),
    ("unsupported_grant_type", AuthError),
    ("invalid_app_access", AuthError),
    ("inactive_user", AuthError),
    ("inactive_org", AuthError),
    ("invalid_scope", AuthError),
    ("rate_limit_exceeded", Transient),
    ("server_error", Transient),
    ("temporarily_unavailable", Transient),
]
# status, category, code of the first error, what it must become. Source: HubSpot's error handling page.
HUBSPOT = [
    (400, "VALIDATION_ERROR", "", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_OPTION", Rejected),
    (400, "VALIDATION_ERROR", "PROPERTY_DOESNT_EXIST", ConfigError),
    (400, "VALIDATION_ERROR", "READ_ONLY_VALUE", ConfigError),
    (400, "", "", Rejected),
    (401, "INVALID_AUTHENTICATION", "", AuthError),
    (401, "EXPIRED_AUTHENTICATION", "", AuthError),
    (401, "", "", AuthError),
    (403, "MISSING_SCOPES", "", NeedsAttention),
    (403, "", "", NeedsAttention),
    (404, "OBJECT_NOT_FOUND", "", RecordGone),
    (404, "", "", RecordGone),
    (409, "CONFLICT", "", Rejected),
    (413, "", "", ProviderError),
    (414, "", "", ProviderError),
    (415, "", "", ProviderError),
    (423, "LOCKED", "", Transient),
    (423, "", "", Transient),
    (429, "RATE_LIMITS", "", RateLimited),
    (477, "", "", RateLimited),
    (500, "", "", Transient),
    (502, "", "", Transient),
    (503, "", "", Transient),
    (504, "", "", Transient),
    (520, "", "", Transient),
    (521, "", "", Transient),
    (524, "", "", Transient),
    (418, "", "", ProviderError),
    (400, "VALIDATION_ERROR", "INVALID_EMAIL", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_DATE", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_LONG", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_INTEGER", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_DOUBLE", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_URL", Rejected),
    (400, "VALIDATION_ERROR", "INVALID_OWNER_ID", Rejected),
    (400, "VALIDATION_ERROR", "PROPERTY_VALUE_TOO_LONG", Rejected),
    (400, "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE", Rejected),
    (400, "VALIDATION_ERROR", "NEW_CODE", Rejected),
    (409, "", "OBJECT_ALREADY_EXISTS", Rejected),
    (400, "VALIDATION_ERROR", "PAGING_LIMIT", ProviderError),
    (401, "REVOKED_AUTHENTICATION", "", AuthError),
    (402, "", "", NeedsAttention),
    (403, "BANNED", "", NeedsAttention),
    (408, "", "", Transient),
    (409, "", "", Rejected),
    (429, "", "", RateLimited),
]


def exactly(error: ProviderError, kind: type[ProviderError]) -> bool:
    """A plain ProviderError is only itself; a subclass may be refined."""
    return type(error) is ProviderError if kind is ProviderError else isinstance(error, kind)


@pytest.mark.parametrize(("code", "status", "kind"), SALESFORCE)
def test_a_salesforce_code_maps_alike_in_both_of_its_shapes(
    code: str, status: int, kind: type[ProviderError]
) -> None:
    whole = [{"errorCode": code, "message": PERSONAL, "fields": ["Phone"]}]
    row = [{"statusCode": code, "message": PERSONAL, "fields": ["Phone"]}]
    for body in (whole, row):
        error = salesforce_errors.error_of(body, status, request_id="r1")
        assert exactly(error, kind)
        assert (error.code, error.status, error.request_id, error.field) == (code, status, "r1", "Phone")
        assert "Ada" not in str(error)


@pytest.mark.parametrize(("status", "kind"), SALESFORCE_STATUSES)
@pytest.mark.parametrize("body", [f"<html>{PERSONAL}</html>", [], {}, None, [["odd"]]])
def test_a_salesforce_answer_without_a_code_goes_by_its_status(
    status: int, kind: type[ProviderError], body: Any
) -> None:
    error = salesforce_errors.error_of(body, status)
    assert exactly(error, kind)
    assert "Ada" not in str(error)


@pytest.mark.parametrize(("code", "kind"), LOGIN)
def test_a_refused_salesforce_login_stops(code: str, kind: type[ProviderError]) -> None:
    assert exactly(salesforce_errors.login_error(code, 400), kind)


def test_unknown_codes_are_plain_and_loud() -> None:
    assert exactly(salesforce_errors.error_of([{"errorCode": "NEW", "message": ""}], 400), ProviderError)
    assert exactly(salesforce_errors.login_error("new_error", 400), ProviderError)
    assert exactly(hubspot_errors.error_of(418, {"category": "NEW"}), ProviderError)


def test_every_exception_class_of_the_salesforce_sdk_is_translated() -> None:
    base = salesforce_exceptions.SalesforceError
    names = {kind.__name__ for kind in base.__subclasses__()}
    assert names == {
        "SalesforceMoreThanOneRecord", "SalesforceMalformedRequest", "SalesforceExpiredSession",
        "SalesforceRefusedRequest", "SalesforceResourceNotFound", "SalesforceAuthenticationFailed", "SalesforceGeneralError",
    }  # fmt: skip
    assert exception_handler is not None


def test_every_exception_class_of_the_hubspot_sdk_is_under_the_one_we_catch() -> None:
    kinds = [
        getattr(hubspot_exceptions, name)
        for name in dir(hubspot_exceptions)
        if name.endswith(("Exception", "Error"))
    ]
    assert len(kinds) >= 9
    assert all(issubclass(kind, hubspot_exceptions.OpenApiException) for kind in kinds)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_leaves_a_creation_open(status: int) -> None:
    assert isinstance(salesforce_errors.error_of("<html>", status, once=True), OutcomeUnknown)
    assert isinstance(hubspot_errors.error_of(status, "<html>", once=True), OutcomeUnknown)
    assert isinstance(salesforce_errors.error_of("<html>", status), Transient)


@pytest.mark.parametrize("code", ["SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW"])
def test_some_salesforce_codes_say_that_nothing_was_written(code: str) -> None:
    error = salesforce_errors.error_of([{"errorCode": code, "message": ""}], 503, once=True)
    assert isinstance(error, Transient)


@pytest.mark.parametrize(
    ("message", "daily"),
    [
        ("TotalRequests Limit exceeded.", True),
        ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", False),
        ("ConcurrentPerOrgLongTxn Limit exceeded.", False),
    ],
)
def test_salesforce_limits_share_a_code_and_differ_by_message(message: str, daily: bool) -> None:
    error = salesforce_errors.error_of([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}], 403)
    assert isinstance(error, RateLimited)
    assert error.daily is daily


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (
            "\nSELECT Foo__c FROM Contact\n  ^\nERROR at Row:1:Column:8\nNo such column 'Foo__c' on entity 'Contact'.",
            "Foo__c",
        ),
        ("No such column 'foo' on sobject of type Contact", "foo"),
        ("somewhere", ""),
    ],
)
def test_salesforce_names_the_unknown_column_in_its_message(message: str, field: str) -> None:
    error = salesforce_errors.error_of([{"errorCode": "INVALID_FIELD", "message": message}], 400)
    assert (type(error), error.field) == (ConfigError, field)


def test_an_automation_that_hides_a_row_lock_is_transient() -> None:
    message = "Update failed. UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record"
    body = [{"errorCode": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": message}]
    assert exactly(salesforce_errors.error_of(body, 400), Transient)


def test_several_duplicates_are_candidates_for_a_person() -> None:
    records = [{"record": {"Id": one}} for one in ("003000000000001AAA", "003000000000002AAA")]
    body = [
        {"errorCode": "DUPLICATES_DETECTED", "duplicateResult": {"matchResults": [{"matchRecords": records}]}}
    ]
    error = salesforce_errors.error_of(body, 400)
    assert isinstance(error, AmbiguousMatch)
    assert error.candidates == ("003000000000001AAA", "003000000000002AAA")


@pytest.mark.parametrize(("status", "category", "code", "kind"), HUBSPOT)
def test_a_hubspot_answer_maps_by_code_category_and_status(
    status: int, category: str, code: str, kind: type[ProviderError]
) -> None:
    body: dict[str, Any] = {
        "status": "error",
        "message": PERSONAL,
        "correlationId": "c1",
        "category": category,
    }
    body |= (
        {"errors": [{"message": PERSONAL, "code": code, "context": {"propertyName": ["phone"]}}]}
        if code
        else {}
    )
    error = hubspot_errors.error_of(status, body)
    assert exactly(error, kind)
    assert (error.status, error.request_id) == (status, "c1")
    assert error.field == ("phone" if code else "")
    assert "Ada" not in str(error)


@pytest.mark.parametrize("body", [None, "", b"<html>", "null", "[]", {"errors": ["odd"]}, {"context": {}}])
def test_hubspot_bodies_may_lack_anything(body: Any) -> None:
    assert exactly(hubspot_errors.error_of(503, body, {}), Transient)


@pytest.mark.parametrize(
    ("policy", "headers", "daily", "scope", "wait"),
    [
        ("DAILY", {}, True, "daily", 3600),
        ("TEN_SECONDLY_ROLLING", {}, False, "burst", 10),
        ("SECONDLY", {}, False, "search", 1),
        ("TEN_SECONDLY_ROLLING", {"Retry-After": "4"}, False, "burst", 4),
    ],
)
def test_hubspot_limits_differ_by_policy(
    policy: str, headers: dict[str, str], daily: bool, scope: str, wait: float
) -> None:
    body = {"message": f"You have reached your {policy.lower()} limit.", "policyName": policy}
    error = hubspot_errors.error_of(429, body, headers)
    assert isinstance(error, RateLimited)
    assert (error.daily, error.scope, error.retry_after) == (daily, scope, wait)


@pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "86400"}, 86_400), ({}, 3600)])
def test_an_account_that_is_moved_waits_as_long_as_hubspot_says(headers: dict[str, str], wait: float) -> None:
    error = hubspot_errors.error_of(477, {"message": "Migration in progress"}, headers, once=True)
    assert isinstance(error, RateLimited)
    assert (error.retry_after, error.daily, error.scope) == (wait, False, "migration")


@pytest.mark.parametrize(
    ("category", "kind"),
    [("VALIDATION_ERROR", Rejected), ("OBJECT_NOT_FOUND", RecordGone), ("NEW", ProviderError)],
)
def test_a_row_of_a_207_goes_by_its_category(category: str, kind: type[ProviderError]) -> None:
    assert exactly(hubspot_errors.row_error({"category": category, "message": PERSONAL}), kind)


def test_every_error_text_is_short_and_ends_its_sentence() -> None:
    tables = (
        salesforce_errors.CODES, salesforce_errors.TOKEN_CODES, salesforce_errors.STATUSES,
        hubspot_errors.CODES, hubspot_errors.CATEGORIES, hubspot_errors.STATUSES,
    )  # fmt: skip
    texts = [words for table in tables for _, words in table.values()]
    assert all(text.endswith(".") and len(text) < 130 for text in texts)


def test_the_tables_are_closed_and_every_entry_is_judged_here() -> None:
    special = {"REQUEST_LIMIT_EXCEEDED"}  # told apart by its message
    assert {code for code, *_ in SALESFORCE} == set(salesforce_errors.CODES) | special
    assert {status for status, _ in SALESFORCE_STATUSES} >= set(salesforce_errors.STATUSES)
    assert {code for code, _ in LOGIN} == set(salesforce_errors.TOKEN_CODES)
    assert {code for *_, code, _ in HUBSPOT} >= set(hubspot_errors.CODES)
    assert {category for _, category, *_ in HUBSPOT} >= set(hubspot_errors.CATEGORIES)
    assert {status for status, *_ in HUBSPOT} >= set(hubspot_errors.STATUSES)


def test_whatever_the_stand_ins_refuse_with_is_in_the_tables() -> None:
    """The stand-ins use the vendors' codes; one of them that no table lists would be an error of ours in production."""
    told = {name: spoken(name) for name in ("salesforce", "hubspot")}
    codes = set(re.findall(r'ApiError\(\s*"([A-Z_]{5,})"', told["salesforce"]))
    codes |= set(re.findall(r'\(\d{3}, "([A-Z_]{5,})"', told["salesforce"]))
    assert len(codes) > 30
    assert codes - {"REQUEST_LIMIT_EXCEEDED"} <= set(salesforce_errors.CODES)
    refused = set(re.findall(r'_refused\(\s*"([a-z_]+)"', told["salesforce"]))
    assert refused - {"invalid_request"} <= set(salesforce_errors.TOKEN_CODES)
    values = set(re.findall(r'BadValue\(\s*"([A-Z_]{5,})"', told["hubspot"]))
    assert len(values) >= 8
    # An administrator's rule has no code of its own: it goes by its category.
    assert values - {"FAILED_VALIDATION"} <= set(hubspot_errors.CODES)


def spoken(vendor: str) -> str:
    """All the source of a stand-in."""
    return "".join(path.read_text() for path in (ROOT / "sandbox" / vendor).glob("*.py"))
