"""Every code that Salesforce may refuse a contact, a task, a query or a login with has its place; everything else is loud."""

from typing import Any

import pytest
from simple_salesforce import exceptions as salesforce_exceptions
from simple_salesforce.util import exception_handler

from integrations.providers import salesforce_codes, salesforce_login
from integrations.providers.errors import (
    AmbiguousMatch,
    AuthError,
    ConfigError,
    NeedsAttention,
    ProviderError,
    RateLimited,
    RecordGone,
    Rejected,
    Transient,
)
from integrations.providers.salesforce_errors import Overtaxed, error_of
from integrations.providers.salesforce_login import login_error
from tests.integrations.providers.test_error_tables import PERSONAL, exactly

pytestmark = pytest.mark.once
# errorCode, HTTP status, what it must become. Sources: Salesforce's status codes, the enumerations of its partner WSDL, and
# the practice of other clients.
CODES = [
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
    *(
        (code, 400, AuthError)
        for code in (
            "INVALID_CLIENT",
            "PASSWORD_LOCKOUT",
            "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
            "LOGIN_DURING_RESTRICTED_DOMAIN",
            "LOGIN_DURING_RESTRICTED_TIME",
            "CLIENT_NOT_ACCESSIBLE_FOR_USER",
            "CLIENT_REQUIRE_UPDATE_FOR_USER",
            "UNSUPPORTED_CLIENT",
            "MUTUAL_AUTHENTICATION_FAILED",
            "TXN_SECURITY_END_A_SESSION",
            "TXN_SECURITY_TWO_FA_REQUIRED",
            "TXN_SECURITY_NO_ACCESS",
            "ORG_LOCKED",
            "TRIAL_EXPIRED",
        )
    ),
    *(
        (code, 400, NeedsAttention)
        for code in (
            "REQUIRED_FEATURE_MISSING",
            "INVALID_READ_ONLY_USER_DML",
            "LICENSE_LIMIT_EXCEEDED",
            "PACKAGE_LICENSE_REQUIRED",
        )
    ),
    *(
        (code, 400, Transient)
        for code in (
            "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
            "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
            "ORG_IN_MAINTENANCE",
            "COLLISION_DETECTED",
            "ALREADY_IN_PROCESS",
            "TERRITORY_REALIGN_IN_PROGRESS",
            "INTERNAL_ERROR",
            "TOO_MANY_APEX_REQUESTS",
            "REALTIME_PROCESSING_TIME_EXCEEDED_LIMIT",
            "REQUEST_RUNNING_TOO_LONG",
            "OPERATION_TOO_LARGE",
            "INVALID_LOCATOR",
            "BATCH_PROCESSING_HALTED",
            "MATCH_SERVICE_TIMED_OUT",
            "MATCH_SERVICE_UNAVAILABLE_ERROR",
            "MATCH_SERVICE_ERROR",
        )
    ),
    *(
        (code, 400, ConfigError)
        for code in (
            "FIELD_NOT_UPDATABLE",
            "ENTITY_NOT_QUERYABLE",
            "INVALID_ENTITY_FOR_UPSERT",
            "INVALID_QUERY_FILTER_OPERATOR",
        )
    ),
    *(
        (code, 400, Rejected)
        for code in (
            "INVALID_SEARCH",
            "INVALID_ID_FIELD",
            "MAX_TASK_DESCRIPTION_EXCEEEDED",
            "TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET",
            "UNSAFE_HTML_CONTENT",
            "INVALID_MARKUP",
            "INVALID_STATUS",
            "INVALID_CURRENCY_ISO",
            "TOO_MANY_ENUM_VALUE",
            "INVALID_DATE_FORMAT",
            "ENTITY_SAVE_VALIDATION_ERROR",
            "RELATED_ENTITY_FILTER_VALIDATION_EXCEPTION",
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            "FLOW_EXCEPTION",
            "CUSTOM_APEX_ERROR",
            "APEX_DATA_ACCESS_RESTRICTION",
            "MAX_DEPTH_IN_FLOW_EXECUTION",
            "SELF_REFERENCE_FROM_TRIGGER",
            "SELF_REFERENCE_FROM_FLOW",
            "MIXED_DML_OPERATION",
            "ENTITY_SAVE_ERROR",
            "TXN_SECURITY_APEX_ERROR",
            "TXN_SECURITY_RUNTIME_ERROR",
            "MATCH_OPERATION_ERROR",
            "MATCH_RUNTIME_ERROR",
            "MATCH_PRECONDITION_FAILED",
            "FIND_DUPLICATES_ERROR",
            "TRANSFER_REQUIRES_READ",
            "INVALID_CROSS_REFERENCE_TYPE_FOR_FIELD",
            "UNAVAILABLE_REF",
            "UNAVAILABLE_RECORDTYPE_EXCEPTION",
            "INVALID_OWNER",
            "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
            "ENTITY_IS_LOCKED",
            "RECORD_IN_USE_BY_WORKFLOW",
            "ENTITY_IS_ARCHIVED",
            "INVALID_PERSON_ACCOUNT_OPERATION",
            "FIELD_MODERATION_RULE_BLOCK",
            "FIELD_KEYWORD_LIST_MATCH_LIMIT",
        )
    ),
    *(
        (code, 400, RecordGone)
        for code in (
            "RECORD_NOT_FOUND",
            "MISSING_RECORD",
        )
    ),
    *((code, 400, AmbiguousMatch) for code in ("MULTIPLE_RECORDS_FOUND",)),
    *(
        (code, 400, ProviderError)
        for code in (
            "EXCEEDED_MAX_SIZE_REQUEST",
            "POST_BODY_PARSE_ERROR",
        )
    ),
]
STATUSES = [
    (300, AmbiguousMatch), (400, ProviderError), (401, AuthError), (403, NeedsAttention), (404, RecordGone), (406, Transient),
    (414, ConfigError), (418, ProviderError), (420, RateLimited), (429, RateLimited), (431, ConfigError), (500, Transient),
    (502, Transient), (503, Transient), (504, Transient),
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
    ("access_denied", AuthError),
    ("app_blocked", AuthError),
    ("OAUTH_APP_BLOCKED", AuthError),
    ("OAUTH_APP_ACCESS_DENIED", AuthError),
    ("server_error", Transient),
    ("temporarily_unavailable", Transient),
]


@pytest.mark.parametrize(("code", "status", "kind"), CODES)
def test_a_salesforce_code_maps_alike_in_both_of_its_shapes(
    code: str, status: int, kind: type[ProviderError]
) -> None:
    whole = [{"errorCode": code, "message": PERSONAL, "fields": ["Id"]}]
    row = [{"statusCode": code, "message": PERSONAL, "fields": ["Id"]}]
    for body in (whole, row):
        error = error_of(body, status, request_id="r1")
        assert exactly(error, kind)
        assert (error.code, error.status, error.request_id, error.field) == (code, status, "r1", "Id")
        assert "Ada" not in str(error)


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize("body", [f"<html>{PERSONAL}</html>", [], {}, None, [["odd"]]])
def test_a_salesforce_answer_without_a_code_goes_by_its_status(
    status: int, kind: type[ProviderError], body: Any
) -> None:
    error = error_of(body, status)
    assert exactly(error, kind)
    assert "Ada" not in str(error)


@pytest.mark.parametrize(("code", "kind"), LOGIN)
def test_a_refused_salesforce_login_stops(code: str, kind: type[ProviderError]) -> None:
    assert exactly(login_error(code, 400), kind)


def test_every_exception_class_of_the_salesforce_sdk_is_translated() -> None:
    base = salesforce_exceptions.SalesforceError
    names = {kind.__name__ for kind in base.__subclasses__()}
    assert names == {
        "SalesforceMoreThanOneRecord", "SalesforceMalformedRequest", "SalesforceExpiredSession",
        "SalesforceRefusedRequest", "SalesforceResourceNotFound", "SalesforceAuthenticationFailed", "SalesforceGeneralError",
    }  # fmt: skip
    assert exception_handler is not None


@pytest.mark.parametrize("code", ["SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW"])
def test_some_salesforce_codes_say_that_nothing_was_written(code: str) -> None:
    error = error_of([{"errorCode": code, "message": ""}], 503, once=True)
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
    error = error_of([{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message}], 403)
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
    error = error_of([{"errorCode": "INVALID_FIELD", "message": message}], 400)
    assert (type(error), error.field) == (ConfigError, field)


def test_several_duplicates_are_candidates_for_a_person() -> None:
    records = [{"record": {"Id": one}} for one in ("003000000000001AAA", "003000000000002AAA")]
    body = [
        {"errorCode": "DUPLICATES_DETECTED", "duplicateResult": {"matchResults": [{"matchRecords": records}]}}
    ]
    error = error_of(body, 400)
    assert isinstance(error, AmbiguousMatch)
    assert error.candidates == ("003000000000001AAA", "003000000000002AAA")


def test_a_duplicate_that_is_a_lead_is_no_candidate() -> None:
    def refused(*ids: str) -> ProviderError:
        records = [{"record": {"attributes": {"type": "Any"}, "Id": one}} for one in ids]
        result = {"matchResults": [{"matchRecords": records}]}
        return error_of([{"statusCode": "DUPLICATES_DETECTED", "duplicateResult": result}], 400)

    lead = refused("00Q000000000001AAA")
    assert type(lead) is Rejected
    assert "no contact" in lead.message
    assert type(refused("00Q000000000001AAA", "003000000000001AAA")) is Rejected


def test_the_tables_are_closed_and_every_entry_is_judged_here() -> None:
    special = {"REQUEST_LIMIT_EXCEEDED"}  # told apart by its message
    assert {code for code, *_ in CODES} == set(salesforce_codes.CODES) | special
    assert {status for status, _ in STATUSES} >= set(salesforce_codes.STATUSES)
    assert {code for code, _ in LOGIN} == set(salesforce_login.TOKEN_CODES)


def test_an_unknown_code_is_named_if_it_is_a_code() -> None:
    assert "(BRAND_NEW)" in str(error_of([{"errorCode": "BRAND_NEW", "message": PERSONAL}], 400))
    assert "Ada" not in str(error_of([{"errorCode": PERSONAL, "message": PERSONAL}], 400))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("inactive user", "Activate it"),
        ("user hasn't approved this consumer", "pre-authorised"),
        ("Audience validation failed", "My Domain"),
        ("audience is invalid", "My Domain"),
        ("request not supported on this domain", "My Domain address only"),
        ("ip restricted", "login IP ranges"),
        ("invalid login hours", "login hours"),
        ("External client app is not installed in this org", "not installed"),
        ("no client credentials user enabled", "run-as user"),
        ("authentication failure", "permissions"),
    ],
)
def test_a_refused_login_says_what_to_look_at(description: str, words: str) -> None:
    assert words in str(login_error("invalid_grant", 400, description))


@pytest.mark.parametrize("code", ["CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "CANNOT_EXECUTE_FLOW_TRIGGER"])
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Update failed. UNABLE_TO_LOCK_ROW, unable to obtain exclusive access to this record", Transient),
        ("ContactTrigger: System.LimitException: Apex CPU time limit exceeded", Overtaxed),
        ("ContactTrigger: System.LimitException: Too many SOQL queries: 101", Overtaxed),
        ("The flow “Welcome” could not be run", Rejected),
    ],
)
def test_an_automation_may_hide_a_row_lock_or_a_limit(code: str, message: str, kind: type) -> None:
    assert type(error_of([{"statusCode": code, "message": message}], 400)) is kind


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([], RecordGone),
        (["Id"], RecordGone),
        (["WhoId"], RecordGone),
        (["RecordTypeId"], Rejected),
        (["OwnerId"], Rejected),
    ],
)
def test_a_reference_that_points_nowhere_is_the_fields_fault(fields: list[str], kind: type) -> None:
    error = error_of(
        [{"statusCode": "INVALID_CROSS_REFERENCE_KEY", "message": PERSONAL, "fields": fields}], 400
    )
    assert (type(error), error.field) == (kind, ", ".join(fields))


def test_of_several_fields_all_are_named_and_the_first_is_at_fault() -> None:
    message = (
        "Unable to create/update fields: Title, Plan__c. Please check the security settings of this field."
    )
    for fields in (["Title", "Plan__c"], []):
        body = [{"errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": message, "fields": fields}]
        error = error_of(body, 400)
        assert (error.field, "Title, Plan__c" in error.message) == ("Title", True)
