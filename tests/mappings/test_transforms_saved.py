"""What is refused, and what is said, when a mapping is saved; and rules that change with it."""

import pytest
from django.core.exceptions import ValidationError

from contacts.models import CustomField, field_specs
from contacts.values import FieldType
from integrations.models import Connection, dump_field
from integrations.providers.base import ExternalField, Option
from mappings.compatibility import inbound_warnings, outbound_warnings
from mappings.compile import compile_rules
from mappings.models import InboundMapping, OutboundMapping
from mappings.review import review
from mappings.rules import Direction

RATINGS = tuple(Option(one, one, one != "Frozen") for one in ("Hot", "Warm", "Frozen"))
SCHEMA = [
    ExternalField("FirstName", "First Name", FieldType.STRING, max_length=40),
    ExternalField("LastName", "Last Name", FieldType.STRING, required=True, max_length=80),
    ExternalField("Phone", "Phone", FieldType.STRING, phone=True, max_length=40),
    ExternalField("MobilePhone", "Mobile", FieldType.STRING, phone=True, max_length=40),
    ExternalField("Rating", "Rating", FieldType.ENUM, options=RATINGS, restricted=True),
    ExternalField("Vip", "VIP", FieldType.BOOLEAN),
    ExternalField("DoNotCall", "Do Not Call", FieldType.BOOLEAN),
    ExternalField("Score", "Score", FieldType.NUMBER, createable=False, updateable=False, calculated=True),
    ExternalField("Owner", "Owner", FieldType.STRING, createable=False, updateable=False),
    ExternalField("Description", "Description", FieldType.STRING, max_length=32_000),
    ExternalField("Region", "Region", FieldType.STRING, required=True, max_length=10),
    ExternalField("Visited", "Visited", FieldType.DATETIME),
]


@pytest.fixture
def connection(db: None) -> Connection:
    """A connection with a cached schema; contact fields of several types."""
    for name, kind in (("vip", "boolean"), ("notes", "string"), ("score", "number"), ("renewal", "date")):
        CustomField.objects.create(name=name, type=kind)
    CustomField.objects.create(name="plan", type="enum", options=["Free", "Pro"])
    return Connection.objects.create(
        provider="salesforce", name="Sales", schema=[dump_field(field) for field in SCHEMA]
    )


def inbound(connection: Connection, external: str, contact: str, **options: object) -> InboundMapping:
    return InboundMapping(connection=connection, external_field=external, contact_field=contact, **options)


def outbound(connection: Connection, contact: str, external: str, **options: object) -> OutboundMapping:
    return OutboundMapping(connection=connection, external_field=external, contact_field=contact, **options)


def faults(mapping: InboundMapping | OutboundMapping) -> set[str]:
    """The fields at fault."""
    with pytest.raises(ValidationError) as error:
        mapping.full_clean()
    return set(error.value.message_dict)


@pytest.mark.parametrize(
    ("external", "contact", "options", "fault"),
    [
        ("Rating", "plan", {"value_map": {"Hot": "Platinum"}}, "value_map"),
        ("Rating", "plan", {"value_map": {"Hot": ""}}, "value_map"),
        ("Rating", "plan", {"value_map": {" ": "Pro"}}, "value_map"),
        ("Rating", "plan", {"value_map": {"Hot": "Pro", "HOT ": "Free"}}, "value_map"),
        ("Rating", "plan", {"value_map": {"Hot": True}}, "value_map"),
        ("Rating", "plan", {"value_map": ["Hot"]}, "value_map"),
        ("Rating", "plan", {"value_map": {"Hot": "x" * 300}}, "value_map"),
        ("Rating", "plan", {"default_value": "Platinum"}, "default_value"),
        ("Rating", "plan", {"case": "upper"}, "case"),
        ("Rating", "plan", {"case": "sideways"}, "case"),
        ("Vip", "notes", {"value_map": {"Yes": "very"}}, "value_map"),  # a boolean never says "Yes"
        ("Score", "vip", {}, "external_field"),  # a number is no boolean …
        ("DoNotCall", "do_not_call", {"default_value": "true"}, "default_value"),
        ("Phone", "phone_number", {"case": "lower"}, "__all__"),
        ("Phone", "phone_number", {"value_map": {"0": "+14155550100"}}, "__all__"),
        ("Visited", "phone_number", {}, "external_field"),
        ("Gone", "notes", {}, "external_field"),
        ("FirstName", "nickname", {}, "contact_field"),
    ],
)  # fmt: skip
def test_an_inbound_mapping_that_cannot_work_is_refused_at_the_field_at_fault(
    connection: Connection, external: str, contact: str, options: dict[str, object], fault: str
) -> None:
    assert faults(inbound(connection, external, contact, **options)) == {fault}


@pytest.mark.parametrize(
    ("contact", "external", "options", "fault"),
    [
        ("plan", "Rating", {"value_map": {"Pro": "Boiling"}}, "value_map"),
        ("plan", "Rating", {"value_map": {"Pro": "Frozen"}}, "value_map"),  # an inactive option
        ("plan", "Rating", {"default_value": "Boiling"}, "default_value"),
        ("vip", "Rating", {"value_map": {"yes": "Hot"}}, "value_map"),
        ("notes", "Region", {"default_value": "far too long"}, "default_value"),
        ("do_not_call", "DoNotCall", {"default_value": "false"}, "default_value"),
        ("score", "Score", {}, "external_field"),
        ("notes", "Owner", {}, "external_field"),
        ("renewal", "Score", {}, "external_field"),
        ("phone_number", "Phone", {"default_value": "+14155550100"}, "__all__"),
    ],
)
def test_an_outbound_mapping_that_cannot_work_is_refused_at_the_field_at_fault(
    connection: Connection, contact: str, external: str, options: dict[str, object], fault: str
) -> None:
    assert faults(outbound(connection, contact, external, **options)) == {fault}


def test_mappings_that_can_work_are_saved(connection: Connection) -> None:
    inbound(
        connection, "Rating", "plan", value_map={"Hot": "Pro", "warm": "free"}, default_value="Free"
    ).full_clean()
    inbound(
        connection, "Score", "vip", value_map={"1": "true", "0": "false"}
    ).full_clean()  # … unless a map says so
    outbound(connection, "vip", "Rating", value_map={"true": "Hot", "false": "Warm"}).full_clean()
    inbound(connection, "FirstName", "first_name", case="title").full_clean()
    inbound(connection, "Phone", "phone_number").full_clean()


@pytest.mark.parametrize(
    ("external", "contact", "words"),
    [
        ("Score", "score", "nightly reconciliation"),  # row 47
        ("Description", "first_name", "255"),
        ("Region", "renewal", "2026-05-14"),
        ("Rating", "plan", "“Hot”, “Warm” cannot be held"),
        ("Visited", "renewal", "Only the day"),
    ],
)
def test_an_inbound_mapping_with_a_catch_says_so(
    connection: Connection, external: str, contact: str, words: str
) -> None:
    warnings = inbound_warnings(field_specs()[contact], external, connection.external_fields())
    assert len(warnings) == 1
    assert words in warnings[0]


@pytest.mark.parametrize(
    ("contact", "external", "words"),
    [("notes", "Region", "10 characters"), ("plan", "Rating", "“Free”, “Pro”")],
)
def test_an_outbound_mapping_with_a_catch_says_so(
    connection: Connection, contact: str, external: str, words: str
) -> None:
    warnings = outbound_warnings(field_specs()[contact], external, connection.external_fields())
    assert len(warnings) == 1
    assert words in warnings[0]


def test_a_mapping_without_a_catch_says_nothing(connection: Connection) -> None:
    assert inbound(connection, "FirstName", "first_name").warnings() == []
    assert inbound(connection, "Rating", "plan", value_map={"Hot": "Pro", "Warm": "Free"}).warnings() == []
    assert outbound(connection, "vip", "Vip").warnings() == []


def test_a_default_that_the_blank_policy_never_uses_is_said(connection: Connection) -> None:
    mapping = inbound(connection, "FirstName", "first_name", default_value="Ada", blank_policy="clear")
    mapping.full_clean()
    assert "never used" in mapping.warnings()[0]


def test_required_fields_that_nothing_feeds_are_said_once_records_are_created(connection: Connection) -> None:
    inbound(connection, "Phone", "phone_number").save()
    outbound(connection, "last_name", "LastName").save()
    assert not [finding for finding in review(connection) if not finding.mapping]
    connection.sync_new_contacts = True
    found = [finding.words for finding in review(connection) if not finding.mapping]
    assert len(found) == 1
    assert "“Region”" in found[0]
    assert "Last Name" not in found[0]


@pytest.mark.parametrize(
    "change",
    [
        {"case": "upper"}, {"value_map": {"a": "b"}}, {"default_value": "b"}, {"blank_policy": "clear"},
        {"conflict_policy": "ask"},
    ],
)  # fmt: skip
def test_the_version_of_the_rules_changes_with_every_setting_of_a_mapping(
    connection: Connection, change: dict[str, object]
) -> None:
    inbound(connection, "FirstName", "first_name").save()
    before = compile_rules(connection).version
    assert compile_rules(connection).version == before
    connection.inbound_mappings.update(**change)
    assert compile_rules(connection).version != before


def test_the_version_of_the_rules_changes_with_options_region_and_phone_fields(
    connection: Connection,
) -> None:
    inbound(connection, "Phone", "phone_number").save()
    inbound(connection, "Rating", "plan").save()
    seen = {compile_rules(connection).version}
    CustomField.objects.filter(name="plan").update(options=["Free", "Pro", "Hot"])
    seen.add(compile_rules(connection).version)
    connection.phone_region = "DE"
    seen.add(compile_rules(connection).version)
    connection.phone_fields = ["MobilePhone"]
    seen.add(compile_rules(connection).version)
    assert len(seen) == 4


def without(connection: Connection, *names: str, **changes: dict[str, bool]) -> None:
    """The CRM's fields are no longer what they were."""
    rows = [row for row in connection.schema if row["name"] not in names]
    connection.schema = [row | changes.get(row["name"], {}) for row in rows]


def test_the_half_of_a_two_way_mapping_that_still_works_goes_on(connection: Connection) -> None:
    inbound(connection, "FirstName", "first_name").save()
    outbound(connection, "first_name", "FirstName").save()
    without(connection, FirstName={"updateable": False})
    rules = compile_rules(connection)
    assert [rule.direction for rule in rules.fields] == [Direction.INBOUND]
    assert [*rules.broken] == ["first_name → FirstName"]
    assert "read-only" in rules.broken["first_name → FirstName"]


def test_the_settled_pairs_of_a_broken_mapping_are_kept_until_it_is_mended(connection: Connection) -> None:
    inbound(connection, "FirstName", "first_name").save()
    outbound(connection, "first_name", "FirstName").save()
    without(connection, "FirstName")
    rules = compile_rules(connection)
    assert rules.fields == ()
    assert [*rules.broken] == ["FirstName ↔ first_name"]
    assert rules.keys == {"FirstName:first_name"}


def test_a_type_that_changed_in_the_crm_puts_the_mapping_out_of_work(connection: Connection) -> None:
    inbound(connection, "Score", "score").save()
    inbound(connection, "FirstName", "first_name").save()
    without(connection, Score={"type": "datetime"})  # type: ignore[dict-item]
    rules = compile_rules(connection)
    assert rules.broken == {"Score → score": "A datetime in the CRM cannot become a number."}
    assert [rule.key for rule in rules.fields] == ["FirstName:first_name"]


def test_phone_fields_are_read_in_their_order_and_a_broken_one_is_left_out(connection: Connection) -> None:
    inbound(connection, "Phone", "phone_number").save()
    connection.phone_fields = ["Other", "MobilePhone", "Phone"]
    rules = compile_rules(connection)
    assert rules.phone_fields == ("Phone", "MobilePhone")
    assert [*rules.broken] == ["Other → phone_number"]
    assert not rules.phones_whole
    connection.phone_fields = ["MobilePhone"]
    assert compile_rules(connection).phones_whole


def test_without_the_mapped_phone_field_the_others_match_nobody(connection: Connection) -> None:
    inbound(connection, "Phone", "phone_number").save()
    connection.phone_fields = ["MobilePhone"]
    without(connection, "Phone")
    assert compile_rules(connection).phone_fields == ()


@pytest.mark.parametrize(
    ("names", "fine"),
    [
        (["MobilePhone"], True), ([], True), (["MobilePhone", "MobilePhone"], False), (["Other"], False), (["Vip"], False),
        ([1], False), ([" MobilePhone"], False), ("MobilePhone", False), ({"MobilePhone": 1}, False),
    ],
)  # fmt: skip
def test_further_phone_fields_are_checked_when_the_connection_is_saved(
    connection: Connection, names: object, fine: bool
) -> None:
    connection.phone_fields = names
    if fine:
        connection.clean()
        return
    with pytest.raises(ValidationError) as refused:
        connection.clean()
    assert [*refused.value.message_dict] == ["phone_fields"]
