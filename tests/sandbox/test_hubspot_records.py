"""Single records of the stand-in HubSpot: reading, writing, archiving, merging."""

import pytest

from sandbox.hubspot.stamps import parse_instant
from sandbox.seed import expected, people
from tests.sandbox.hubspot_asking import CONTACTS, Portal, to_contact


@pytest.fixture
def portal() -> Portal:
    return Portal()


def test_a_new_contact_is_answered_with_201_its_place_and_what_hubspot_derives(portal: Portal) -> None:
    status, body = portal.ask(
        "POST", CONTACTS, {"properties": {"firstname": "Ada", "phone": "(212) 555-0142"}}
    )
    assert status == 201
    assert portal.headers["Location"].endswith(f"/contacts/{body['id']}")
    assert body["id"] == body["properties"]["hs_object_id"]
    assert body["properties"]["hs_searchable_calculated_phone_number"] == "2125550142"
    assert body["properties"]["hs_calculated_phone_number"] == "+12125550142"
    assert body["properties"]["lifecyclestage"] == "lead"
    assert body["archived"] is False
    assert body["url"].endswith(f"/record/0-1/{body['id']}")
    assert body["createdAt"].endswith("Z")


@pytest.mark.parametrize(("phone", "digits"), [("+1 555-1234", "15551234"), ("00004", "4"), ("n/a", None)])
def test_an_unparsable_phone_keeps_its_digits_for_search(
    portal: Portal, phone: str, digits: str | None
) -> None:
    ada = portal.create(firstname="Ada", phone=phone)
    shown = portal.read(ada, "hs_searchable_calculated_phone_number", "hs_calculated_phone_number")
    assert shown["properties"]["hs_searchable_calculated_phone_number"] == digits
    assert shown["properties"]["hs_calculated_phone_number"] is None


def test_a_read_shows_the_defaults_or_what_was_asked_with_null_for_unset(portal: Portal) -> None:
    grace = portal.create(lastname="Hopper")
    defaults = {"createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"}
    assert set(portal.read(grace)["properties"]) == defaults
    asked = portal.read(grace, "plan", "no_such_property")["properties"]
    assert asked["plan"] is None
    assert "no_such_property" not in asked
    assert "lastname" not in asked


def test_a_contact_is_read_and_updated_by_email_but_not_by_a_property_that_is_not_unique(
    portal: Portal,
) -> None:
    portal.create(firstname="Ada", email="Ada@Example.com")
    status, body = portal.ask("GET", f"{CONTACTS}/ada@example.com?idProperty=email&properties=email")
    assert (status, body["properties"]["email"]) == (200, "ada@example.com")
    assert (
        portal.ask("PATCH", f"{CONTACTS}/ADA@example.com?idProperty=email", {"properties": {"plan": "pro"}})[
            0
        ]
        == 200
    )
    assert portal.ask("GET", f"{CONTACTS}/Ada?idProperty=firstname")[0] == 400


def test_an_existing_email_conflicts_and_only_the_message_names_the_contact(portal: Portal) -> None:
    ada = portal.create(email="ada@example.com")
    status, body = portal.ask("POST", CONTACTS, {"properties": {"email": "ADA@example.com"}})
    assert (status, body["category"]) == (409, "CONFLICT")
    assert body["message"] == f"Contact already exists. Existing ID: {ada}"


def test_an_update_cannot_take_another_contacts_email(portal: Portal) -> None:
    portal.create(email="ada@example.com")
    grace = portal.create(email="grace@example.com")
    status, body = portal.ask("PATCH", f"{CONTACTS}/{grace}", {"properties": {"email": "ada@example.com"}})
    assert (status, body["errors"][0]["code"]) == (400, "CONFLICTING_UNIQUE_VALUE")


def test_an_empty_string_clears_and_the_modified_stamp_moves(portal: Portal) -> None:
    ada = portal.create(firstname="Ada", plan="pro")
    before = portal.read(ada)["updatedAt"]
    status, body = portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"plan": ""}})
    assert (status, body["properties"]["plan"]) == (200, None)
    after = parse_instant(portal.read(ada)["updatedAt"])
    assert after is not None
    assert after > (parse_instant(before) or 0)


def test_history_lists_the_values_newest_first(portal: Portal) -> None:
    ada = portal.create(firstname="Ada", plan="free")
    portal.ask("PATCH", f"{CONTACTS}/{ada}", {"properties": {"plan": "pro"}})
    _, body = portal.ask("GET", f"{CONTACTS}/{ada}?propertiesWithHistory=plan")
    assert [entry["value"] for entry in body["propertiesWithHistory"]["plan"]] == ["pro", "free"]


@pytest.mark.parametrize("contact_id", ["999999", "abc"])
def test_an_unknown_id_is_not_found(portal: Portal, contact_id: str) -> None:
    status, body = portal.ask("GET", f"{CONTACTS}/{contact_id}")
    assert status == 404
    assert body["status"] == "error"
    assert portal.ask("PATCH", f"{CONTACTS}/{contact_id}", {"properties": {}})[0] == 404


def test_pages_go_through_all_contacts_in_id_order_by_an_opaque_cursor(portal: Portal) -> None:
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        _, body = portal.ask("GET", f"{CONTACTS}?limit=7&after={after}")
        seen += [int(row["id"]) for row in body["results"]]
        after = body.get("paging", {}).get("next", {}).get("after")
    assert seen == sorted(seen)
    assert len(seen) == 20
    assert portal.ask("GET", f"{CONTACTS}?limit=7&after=9955")[0] == 400


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "limit=ten", "archived=maybe"])
def test_a_page_that_is_too_large_or_misspelt_is_refused(portal: Portal, query: str) -> None:
    assert portal.ask("GET", f"{CONTACTS}?{query}")[0] == 400


def test_archived_contacts_leave_reads_and_search_and_stand_in_the_archived_list(portal: Portal) -> None:
    ada = portal.create(firstname="Ada", email="ada@example.com")
    assert portal.ask("DELETE", f"{CONTACTS}/{ada}") == (204, None)
    assert portal.ask("DELETE", f"{CONTACTS}/{ada}") == (204, None)
    assert portal.ask("GET", f"{CONTACTS}/{ada}")[0] == 404
    assert portal.search(query="ada@example.com")["total"] == 0
    _, body = portal.ask("GET", f"{CONTACTS}?archived=True")
    assert [(row["id"], row["archived"], "archivedAt" in row) for row in body["results"]] == [
        (ada, True, True)
    ]
    assert portal.create(email="ada@example.com") != ada


def test_a_merge_makes_a_new_record_that_both_old_ids_mean(portal: Portal) -> None:
    ada = portal.create(firstname="Ada", email="ada@example.com")
    twin = portal.create(firstname="A.", phone="212 555 0142", email="a.l@example.com")
    body = {"primaryObjectId": ada, "objectIdToMerge": twin}
    status, merged = portal.ask("POST", f"{CONTACTS}/merge", body)
    assert status == 200
    assert merged["id"] not in (ada, twin)
    names = ("firstname", "phone", "email", "hs_merged_object_ids", "hs_calculated_merged_vids")
    for old in (ada, twin):
        found = portal.read(old, *names)
        assert found["id"] == merged["id"]
        assert found["properties"]["firstname"] == "Ada"
        assert found["properties"]["phone"] == "212 555 0142"
        assert found["properties"]["hs_merged_object_ids"] == f"{ada};{twin}"
        assert found["properties"]["hs_calculated_merged_vids"].startswith(f"{ada}:")
    assert portal.found({"propertyName": "hs_object_id", "operator": "EQ", "value": ada}) == []
    assert portal.ask("GET", f"{CONTACTS}/a.l@example.com?idProperty=email")[1]["id"] == merged["id"]


def test_a_merge_moves_the_activities(portal: Portal) -> None:
    ada, twin = portal.create(firstname="Ada"), portal.create(firstname="A.")
    note = {"properties": {"hs_timestamp": "1767225600000"}, "associations": to_contact(twin, 202)}
    assert portal.ask("POST", "/crm/v3/objects/notes", note)[0] == 201
    merged = portal.crm.merge_contacts(ada, twin)
    assert [one["contact_ids"] for one in portal.crm.activities(twin)] == [[merged["id"]]]


def test_a_gdpr_delete_leaves_nothing(portal: Portal) -> None:
    portal.create(email="ada@example.com")
    body = {"objectId": "ada@example.com", "idProperty": "email"}
    assert portal.ask("POST", f"{CONTACTS}/gdpr-delete", body) == (204, None)
    assert portal.search(query="ada@")["total"] == 0
    assert portal.ask("GET", f"{CONTACTS}?archived=true")[1]["results"] == []


def test_the_seed_has_every_person_with_the_values_of_the_person() -> None:
    portal = Portal(500)
    contacts = portal.crm.contacts()
    assert len(contacts) == expected(500).records
    assert sum(1 for one in contacts if not one["fields"]["phone"]) == expected(500).no_phone
    for person, one in zip(people("hubspot", 500), contacts, strict=True):
        fields = one["fields"]
        assert fields["firstname"] == person.first_name
        assert fields["plan"] == (person.plan and person.plan.lower())
        assert fields["lifetime_value"] is None or float(fields["lifetime_value"]) == person.lifetime_value
        assert fields["vip"] == {None: None, True: "true", False: "false"}[person.vip]
        assert (fields["do_not_call"] == "true") is person.do_not_call
        assert fields["renewal_date"] == (person.renewal_date and person.renewal_date.isoformat())
        assert parse_instant(one["modified"]) == int(person.modified.timestamp() * 1000)
        if person.number:
            assert fields["hs_calculated_phone_number"] == person.number


def test_the_back_door_edits_as_a_user_of_the_crm_would(portal: Portal) -> None:
    made = portal.crm.create_contact({"firstname": "Ada", "vip": True, "lifetime_value": 12.5})
    assert (made["fields"]["vip"], made["fields"]["lifetime_value"]) == ("true", "12.5")
    edited = portal.crm.edit_contact(made["id"], {"vip": None})
    assert edited["fields"]["vip"] is None
    assert edited["modified"] > made["modified"]
    with pytest.raises(KeyError):
        portal.crm.edit_contact(made["id"], {"Plan__c": "Pro"})
    with pytest.raises(ValueError, match="allowed options"):
        portal.crm.edit_contact(made["id"], {"plan": "Pro"})
    portal.crm.bump([made["id"]])
    bumped = portal.crm.contact(made["id"])
    assert bumped is not None
    assert bumped["modified"] > edited["modified"]
    portal.crm.delete_contact(made["id"])
    gone = portal.crm.contact(made["id"])
    assert gone is not None
    assert gone["deleted"] is True
