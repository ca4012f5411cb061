"""What the contract says of config and contacts, asked for with its own client: what it allows works, the rest is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from retell import Retell

from activity.models import Conversation
from contacts.changes import Source, create_contact
from contacts.models import Contact
from integrations.models import Connection
from sync.models import ExternalRecord
from tests.crmsync.sdk import is_moment, known, official_client, refused

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
ADA, GRACE = "+14155550100", "+442079460000"
VIP, LEAD = "a" * 32, "b" * 32
FIELDS: Any = [
    {"name": "city", "type": "string", "label": "City", "description": "Where they live."},
    {"name": "score", "type": "number"},
    {"name": "vip", "type": "boolean"},
    {"name": "renewal", "type": "date"},
    {"name": "seen", "type": "datetime"},
    {"name": "plan", "type": "enum", "options": ["free", "pro"]},
]
VALUES = {
    "city": "Bath", "score": 4.5, "vip": True, "renewal": "2026-05-14", "seen": "2026-05-14T09:30:00Z", "plan": "pro",
}  # fmt: skip
START = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


@pytest.fixture
def client(live_server: Any) -> Iterator[Retell]:
    with official_client(live_server.url) as made:
        yield made


def rule(analysis: str = "topics", field: str = "city", mode: str = "overwrite") -> Any:
    return {"analysis_data_name": analysis, "field_name": field, "update_mode": mode}


# --- the config -----------------------------------------------------------------------------------


def test_a_key_of_the_config_is_replaced_whole_and_the_others_stay(client):
    update = client.crm.update_config
    made = known(update(custom_fields=FIELDS, contact_columns_order=["city", "anything"]))
    assert [field.name for field in made.custom_fields] == [field["name"] for field in FIELDS]
    tagged = known(update(contact_tags=[{"id": VIP, "label": "  VIP "}, {"id": LEAD, "label": "Lead"}]))
    assert [(tag.id, tag.label) for tag in tagged.contact_tags] == [(VIP, "VIP"), (LEAD, "Lead")]
    assert (tagged.custom_fields, tagged.contact_columns_order) == (made.custom_fields, ["city", "anything"])
    assert [tag.id for tag in known(update(contact_tags=[{"id": LEAD, "label": "Lead"}])).contact_tags] == [
        LEAD
    ]
    assert known(update(contact_tags=None)).contact_tags == []
    assert known(update(contact_tags=[])).contact_tags == []
    assert known(update(contact_memory_update_prompt="Keep {{first_name}}.")).contact_memory_update_prompt
    preset = known(update(contact_memory_update_prompt=None))
    assert (preset.contact_memory_update_prompt, bool(preset.default_contact_memory_update_prompt)) == (
        None,
        True,
    )
    assert known(update()) == known(client.crm.get_config()) == preset


REFUSED_CONFIG: list[tuple[Any, str]] = [
    *[({"custom_fields": [{"name": name, "type": "string"}]}, words) for name, words in {
        "City": "lower-case", "2nd": "lower-case", "first_name": "built-in", "phone_number": "built-in",
        "contact_owner": "reserved", "external_key": "reserved",
    }.items()],
    ({"custom_fields": [FIELDS[0], FIELDS[0]]}, "twice"),
    ({"custom_fields": [{"name": "x", "type": "text"}]}, "known are: string"),
    ({"custom_fields": [{"name": "x", "type": "enum"}]}, "options"),
    ({"custom_fields": [{**FIELDS[1], "type": "string"}]}, "cannot change"),
    ({"custom_fields": FIELDS[1:]}, "topics → city"),
    ({"crm_analysis_data_mappings": [rule(field="phone_number")]}, "never written"),
    ({"crm_analysis_data_mappings": [rule(field="nowhere")]}, "no contact field"),
    ({"crm_analysis_data_mappings": [rule(field="score", mode="merge")]}, "Only string fields"),
    ({"crm_analysis_data_mappings": [rule(mode="append")]}, "fill_if_empty"),
    ({"contact_tags": [{"id": "abc", "label": "VIP"}]}, "contact_tags.0.id"),
    ({"contact_tags": [{"id": VIP, "label": "A"}, {"id": VIP, "label": "B"}]}, "twice"),
    ({"contact_tags": [{"id": VIP, "label": " "}]}, "blank"),
    *[({"extra_body": {key: "x"}}, key) for key in (
        "org_id", "last_sync_timestamp", "default_contact_memory_update_prompt", "custom_feilds",
    )],
]  # fmt: skip


def test_what_the_config_may_not_hold_is_refused_and_changes_nothing(client):
    before = client.crm.update_config(custom_fields=FIELDS, crm_analysis_data_mappings=[rule()])
    for sent, words in REFUSED_CONFIG:
        refused(lambda sent=sent: client.crm.update_config(**sent), words)
    assert client.crm.get_config() == before


def test_a_mapped_field_goes_with_its_mapping_and_options_count_for_enums_only(client):
    client.crm.update_config(custom_fields=FIELDS, crm_analysis_data_mappings=[rule()])
    retargeted = [rule(field="first_name", mode="merge")]
    gone = client.crm.update_config(custom_fields=FIELDS[1:], crm_analysis_data_mappings=retargeted)
    assert [mapping.field_name for mapping in gone.crm_analysis_data_mappings] == ["first_name"]
    plain = client.crm.update_config(custom_fields=[{**FIELDS[1], "options": ["x"]}])
    assert plain.custom_fields[0].options is None


# --- contacts -------------------------------------------------------------------------------------


@pytest.fixture
def configured(client: Retell) -> Retell:
    client.crm.update_config(
        custom_fields=FIELDS, contact_tags=[{"id": VIP, "label": "VIP"}, {"id": LEAD, "label": "Lead"}]
    )
    return client


def test_a_contact_is_kept_as_it_was_sent_and_changed_in_what_is_sent(configured, live_server):
    contact = configured.contact
    made = known(
        contact.create(
            phone_number="(415) 555-0100", first_name="Ada", last_name="Lovelace", do_not_call=True,
            custom_fields=VALUES, contact_tag_ids=[LEAD, VIP], contact_memory="Likes tea.",
        )
    )  # fmt: skip
    assert (made.phone_number, made.custom_fields, made.do_not_call) == (ADA, VALUES, True)
    assert {tag.label for tag in made.contact_tags} == {"VIP", "Lead"}
    assert made.contact_id.startswith("contact_")
    assert len(made.contact_id) == 32
    assert is_moment(made.created_timestamp)
    assert is_moment(made.user_modified_timestamp)
    assert (made.conversation_count, made.external_id, made.last_conversation_timestamp) == (0, None, None)
    changed = known(
        contact.update(
            made.contact_id, custom_fields={"city": None, "score": 0, "vip": False}, contact_tag_ids=[VIP],
            contact_memory=None, do_not_call=False,
        )
    )  # fmt: skip
    rest = {name: VALUES[name] for name in ("renewal", "seen", "plan")}
    assert changed.custom_fields == {"score": 0, "vip": False, **rest}
    assert ([tag.id for tag in changed.contact_tags], changed.contact_memory) == ([VIP], None)
    assert (changed.do_not_call, changed.first_name) == (False, "Ada")
    assert known(contact.update(made.contact_id, contact_tag_ids=[])).contact_tags == []
    # Tags that the config does not list are dropped from answers.
    contact.update(made.contact_id, contact_tag_ids=[VIP])
    configured.crm.update_config(contact_tags=[])
    assert known(contact.get(made.contact_id)).contact_tags == []
    assert known(contact.get_by_phone(ADA)).contact_id == made.contact_id
    headers = {"Authorization": f"Bearer {configured.api_key}"}
    for spelt in (ADA, ADA.replace("+", "%2B")):
        path = f"{live_server.url}/api/get-contact-by-phone/{spelt}"
        assert requests.get(path, headers=headers, timeout=30).json()["contact_id"] == made.contact_id


REFUSED_CONTACTS: list[tuple[Any, str]] = [
    ({"phone_number": ADA}, "already exists"),
    ({"phone_number": "+1 415 555 0100"}, "already exists"),
    ({"phone_number": "12"}, "valid phone number"),
    ({"phone_number": GRACE, "custom_fields": {"score": "4"}}, "custom_fields.score"),
    ({"phone_number": GRACE, "custom_fields": {"vip": "true"}}, "custom_fields.vip"),
    ({"phone_number": GRACE, "custom_fields": {"plan": "gold"}}, "custom_fields.plan"),
    ({"phone_number": GRACE, "custom_fields": {"renewal": "soon"}}, "custom_fields.renewal"),
    ({"phone_number": GRACE, "custom_fields": {"colour": "red"}}, "custom_fields.colour"),
    ({"phone_number": GRACE, "contact_tag_ids": ["c" * 32]}, "contact_tag_ids.0"),
]  # fmt: skip


def test_what_a_contact_may_not_be_is_refused_and_creates_nobody(configured):
    configured.contact.create(phone_number=ADA)
    for sent, words in REFUSED_CONTACTS:
        refused(lambda sent=sent: configured.contact.create(**sent), words)
    assert configured.contact.list().total == 1


def test_the_number_stays_and_who_is_not_there_is_a_422(configured):
    made = configured.contact.create(phone_number=ADA)
    refused(
        lambda: configured.contact.update(made.contact_id, extra_body={"phone_number": GRACE}),
        "cannot be changed",
    )
    nobody = "contact_" + "0" * 24
    for call in (configured.contact.get, configured.contact.update, configured.contact.delete):
        refused(lambda call=call: call(nobody), "No contact", 422)
    refused(lambda: configured.contact.list_conversations(nobody), "No contact", 422)
    refused(lambda: configured.contact.get_by_phone(GRACE), "No contact", 422)
    refused(lambda: configured.contact.get_by_phone("nonsense"), "valid phone number")


def test_a_linked_contact_is_deleted_once_the_app_is_unlinked(configured):
    made = configured.contact.create(phone_number=ADA)
    app = configured.app.create(provider="salesforce", type="crm")
    contact = Contact.objects.get(public_id=made.contact_id)
    ExternalRecord.objects.create(connection=Connection.objects.get(), contact=contact, external_id="003A")
    assert known(configured.contact.get(made.contact_id)).external_id == "003A"
    refused(lambda: configured.contact.delete(made.contact_id), "Unlink the app first")
    assert configured.crm.update_config(app_id=None).app_id is None
    assert configured.contact.delete(made.contact_id) is None
    assert known(configured.app.get(app.app_id)).app_id == app.app_id


def test_the_timeline_is_newest_first_page_by_page_with_calls_and_chats(configured):
    made = configured.contact.create(phone_number=ADA)
    contact = Contact.objects.get()
    told = {
        "contact": contact,
        "direction": "inbound",
        "sentiment": "Positive",
        "successful": True,
        "summary": "Hi.",
    }
    for number in range(3):
        kind, channel = (("call", "phone"), ("chat", "sms"))[number % 2]
        Conversation.objects.create(
            key=f"{kind}_{number}", kind=kind, channel=channel, started_at=START + timedelta(minutes=number),
            duration_ms=1000 * number, disconnection_reason="user_hangup", **told,
        )  # fmt: skip
    first = known(configured.contact.list_conversations(made.contact_id, limit=2))
    second = known(
        configured.contact.list_conversations(made.contact_id, limit=2, pagination_key=first.pagination_key)
    )
    assert (first.has_more, second.has_more) == (True, False)
    items: list[Any] = [*first.items, *second.items]
    newest, chat, oldest = items
    assert (newest.type, newest.call_id, newest.start_timestamp) == ("call", "call_2", START_MS + 120_000)
    assert (chat.type, chat.chat_id, chat.sentiment) == ("chat", "chat_1", "Positive")
    assert (oldest.call_id, oldest.duration_ms, oldest.disconnection_reason) == ("call_0", 0, "user_hangup")


# --- the list -------------------------------------------------------------------------------------


def text(op: str, value: str, **key: str) -> Any:
    return {"type": "string", "op": op, "value": value, **key}


def number(op: str, value: float, **key: str) -> Any:
    return {"type": "number", "op": op, "value": value, **key}


def custom(*filters: Any) -> Any:
    return {"custom_fields": list(filters)}


def test_the_list_is_filtered_by_everything_that_the_contract_names(configured):
    contact = configured.contact
    ada = contact.create(
        phone_number=ADA, first_name="Ada", custom_fields=VALUES, contact_tag_ids=[VIP], do_not_call=True
    )
    contact.create(
        phone_number=GRACE, first_name="Grace", custom_fields={"city": "York", "score": 9, "vip": False}
    )
    Contact.objects.filter(phone_number=ADA).update(last_conversation_at=START)
    crm = Connection.objects.create(provider="salesforce", name="Salesforce")
    ExternalRecord.objects.create(
        connection=crm, contact=Contact.objects.get(phone_number=ADA), external_id="003Ada"
    )
    both, grace = {"Ada", "Grace"}, {"Grace"}
    nobody: set[str] = set()
    cases: list[tuple[Any, set[str]]] = [
        ({"contact_id": text("eq", ada.contact_id)}, {"Ada"}),
        ({"contact_id": text("ne", ada.contact_id)}, grace),
        ({"contact_id": text("co", ada.contact_id[10:20])}, {"Ada"}),
        *[({"phone_number": text(op, value)}, wanted) for op, value, wanted in (
            ("eq", ADA, {"Ada"}), ("eq", "4155550100", nobody), ("ne", ADA, grace), ("sw", "+44", grace),
            ("ew", "0100", {"Ada"}), ("co", "794", grace),
        )],
        *[({"external_id": text(op, value)}, wanted) for op, value, wanted in (
            ("eq", "003Ada", {"Ada"}), ("ne", "003Ada", grace), ("sw", "003", {"Ada"}), ("ew", "da", {"Ada"}),
            ("co", "3A", {"Ada"}),
        )],
        ({"external_id": {"type": "present", "op": "pr"}}, {"Ada"}),
        ({"external_id": {"type": "present", "op": "np"}}, grace),
        ({"do_not_call": {"type": "boolean", "op": "eq", "value": True}}, {"Ada"}),
        ({"do_not_call": {"type": "boolean", "op": "eq", "value": False}}, grace),
        ({"contact_tag_ids": {"type": "enum", "op": "in", "value": [VIP, LEAD]}}, {"Ada"}),
        *[({"last_conversation_timestamp": number(op, START_MS + by)}, wanted) for op, by, wanted in (
            ("eq", 0, {"Ada"}), ("ne", 0, grace), ("gt", 0, nobody), ("gt", -1, {"Ada"}), ("ge", 0, {"Ada"}), ("lt", 1, {"Ada"}),
            ("le", -1, nobody),
        )],
        ({"last_conversation_timestamp": {"type": "range", "op": "bt", "value": [START_MS, START_MS]}}, {"Ada"}),
        *[(custom(text(op, value, key="city")), wanted) for op, value, wanted in (
            ("eq", "York", grace), ("ne", "York", {"Ada"}), ("sw", "yo", grace), ("ew", "RK", grace), ("co", "at", {"Ada"}),
        )],
        *[(custom(number(op, 9, key="score")), wanted) for op, wanted in (
            ("eq", grace), ("ne", {"Ada"}), ("gt", nobody), ("ge", grace), ("lt", {"Ada"}), ("le", both),
        )],
        (custom({"key": "score", "type": "range", "op": "bt", "value": [4.5, 8]}), {"Ada"}),
        (custom({"key": "vip", "type": "boolean", "op": "eq", "value": False}), grace),
        (custom({"key": "plan", "type": "enum", "op": "in", "value": ["pro", "free"]}), {"Ada"}),
        (custom({"key": "plan", "type": "present", "op": "pr"}), {"Ada"}),
        (custom({"key": "plan", "type": "present", "op": "np"}), grace),
        ({**custom(number("gt", 1, key="score"), text("co", "o", key="city")), "phone_number": text("sw", "+")}, grace),
    ]  # fmt: skip
    for criteria, wanted in cases:
        found = known(contact.list(filter_criteria=criteria))
        assert ({item.first_name for item in found.items}, found.total) == (wanted, len(wanted)), criteria
    searches = {
        "aDa": {"Ada"},
        "7946": grace,
        "003a": {"Ada"},
        "york": grace,
        "4.5": {"Ada"},
        "2026-05": {"Ada"},
        "zz": nobody,
    }
    for words, wanted in searches.items():
        assert {item.first_name for item in contact.list(search_query=words).items} == wanted, words
    for criteria in (
        {"first_name": text("eq", "Ada")},
        custom(text("eq", "x", key="nowhere")),
        {"phone_number": number("gt", 1)},
    ):
        refused(lambda criteria=criteria: contact.list(filter_criteria=criteria), "filter_criteria.")


def test_pages_neither_repeat_nor_miss_and_leave_out_whom_they_are_told_to(configured):
    for each in range(9):
        made = create_contact(
            f"+1415555{1000 + each}", {"first_name": f"N{each}"}, source=Source("person")
        ).contact
        Contact.objects.filter(pk=made.pk).update(
            created_at=START + timedelta(seconds=each // 3)
        )  # ties of three
    names = [f"N{each}" for each in range(9)]
    for order, wanted in (("asc", names), ("desc", names[::-1])):
        seen: list[str | None] = []
        key: dict[str, str] = {}
        while len(seen) < len(names):
            page = known(configured.contact.list(limit=2, sort_order=order, **key))
            seen += [item.first_name for item in page.items]
            # Somebody new comes in while the pages are gone through.
            create_contact(f"+1206555{1000 + len(seen)}", {"first_name": "New"}, source=Source("person"))
            key = {"pagination_key": page.pagination_key or ""}
        assert [name for name in seen if name != "New"] == wanted
        Contact.objects.filter(first_name="New").delete()
    everybody = known(configured.contact.list(limit=1000)).items
    assert [item.first_name for item in configured.contact.list(skip=2, limit=2).items] == ["N6", "N5"]
    some = known(configured.contact.list(excluded_contact_ids=[item.contact_id for item in everybody[:4]]))
    assert (some.total, [item.first_name for item in some.items]) == (5, ["N4", "N3", "N2", "N1", "N0"])
    refused(lambda: configured.contact.list(excluded_contact_ids=["x"] * 1001), "1000")
    refused(lambda: configured.contact.list(pagination_key="nonsense"), "pagination_key")
