"""The stand-in Salesforce as an org: its schema, its tasks, its bin, and its own users at work."""

from datetime import timedelta

import pytest

from sandbox.salesforce import moments
from tests.sandbox.salesforce_asking import Org


@pytest.fixture
def org() -> Org:
    return Org()


def stamp(org: Org, contact_id: str) -> str:
    return str(org.read("Contact", contact_id)["SystemModstamp"])


def test_describe_tells_what_a_real_describe_tells(org: Org) -> None:
    status, contact = org.ask("GET", "sobjects/Contact/describe")
    fields = {field["name"]: field for field in contact["fields"]}
    assert status == 200
    assert (contact["keyPrefix"], contact["createable"]) == ("003", True)
    required = [
        f["name"]
        for f in fields.values()
        if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"]
    ]
    assert required == ["LastName"]
    assert (fields["Phone"]["type"], fields["Phone"]["length"], fields["Phone"]["byteLength"]) == (
        "phone",
        40,
        120,
    )
    assert [name for name, field in fields.items() if not field["filterable"]] == ["Description", "Notes__c"]
    assert [value["value"] for value in fields["Plan__c"]["picklistValues"]] == [
        "Free",
        "Starter",
        "Pro",
        "Enterprise",
    ]
    assert (fields["Plan__c"]["restrictedPicklist"], fields["LeadSource"]["restrictedPicklist"]) == (
        True,
        False,
    )
    assert (fields["Score__c"]["calculated"], fields["Score__c"]["updateable"]) == (True, False)
    assert fields["AccountId"]["referenceTo"] == ["Account"]


def test_the_global_describe_lists_the_objects(org: Org) -> None:
    objects = org.ask("GET", "sobjects/")[1]["sobjects"]
    assert {"Account", "Contact", "Lead", "Task", "User"} <= {entry["name"] for entry in objects}


def test_every_read_shows_exactly_the_described_fields(org: Org) -> None:
    described = {field["name"] for field in org.ask("GET", "sobjects/Contact/describe")[1]["fields"]}
    contact = org.found("SELECT Id FROM Contact LIMIT 1")[0]["Id"]
    assert set(org.read("Contact", contact)) - {"attributes"} == described


def test_a_call_task_is_logged_closed_and_moves_the_contacts_last_activity(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    org.clock.offset += 60
    before = stamp(org, ada)
    call = org.create(
        "Task", WhoId=ada, Subject="Call", Status="Completed", TaskSubtype="Call", ActivityDate="2026-11-02",
        CallType="Inbound", CallDurationInSeconds=61, Description="Spoke with Ada.",
    )  # fmt: skip
    task = org.read("Task", call)
    assert (task["IsClosed"], task["Priority"], task["TaskSubtype"]) == (True, "Normal", "Call")
    assert org.read("Contact", ada)["LastActivityDate"] == "2026-11-02"
    assert stamp(org, ada) == before
    (activity,) = org.crm.activities(ada)
    assert (activity["kind"], activity["contact_ids"], activity["fields"]["Subject"]) == (
        "task",
        [ada],
        "Call",
    )


def test_activity_can_bump_the_contact(org: Org) -> None:
    org.crm.settings["activity_bumps_contact"] = True
    ada = org.create("Contact", LastName="Lovelace")
    before = stamp(org, ada)
    org.clock.offset += 60
    org.create("Task", WhoId=ada, Status="Completed")
    assert stamp(org, ada) > before


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("CallType", "Sideways", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("TaskSubtype", "Chat", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ("WhoId", "0015g0000000001", "FIELD_INTEGRITY_EXCEPTION"),
        ("WhoId", "nobody", "MALFORMED_ID"),
        ("CallDurationInSeconds", 1.5, "JSON_PARSER_ERROR"),
        ("CallDurationInSeconds", 123456789, "NUMBER_OUTSIDE_VALID_RANGE"),
        ("Subject", "x" * 256, "STRING_TOO_LONG"),
        ("Description", "x" * 32001, "STRING_TOO_LONG"),
        ("IsClosed", True, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_a_task_with_a_wrong_value_is_refused(org: Org, field: str, value: object, code: str) -> None:
    status, errors = org.ask("POST", "sobjects/Task", {field: value})
    assert (status, errors[0]["errorCode"]) == (400, code)


def test_a_task_for_a_deleted_contact_is_refused(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    org.crm.delete_contact(ada)
    status, errors = org.ask("POST", "sobjects/Task", {"WhoId": ada})
    assert (status, errors[0]["errorCode"]) == (400, "ENTITY_IS_DELETED")


def test_the_subtype_of_a_task_is_set_at_creation_only(org: Org) -> None:
    task = org.create("Task", Subject="Chat")
    status, errors = org.ask("PATCH", f"sobjects/Task/{task}", {"TaskSubtype": "Call"})
    assert (status, errors[0]["errorCode"]) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_an_org_may_lack_the_call_fields_and_the_activity_key() -> None:
    org = Org(call_center=False, activity_key_field=False)
    names = {field["name"] for field in org.ask("GET", "sobjects/Task/describe")[1]["fields"]}
    assert not names & {
        "CallType",
        "CallDurationInSeconds",
        "CallDisposition",
        "CallObject",
        "Conversation_Key__c",
    }
    assert org.ask("POST", "sobjects/Task", {"CallType": "Inbound"})[1][0]["errorCode"] == "INVALID_FIELD"
    assert org.ask("PATCH", "sobjects/Task/Conversation_Key__c/x", {})[0] == 404


def test_a_task_closed_for_a_year_is_archived(org: Org) -> None:
    org.create("Task", Subject="Old", Status="Completed", ActivityDate="2024-01-01")
    org.create("Task", Subject="Open", ActivityDate="2024-01-01")
    assert org.found("SELECT Subject FROM Task") == [{"Subject": "Open"}]
    old = org.found("SELECT Subject, IsArchived FROM Task WHERE IsClosed = true", everything=True)
    assert old == [{"Subject": "Old", "IsArchived": True}]


def test_a_deleted_contact_stays_in_query_all_with_a_new_stamp(org: Org) -> None:
    ada = org.create("Contact", LastName="Lovelace")
    task = org.create("Task", WhoId=ada, Subject="Call")
    before = stamp(org, ada)
    org.clock.offset += 60
    org.crm.delete_contact(ada)
    assert org.found(f"SELECT Id FROM Contact WHERE Id = '{ada}'") == []
    (row,) = org.found(
        f"SELECT IsDeleted, MasterRecordId, SystemModstamp FROM Contact WHERE Id = '{ada}'", everything=True
    )
    assert (row["IsDeleted"], row["MasterRecordId"]) == (True, None)
    assert row["SystemModstamp"] > before
    assert org.ask("GET", f"sobjects/Task/{task}")[0] == 404


def test_a_merge_points_the_loser_to_the_winner_and_moves_its_tasks(org: Org) -> None:
    winner = org.create("Contact", LastName="Hopper", FirstName="Grace")
    loser = org.create("Contact", LastName="Hopper", FirstName="G.", Title="Admiral")
    task = org.create("Task", WhoId=loser, Subject="Call")
    org.clock.offset += 60
    merged = org.crm.merge_contacts(winner, loser)
    assert (merged["fields"]["FirstName"], merged["fields"]["Title"]) == ("Grace", None)
    rows = org.found(
        "SELECT Id, SystemModstamp FROM Contact WHERE IsDeleted = true AND MasterRecordId != null",
        everything=True,
    )
    assert rows == [{"Id": loser, "SystemModstamp": merged["modified"]}]
    assert org.read("Task", task)["WhoId"] == winner


def test_deleted_and_updated_records_are_listed_by_time(org: Org) -> None:
    ada, grace = org.create("Contact", LastName="Lovelace"), org.create("Contact", LastName="Hopper")
    org.crm.delete_contact(ada)
    span = [
        moments.written(org.clock.now() + timedelta(minutes=m)).replace(".000+0000", "Z") for m in (-5, 5)
    ]
    deleted = org.ask("GET", f"sobjects/Contact/deleted/?start={span[0]}&end={span[1]}")[1]
    assert [row["id"] for row in deleted["deletedRecords"]] == [ada]
    assert org.ask("GET", f"sobjects/Contact/updated/?start={span[0]}&end={span[1]}")[1]["ids"] == [grace]
    early = moments.written(org.clock.now() - timedelta(days=16)).replace(".000+0000", "Z")
    for start, end in ((early, span[1]), (span[1], span[0]), ("now", span[1])):
        refused = org.ask("GET", f"sobjects/Contact/deleted/?start={start}&end={end}")
        assert (refused[0], refused[1][0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


def test_the_orgs_own_users_edit_as_the_pages_allow(org: Org) -> None:
    made = org.crm.create_contact({"LastName": "Lovelace", "Phone": "415 555 0007"})
    org.clock.offset += 60
    edited = org.crm.edit_contact(made["id"], {"Phone": None, "Plan__c": "Pro"})
    assert (edited["fields"]["Phone"], edited["fields"]["Plan__c"]) == (None, "Pro")
    assert edited["modified"] > made["modified"]
    assert (
        edited["fields"]["LastModifiedById"] != edited["fields"]["CreatedById"]
        or edited["fields"]["CreatedById"]
    )
    with pytest.raises(KeyError):
        org.crm.edit_contact(made["id"], {"Foo": 1})
    with pytest.raises(KeyError):
        org.crm.edit_contact("003000000000000AAA", {"Phone": None})
    with pytest.raises(ValueError, match="restricted picklist"):
        org.crm.edit_contact(made["id"], {"Plan__c": "Gold"})
    with pytest.raises(ValueError, match="itself"):
        org.crm.merge_contacts(made["id"], made["id"])


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("daily_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("concurrent_limit", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("row_lock", 400, "UNABLE_TO_LOCK_ROW"),
        ("session_expired", 401, "INVALID_SESSION_ID"),
        ("server_unavailable", 503, "SERVER_UNAVAILABLE"),
    ],
)
def test_faults_speak_as_the_vendor_does(org: Org, kind: str, status: int, code: str) -> None:
    response = org.crm.fault_response(kind)
    assert response is not None
    assert response.status == status
    assert code.encode() in (response.body or b"")
    assert org.crm.fault_response("nonsense") is None
