"""Every class and code that the vendors document has its place in our error tree; everything else is loud."""

import re
from pathlib import Path
from typing import Any

import pytest
from hubspot.crm.contacts import exceptions as hubspot_exceptions

from integrations.providers import hubspot_errors, salesforce_codes, salesforce_errors, salesforce_login
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

ROOT = Path(__file__).parents[3]
PERSONAL = "Ada Lovelace +14155550100"
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


def test_unknown_codes_are_plain_and_loud() -> None:
    assert exactly(salesforce_errors.error_of([{"errorCode": "NEW", "message": ""}], 400), ProviderError)
    assert exactly(salesforce_login.login_error("new_error", 400), ProviderError)
    assert exactly(hubspot_errors.error_of(418, {"category": "NEW"}), ProviderError)


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
        salesforce_codes.CODES, salesforce_login.TOKEN_CODES, salesforce_codes.STATUSES,
        hubspot_errors.CODES, hubspot_errors.CATEGORIES, hubspot_errors.STATUSES,
    )  # fmt: skip
    texts = [words for table in tables for _, words in table.values()]
    assert all(text.endswith(".") and len(text) < 130 for text in texts)


def test_the_tables_are_closed_and_every_entry_is_judged_here() -> None:
    assert {code for *_, code, _ in HUBSPOT} >= set(hubspot_errors.CODES)
    assert {category for _, category, *_ in HUBSPOT} >= set(hubspot_errors.CATEGORIES)
    assert {status for status, *_ in HUBSPOT} >= set(hubspot_errors.STATUSES)


def test_whatever_the_stand_ins_refuse_with_is_in_the_tables() -> None:
    """The stand-ins use the vendors' codes; one of them that no table lists would be an error of ours in production."""
    told = {name: spoken(name) for name in ("salesforce", "hubspot")}
    codes = set(re.findall(r'ApiError\(\s*"([A-Z_]{5,})"', told["salesforce"]))
    codes |= set(re.findall(r'\(\d{3}, "([A-Z_]{5,})"', told["salesforce"]))
    assert len(codes) > 30
    assert codes - {"REQUEST_LIMIT_EXCEEDED"} <= set(salesforce_codes.CODES)
    refused = set(re.findall(r'_refused\(\s*"([a-z_]+)"', told["salesforce"]))
    assert refused - {"invalid_request"} <= set(salesforce_login.TOKEN_CODES)
    values = set(re.findall(r'BadValue\(\s*"([A-Z_]{5,})"', told["hubspot"]))
    assert len(values) >= 8
    # An administrator's rule has no code of its own: it goes by its category.
    assert values - {"FAILED_VALIDATION"} <= set(hubspot_errors.CODES)


def spoken(vendor: str) -> str:
    """All the source of a stand-in."""
    return "".join(path.read_text() for path in (ROOT / "sandbox" / vendor).glob("*.py"))
