"""Many records in one call to the stand-in Salesforce: collections and the composite resource."""

from typing import Any

import pytest

from tests.sandbox.salesforce_asking import BASE, Org

PATH = "composite/sobjects"


@pytest.fixture
def org() -> Org:
    return Org()


def contact(**fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Contact"}, **fields}


def test_rows_answer_in_order_and_fail_alone(org: Org) -> None:
    status, results = org.ask(
        "POST", PATH, {"records": [contact(LastName="Ada"), contact(), contact(LastName="Grace", Foo=1)]}
    )
    assert status == 200
    assert [result["success"] for result in results] == [True, False, False]
    assert results[1]["errors"] == [
        {
            "statusCode": "REQUIRED_FIELD_MISSING",
            "message": "Required fields are missing: [LastName]",
            "fields": ["LastName"],
        }
    ]
    assert results[2]["errors"][0]["statusCode"] == "INVALID_FIELD"
    assert org.read("Contact", results[0]["id"])["LastName"] == "Ada"


def test_all_or_none_takes_the_good_rows_back(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace", FirstName="Ada")
    rows = [contact(id=ada, FirstName="Augusta"), contact(id=ada[:15], FirstName="x" * 41)]
    status, results = org.ask("PATCH", PATH, {"allOrNone": True, "records": rows})
    assert status == 200
    assert [result["errors"][0]["statusCode"] for result in results] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "STRING_TOO_LONG",
    ]
    assert org.read("Contact", ada)["FirstName"] == "Ada"
    assert org.ask("PATCH", PATH, {"records": rows})[1][0] == {"id": ada, "success": True, "errors": []}
    assert org.read("Contact", ada)["FirstName"] == "Augusta"


def test_an_upsert_says_what_it_created(org: Org) -> None:
    def task(key: str, **fields: Any) -> dict[str, Any]:
        return {"attributes": {"type": "Task"}, "Conversation_Key__c": key, **fields}

    rows = [task("call-1", Subject="One"), task("call-2", Subject="Two"), task("CALL-1", Subject="Three")]
    results = org.ask("PATCH", f"{PATH}/Task/Conversation_Key__c", {"records": rows})[1]
    assert [result.get("created") for result in results] == [True, True, None]
    assert results[2]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    again = org.ask("PATCH", f"{PATH}/Task/Conversation_Key__c", {"records": rows[:1]})[1]
    assert again == [{"id": results[0]["id"], "success": True, "errors": [], "created": False}]
    assert org.found("SELECT COUNT(Id) n FROM Task") == [{"n": 2}]


def test_unknown_malformed_and_deleted_ids_fail_their_row(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    org.ask("DELETE", f"sobjects/Contact/{ada}")
    rows = [contact(id="bad"), contact(id="003000000000000AAA"), contact(id=ada), contact(FirstName="x")]
    results = org.ask("PATCH", PATH, {"records": rows})[1]
    codes = [result["errors"][0]["statusCode"] for result in results]
    assert codes == ["MALFORMED_ID", "INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED", "MISSING_ARGUMENT"]


def test_records_are_deleted_and_read_by_ids(org: Org) -> None:
    ada, grace = org.create("Contact", LastName="Ada"), org.create("Contact", LastName="Grace")
    assert [row["success"] for row in org.ask("DELETE", f"{PATH}?ids={ada},bad&allOrNone=false")[1]] == [
        True,
        False,
    ]
    body = {"ids": [grace, ada, "nonsense"], "fields": ["LastName"]}
    status, rows = org.ask("POST", f"{PATH}/Contact", body)
    assert status == 200
    assert [row and row["LastName"] for row in rows] == ["Grace", None, None]
    assert org.ask("GET", f"{PATH}/Contact?ids={grace}&fields=LastName")[1] == rows[:1]
    assert (
        org.ask("POST", f"{PATH}/Contact", {"ids": [grace], "fields": ["Foo"]})[1][0]["errorCode"]
        == "INVALID_FIELD"
    )


def test_more_than_two_hundred_records_are_refused_whole(org: Org) -> None:
    status, errors = org.ask("POST", PATH, {"records": [contact(LastName="Ada")] * 201})
    assert (status, errors[0]["errorCode"]) == (400, "EXCEEDED_ID_LIMIT")
    assert errors[0]["message"] == "record limit reached. cannot submit more than 200 records into this call"
    results = org.ask("POST", PATH, {"records": [contact(LastName="Ada")] * 200})[1]
    assert all(result["success"] for result in results)
    assert org.crm.settings["daily_used"] == 2


def test_more_than_ten_chunks_of_types_are_refused(org: Org) -> None:
    rows = [contact(LastName="Ada"), {"attributes": {"type": "Task"}, "Subject": "x"}] * 6
    assert org.ask("POST", PATH, {"records": rows})[1][0]["errorCode"] == "LIMIT_EXCEEDED"
    assert org.ask("POST", PATH, {"records": rows[:10]})[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"records": {}},
        {"records": [1]},
        {"records": [], "allOrNone": "no"},
        {"records": [], "other": 1},
    ],
)
def test_a_body_that_is_no_collection_is_refused(org: Org, body: Any) -> None:
    assert org.ask("POST", PATH, body)[1][0]["errorCode"] == "JSON_PARSER_ERROR"


def test_a_wrong_type_can_be_made_to_fail_the_whole_collection() -> None:
    org = Org(collections_refuse_whole_request=True)
    rows = [contact(LastName="Ada"), contact(LastName="Grace", VIP__c="yes")]
    status, errors = org.ask("POST", PATH, {"records": rows})
    assert (status, errors[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert len(org.crm.contacts()) == 20


def test_a_composite_uses_earlier_results_and_is_one_request(org: Org) -> None:
    calls = [
        {
            "method": "POST",
            "url": f"{BASE}/sobjects/Contact",
            "referenceId": "ada",
            "body": {"LastName": "Lovelace"},
        },
        {
            "method": "POST",
            "url": f"{BASE}/sobjects/Task",
            "referenceId": "call",
            "body": {"WhoId": "@{ada.id}", "Subject": "Call"},
        },
        {
            "method": "GET",
            "url": f"{BASE}/query?q=SELECT+Id+FROM+Task+WHERE+WhoId='@{{ada.id}}'",
            "referenceId": "look",
        },
        {"method": "GET", "url": f"{BASE}/sobjects/Foo", "referenceId": "foo"},
    ]
    status, answer = org.ask("POST", "composite", {"compositeRequest": calls})
    assert status == 200
    assert [part["httpStatusCode"] for part in answer["compositeResponse"]] == [201, 201, 200, 404]
    assert answer["compositeResponse"][2]["body"]["totalSize"] == 1
    assert answer["compositeResponse"][3]["body"][0]["message"] == "The requested resource does not exist"
    assert org.crm.settings["daily_used"] == 1


@pytest.mark.parametrize(
    ("url", "times", "code"),
    [
        (f"{BASE}/query?q=SELECT+Id+FROM+Contact+LIMIT+1", 5, ""),
        (f"{BASE}/query?q=SELECT+Id+FROM+Contact+LIMIT+1", 6, "LIMIT_EXCEEDED"),
        (f"{BASE}/composite/sobjects/Contact?ids=003000000000000AAA&fields=Id", 6, "LIMIT_EXCEEDED"),
        (f"{BASE}/limits", 25, ""),
        (f"{BASE}/composite", 1, "INVALID_INPUT"),
        ("/services/data/v50.0/limits", 1, "INVALID_INPUT"),
        ("limits", 1, "INVALID_INPUT"),
    ],
)
def test_a_composite_has_its_bounds(org: Org, url: str, times: int, code: str) -> None:
    calls = [{"method": "GET", "url": url, "referenceId": f"a{place}"} for place in range(times)]
    status, answer = org.ask("POST", "composite", {"compositeRequest": calls})
    assert (answer[0]["errorCode"] if status == 400 else "") == code


def test_a_composite_tells_where_a_new_record_is(org: Org) -> None:
    call = {
        "method": "POST",
        "url": f"{BASE}/sobjects/Contact",
        "referenceId": "a",
        "body": {"LastName": "King"},
    }
    [part] = org.ask("POST", "composite", {"compositeRequest": [call]})[1]["compositeResponse"]
    assert part["httpHeaders"] == {"Location": f"{BASE}/sobjects/Contact/{part['body']['id']}"}
    assert org.ask("GET", "composite")[1] == {"sobjects": f"{BASE}/composite/sobjects"}


def test_automations_that_are_not_made_for_many_rows_break_off(org: Org) -> None:
    org.crm.settings["automation_rows"] = 2
    rows = [contact(LastName=f"King{place}") for place in range(3)]
    results = org.ask("POST", PATH, {"records": rows})[1]
    assert {result["errors"][0]["statusCode"] for result in results} == {
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    }
    assert "LimitException" in results[0]["errors"][0]["message"]
    assert all(result["success"] for result in org.ask("POST", PATH, {"records": rows[:2]})[1])


def test_an_all_or_none_composite_takes_everything_back(org: Org) -> None:
    calls = [
        {
            "method": "POST",
            "url": f"{BASE}/sobjects/Contact",
            "referenceId": "one",
            "body": {"LastName": "Lovelace"},
        },
        {"method": "POST", "url": f"{BASE}/sobjects/Contact", "referenceId": "two", "body": {}},
    ]
    answer = org.ask("POST", "composite", {"allOrNone": True, "compositeRequest": calls})[1][
        "compositeResponse"
    ]
    assert [part["body"][0]["errorCode"] for part in answer] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
    ]
    assert len(org.crm.contacts()) == 20
    assert org.ask("POST", "composite", {"compositeRequest": calls * 13})[0] == 400
