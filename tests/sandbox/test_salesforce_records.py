"""Single records in the stand-in Salesforce: what a write stores, what it refuses, and what follows from it."""

from typing import Any

import pytest

from sandbox.salesforce.ids import canonical, checksum
from tests.sandbox.salesforce_asking import Org

CONTACT = "sobjects/Contact"


@pytest.fixture
def org() -> Org:
    return Org()


def test_ids_carry_the_vendors_checksum() -> None:
    assert checksum("0015500001QdQWa") == "AAN"
    assert canonical("0015500001QdQWa") == canonical("0015500001QdQWaAAN") == "0015500001QdQWaAAN"
    assert canonical("0015500001QdQWaAAA") is None
    assert canonical("0015500001QdQW") is None


def test_a_created_contact_can_be_read_back(org: Org) -> None:
    ada = org.create(
        "Contact", FirstName=" Ada ", LastName="Lovelace", Phone="+14155550007", Title="", Lifetime_Value__c=1234.567,
        Last_Visit__c="2026-03-01T10:20:30.999+02:00", Renewal_Date__c="2026-05-06", VIP__c=True, Plan__c="Pro",
        MailingCity="London",
    )  # fmt: skip
    row = org.read("Contact", ada)
    assert row["attributes"] == {"type": "Contact", "url": f"/services/data/v62.0/sobjects/Contact/{ada}"}
    assert (row["Name"], row["FirstName"], row["Title"]) == ("Ada Lovelace", "Ada", None)
    assert (row["Lifetime_Value__c"], row["Last_Visit__c"]) == (1234.57, "2026-03-01T08:20:30.000+0000")
    assert (row["Renewal_Date__c"], row["DoNotCall"], row["MailingAddress"]["city"]) == (
        "2026-05-06",
        False,
        "London",
    )
    assert row["Score__c"] == 51.23
    assert row["CreatedDate"] == row["SystemModstamp"]
    assert row["SystemModstamp"].endswith(".000+0000")


PARSER, UNWRITABLE = "JSON_PARSER_ERROR", "INVALID_FIELD_FOR_INSERT_UPDATE"
ADA, SEVENTEEN_DIGITS = "0035g00000000G9AAI", 1e17
REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"LastName": " "}, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
    ({"Foo": 1}, "INVALID_FIELD", "No such column 'Foo' on sobject of type Contact"),
    (
        {"FirstName": "x" * 41},
        "STRING_TOO_LONG",
        f"First Name: data value too large: {'x' * 41} (max length=40)",
    ),
    ({"Phone": 415}, PARSER, "Cannot deserialize instance of string from VALUE_NUMBER_INT value 415"),
    ({"VIP__c": "true"}, PARSER, "Cannot deserialize instance of boolean from VALUE_STRING value true"),
    ({"Lifetime_Value__c": "12"}, PARSER, "Cannot deserialize instance of double from VALUE_STRING value 12"),
    (
        {"Renewal_Date__c": "5/6/26"},
        PARSER,
        "Cannot deserialize instance of date from VALUE_STRING value 5/6/26",
    ),
    ({"Renewal_Date__c": "2026-02-30"}, PARSER, "Cannot deserialize instance of date from VALUE_STRING"),
    (
        {"Last_Visit__c": "2026-03-01 10:20:30"},
        PARSER,
        "Cannot deserialize instance of datetime from VALUE_STRING",
    ),
    (
        {"Last_Visit__c": "2026-03-01T10:20:30"},
        PARSER,
        "Cannot deserialize instance of datetime from VALUE_STRING",
    ),
    ({"Interests__c": ["golf"]}, PARSER, "Cannot deserialize instance of string from START_ARRAY value ["),
    (
        {"Lifetime_Value__c": SEVENTEEN_DIGITS},
        "NUMBER_OUTSIDE_VALID_RANGE",
        "Lifetime Value: value outside of valid range on numeric field: 1e+17",
    ),
    (
        {"Plan__c": "Gold"},
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "Plan: bad value for restricted picklist field: Gold",
    ),
    ({"Email": "ada"}, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: ada"),
    (
        {"Score__c": 1},
        UNWRITABLE,
        "Unable to create/update fields: Score__c. Please check the security settings",
    ),
    (
        {"SystemModstamp": "2026-01-01T00:00:00Z"},
        UNWRITABLE,
        "Unable to create/update fields: SystemModstamp.",
    ),
    ({"VIP__c": None}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "VIP: value not of required type: null"),
    ({"OwnerId": None}, "INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank"),
    ({"AccountId": "001"}, "MALFORMED_ID", "Account ID: id value of incorrect type: 001"),
    ({"AccountId": ADA}, "FIELD_INTEGRITY_EXCEPTION", f"Account ID: id value of incorrect type: {ADA}"),
    ({"AccountId": "0015g0000000zzz"}, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
    ({"LASTNAME": "King"}, PARSER, "Duplicate field 'LASTNAME'"),
    ({"Id": ADA}, "INVALID_FIELD", "The Id field should not be specified in the sobject data."),
]
ABOUT_NO_FIELD = ("INVALID_FIELD", PARSER)


@pytest.mark.parametrize(("body", "code", "message"), REFUSALS)
def test_a_bad_value_is_refused_in_the_vendors_words(
    org: Org, body: dict[str, Any], code: str, message: str
) -> None:
    before = len(org.crm.contacts())
    status, errors = org.ask("POST", CONTACT, {"LastName": "Hopper", **body})
    assert (status, errors[0]["errorCode"]) == (400, code)
    assert errors[0]["message"].startswith(message)
    named = [] if message == "invalid cross reference id" else list(body)
    assert errors[0].get("fields") == (None if code in ABOUT_NO_FIELD else named)
    assert len(org.crm.contacts()) == before


def test_a_body_must_be_json_and_say_so(org: Org) -> None:
    assert org.ask("POST", CONTACT, b"{}", content_type="text/plain")[0] == 415
    for body in (b'{"LastName": ', b"[]", b'"Ada"', b"", b'{"LastName": "\\ud800"}'):
        status, errors = org.ask("POST", CONTACT, body)
        assert (status, errors[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")


def test_an_update_clears_with_null_and_always_moves_the_stamp(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace", Phone="1")
    org.clock.offset += 5
    assert org.ask("PATCH", f"{CONTACT}/{ada}", {"Phone": None}) == (204, None)
    changed = org.read("Contact", ada)
    assert changed["Phone"] is None
    assert changed["SystemModstamp"] > changed["CreatedDate"]
    org.clock.offset += 5
    org.ask("PATCH", f"{CONTACT}/{ada}", {"Phone": None})
    assert org.read("Contact", ada)["SystemModstamp"] > changed["SystemModstamp"]


def test_missing_and_deleted_records_are_told_apart(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    assert org.ask("DELETE", f"{CONTACT}/{ada}") == (204, None)
    gone = (404, [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}])
    assert org.ask("GET", f"{CONTACT}/{ada}") == gone
    assert org.ask("PATCH", f"{CONTACT}/{ada}", {"LastName": "x"}) == gone
    assert org.ask("DELETE", f"{CONTACT}/{ada}") == gone
    absent = (404, [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}])
    assert org.ask("GET", f"{CONTACT}/003000000000000AAA") == absent
    assert org.ask("GET", "sobjects/Nothing/003000000000000AAA") == absent
    assert org.ask("PATCH", f"{CONTACT}/nonsense", {})[1][0]["errorCode"] == "MALFORMED_ID"


def test_only_named_fields_are_read(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    assert set(org.ask("GET", f"{CONTACT}/{ada}?fields=LastName")[1]) == {"attributes", "Id", "LastName"}
    assert org.ask("GET", f"{CONTACT}/{ada}?fields=Foo")[1][0]["errorCode"] == "INVALID_FIELD"


def test_an_upsert_by_external_id_creates_once(org: Org) -> None:
    path = "sobjects/Task/Conversation_Key__c/Call-1"
    status, first = org.ask("PATCH", path, {"Subject": "Call", "Status": "Completed"})
    assert (status, first["created"]) == (201, True)
    status, second = org.ask("PATCH", path.replace("Call-1", "cALL-1"), {"Subject": "Call again"})
    assert (status, second) == (200, {"id": first["id"], "success": True, "errors": [], "created": False})
    assert org.ask("GET", path)[1]["Subject"] == "Call again"
    assert org.ask("PATCH", path, {"Conversation_Key__c": "x"})[1][0]["errorCode"] == "INVALID_FIELD"
    status, errors = org.ask("POST", "sobjects/Task", {"Conversation_Key__c": "CALL-1"})
    assert (status, errors[0]["errorCode"]) == (400, "DUPLICATE_VALUE")
    assert errors[0]["message"].endswith(f"duplicates value on record with id: {first['id'][:15]}")
    assert org.ask("PATCH", "sobjects/Task/Subject/Call", {})[0] == 404


def test_a_record_is_deleted_by_its_external_id(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace", Customer_Number__c="C-1")
    path = f"{CONTACT}/Customer_Number__c/c-1"
    assert org.ask("DELETE", path) == (204, None)
    assert org.ask("DELETE", path)[0] == 404
    assert org.ask("GET", f"{CONTACT}/{ada}")[1][0]["errorCode"] == "ENTITY_IS_DELETED"


def test_a_post_may_stand_for_another_method(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    assert org.ask("POST", f"{CONTACT}/{ada}?_HTTP_METHOD=PATCH", {"LastName": "King"}) == (204, None)
    assert org.read("Contact", ada)["LastName"] == "King"


def test_a_record_may_not_say_that_it_is_of_another_object(org: Org) -> None:
    status, errors = org.ask("POST", CONTACT, {"attributes": {"type": "Task"}, "LastName": "King"})
    assert (status, errors[0]["errorCode"]) == (400, "INVALID_TYPE")
    assert org.ask("POST", CONTACT, {"attributes": {"type": "contact"}, "LastName": "King"})[0] == 201


def test_every_field_that_may_not_be_written_is_named(org: Org) -> None:
    errors = org.ask("POST", CONTACT, {"LastName": "King", "Name": "x", "Score__c": 1.0})[1]
    assert errors[0]["fields"] == ["Name", "Score__c"]
    assert "create/update fields: Name, Score__c." in errors[0]["message"]


def test_an_owner_must_be_active(org: Org) -> None:
    [former] = org.found("SELECT Id FROM User WHERE IsActive = false")
    status, errors = org.ask("POST", CONTACT, {"LastName": "King", "OwnerId": former["Id"]})
    assert (status, errors[0]["errorCode"]) == (400, "INACTIVE_OWNER_OR_USER")


def test_the_record_type_is_one_that_the_user_may_use(org: Org) -> None:
    infos = {one["name"]: one for one in org.ask("GET", f"{CONTACT}/describe")[1]["recordTypeInfos"]}
    assert {name: one["available"] for name, one in infos.items()} == {
        "Business": True,
        "Partner": False,
        "Master": True,
    }
    made = org.create("Contact", LastName="King")
    assert org.read("Contact", made)["RecordTypeId"] == infos["Business"]["recordTypeId"]
    given = {"LastName": "King", "RecordTypeId": infos["Partner"]["recordTypeId"]}
    errors = org.ask("POST", CONTACT, given)[1]
    assert (errors[0]["errorCode"], errors[0]["fields"]) == ("INVALID_CROSS_REFERENCE_KEY", ["RecordTypeId"])
    assert len(org.found("SELECT Id FROM RecordType WHERE SobjectType = 'Contact'")) == 2


def test_picklists_take_active_values_one_or_several(org: Org) -> None:
    fields = {field["name"]: field for field in org.ask("GET", f"{CONTACT}/describe")[1]["fields"]}
    assert {one["value"]: one["active"] for one in fields["Tier__c"]["picklistValues"]}["Platinum"] is False
    assert org.create("Contact", LastName="King", Tier__c="Gold", Topics__c="Chess;Sailing")
    for field, value in (("Tier__c", "Platinum"), ("Topics__c", "Chess;Golf")):
        errors = org.ask("POST", CONTACT, {"LastName": "King", field: value})[1]
        assert (errors[0]["errorCode"], errors[0]["fields"]) == (
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            [field],
        )


def test_an_upsert_by_email_with_several_matches_names_them(org: Org) -> None:
    twins = [org.create("Contact", LastName=name, Email="twin@example.com") for name in ("Ada", "Grace")]
    status, urls = org.ask("PATCH", f"{CONTACT}/Email/twin@example.com", {"LastName": "x"})
    assert status == 300
    assert urls == [f"/services/data/v62.0/sobjects/Contact/{twin}" for twin in twins]


def test_a_method_the_resource_lacks_is_refused(org: Org) -> None:
    status, errors = org.ask("PUT", CONTACT, {})
    assert (status, errors[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")
    assert org.ask("POST", "query?q=SELECT+Id+FROM+Contact")[0] == 405


def test_users_cannot_be_written(org: Org) -> None:
    status, errors = org.ask("POST", "sobjects/User", {"LastName": "Hopper"})
    assert (status, errors[0]["errorCode"]) == (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")


def test_hidden_and_read_only_fields_follow_the_settings() -> None:
    org = Org(hidden_fields=["Plan__c"], readonly_fields=["Contact.Title"])
    fields = {field["name"]: field for field in org.ask("GET", f"{CONTACT}/describe")[1]["fields"]}
    assert "Plan__c" not in fields
    assert (fields["Title"]["createable"], fields["Title"]["updateable"]) == (False, False)
    assert org.refused("SELECT Plan__c FROM Contact")[0] == "INVALID_FIELD"
    assert org.ask("POST", CONTACT, {"LastName": "A", "Plan__c": "Pro"})[1][0]["errorCode"] == "INVALID_FIELD"
    assert (
        org.ask("POST", CONTACT, {"LastName": "A", "Title": "x"})[1][0]["errorCode"]
        == "INVALID_FIELD_FOR_INSERT_UPDATE"
    )


def test_duplicate_rules_alert_or_block() -> None:
    org = Org(duplicate_rule="alert")
    ada = org.create("Contact", LastName="Lovelace", Email="ada@example.com")
    twin = {"LastName": "L.", "Email": "ADA@example.com"}
    status, errors = org.ask("POST", CONTACT, twin)
    assert (status, errors[0]["errorCode"]) == (400, "DUPLICATES_DETECTED")
    match = errors[0]["duplicateResut"]["matchResults"][0]["matchRecords"][0]
    assert match["record"]["Id"] == ada
    allow = {"sforce_duplicate_rule_header": "allowSave=true"}
    assert org.ask("POST", CONTACT, twin, **allow)[0] == 201
    org.crm.settings["duplicate_rule"] = "block"
    assert org.ask("POST", CONTACT, twin, **allow)[0] == 400
    lead = org.create("Lead", LastName="Hopper", Company="Navy", Email="grace@example.com")
    result = org.ask("POST", CONTACT, {"LastName": "H.", "Email": "grace@example.com"})[1][0][
        "duplicateResut"
    ]
    assert result["matchResults"][0]["entityType"] == "Lead"
    assert result["matchResults"][0]["matchRecords"][0]["record"]["Id"] == lead
