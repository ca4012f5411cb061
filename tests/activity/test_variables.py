"""What an agent reads about a contact."""

import pytest

from activity.variables import dynamic_variables, reserved
from contacts.changes import Source, create_contact
from contacts.models import Contact, CustomField
from tests.activity.payloads import ADA

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
