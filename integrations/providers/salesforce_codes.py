"""Salesforce's error codes in our error tree: tables only, closed by default. An unlisted code is ours, and loud.

Texts are ours: the vendor's repeat values of the record. {field} is filled with the fields at fault, if named. Sources: REST
API guide, status codes and error responses; the StatusCode and ExceptionCode enumerations of the partner WSDL, of which
those are listed that contacts, tasks, queries and logins can meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from integrations.providers.errors import (
    AmbiguousMatch,
    AuthError,
    ConfigError,
    NeedsAttention,
    ProviderError,
    RecordGone,
    Rejected,
    Transient,
)

Meaning = tuple[type[ProviderError], str]


def _alike(codes: Iterable[str], kind: type[ProviderError], words: str) -> dict[str, Meaning]:
    return dict.fromkeys(codes, (kind, words))


# errorCode / statusCode → (our class, what a person reads).
_ACCESS: Mapping[str, Meaning] = {
    **_alike(
        ("INVALID_SESSION_ID", "INVALID_AUTH_HEADER"), AuthError, "Salesforce does not accept the session."
    ),
    **_alike(("INVALID_LOGIN", "INVALID_CLIENT"), AuthError, "Salesforce refuses the credentials."),
    "USER_INACTIVE": (AuthError, "The integration user is inactive in Salesforce."),
    "PASSWORD_LOCKOUT": (AuthError, "The integration user is locked in Salesforce."),
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": (
        AuthError,
        "The integration user's password has expired in Salesforce.",
    ),
    "LOGIN_DURING_RESTRICTED_DOMAIN": (
        AuthError,
        "Salesforce does not let this server's address in; see the login IP ranges of the integration user's profile.",
    ),
    "LOGIN_DURING_RESTRICTED_TIME": (
        AuthError,
        "The login hours of the integration user's profile keep us out.",
    ),
    **_alike(
        ("CLIENT_NOT_ACCESSIBLE_FOR_USER", "CLIENT_REQUIRE_UPDATE_FOR_USER", "UNSUPPORTED_CLIENT"),
        AuthError,
        "The integration user is not allowed to use the app in Salesforce.",
    ),
    "MUTUAL_AUTHENTICATION_FAILED": (AuthError, "The integration user needs a client certificate."),
    **_alike(
        ("TXN_SECURITY_END_A_SESSION", "TXN_SECURITY_TWO_FA_REQUIRED", "TXN_SECURITY_NO_ACCESS"),
        AuthError,
        "A transaction security policy in Salesforce keeps the integration user out.",
    ),
    **_alike(
        ("ORG_LOCKED", "TRIAL_EXPIRED"), AuthError, "The Salesforce org is locked, or its trial has ended."
    ),
    "API_DISABLED_FOR_ORG": (NeedsAttention, "This Salesforce edition or user has no API access."),
    **_alike(
        ("FUNCTIONALITY_NOT_ENABLED", "REQUIRED_FEATURE_MISSING"),
        NeedsAttention,
        "A Salesforce feature that is needed here is not enabled.",
    ),
    "STORAGE_LIMIT_EXCEEDED": (NeedsAttention, "Salesforce has no data storage left."),
    "INVALID_READ_ONLY_USER_DML": (NeedsAttention, "The integration user may only read in Salesforce."),
    **_alike(
        ("LICENSE_LIMIT_EXCEEDED", "PACKAGE_LICENSE_REQUIRED"),
        NeedsAttention,
        "A Salesforce licence that is needed here is missing.",
    ),
}
_AGAIN: Mapping[str, Meaning] = {
    **_alike(
        ("API_CURRENTLY_DISABLED", "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE"),
        Transient,
        "Salesforce has switched its API off for the moment.",
    ),
    **_alike(
        ("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "ORG_IN_MAINTENANCE"),
        Transient,
        "Salesforce is under maintenance and takes no changes.",
    ),
    "UNABLE_TO_LOCK_ROW": (Transient, "Another process holds the Salesforce record."),
    **_alike(
        ("COLLISION_DETECTED", "ALREADY_IN_PROCESS", "TERRITORY_REALIGN_IN_PROGRESS"),
        Transient,
        "Something else in Salesforce is changing the record.",
    ),
    "SERVER_UNAVAILABLE": (Transient, "Salesforce is unavailable for the moment."),
    **_alike(("UNKNOWN_EXCEPTION", "INTERNAL_ERROR"), Transient, "Salesforce failed with an internal error."),
    **_alike(
        ("TOO_MANY_APEX_REQUESTS", "REALTIME_PROCESSING_TIME_EXCEEDED_LIMIT"),
        Transient,
        "Too much runs in Salesforce at once.",
    ),
    **_alike(
        ("QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG"), Transient, "The Salesforce request took too long."
    ),
    "OPERATION_TOO_LARGE": (Transient, "The Salesforce query found too much at once."),
    **_alike(
        ("INVALID_QUERY_LOCATOR", "INVALID_LOCATOR"),
        Transient,
        "The Salesforce listing expired; it starts again from the cursor.",
    ),
    "INVALID_REPLICATION_DATE": (
        Transient,
        "Salesforce no longer keeps the list of deletions for this time.",
    ),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": (Transient, "Undone because of another record in the same batch."),
    **_alike(
        ("PROCESSING_HALTED", "BATCH_PROCESSING_HALTED"),
        Transient,
        "Not tried because of another record in the same batch.",
    ),
    **_alike(
        ("MATCH_SERVICE_TIMED_OUT", "MATCH_SERVICE_UNAVAILABLE_ERROR", "MATCH_SERVICE_ERROR"),
        Transient,
        "Salesforce's search for duplicates is unavailable for the moment.",
    ),
}
_SETTINGS: Mapping[str, Meaning] = {
    "QUERY_TOO_COMPLICATED": (ConfigError, "Too many fields are mapped for one Salesforce query."),
    "INVALID_FIELD": (
        ConfigError,
        "Salesforce has no such field, or hides it from the integration user{field}.",
    ),
    **_alike(
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "FIELD_NOT_UPDATABLE"),
        ConfigError,
        "The integration user may not write this field in Salesforce{field}.",
    ),
    **_alike(
        ("INVALID_TYPE", "ENTITY_NOT_QUERYABLE"),
        ConfigError,
        "The integration user cannot see this Salesforce object.",
    ),
    **_alike(
        ("INVALID_TYPE_FOR_OPERATION", "INVALID_ENTITY_FOR_UPSERT"),
        ConfigError,
        "Salesforce does not allow this on the object.",
    ),
    **_alike(
        ("MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"),
        ConfigError,
        "Salesforce does not understand the query; check the mapped fields.",
    ),
    "UNSUPPORTED_API_VERSION": (
        ConfigError,
        "Salesforce does not offer this API version. Correct the option api_version.",
    ),
}
_ONE_RECORD: Mapping[str, Meaning] = {
    **_alike(("MALFORMED_SEARCH", "INVALID_SEARCH"), Rejected, "Salesforce cannot search for this number."),
    **_alike(
        ("NOT_FOUND", "RECORD_NOT_FOUND", "MISSING_RECORD"),
        RecordGone,
        "The Salesforce record does not exist.",
    ),
    "ENTITY_IS_DELETED": (RecordGone, "The Salesforce record was deleted."),
    "INVALID_CROSS_REFERENCE_KEY": (
        RecordGone,
        "The Salesforce record does not exist or cannot be seen{field}.",
    ),
    **_alike(("MALFORMED_ID", "INVALID_ID_FIELD"), Rejected, "This is no Salesforce id{field}."),
    "REQUIRED_FIELD_MISSING": (Rejected, "Salesforce requires a field that is blank{field}."),
    **_alike(
        ("STRING_TOO_LONG", "MAX_TASK_DESCRIPTION_EXCEEEDED"),
        Rejected,
        "The text is too long for the Salesforce field{field}.",
    ),
    **_alike(
        ("TEXT_DATA_OUTSIDE_SUPPORTED_CHARSET", "UNSAFE_HTML_CONTENT", "INVALID_MARKUP"),
        Rejected,
        "Salesforce does not accept a character or tag of the text{field}.",
    ),
    "INVALID_EMAIL_ADDRESS": (Rejected, "Salesforce does not accept the e-mail address{field}."),
    **_alike(
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "INVALID_STATUS", "INVALID_CURRENCY_ISO"),
        Rejected,
        "The value is not in the Salesforce picklist{field}.",
    ),
    "TOO_MANY_ENUM_VALUE": (Rejected, "Too many values are chosen for the Salesforce field{field}."),
    "NUMBER_OUTSIDE_VALID_RANGE": (Rejected, "The number is too large for the Salesforce field{field}."),
    **_alike(
        ("INVALID_TYPE_ON_FIELD_IN_RECORD", "JSON_PARSER_ERROR", "INVALID_DATE_FORMAT"),
        Rejected,
        "The value has the wrong type for the Salesforce field{field}.",
    ),
    **_alike(
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "ENTITY_SAVE_VALIDATION_ERROR"),
        Rejected,
        "A validation rule in Salesforce refuses the record{field}.",
    ),
    "FIELD_INTEGRITY_EXCEPTION": (Rejected, "Salesforce refuses the combination of values{field}."),
    **_alike(
        ("FIELD_FILTER_VALIDATION_EXCEPTION", "RELATED_ENTITY_FILTER_VALIDATION_EXCEPTION"),
        Rejected,
        "A lookup filter in Salesforce refuses the value{field}.",
    ),
    **_alike(
        (
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
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
        ),
        Rejected,
        "An automation in Salesforce refuses the record{field}.",
    ),
    "DUPLICATES_DETECTED": (
        Rejected,
        "A duplicate rule in Salesforce refuses the record; the option duplicate_rule passes rules that only alert.",
    ),
    **_alike(
        (
            "MATCH_OPERATION_ERROR",
            "MATCH_RUNTIME_ERROR",
            "MATCH_PRECONDITION_FAILED",
            "FIND_DUPLICATES_ERROR",
        ),
        Rejected,
        "A duplicate rule in Salesforce fails on the record.",
    ),
    "DUPLICATE_VALUE": (Rejected, "Another Salesforce record has this unique value{field}."),
    **_alike(
        ("DUPLICATE_EXTERNAL_ID", "MULTIPLE_RECORDS_FOUND"),
        AmbiguousMatch,
        "Several Salesforce records have this external id.",
    ),
    "INSUFFICIENT_ACCESS_OR_READONLY": (
        Rejected,
        "The integration user may not write this Salesforce record{field}.",
    ),
    "INSUFFICIENT_ACCESS": (Rejected, "The integration user may not do this in Salesforce."),
    **_alike(
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "TRANSFER_REQUIRES_READ"),
        Rejected,
        "The integration user may not use the related record{field}.",
    ),
    **_alike(
        ("INVALID_CROSS_REFERENCE_TYPE_FOR_FIELD", "UNAVAILABLE_REF", "UNAVAILABLE_RECORDTYPE_EXCEPTION"),
        Rejected,
        "Salesforce does not accept the related record{field}.",
    ),
    **_alike(
        ("INACTIVE_OWNER_OR_USER", "INVALID_OWNER", "OP_WITH_INVALID_USER_TYPE_EXCEPTION"),
        Rejected,
        "The owner of the Salesforce record is inactive, or of a kind that cannot own it.",
    ),
    **_alike(
        ("ENTITY_IS_LOCKED", "RECORD_IN_USE_BY_WORKFLOW"),
        Rejected,
        "An approval process in Salesforce has locked the record.",
    ),
    "ENTITY_IS_ARCHIVED": (Rejected, "Salesforce has archived the record."),
    "INVALID_PERSON_ACCOUNT_OPERATION": (
        Rejected,
        "The record is a Person Account, which is changed as an account.",
    ),
    **_alike(
        ("FIELD_MODERATION_RULE_BLOCK", "FIELD_KEYWORD_LIST_MATCH_LIMIT"),
        Rejected,
        "A moderation rule in Salesforce refuses the text{field}.",
    ),
    "LIMIT_EXCEEDED": (Rejected, "A Salesforce limit refuses the record."),
}
_OURS: Mapping[str, Meaning] = {
    **_alike(
        ("EXCEEDED_ID_LIMIT", "EXCEEDED_MAX_SIZE_REQUEST"),
        ProviderError,
        "Too much was sent to Salesforce at once.",
    ),
    "METHOD_NOT_ALLOWED": (ProviderError, "Salesforce does not offer this call."),
    **_alike(
        ("INVALID_INPUT", "UNSUPPORTED_MEDIA_TYPE", "POST_BODY_PARSE_ERROR"),
        ProviderError,
        "Salesforce does not accept the form of the request.",
    ),
    "MISSING_ARGUMENT": (ProviderError, "Salesforce misses something in the request."),
}
CODES: Mapping[str, Meaning] = {**_ACCESS, **_AGAIN, **_SETTINGS, **_ONE_RECORD, **_OURS}

# HTTP statuses of answers without a known code. Any other 5xx is Transient as well.
STATUSES: Mapping[int, Meaning] = {
    300: (AmbiguousMatch, "Several Salesforce records match."),
    401: (AuthError, "Salesforce does not accept the session."),
    403: (NeedsAttention, "Salesforce, or something on the way to it, refuses the call."),
    404: (RecordGone, "The Salesforce record does not exist."),
    406: (Transient, "Salesforce did not answer as it should."),
    **dict.fromkeys((414, 431), (ConfigError, "Too many fields are mapped for one Salesforce query.")),
    420: (Transient, "Salesforce asks to slow down."),
    429: (Transient, "Salesforce asks to slow down."),
}
