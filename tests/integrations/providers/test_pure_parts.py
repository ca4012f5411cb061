"""The small pure pieces: batches, markers, spellings, paces, values, cursors."""

import pytest

from contacts.phone import to_e164
from contacts.values import FieldType, Value
from integrations.providers.base import Outcome
from integrations.providers.batches import in_batches
from integrations.providers.errors import OutcomeUnknown, ProviderError, RateLimited, Rejected, Transient
from integrations.providers.hubspot_activities import call_status
from integrations.providers.hubspot_changes import Position as HubSpotPosition
from integrations.providers.hubspot_schema import decode, encode, fields_of
from integrations.providers.hubspot_session import versioned
from integrations.providers.markers import holds_marker, with_marker
from integrations.providers.salesforce_queries import Position, id_queries, page_query
from integrations.providers.salesforce_schema import canonical
from integrations.providers.spellings import national_digits, spellings


def test_a_poisoned_batch_is_halved_until_the_bad_row_stands_alone() -> None:
    sent: list[list[int]] = []

    def send(batch: list[int]) -> list[Outcome]:
        sent.append(batch)
        if 5 in batch:
            raise Rejected("No fives.")
        return [Outcome(external_id=str(one)) for one in batch]

    outcomes = in_batches(range(8), 8, send)
    assert [outcome.external_id for outcome in outcomes] == ["0", "1", "2", "3", "4", None, "6", "7"]
    assert sent == [[*range(8)], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]


def test_groups_are_sent_apart_and_answered_in_order() -> None:
    sent: list[str] = []

    def send(batch: list[str]) -> list[Outcome]:
        sent.append("".join(batch))
        return [Outcome(external_id=one) for one in batch]

    outcomes = in_batches("aBcDe", 2, send, key=str.isupper)
    assert [outcome.external_id for outcome in outcomes] == [*"aBcDe"]
    assert sorted(sent) == ["BD", "ac", "e"]


@pytest.mark.parametrize(
    ("error", "failed", "rest"),
    [
        (RateLimited("Wait.", retry_after=1), RateLimited, RateLimited),
        (OutcomeUnknown("Lost."), OutcomeUnknown, Transient),
        (ProviderError("Strange."), ProviderError, ProviderError),
    ],
)
def test_after_a_batch_was_written_errors_become_outcomes(
    error: ProviderError, failed: type, rest: type
) -> None:
    answers: list[ProviderError | None] = [None, error]

    def send(batch: list[int]) -> list[Outcome]:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return [Outcome(external_id="x")] * len(batch)

    outcomes = in_batches(range(6), 2, send)
    kinds = [type(outcome.error) for outcome in outcomes]
    assert kinds == [type(None)] * 2 + [failed] * 2 + [rest] * 2


@pytest.mark.parametrize(
    ("title", "limit", "expected"),
    [
        ("Call call_1", 255, "Call call_1"),
        ("Call", 255, "Call [call_1]"),
        ("Call call_12", 255, "Call call_12 [call_1]"),
        ("", 255, "[call_1]"),
        ("A very long title", 15, "A very [call_1]"),
        ("Two\nlines", 255, "Two lines [call_1]"),
    ],
)
def test_the_marker_is_always_in_the_title(title: str, limit: int, expected: str) -> None:
    assert with_marker(title, "call_1", limit) == expected
    assert holds_marker(expected, "call_1")


@pytest.mark.parametrize("text", [None, "", "call_12", "xcall_1", "call_1-b", "Call_1"])
def test_a_similar_text_is_not_the_marker(text: str | None) -> None:
    assert not holds_marker(text, "call_1")


@pytest.mark.parametrize(
    "number", ["+14155550100", "+442071838750", "+4930901820", "+33142685300", "+5511961234567"]
)
def test_every_spelling_means_the_number(number: str) -> None:
    region = {"+1": "US", "+44": "GB", "+49": "DE", "+33": "FR", "+55": "BR"}
    home = next(code for prefix, code in region.items() if number.startswith(prefix))
    whole = [one for one in spellings(number) if one[0] in "+(0"]
    meant = {one: to_e164(one, home) for one in whole}
    assert set(meant.values()) <= {number}
    assert number.endswith(national_digits(number))
    assert 8 <= len(spellings(number)) <= 14


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("  Ada ", "Ada"), (" ", None), ("", None), (None, None), (0, 0), (0.0, 0), (5.0, 5), (2.5, 2.5), (False, False),
        ("2026-01-01T00:00:00.000+0000", "2026-01-01T00:00:00Z"), ("2026-01-01", "2026-01-01"), ({"city": "Rome"}, None),
        ("2026-01-01T10:00:00.120+0000", "2026-01-01T10:00:00.120000Z"),
    ],
)  # fmt: skip
def test_salesforce_values_become_canonical(raw: object, value: Value) -> None:
    assert repr(canonical(raw)) == repr(value)


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("12.50", FieldType.NUMBER, 12.5), ("0", FieldType.NUMBER, 0), ("", FieldType.NUMBER, None),
        (None, FieldType.STRING, None),
        ("true", FieldType.BOOLEAN, True), ("false", FieldType.BOOLEAN, False), ("false", FieldType.STRING, "false"),
        ("2026-05-14", FieldType.DATE, "2026-05-14"), ("1778716800000", FieldType.DATE, "2026-05-14"),
        ("2026-05-14T09:30:00.000Z", FieldType.DATETIME, "2026-05-14T09:30:00Z"), ("a;b", FieldType.STRING, "a;b"),
        ("pro", FieldType.ENUM, "pro"), ("many", FieldType.NUMBER, "many"), ("007", FieldType.STRING, "007"),
    ],
)  # fmt: skip
def test_hubspot_texts_become_values_by_their_type(raw: str | None, kind: FieldType, value: Value) -> None:
    assert repr(decode(raw, kind)) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (12.5, "12.5"),
        ("pro", "pro"),
    ],
)
def test_values_become_hubspot_texts(value: Value, text: str) -> None:
    assert encode(value) == text


def test_hubspot_sets_and_owners_are_texts_and_calculated_ones_are_fixed() -> None:
    options = [{"label": "A", "value": "a", "hidden": False}, {"label": "B", "value": "b", "hidden": True}]
    rows = [
        {"name": "many", "label": "Many", "type": "enumeration", "fieldType": "checkbox", "options": options},
        {
            "name": "owner",
            "label": "Owner",
            "type": "enumeration",
            "fieldType": "select",
            "externalOptions": True,
        },
        {
            "name": "sum",
            "label": "Sum",
            "type": "number",
            "fieldType": "calculation_equation",
            "calculated": True,
        },
        {"name": "id", "label": "Id", "type": "number", "modificationMetadata": {"readOnlyValue": True}},
        {"name": "place", "label": "Place", "type": "object_coordinates", "fieldType": "text"},
    ]
    many, owner, total, fixed = fields_of({"results": rows})
    assert (many.type, owner.type, total.writable, fixed.writable) == (
        FieldType.STRING,
        FieldType.STRING,
        False,
        False,
    )
    assert [option.active for option in many.options] == [True, False]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        *((one, "COMPLETED") for one in (
            "user_hangup", "agent_hangup", "user_requested_dnc", "user_requested_callback", "call_transfer", "ivr_reached",
            "voicemail_reached", "inactivity", "max_duration_reached", "scam_detected", "transfer_bridged", "manual_stopped",
            "call_take_over", "", "something_new",
        )),
        *((one, "FAILED") for one in (
            "dial_failed", "invalid_destination", "telephony_provider_permission_denied", "telephony_provider_unavailable",
            "sip_routing_error", "marked_as_spam", "network_blocked", "concurrency_limit_reached", "no_concurrency_fallback",
            "no_valid_payment", "credit_exhausted", "budget_reached", "error_llm_websocket_open", "error_retell",
            "error_llm_websocket_lost_connection", "error_llm_websocket_runtime", "error_llm_websocket_corrupt_payload",
            "error_no_audio_received", "error_asr", "error_unknown", "error_something_new",
        )),
        *((one, "NO_ANSWER") for one in ("dial_no_answer", "error_user_not_joined", "registered_call_timeout")),
        ("dial_busy", "BUSY"), ("user_declined", "BUSY"), ("transfer_cancelled", "CANCELED"),
    ],
)  # fmt: skip
def test_how_a_call_ended_becomes_hubspots_status(reason: str, status: str) -> None:
    assert call_status(reason) == status


@pytest.mark.parametrize(
    ("path", "dated"),
    [
        ("/crm/v3/objects/contacts/search", "/crm/objects/2026-03/contacts/search"),
        ("/crm/v3/properties/contacts", "/crm/properties/2026-03/contacts"),
        (
            "/crm/v4/objects/contacts/1/associations/calls",
            "/crm/objects/2026-03/contacts/1/associations/calls",
        ),
        ("/account-info/v3/details", "/account-info/2026-03/details"),
    ],
)
def test_sdk_paths_are_rewritten_to_the_dated_version(path: str, dated: str) -> None:
    assert versioned(f"https://api.hubapi.com{path}", "2026-03") == f"https://api.hubapi.com{dated}"
    assert versioned(f"https://api.hubapi.com{path}", "v3") == f"https://api.hubapi.com{path}"


@pytest.mark.parametrize("cursor", ["nonsense", "[]", '{"since": "yesterday"}', '{"at": 1}', "null"])
def test_an_unreadable_salesforce_cursor_is_loud(cursor: str) -> None:
    with pytest.raises(ProviderError, match="full sync"):
        Position.start(cursor, full=False)


@pytest.mark.parametrize(
    "cursor", ["nonsense", "[1]", '{"since": "yesterday"}', '{"part": "live", "odd": 1}', "7"]
)
def test_an_unreadable_hubspot_cursor_is_loud(cursor: str) -> None:
    with pytest.raises(ProviderError, match="full sync"):
        HubSpotPosition.start(cursor, full=False)


def test_a_full_salesforce_listing_ignores_the_middle_of_an_incremental_one() -> None:
    middle = Position(at="2026-01-01T00:00:00Z", after="003000000000001AAA", full=False).cursor()
    assert Position.start(middle, full=True) == Position(full=True)
    assert Position.start(middle, full=False).after == "003000000000001AAA"


def test_salesforce_queries_never_take_a_field_name_on_trust() -> None:
    with pytest.raises(ProviderError):
        page_query(["Name FROM User --"], Position(full=True))


def test_id_queries_fit_into_an_address_and_skip_what_is_no_id() -> None:
    from urllib.parse import quote_plus

    ids = [f"003{i:012d}AAA" for i in range(1200)]
    wide = [f"Some_Quite_Long_Field_{i}__c" for i in range(150)]
    for fields in (["FirstName"], wide):
        queries = list(id_queries([*ids, "no id'"], fields))
        assert max(len(quote_plus(query)) for query in queries) < 16_000
        assert sum(query.count("'003") for query in queries) == 1200
    assert len(list(id_queries(ids[:400], ["FirstName"]))) == 1
