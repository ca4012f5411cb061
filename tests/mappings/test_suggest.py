"""Suggested mappings: like names and labels, fitting types, no field twice."""

from dataclasses import replace

import pytest

from contacts.values import BUILT_IN, FieldSpec, FieldType
from integrations.providers.base import ExternalField
from mappings.suggest import suggest

pytestmark = pytest.mark.once

SALESFORCE = {
    one.name: one
    for one in (
        ExternalField("Id", "Contact ID", FieldType.STRING, createable=False, updateable=False),
        ExternalField("Name", "Full Name", FieldType.STRING, createable=False, updateable=False),
        ExternalField("FirstName", "First Name", FieldType.STRING),
        ExternalField("LastName", "Last Name", FieldType.STRING),
        ExternalField("Phone", "Business Phone", FieldType.STRING, phone=True),
        ExternalField("MobilePhone", "Mobile Phone", FieldType.STRING, phone=True),
        ExternalField("Fax", "Business Fax", FieldType.STRING, phone=True),
        ExternalField("DoNotCall", "Do Not Call", FieldType.BOOLEAN),
        ExternalField("Title", "Title", FieldType.STRING),
        ExternalField("Birthdate", "Birthdate", FieldType.DATE),
        ExternalField("Lifetime_Value__c", "LTV", FieldType.NUMBER),
        ExternalField(
            "Score__c", "Health score", FieldType.NUMBER, createable=False, updateable=False, calculated=True
        ),
        ExternalField("Plan__c", "Plan", FieldType.ENUM),
        ExternalField("Renewal__c", "Renewal", FieldType.STRING),
    )
}
HUBSPOT = {
    one.name: one
    for one in (
        ExternalField("firstname", "First Name", FieldType.STRING),
        ExternalField("lastname", "Last Name", FieldType.STRING),
        ExternalField("phone", "Phone Number", FieldType.STRING, phone=True),
        ExternalField("mobilephone", "Mobile Phone Number", FieldType.STRING, phone=True),
    )
}
CUSTOM = {
    spec.name: spec
    for spec in (
        FieldSpec("job_title", FieldType.STRING),
        FieldSpec("date_of_birth", FieldType.DATE),
        FieldSpec("lifetime_value", FieldType.NUMBER),
        FieldSpec("health", FieldType.NUMBER, label="Health score"),
        FieldSpec("plan", FieldType.ENUM, ("Free", "Pro")),
        FieldSpec("renewal", FieldType.DATE),
        FieldSpec("shoe_size", FieldType.NUMBER),
    )
}


def test_the_built_in_fields_find_their_counterparts_in_both_crms() -> None:
    assert suggest(BUILT_IN, SALESFORCE) == [
        ("Phone", "phone_number", False), ("FirstName", "first_name", True), ("LastName", "last_name", True),
        ("DoNotCall", "do_not_call", True),
    ]  # fmt: skip
    assert suggest(BUILT_IN, HUBSPOT) == [
        ("phone", "phone_number", False), ("firstname", "first_name", True), ("lastname", "last_name", True),
    ]  # fmt: skip


def test_custom_fields_are_matched_by_name_label_and_other_words_where_types_fit() -> None:
    assert suggest(CUSTOM, SALESFORCE) == [
        ("Title", "job_title", True), ("Birthdate", "date_of_birth", True), ("Lifetime_Value__c", "lifetime_value", True),
        ("Score__c", "health", False),  # computed: comes in only
        ("Plan__c", "plan", True),
    ]  # fmt: skip


def test_a_name_counts_more_than_another_word_and_no_field_is_offered_twice() -> None:
    ours = {name: FieldSpec(name, FieldType.STRING) for name in ("position", "title")}
    assert suggest(ours, SALESFORCE) == [("Title", "title", True)]


def test_without_a_main_phone_field_the_mobile_one_is_offered_and_never_the_fax() -> None:
    schema = {name: field for name, field in SALESFORCE.items() if name != "Phone"}
    assert suggest(BUILT_IN, schema)[0] == ("MobilePhone", "phone_number", False)
    del schema["MobilePhone"]
    assert "phone_number" not in [one.contact for one in suggest(BUILT_IN, schema)]


def test_of_two_that_say_the_same_the_one_that_can_be_written_is_offered() -> None:
    locked = replace(SALESFORCE["FirstName"], name="First_Name", createable=False, updateable=False)
    schema = {"First_Name": locked, "FirstName": SALESFORCE["FirstName"]}
    assert suggest(BUILT_IN, schema) == [("FirstName", "first_name", True)]


def test_an_empty_schema_suggests_nothing() -> None:
    assert suggest(BUILT_IN, {}) == []
