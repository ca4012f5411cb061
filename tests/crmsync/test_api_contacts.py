"""Contacts over the API: strict values, one number one contact, every write in the history under the key's name."""

from datetime import UTC, datetime, timedelta

import pytest

from activity.models import Conversation
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactChange, ContactTag, CustomField, FormerContactId
from crmsync.api_keys import ApiKey
from integrations.models import Connection
from sync.models import ExternalRecord, RecordState
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
ADA = "+14155550100"
VIP = "a" * 32
START = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)


@pytest.fixture
def api():
    return client_with()


@pytest.fixture
def fields():
    for position, (name, kind) in enumerate(
        [
            ("notes", "string"),
            ("score", "number"),
            ("vip", "boolean"),
            ("renewal", "date"),
            ("visit", "datetime"),
        ]
    ):
        CustomField.objects.create(name=name, type=kind, position=position)
    CustomField.objects.create(name="plan", type="enum", options=["free", "pro"])


def create(api, **body):
    response = api.post("/api/create-contact", {"phone_number": ADA, **body})
    assert response.status_code == 201, response.json()
    return response.json()


def test_a_contact_is_created_with_all_it_can_hold(api, fields):
    ContactTag.objects.create(id=VIP, label="VIP")
    values = {"notes": "likes tea", "score": 4.5, "vip": False, "renewal": "2026-12-01", "plan": "pro"}
    made = create(
        api,
        phone_number="(415) 555-0100",
        first_name=" Ada ",
        last_name="Lovelace",
        do_not_call=True,
        custom_fields=values | {"visit": "2026-05-14T11:30:00+02:00"},
        contact_tag_ids=[VIP],
    )
    contact = Contact.objects.get()
    assert contact.user_modified_at
    assert made == {
        "contact_id": contact.public_id,
        "org_id": made["org_id"],
        "phone_number": ADA,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "do_not_call": True,
        "custom_fields": values | {"visit": "2026-05-14T09:30:00Z"},
        "contact_tags": [{"id": VIP, "label": "VIP"}],
        "conversation_count": 0,
        "created_timestamp": int(contact.created_at.timestamp() * 1000),
        "user_modified_timestamp": int(contact.user_modified_at.timestamp() * 1000),
    }
    assert api.get(f"/api/get-contact/{made['contact_id']}").json() == made


def test_what_is_unset_is_left_out(api):
    made = create(api)
    assert set(made) == {
        "contact_id", "org_id", "phone_number", "created_timestamp", "do_not_call", "custom_fields", "contact_tags",
        "conversation_count", "user_modified_timestamp",
    }  # fmt: skip


def test_a_number_that_a_contact_has_is_refused_in_any_spelling(api):
    create(api)
    response = api.post("/api/create-contact", {"phone_number": "001 415 555 0100"})
    assert problems(response) == {"phone_number": "phone_taken"}
    assert "already exists" in response.json()["message"]
    assert Contact.objects.count() == 1


@pytest.mark.parametrize("number", ["", "12", "not a number", 14155550100, None])
def test_an_unusable_number_is_refused(api, number):
    assert list(problems(api.post("/api/create-contact", {"phone_number": number}))) == ["phone_number"]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("score", "4", "wrong_type"),
        ("score", True, "wrong_type"),
        ("score", "", "wrong_type"),
        ("score", 1e300, "out_of_range"),
        ("score", 10**400, "out_of_range"),
        ("notes", 4, "wrong_type"),
        ("notes", ["x"], "wrong_type"),
        ("vip", "true", "wrong_type"),
        ("vip", 1, "wrong_type"),
        ("renewal", "01.12.2026", "not_a_date"),
        ("renewal", "", "wrong_type"),
        ("visit", "yesterday", "not_a_datetime"),
        ("plan", "PRO", "unknown_option"),
        ("plan", "gold", "unknown_option"),
        ("plan", "", "unknown_option"),
        ("colour", "red", "unknown_field"),
        ("first_name", "Ada", "unknown_field"),
    ],
)
def test_a_custom_value_of_the_wrong_type_is_refused_by_name_and_rule(api, fields, name, value, rule):
    response = api.post("/api/create-contact", {"phone_number": ADA, "custom_fields": {name: value}})
    assert problems(response) == {f"custom_fields.{name}": rule}
    assert not Contact.objects.exists()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"first_name": 7}, "first_name"),
        ({"first_name": "x" * 256}, "first_name"),
        ({"do_not_call": "false"}, "do_not_call"),
        ({"do_not_call": None}, "do_not_call"),
        ({"custom_fields": []}, "custom_fields"),
        ({"contact_tag_ids": ["c" * 32]}, "contact_tag_ids.0"),
        ({"contact_memory": "x" * 8_001}, "contact_memory"),
        ({"firstname": "Ada"}, "firstname"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_by_its_path(api, body, path):
    made = create(api)
    for response in (
        api.post("/api/create-contact", {"phone_number": "+14155550101", **body}),
        api.patch(f"/api/update-contact/{made['contact_id']}", body),
    ):
        assert list(problems(response)) == [path]
    assert Contact.objects.count() == 1


def test_an_update_changes_what_is_sent_clears_with_null_and_keeps_the_rest(api, fields):
    made = create(
        api, first_name="Ada", last_name="Lovelace", custom_fields={"notes": "tea", "score": 1, "vip": True}
    )
    response = api.patch(
        f"/api/update-contact/{made['contact_id']}",
        {"last_name": "", "custom_fields": {"notes": None, "score": 0}, "contact_memory": None},
    )
    changed = response.json()
    assert response.status_code == 200
    assert changed["custom_fields"] == {"score": 0, "vip": True}
    assert (changed["first_name"], "last_name" in changed) == ("Ada", False)


def test_the_phone_number_cannot_be_changed(api):
    made = create(api)
    response = api.patch(f"/api/update-contact/{made['contact_id']}", {"phone_number": "+14155550101"})
    assert problems(response) == {"phone_number": "phone_fixed"}


def test_every_write_of_a_key_is_in_the_history_under_its_name(api):
    ContactTag.objects.create(id="a" * 32, label="VIP")
    ContactTag.objects.create(id="b" * 32, label="Gold")
    made = create(api, contact_tag_ids=["a" * 32])
    path = f"/api/update-contact/{made['contact_id']}"
    api.patch(path, {"contact_tag_ids": ["b" * 32], "last_name": "L"})
    api.patch(path, {"contact_tag_ids": ["b" * 32]})
    api.patch(path, {"contact_tag_ids": []})
    key = ApiKey.objects.get()
    rows = list(ContactChange.objects.order_by("pk"))
    assert {(row.source_kind, row.source_ref, row.source_label) for row in rows} == {
        ("api_key", f"key:{key.pk}", key.name)
    }
    assert rows[0].created
    assert [row.diff for row in rows[1:]] == [
        {"contact_tags": [None, "VIP"]},
        {"last_name": [None, "L"]},
        {"contact_tags": ["VIP", "Gold"]},
        {"contact_tags": ["Gold", None]},
    ]


def test_tags_are_replaced_as_a_set(api):
    for tag_id in ("a", "b", "c"):
        ContactTag.objects.create(id=tag_id * 32, label=tag_id)
    made = create(api, contact_tag_ids=["a" * 32, "b" * 32])
    changed = api.patch(
        f"/api/update-contact/{made['contact_id']}", {"contact_tag_ids": ["b" * 32, "c" * 32]}
    ).json()
    assert [tag["label"] for tag in changed["contact_tags"]] == ["b", "c"]
    emptied = api.patch(f"/api/update-contact/{made['contact_id']}", {"contact_tag_ids": []}).json()
    assert emptied["contact_tags"] == []


def test_only_an_explicit_false_lifts_an_opt_out(api):
    made = create(api, do_not_call=True)
    kept = api.patch(f"/api/update-contact/{made['contact_id']}", {"first_name": "Ada"}).json()
    lifted = api.patch(f"/api/update-contact/{made['contact_id']}", {"do_not_call": False}).json()
    assert (kept["do_not_call"], lifted["do_not_call"]) == (True, False)


def test_every_write_is_in_the_history_under_the_keys_name():
    api = client_with(name="Grace's script")
    made = create(api, first_name="Ada")
    api.patch(f"/api/update-contact/{made['contact_id']}", {"first_name": "Augusta"})
    rows = list(ContactChange.objects.order_by("id"))
    assert [(row.source_kind, row.source_label, row.created) for row in rows] == [
        ("api_key", "Grace's script", True),
        ("api_key", "Grace's script", False),
    ]
    assert rows[1].source_ref.startswith("key:")
    assert rows[1].diff == {"first_name": ["Ada", "Augusta"]}


@pytest.mark.parametrize("spelling", ["+14155550100", "%2B14155550100", "(415)%20555-0100", "0014155550100"])
def test_a_contact_is_found_by_its_number_however_it_is_sent(api, spelling):
    made = create(api)
    assert api.get(f"/api/get-contact-by-phone/{spelling}").json() == made


def test_a_number_that_nobody_has_is_a_422_and_a_bad_one_a_400(api):
    assert api.get("/api/get-contact-by-phone/+14155550199").status_code == 422
    assert problems(api.get("/api/get-contact-by-phone/abc")) == {"phone_number": "bad_phone"}


@pytest.mark.parametrize("contact_id", ["contact_" + "0" * 24, "contact_x", "1", "%00"])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("get", "get-contact"),
        ("patch", "update-contact"),
        ("delete", "delete-contact"),
        ("get", "list-contact-conversations"),
    ],
)
def test_an_unknown_contact_is_a_422(api, method, call, contact_id):
    response = getattr(api, method)(f"/api/{call}/{contact_id}", {})
    assert (response.status_code, response.json()["status"]) == (422, "error")


def test_external_id_is_the_link_in_the_crm_of_first_rank(api):
    second = Connection.objects.create(provider="hubspot", name="HubSpot", rank=20)
    first = Connection.objects.create(provider="salesforce", name="Salesforce", rank=10)
    made = create(api)
    contact = Contact.objects.get()
    ExternalRecord.objects.create(connection=second, contact=contact, external_id="501")
    assert "external_id" not in api.get(f"/api/get-contact/{made['contact_id']}").json()
    link = ExternalRecord.objects.create(connection=first, contact=contact, external_id="003A")
    assert api.get(f"/api/get-contact/{made['contact_id']}").json()["external_id"] == "003A"
    link.state = RecordState.GONE
    link.save()
    assert "external_id" not in api.get(f"/api/get-contact/{made['contact_id']}").json()


def test_a_contact_is_deleted_unless_a_syncing_crm_has_its_record(api):
    made = create(api)
    hubspot = Connection.objects.create(provider="hubspot", name="HubSpot")
    ExternalRecord.objects.create(connection=hubspot, contact=Contact.objects.get(), external_id="501")
    refused = api.delete(f"/api/delete-contact/{made['contact_id']}")
    assert refused.status_code == 400
    assert "HubSpot" in refused.json()["message"]
    assert api.post("/api/update-crm-config", {"app_id": None}).status_code == 200
    gone = api.delete(f"/api/delete-contact/{made['contact_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert not Contact.objects.exists()
    tombstone = ExternalRecord.objects.get()
    assert (tombstone.contact, tombstone.state, tombstone.reason) == (None, "gone", "deleted_here")


def conversation(contact, key, minutes, **more):
    at = START + timedelta(minutes=minutes)
    return Conversation.objects.create(
        key=key, kind=more.pop("kind", "call"), channel="phone", contact=contact, started_at=at, **more
    )


def test_the_timeline_is_newest_first_calls_and_chats_in_one_page_by_page(api):
    contact = create_contact(ADA, {}, source=Source("person")).contact
    other = create_contact("+14155550101", {}, source=Source("person")).contact
    conversation(contact, "call_1", 0)
    conversation(
        contact, "call_2", 10, direction="inbound", disconnection_reason="user_hangup", duration_ms=61_000,
        sentiment="Positive", successful=False, summary="Wants tea.",
    )  # fmt: skip
    conversation(contact, "chat_1", 20, kind="chat", sentiment="delighted", direction="sideways")
    conversation(other, "call_3", 30)
    path = f"/api/list-contact-conversations/{contact.public_id}"
    first = api.get(path, {"limit": 2}).json()
    assert first["has_more"] is True
    assert first["items"] == [
        {"type": "chat", "chat_id": "chat_1", "start_timestamp": 1778751000000 + 20 * 60_000},
        {
            "type": "call",
            "call_id": "call_2",
            "direction": "inbound",
            "disconnection_reason": "user_hangup",
            "duration_ms": 61_000,
            "sentiment": "Positive",
            "start_timestamp": 1778751000000 + 10 * 60_000,
            "successful": False,
            "summary": "Wants tea.",
        },
    ]
    rest = api.get(path, {"limit": 2, "pagination_key": first["pagination_key"]}).json()
    assert [item["call_id"] for item in rest["items"]] == ["call_1"]
    assert (rest["has_more"], "pagination_key" in rest) == (False, False)


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "x"}, {"limit": "-1"}, {"pagination_key": "???"}, {"page": "2"}]
)
def test_a_wrong_query_is_refused_by_name(api, query):
    made = create(api)
    response = api.get(f"/api/list-contact-conversations/{made['contact_id']}", query)
    assert list(problems(response)) == list(query)


def test_a_contact_that_the_crm_filled_shows_no_user_change(api):
    contact = create_contact(ADA, {"first_name": "Ada"}, source=Source("crm")).contact
    change_contact(contact.pk, {"last_name": "L"}, source=Source("crm"))
    assert "user_modified_timestamp" not in api.get(f"/api/get-contact/{contact.public_id}").json()


def test_the_id_of_a_contact_that_was_merged_leads_to_the_one_that_stayed_but_deletes_nobody(api):
    stayed = create_contact("+14155550100", {"first_name": "Ada"}, source=Source("person")).contact
    former = "contact_" + "f" * 24
    FormerContactId.objects.create(public_id=former, contact=stayed)
    assert api.get(f"/api/get-contact/{former}").json()["contact_id"] == stayed.public_id
    changed = api.patch(f"/api/update-contact/{former}", {"last_name": "Lovelace"}).json()
    assert (changed["contact_id"], changed["last_name"]) == (stayed.public_id, "Lovelace")
    assert api.get(f"/api/v1/contacts/{former}/history/").status_code == 200
    refused = api.delete(f"/api/delete-contact/{former}")
    assert (refused.status_code, stayed.public_id in refused.json()["message"]) == (422, True)
    assert Contact.objects.count() == 1
