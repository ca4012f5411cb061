"""What an agent reads about a contact."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from activity.variables import (
    Told,
    answer_for_caller,
    dynamic_variables,
    may_call,
    preview,
    reserved,
    texts,
)
from contacts.changes import Source, change_contact, create_contact
from contacts.models import Contact, ContactAlias, CustomField
from crmsync.organisation import Organisation
from tests.activity.payloads import ADA, GRACE

pytestmark = pytest.mark.django_db


def test_values_are_texts_and_blanks_are_left_out(fields):
    values = {
        "first_name": "Ada", "notes": "  Likes tea. ", "plan": "pro", "budget": 0.5, "vip": False,
        "renewal": "2026-05-14", "visit": "2026-05-14T10:00:00+02:00",
    }  # fmt: skip
    ada = create_contact(ADA, values, source=Source("person")).contact
    assert dynamic_variables(ada) == {
        "first_name": "Ada",
        "do_not_call": "false",
        "notes": "Likes tea.",
        "plan": "pro",
        "budget": "0.5",
        "vip": "false",
        "renewal": "2026-05-14",
        "visit": "2026-05-14T08:00:00Z",
    }


@pytest.mark.parametrize(
    "name", ["user_number", "call_id", "current_time", "current_time_america_new_york", "direction"]
)
def test_a_name_that_the_platform_fills_itself_is_never_sent(fields, name):
    CustomField.objects.create(name=name, type="string")
    ada = create_contact(ADA, {name: "x", "notes": "Tea."}, source=Source("person")).contact
    assert reserved(name)
    assert dynamic_variables(ada) == {"do_not_call": "false", "notes": "Tea."}


def test_a_removed_field_is_not_sent(fields):
    ada = create_contact(ADA, {"notes": "Tea."}, source=Source("person")).contact
    CustomField.objects.filter(name="notes").delete()
    assert "notes" not in dynamic_variables(Contact.objects.get(pk=ada.pk))


# --- the door that a ringing call waits at ---------------------------------------------------------


def inbound(number=ADA):
    return answer_for_caller({"from_number": number, "to_number": "+14155550199", "call_id": "call_1"})


def known(**values):
    return create_contact(ADA, values, source=Source("person", label="Grace")).contact


def test_the_door_answers_what_the_long_way_would(fields):
    ada = known(
        first_name="Ada", notes="Tea.", budget=0.5, vip=False, renewal="2026-05-14", contact_memory="Kind."
    )
    answer = inbound()
    assert answer.variables == dynamic_variables(ada)
    assert (answer.variables["contact_memory"], answer.known, answer.reject) == ("Kind.", True, False)


def test_the_door_takes_one_statement(fields, django_assert_num_queries):
    known(first_name="Ada")
    inbound()
    with django_assert_num_queries(1):
        inbound()


def test_a_former_number_finds_its_contact_and_an_unknown_or_withheld_one_nobody(fields):
    ada = known(notes="Tea.")
    ContactAlias.objects.create(contact=ada, phone_number=GRACE)
    assert inbound(GRACE).variables["notes"] == "Tea."
    for number in ("+14155550177", "anonymous", "", None):
        assert inbound(number).document == {"dynamic_variables": {}}


def test_a_private_field_is_never_told_not_even_its_fallback(fields):
    CustomField.objects.filter(name="notes").update(private=True, fallback="none")
    ada = known(notes="Secret.", interests="Chess.")
    for told in (inbound().variables, dynamic_variables(ada)):
        assert "notes" not in told
        assert told["interests"] == "Chess."


def test_a_fallback_stands_in_for_a_blank_only(fields):
    CustomField.objects.filter(name="plan").update(fallback="free")
    ada = known()
    assert (inbound().variables["plan"], dynamic_variables(ada)["plan"]) == ("free", "free")
    change_contact(ada.pk, {"plan": "pro"}, source=Source("person"))
    assert inbound().variables["plan"] == "pro"


@pytest.mark.parametrize("number", ["+14155550177", "anonymous", "", None])
def test_of_an_unknown_or_withheld_number_the_agent_is_told_the_fallbacks(
    fields, number, django_assert_num_queries
):
    """Row 38."""
    CustomField.objects.filter(name="plan").update(fallback="free")
    CustomField.objects.filter(name="notes").update(fallback="secret", private=True)
    inbound()
    with django_assert_num_queries(1):
        answer = inbound(number)
    assert (answer.document, answer.known) == ({"dynamic_variables": {"plan": "free"}}, False)
    assert dynamic_variables(None) == {"plan": "free"}
    shown = preview("+14155550177").variables
    assert [(one.name, one.text, one.fallback) for one in shown] == [("plan", "free", True)]


def test_long_texts_are_cut(fields, settings):
    settings.CRMSYNC_VARIABLE_LIMIT = 10
    ada = known(notes="A very long text about tea.")
    assert inbound().variables["notes"] == dynamic_variables(ada)["notes"] == "A very lo…"


def test_all_variables_together_have_a_bounded_size(settings):
    settings.CRMSYNC_VARIABLE_LIMIT = 30_000
    fields = [Told(f"field_{number}", False, "") for number in range(9)]
    told = texts({field.name: "x" * 10_000 for field in fields}, fields)
    assert sum(map(len, told.values())) <= 64_000
    assert list(told) == [f"field_{number}" for number in range(6)]


def test_nobody_is_rejected_unless_a_field_was_chosen_for_it(fields):
    known(do_not_call=True, vip=True)
    assert inbound().document.get("reject") is None
    rules = Organisation.objects.update_or_create(pk=1, defaults={"reject_field": "do_not_call"})[0]
    assert inbound().document["reject"] is True
    rules.reject_field = "vip"
    rules.save()
    assert inbound().reject
    rules.reject_field = "notes"
    with pytest.raises(ValidationError):
        rules.clean()


def test_a_preview_tells_what_an_agent_would_get_and_how_old_it_is(fields):
    CustomField.objects.filter(name="plan").update(fallback="free")
    CustomField.objects.filter(name="interests").update(private=True)
    ada = known(notes="Tea.", interests="Secret.")
    found = preview("(415) 555-0101")
    assert (found.phone_number, found.contact, found.private) == (ADA, ada, ["interests"])
    assert {one.name: one.text for one in found.variables} == dynamic_variables(ada)
    by_name = {one.name: one for one in found.variables}
    assert by_name["notes"].source == "Grace"
    written = by_name["notes"].at
    assert written is not None
    assert timezone.now() - written < timedelta(minutes=1)
    assert (by_name["plan"].fallback, by_name["plan"].at) == (True, None)
    assert (found.may_call, found.reject) == (True, False)
    assert preview("+14155550177").contact is None


def test_who_asked_not_to_be_called_may_not_be_called(fields):
    assert may_call(None) == (True, "")
    assert may_call(known(do_not_call=True))[0] is False
