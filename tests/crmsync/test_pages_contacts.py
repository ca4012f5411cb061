"""Contacts as people see, find and edit them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from activity.models import Conversation
from contacts.changes import Source, change_contact, change_numbers, change_tags
from contacts.models import Contact, ContactChange, ContactTag, ContactTouched, CustomField
from crmsync.roles import OPERATOR, STAFF
from integrations.models import Connection
from sync.models import ExternalRecord
from sync.undo_requests import undo_some
from tests.crmsync.pages_world import client_of, connection, contact, text, world

pytestmark = pytest.mark.django_db


@pytest.fixture
def fields() -> None:
    """A custom field of every type."""
    for name in ("string", "number", "boolean", "date", "datetime"):
        CustomField.objects.create(name=f"a_{name}", label=f"A {name}", type=name)
    CustomField.objects.create(name="plan", label="Plan", type="enum", options=["free", "pro"])


@pytest.fixture
def found() -> Callable[[str], list[str]]:
    """The names on the contact list for a query."""
    client = client_of(STAFF)

    def find(query: str) -> list[str]:
        page = text(client.get("/contacts/", {"q": query, "sort": "name"}))
        return re.findall(r'data-label="Name"><a href="[^"]*">([^<]*)</a>', page)

    return find


def test_people_are_found_by_name_number_id_and_value(fields, found):
    crm = connection()
    ada = contact("+14155550100", "Ada", "Lovelace", a_string="prefers mornings", plan="pro", a_number=1815)
    contact("+4930123456", "Zoë", "Müller", a_string="Grüße aus Köln")
    contact("+442079460000", "Ada", "Clarke")
    ExternalRecord.objects.create(connection=crm, contact=ada, external_id="0035g00000AbCdEAAV")
    assert found("ada") == ["Ada Clarke", "Ada Lovelace"]
    assert found("lovelace ada") == ["Ada Lovelace"]
    for number in ("+1 415 555 0100", "(415) 555-0100", "415.555.0100", "001 415 555 0100", "5550100"):
        assert found(number) == ["Ada Lovelace"], number
    assert found("+49 30 123456") == ["Zoë Müller"]
    assert found("030 123456") == ["Zoë Müller"]
    assert found("0035g00000AbCdEAAV") == ["Ada Lovelace"]
    assert found(ada.public_id) == ["Ada Lovelace"]
    assert found("MORNINGS") == ["Ada Lovelace"]
    assert found("Grüße") == ["Zoë Müller"]
    assert found("1815") == ["Ada Lovelace"]
    assert found("a_string") == []
    assert found("100%") == []
    assert len(found("")) == 3


def test_a_former_number_still_finds_the_person(found):
    ada = contact()
    change_numbers({ada.pk: "+14155550199"}, source=Source("crm"))
    assert found("415 555 0100") == ["Ada Lovelace"]


def test_the_list_is_narrowed_by_tag_and_by_opt_out():
    ada, grace = contact(), contact("+14155550101", "Grace", "Hopper", do_not_call=True)
    tag = ContactTag.objects.create(label="VIP")
    ada.tags.add(tag)
    client = client_of(STAFF)
    assert grace.name not in text(client.get("/contacts/", {"tag": tag.pk}))
    assert ada.name not in text(client.get("/contacts/?calling=no"))
    assert grace.name not in text(client.get("/contacts/?calling=yes"))
    both = text(client.get("/contacts/?tag=nonsense&calling=perhaps&sort=sideways"))
    assert ada.name in both
    assert grace.name in both


def exported(client: Client, query: str) -> list[list[str]]:
    answer: Any = client.get(f"/contacts/export.csv?{query}")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    raw = b"".join(answer.streaming_content).decode()
    assert raw.startswith("\ufeff")
    return list(csv.reader(io.StringIO(raw[1:])))


def test_the_list_as_it_is_filtered_and_sorted_is_downloaded_as_csv(fields):
    crm = connection()
    ada = contact("+14155550100", "Ada", "Lovelace", a_string="=1+1", a_number=1815.5, plan="pro")
    contact("+14155550101", "Grace", "Hopper", plan="pro")
    contact("+14155550102", "Alan", "Turing", plan="free")
    ada.tags.add(ContactTag.objects.create(label="Key"))
    ExternalRecord.objects.create(connection=crm, contact=ada, external_id="x1")
    query = "f.plan=pro&sort=name&column=f.a_string&column=crm&column=f.a_number&column=tags"
    assert exported(client_of(STAFF), query) == [
        ["phone_number", "first_name", "last_name", "a_string", "crm", "a_number", "tags"],
        ["+14155550101", "Grace", "Hopper", "", "", "", ""],
        ["+14155550100", "Ada", "Lovelace", "'=1+1", "Salesforce EU", "1815.5", "Key"],
    ]


def test_a_download_of_everything_has_every_field_in_a_fixed_number_of_queries(
    fields, django_assert_max_num_queries
):
    for number in range(30):
        contact(f"+141555501{number:02}", "Ada", str(number), plan="pro", a_string="x")
    client = client_of(STAFF)
    with django_assert_max_num_queries(13):
        head, *rows = exported(client, "q=ada&column=phone_number&all=1")
    assert len(rows) == 30
    assert {"contact_id", "do_not_call", "a_datetime", "plan", "tags", "updated_at"} <= {*head}
    assert {row[head.index("plan")] for row in rows} == {"pro"}


def test_a_column_is_sorted_by_its_heading_and_turned_round_by_a_second_click(fields):
    contact("+14155550100", "Ada", a_number=2)
    contact("+14155550101", "Grace", a_number=1)
    client, where = client_of(STAFF), "/contacts/?column=f.a_number&column=f.a_string"
    heading = re.compile(r'<th scope="col"[^>]*?(?: aria-sort="(\w+)")?><a href="([^"]+)">A number')
    [(now, link)] = heading.findall(text(client.get(where)))
    assert now == ""
    for order, names in (("ascending", ["Grace", "Ada"]), ("descending", ["Ada", "Grace"])):
        page = text(client.get(f"/contacts/{link.replace('&amp;', '&')}"))
        [(now, link)] = heading.findall(page)
        assert now == order
        assert [
            one.split()[0] for one in re.findall(r'data-label="Name"><a href="[^"]*">([^<]*)</a>', page)
        ] == names
    assert "A string</th>" in page  # texts have no order that an index keeps
    page = text(client.get("/contacts/?column=created_at"))
    assert 'aria-sort="descending"><a href="?column=created_at&amp;sort=newest">Added' in page


def test_a_profile_tells_everything_and_where_it_came_from():
    known = world()
    change_contact(
        known.contact.pk,
        {"city": "Paris"},
        source=Source("conversation", known.conversation.ref, "phone call 1", {"mode": "merge"}),
    )
    page = text(client_of(STAFF).get(known.contact.get_absolute_url()))
    for words in (
        "Ada Lovelace",
        "+1 415-555-0100",
        "Paris",
        "<del>London</del>",
        "Wants a quote.",
        "https://acme.my.salesforce.com/lightning/r/Task/00T1/view",
    ):
        assert words in page
    assert f'from <a href="/conversations/{known.conversation.pk}/">today&#x27;s call</a>, merged' in page
    assert re.search(r'from <a href="/runs/1/">Salesforce EU</a>, <time [^>]*>just now</time>', page)
    assert "https://acme.my.salesforce.com/lightning/r/Contact/0035g00000AbCdEAAV/view" in page
    assert "&lt;b&gt;Hi&lt;/b&gt;" in page
    seen = page[page.index("What an agent would see now") :]
    assert re.search(r"<code>city</code></dt><dd>Paris", seen)
    assert "phone_number" not in seen[: seen.index("History")]


def test_a_field_s_history_is_told_alone_and_one_value_of_a_write_is_taken_back():
    CustomField.objects.create(name="city", label="City", type="string")
    CustomField.objects.create(name="plan", label="Plan", type="string")
    ada = contact(city="London", plan="free")
    change_contact(ada.pk, {"city": "Paris", "plan": "pro"}, source=Source("person", "user:1", "olga"))
    change_contact(ada.pk, {"plan": "max"}, source=Source("person", "user:1", "olga"))
    client, where = client_of(OPERATOR), f"{ada.get_absolute_url()}history/"
    page = text(client.get(f"{where}?field=city"))
    assert re.findall(r"<del>(\w+)</del>", page) == ["London"]
    [(change, field)] = re.findall(r'href="/undo/change/(\d+)/\?field=(\w+)"', page)
    undo = f"/undo/change/{change}/?field={field}"
    assert "“City” alone" in text(client.get(undo))
    assert client.post(undo).status_code == 302
    undo_some()
    ada.refresh_from_db()
    assert (ada.value("city"), ada.value("plan")) == ("London", "max")
    assert "It was taken back before." in text(client.get(undo))
    assert client.get(f"/undo/change/{change}/?field=nickname").status_code == 404
    assert client.get(f"{where}?field=nickname").status_code == 404
    assert len(re.findall(r"<li>", text(client.get(where)))) == 4


def test_the_conversations_of_one_contact_are_listed_alone():
    known = world()
    other = contact("+14155550101", "Grace", "Hopper")
    Conversation.objects.create(
        key="call_2", kind="call", channel="phone", contact=other, summary="About compilers."
    )
    page = text(client_of(STAFF).get(f"/conversations/?contact={known.contact.public_id}"))
    assert "Wants a quote." in page
    assert "About compilers." not in page


def test_a_profile_shows_only_conversations_of_its_contact():
    known = world()
    other = contact("+14155550101", "Grace", "Hopper")
    Conversation.objects.create(
        key="call_2", kind="call", channel="phone", contact=other, summary="About compilers."
    )
    assert "About compilers." not in text(client_of(STAFF).get(known.contact.get_absolute_url()))


def test_a_connection_that_is_not_set_up_costs_the_profile_only_its_link():
    known = world()
    Connection.objects.update(tenant_url="", credentials={})
    page = text(client_of(STAFF).get(known.contact.get_absolute_url()))
    assert "0035g00000AbCdEAAV" in page
    assert "lightning" not in page


def shown(client: Client, who: Contact) -> dict[str, str]:
    """What the edit form sends back when nothing is touched."""
    page = text(client.get(f"{who.get_absolute_url()}edit/"))
    form = client.get(f"{who.get_absolute_url()}edit/").context["form"]
    held: dict[str, str] = {}
    for bound in form:
        value = bound.value()
        if bound.field.show_hidden_initial:
            held[bound.html_initial_name] = "" if value is None else str(value)
            assert f'name="{bound.html_initial_name}"' in page
        if value not in (None, False, []):
            held[bound.html_name] = "on" if value is True else value
    return held


def test_an_untouched_form_writes_nothing(fields):
    ada = contact(
        a_string="two\nlines",
        a_number=19.5,
        a_boolean=False,
        a_date="2026-05-14",
        a_datetime="2026-05-14T09:30:00Z",
        plan="pro",
    )
    ContactTouched.objects.all().delete()
    client = client_of(OPERATOR)
    answer = client.post(f"{ada.get_absolute_url()}edit/", shown(client, ada), follow=True)
    assert "Nothing was changed." in text(answer)
    assert ContactChange.objects.count() == 1
    assert not ContactTouched.objects.exists()


def test_an_operator_s_edit_is_kept_by_type_with_the_person_as_its_source(fields):
    ada, tag = contact(), ContactTag.objects.create(label="VIP")
    client = client_of(OPERATOR, "olga")
    new = {
        "first_name": "Augusta", "custom_a_number": "1234.50", "custom_a_boolean": "false", "custom_a_date": "2026-05-14",
        "custom_a_datetime": "2026-05-14T09:30", "custom_plan": "pro", "custom_a_string": "a\r\nb", "tags": [tag.pk],
    }  # fmt: skip
    answer = client.post(f"{ada.get_absolute_url()}edit/", shown(client, ada) | new)
    assert answer.status_code == 302
    ada.refresh_from_db()
    assert ada.first_name == "Augusta"
    assert ada.custom_fields == {
        "a_number": 1234.5, "a_boolean": False, "a_date": "2026-05-14", "a_datetime": "2026-05-14T09:30:00Z", "plan": "pro",
        "a_string": "a\nb",
    }  # fmt: skip
    assert list(ada.tags.all()) == [tag]
    change = ContactChange.objects.latest("pk")
    assert (change.source_kind, change.source_label) == ("person", "olga")
    assert "last_name" not in change.diff
    assert ContactTouched.objects.filter(contact_id=ada.pk, urgent=True).exists()


def test_what_does_not_fit_is_said_at_its_field_and_nothing_is_written(fields):
    ada, client = contact(), client_of(OPERATOR)
    new = {"first_name": "Augusta", "custom_a_number": "many", "custom_a_date": "soon", "custom_plan": "gold"}
    page = text(client.post(f"{ada.get_absolute_url()}edit/", shown(client, ada) | new))
    for words in (
        "Nothing was saved.",
        "A plain number like 1234.5 is needed.",
        "A date like 2026-05-14 is needed.",
        "not one of",
    ):
        assert words in page
    assert 'value="many"' in page
    ada.refresh_from_db()
    assert ada.first_name == "Ada"


def test_a_value_that_moved_since_the_form_was_opened_is_not_overwritten(fields):
    ada, client = contact(a_string="old"), client_of(OPERATOR)
    opened = shown(client, ada)
    change_contact(ada.pk, {"a_string": "from the call"}, source=Source("conversation"))
    page = text(client.post(f"{ada.get_absolute_url()}edit/", opened | {"custom_a_string": "mine"}))
    assert "The value has changed in the meantime." in page
    ada.refresh_from_db()
    assert ada.custom_fields["a_string"] == "from the call"
    untouched = client.post(f"{ada.get_absolute_url()}edit/", opened | {"first_name": "Augusta"})
    assert untouched.status_code == 302
    ada.refresh_from_db()
    assert (ada.first_name, ada.custom_fields["a_string"]) == ("Augusta", "from the call")


def test_an_opt_out_is_taken_back_with_a_reason_only():
    ada, client = contact(do_not_call=True), client_of(OPERATOR, "olga")
    sent = shown(client, ada)
    del sent["do_not_call"]
    assert "Say why" in text(client.post(f"{ada.get_absolute_url()}edit/", sent))
    assert Contact.objects.get().do_not_call
    assert (
        client.post(f"{ada.get_absolute_url()}edit/", sent | {"reason": "Asked us to call."}).status_code
        == 302
    )
    assert not Contact.objects.get().do_not_call
    assert ContactChange.objects.latest("pk").source_label == "olga: Asked us to call."


def test_an_enum_value_from_before_its_options_changed_survives_the_form(fields):
    ada, client = contact(plan="free"), client_of(OPERATOR)
    CustomField.objects.filter(name="plan").update(options=["pro", "max"])
    assert (
        client.post(f"{ada.get_absolute_url()}edit/", shown(client, ada) | {"last_name": "King"}).status_code
        == 302
    )
    ada.refresh_from_db()
    assert (ada.last_name, ada.custom_fields["plan"]) == ("King", "free")


def test_a_contact_is_added_by_number_in_any_spelling_once(fields):
    client = client_of(OPERATOR)
    new = {"phone_number": "(415) 555-0100", "first_name": "Ada", "custom_a_number": "7"}
    ada_page = client.post("/contacts/new/", new, follow=True)
    assert "Added Ada." in text(ada_page)
    assert Contact.objects.get().phone_number == "+14155550100"
    assert Contact.objects.get().custom_fields == {"a_number": 7}
    again = text(client.post("/contacts/new/", new))
    assert "already has this number" in again
    assert "not a valid phone number" in text(client.post("/contacts/new/", {"phone_number": "12"}))
    assert Contact.objects.count() == 1


def test_a_contact_is_deleted_on_its_page_unless_a_crm_would_bring_it_back():
    made = world()
    client, path = client_of("operator"), f"/contacts/{made.contact.public_id}/delete/"
    page = client.get(path)
    assert "Salesforce EU syncs" in text(page)
    assert "Delete the contact" not in text(page)
    assert client.post(path, follow=True).redirect_chain == [(path, 302)]
    assert Contact.objects.exists()
    Connection.objects.update(enabled=False)
    assert "Delete the contact" in text(client.get(path))
    assert "Deleted Ada Lovelace." in text(client.post(path, follow=True))
    assert not Contact.objects.exists()
    assert client.get(path).status_code == 404


def test_only_who_may_delete_is_offered_to():
    made = world()
    path = f"/contacts/{made.contact.public_id}/"
    assert "/delete/" in text(client_of("operator").get(path))
    assert "/delete/" not in text(client_of("staff").get(path))
    assert client_of("reviewer").get(f"{path}delete/").status_code == 403


def test_a_profile_tells_which_tags_were_given_and_by_whom():
    made = world()
    tag = ContactTag.objects.create(label="Very important")
    change_tags(made.contact, add=[tag], source=Source("api_key", "key:1", "Nightly script"))
    page = text(client_of("staff").get(f"/contacts/{made.contact.public_id}/"))
    history = page[page.index("Nightly script") :]
    assert "Tags" in history
    assert "Very important" in history
    assert "contact_tags" not in page
