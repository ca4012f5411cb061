"""The one door: only real changes are written, each with its history, its source and a note for the sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from contacts.changes import (
    Edit,
    PhoneTaken,
    Source,
    change_contact,
    change_contacts,
    change_numbers,
    change_tags,
    create_contact,
    create_contacts,
    find_by_number,
    find_or_create,
    lock_contacts,
)
from contacts.models import Contact, ContactAlias, ContactChange, ContactTag, ContactTouched, snapshot
from contacts.values import DoesNotFit
from tests.contacts.conftest import make_fields

ADA, GRACE, LINUS = "+14155550100", "+14155550101", "+14155550102"
PERSON = Source("person", "user:1", "olga", may_clear_opt_out=True)
CALL = Source("conversation", "conversation:7", "Call of 14 May", {"conversation": "call_7"})
CRM = Source("crm", "run:3", "Salesforce", {"connection": 1, "external_id": "003A"}, urgent=False)


@pytest.fixture
def ada(fields: None) -> Contact:
    """Ada, with her notes drained."""
    made = create_contact(ADA, {"first_name": "Ada", "a_enum": "Free", "a_number": 0}, source=PERSON).contact
    ContactTouched.objects.all().delete()
    return made


def last_change() -> ContactChange:
    """The newest row of the history."""
    return ContactChange.objects.order_by("-pk")[0]


# --- writing ---------------------------------------------------------------------------------------


def test_a_change_is_written_with_history_source_and_note(ada: Contact) -> None:
    written = change_contact(ada.pk, {"a_enum": "pro", "last_name": " Lovelace "}, source=CALL)
    assert written.changed == {"a_enum": ("Free", "Pro"), "last_name": (None, "Lovelace")}
    ada.refresh_from_db()
    assert (ada.last_name, ada.custom_fields["a_enum"]) == ("Lovelace", "Pro")
    change = last_change()
    assert change.diff == {"a_enum": ["Free", "Pro"], "last_name": [None, "Lovelace"]}
    assert (change.source_kind, change.source_ref, change.source_label, change.created) == (
        "conversation",
        "conversation:7",
        "Call of 14 May",
        False,
    )
    source = ada.sources["a_enum"]
    assert (source["kind"], source["ref"], source["conversation"]) == (
        "conversation",
        "conversation:7",
        "call_7",
    )
    assert ada.sources["first_name"]["kind"] == "person"  # untouched fields keep theirs
    note = ContactTouched.objects.get()
    assert (note.contact_id, note.urgent) == (ada.pk, True)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"first_name": "Ada"},
        {"first_name": "  Ada "},
        {"a_enum": "free"},
        {"a_number": "0"},
        {"a_number": 0.0},
        {"last_name": ""},
        {"last_name": None},
        {"a_string": "  "},
        {"do_not_call": False},
        {"do_not_call": None},
        {"phone_number": ADA},
    ],
)
def test_what_is_the_same_already_writes_nothing_at_all(ada: Contact, values: dict[str, Any]) -> None:
    before = Contact.objects.values().get()
    written = change_contact(ada.pk, values, source=CALL)
    assert (written.changed, written.refused) == ({}, {})
    assert Contact.objects.values().get() == before
    assert ContactChange.objects.count() == 1
    assert ContactTouched.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "raw", "stored"),
    [
        ("a_string", "Tea.", "Tea."),
        ("a_number", "12.5", 12.5),
        ("a_boolean", "no", False),
        ("a_date", "2026-05-14", "2026-05-14"),
        ("a_datetime", "2026-05-14T09:30:00+02:00", "2026-05-14T07:30:00Z"),
        ("a_enum", "PRO", "Pro"),
    ],
)
def test_every_type_is_stored_typed_and_cleared_to_absent(
    ada: Contact, name: str, raw: Any, stored: Any
) -> None:
    """Row 6: a blank is an absent key, never 0, false or an empty text."""
    change_contact(ada.pk, {name: raw}, source=PERSON)
    ada.refresh_from_db()
    assert ada.custom_fields[name] == stored
    assert type(ada.custom_fields[name]) is type(stored)
    change_contact(ada.pk, {name: ""}, source=PERSON)
    ada.refresh_from_db()
    assert name not in ada.custom_fields
    assert last_change().diff == {name: [stored, None]}


def test_values_that_do_not_fit_are_refused_one_by_one(ada: Contact) -> None:
    written = change_contact(
        ada.pk, {"a_number": "many", "a_enum": "Gold", "shoe_size": 4, "last_name": "King"}, source=CALL
    )
    assert {name: error.reason for name, error in written.refused.items()} == {
        "a_number": "not_a_number",
        "a_enum": "unknown_option",
        "shoe_size": "unknown_field",
    }
    assert set(written.changed) == {"last_name"}


def test_strict_refuses_the_whole_write(ada: Contact) -> None:
    with pytest.raises(DoesNotFit, match="a_number"):
        change_contact(ada.pk, {"last_name": "King", "a_number": "many"}, source=PERSON, strict=True)
    ada.refresh_from_db()
    assert ada.last_name == ""
    assert ContactChange.objects.count() == 1


def test_a_value_moved_meanwhile_is_left_alone(ada: Contact) -> None:
    """Compare-and-set: the other fields of the same write go through."""
    written = change_contact(
        ada.pk,
        {"first_name": "Augusta", "last_name": "King"},
        source=CALL,
        expect={"first_name": "Adele", "last_name": None},
    )
    assert {name: error.reason for name, error in written.refused.items()} == {"first_name": "moved"}
    ada.refresh_from_db()
    assert (ada.first_name, ada.last_name) == ("Ada", "King")
    assert change_contact(
        ada.pk, {"first_name": "Augusta"}, source=CALL, expect={"first_name": "Ada"}
    ).changed


def test_a_contact_that_is_gone_cannot_be_changed(ada: Contact) -> None:
    pk = ada.pk
    ada.delete()
    with pytest.raises(Contact.DoesNotExist):
        change_contact(pk, {"first_name": "Ada"}, source=PERSON)


def test_json_keys_are_merged_and_other_columns_left_alone(ada: Contact) -> None:
    """A stale copy in memory writes nothing back: neither other keys nor the counters of conversations."""
    stale = Contact.objects.get(pk=ada.pk)
    change_contact(ada.pk, {"a_string": "From elsewhere."}, source=CALL)
    Contact.objects.filter(pk=ada.pk).update(conversation_count=3)
    change_contact(stale.pk, {"a_boolean": True}, source=PERSON)
    ada.refresh_from_db()
    assert ada.custom_fields == {
        "a_enum": "Free",
        "a_number": 0,
        "a_string": "From elsewhere.",
        "a_boolean": True,
    }
    assert ada.conversation_count == 3


@pytest.mark.parametrize(
    ("source", "marked"), [(PERSON, True), (Source("api_key", "key:1"), True), (CALL, False), (CRM, False)]
)
def test_only_peoples_writes_count_as_modified_by_a_user(ada: Contact, source: Source, marked: bool) -> None:
    Contact.objects.update(user_modified_at=None)
    change_contact(ada.pk, {"first_name": "Augusta"}, source=source)
    assert Contact.objects.exclude(user_modified_at=None).exists() is marked


def test_the_phone_number_is_not_changed_like_a_field(ada: Contact) -> None:
    written = change_contact(ada.pk, {"phone_number": GRACE}, source=PERSON)
    assert written.refused["phone_number"].reason == "phone_fixed"
    assert find_by_number(ADA) == ada


def test_a_batch_costs_the_same_queries_whatever_its_size(fields: None) -> None:
    def cost(count: int, first: int) -> tuple[int, int]:
        with transaction.atomic():
            with CaptureQueriesContext(database) as creating:
                made = create_contacts(
                    [{"phone_number": f"+1415555{first + i}", "a_enum": "Free"} for i in range(count)],
                    source=CRM,
                )
            with CaptureQueriesContext(database) as changing:
                locked = lock_contacts([written.contact.pk for written in made])
                change_contacts(locked, [Edit(pk, {"a_enum": "Pro"}) for pk in locked], source=CRM)
        return len(creating), len(changing)

    assert cost(3, 2000) == cost(60, 3000)


# --- opt-outs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [False, None, "", "no"])
@pytest.mark.parametrize("source", [CALL, CRM, Source("import"), Source("system")])
def test_nothing_automatic_takes_an_opt_out_back(ada: Contact, source: Source, value: Any) -> None:
    """Row 40."""
    change_contact(ada.pk, {"do_not_call": True}, source=CALL)
    written = change_contact(ada.pk, {"do_not_call": value, "last_name": "King"}, source=source)
    assert written.refused["do_not_call"].reason == "opt_out_kept"
    ada.refresh_from_db()
    assert (ada.do_not_call, ada.last_name) == (True, "King")


def test_a_person_takes_an_opt_out_back(ada: Contact) -> None:
    change_contact(ada.pk, {"do_not_call": True}, source=CRM)
    change_contact(ada.pk, {"do_not_call": False}, source=PERSON)
    ada.refresh_from_db()
    assert not ada.do_not_call
    assert last_change().diff == {"do_not_call": [True, False]}


# --- creating and finding --------------------------------------------------------------------------


def test_a_created_contact_has_only_what_was_given(fields: None) -> None:
    written = create_contact(ADA, {"first_name": "Ada", "last_name": "", "do_not_call": False}, source=PERSON)
    assert written.created
    assert set(written.changed) == {"phone_number", "first_name"}
    held = {name: value for name, value in snapshot(written.contact).items() if value is not None}
    assert held == {"phone_number": ADA, "first_name": "Ada", "do_not_call": False}
    assert last_change().created
    assert last_change().diff == {"phone_number": [None, ADA], "first_name": [None, "Ada"]}


def test_an_imports_notes_are_not_urgent_and_its_history_holds_no_values(fields: None) -> None:
    """Row 37: by the source of each row, not of the call."""
    rows = [{"phone_number": ADA, "first_name": "Ada"}, {"phone_number": GRACE}]
    create_contacts(rows, source=Source("crm"), sources=[CRM, CALL])
    assert dict(ContactTouched.objects.values_list("contact_id", "urgent")) == {
        Contact.objects.get(phone_number=ADA).pk: False,
        Contact.objects.get(phone_number=GRACE).pk: True,
    }
    assert ContactChange.objects.get(contact__phone_number=ADA).diff == {"phone_number": [], "first_name": []}


def test_a_taken_number_is_told_with_its_owner(ada: Contact) -> None:
    with pytest.raises(PhoneTaken) as taken:
        create_contact(ADA, {}, source=PERSON)
    assert taken.value.contact == ada
    assert ADA not in str(taken.value)


def test_finding_or_creating_matches_former_numbers(ada: Contact) -> None:
    assert find_or_create(ADA, source=CALL) == (ada, False)
    with transaction.atomic():
        change_numbers({ada.pk: GRACE}, source=CRM)
    assert find_or_create(ADA, source=CALL) == (ada, False)
    made, created = find_or_create(LINUS, source=CALL)
    assert created
    assert made.sources["phone_number"]["ref"] == "conversation:7"


# --- numbers ---------------------------------------------------------------------------------------


def move(**numbers: str) -> None:
    """Give contacts new numbers, by first name."""
    wanted = {Contact.objects.get(first_name=name).pk: number for name, number in numbers.items()}
    with transaction.atomic():
        change_numbers(wanted, source=CRM)


@pytest.fixture
def three(fields: None) -> None:
    """Ada, Grace and Linus."""
    for name, number in (("Ada", ADA), ("Grace", GRACE), ("Linus", LINUS)):
        create_contact(number, {"first_name": name}, source=PERSON)


def numbers() -> dict[str, str]:
    """Everybody's number."""
    return dict(Contact.objects.values_list("first_name", "phone_number"))


def test_a_moved_number_is_history_and_alias(three: None) -> None:
    move(Ada="+14155550199")
    assert numbers()["Ada"] == "+14155550199"
    assert last_change().diff == {"phone_number": [ADA, "+14155550199"]}
    assert find_by_number(ADA) == Contact.objects.get(first_name="Ada")


def test_numbers_swap_and_go_round(three: None) -> None:
    move(Ada=GRACE, Grace=ADA)
    assert numbers() == {"Ada": GRACE, "Grace": ADA, "Linus": LINUS}
    move(Ada=ADA, Grace=LINUS, Linus=GRACE)
    assert numbers() == {"Ada": ADA, "Grace": LINUS, "Linus": GRACE}
    assert not ContactAlias.objects.exists()


def test_a_number_that_stays_is_no_change(three: None) -> None:
    move(Ada=ADA)
    assert not ContactAlias.objects.exists()
    assert ContactChange.objects.count() == 3


def test_a_number_that_somebody_keeps_is_refused_and_nothing_is_half_done(three: None) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        move(Ada=GRACE)
    assert numbers() == {"Ada": ADA, "Grace": GRACE, "Linus": LINUS}


def test_an_alias_leads_to_whoever_had_the_number_last(three: None) -> None:
    move(Ada="+14155550199")
    move(Grace=ADA)
    assert find_by_number(ADA) == Contact.objects.get(first_name="Grace")
    move(Grace="+14155550198")
    assert find_by_number(ADA) == Contact.objects.get(first_name="Grace")
    assert find_by_number(GRACE) == Contact.objects.get(first_name="Grace")


def test_a_number_taken_back_is_no_alias_any_more(three: None) -> None:
    move(Ada="+14155550199")
    move(Ada=ADA)
    assert list(ContactAlias.objects.values_list("phone_number", flat=True)) == ["+14155550199"]


# --- races, on the database's own locks ------------------------------------------------------------


def test_a_number_that_rings_twice_at_once_is_one_contact(
    transactional_db: None, in_threads: Callable[..., list[Any]]
) -> None:
    """Rows 9, 10: fifty rounds of three events at the same moment."""
    for index in range(50):
        number = f"+1415555{6000 + index}"
        found = in_threads(*[lambda number=number: find_or_create(number, source=CALL)] * 3)
        assert len({contact.pk for contact, _ in found}) == 1
        assert sorted(created for _, created in found) == [False, False, True]
    assert Contact.objects.count() == 50


def test_an_event_racing_an_import_finds_the_imported_contact(
    transactional_db: None, in_threads: Callable[..., list[Any]]
) -> None:
    """Row 10: an import takes no turns; whoever comes second finds the first one's contact."""

    def bring_in(number: str) -> object:
        try:
            with transaction.atomic():
                return create_contacts([{"phone_number": number}], source=CRM)[0].contact.pk
        except IntegrityError:
            return None

    for index in range(50):
        number = f"+1415555{7000 + index}"
        _, found = in_threads(
            lambda number=number: bring_in(number), lambda number=number: find_or_create(number, source=CALL)
        )
        contact, _ = found
        assert contact.phone_number == number
    assert Contact.objects.count() == 50


def test_edits_of_different_fields_at_once_are_all_kept(
    transactional_db: None, in_threads: Callable[..., list[Any]]
) -> None:
    """Lost updates: two writers of one contact, its JSON and its sources, fifty times."""
    make_fields()
    ada = create_contact(ADA, {}, source=PERSON).contact
    for index in range(50):
        in_threads(
            lambda index=index: change_contact(ada.pk, {"a_string": f"Text {index}"}, source=PERSON),
            lambda index=index: change_contact(ada.pk, {"a_number": index + 1}, source=CALL),
        )
        ada.refresh_from_db()
        assert ada.custom_fields == {"a_string": f"Text {index}", "a_number": index + 1}
        assert (ada.sources["a_string"]["kind"], ada.sources["a_number"]["kind"]) == (
            "person",
            "conversation",
        )


def test_of_two_who_expect_the_same_value_one_wins(
    transactional_db: None, in_threads: Callable[..., list[Any]]
) -> None:
    """Compare-and-set for real: a merge of two texts never overwrites another."""
    make_fields()
    ada = create_contact(ADA, {"a_number": 0}, source=PERSON).contact

    def step(expected: int) -> object:
        return bool(
            change_contact(
                ada.pk, {"a_number": expected + 1}, source=CALL, expect={"a_number": expected}
            ).changed
        )

    for index in range(25):
        assert sorted(map(str, in_threads(*[lambda index=index: step(index)] * 2))) == ["False", "True"]
    ada.refresh_from_db()
    assert ada.custom_fields["a_number"] == 25


def test_tags_change_with_a_row_of_the_labels_and_no_row_when_nothing_changes(ada: Contact) -> None:
    vip, gold = (ContactTag.objects.create(label=label) for label in ("VIP", "Gold"))
    before = ContactChange.objects.count()
    assert change_tags(ada, add=[vip, gold], source=PERSON)
    assert not change_tags(ada, add=[gold], source=PERSON)
    assert change_tags(ada, add=[gold], remove=[vip], source=CALL)
    assert [row.diff for row in ContactChange.objects.order_by("pk")[before:]] == [
        {"contact_tags": [None, "Gold, VIP"]},
        {"contact_tags": ["Gold, VIP", "Gold"]},
    ]
    assert last_change().source_ref == "conversation:7"
    assert set(ada.tags.all()) == {gold}


def test_only_peoples_tags_count_as_modified_by_a_user(ada: Contact) -> None:
    vip, gold = (ContactTag.objects.create(label=label) for label in ("VIP", "Gold"))
    Contact.objects.update(user_modified_at=None)
    change_tags(ada, add=[vip], source=CALL)
    ada.refresh_from_db()
    assert ada.user_modified_at is None
    change_tags(ada, add=[gold], source=PERSON)
    ada.refresh_from_db()
    assert ada.user_modified_at is not None


def test_a_contact_that_is_gone_gets_no_tags(ada: Contact) -> None:
    Contact.objects.filter(pk=ada.pk).delete()
    with pytest.raises(Contact.DoesNotExist):
        change_tags(ada, add=[ContactTag.objects.create(label="VIP")], source=PERSON)
