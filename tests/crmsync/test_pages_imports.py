"""A person imports a file: uploaded, its columns chosen, looked at, started, watched, mended and undone."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from contacts.changes import Source, create_contact
from contacts.models import Contact, CustomField
from contacts.values import BUILT_IN
from crmsync.pages.provenance import link_to
from crmsync.roles import OPERATOR, REVIEWER, STAFF
from mappings.suggest import named_alike
from sync.import_work import import_some
from sync.models import ContactImport
from sync.undo_requests import undo_some
from tests.crmsync.pages_world import client_of, text

pytestmark = pytest.mark.django_db
FILE = "Telephone;First Name;Plan;Rest\n(415) 555-0100;Ada;pro;x\n12;Linus;;\n+14155550101;Grace;Gold;\n"


@pytest.fixture
def operator() -> Client:
    CustomField.objects.create(name="plan", label="Plan", type="enum", options=["Free", "Pro"])
    return client_of(OPERATOR, "olga")


def upload(client: Client, content: str = FILE, name: str = "people.csv") -> Any:
    return client.post("/imports/", {"file": SimpleUploadedFile(name, content.encode(), "text/csv")})


def chosen(**more: str) -> dict[str, str]:
    """What the form sends for FILE."""
    return {
        "column_0": "phone_number", "column_1": "first_name", "column_2": "plan", "policy": "overwrite", "region": "US",
        "tags": "", **more,
    }  # fmt: skip


def work() -> None:
    while import_some():
        pass


def test_a_file_is_uploaded_mapped_previewed_started_watched_and_undone(operator):
    create_contact("+14155550100", {"first_name": "Augusta"}, source=Source("person"))
    where = upload(operator)["Location"]
    job = ContactImport.objects.get()
    assert (where, job.by, job.state) == (f"/imports/{job.pk}/", "olga", "uploaded")
    page = text(operator.get(where))
    for guessed in ('value="phone_number" selected', 'value="first_name" selected', 'value="plan" selected'):
        assert guessed in page
    assert "(415) 555-0100 · 12 · +14155550101" in page
    assert 'name="start"' not in page  # first a look
    look = text(operator.post(where, chosen(preview="1", tags="Fair, VIP")))
    assert "<del>Augusta</del> <ins>Ada</ins>" in look
    assert "This is not a valid phone number" in look
    assert "Import 3 rows" in look
    assert (Contact.objects.get().first_name, ContactImport.objects.get().state) == ("Augusta", "uploaded")
    assert operator.post(where, chosen(start="1", tags="Fair, VIP"))["Location"] == where
    assert 'data-live="open"' in text(operator.get(where))
    work()
    done = text(operator.get(where))
    assert 'data-live="closed"' in done
    assert "3 of 3 rows" in done
    assert {tag.label for tag in Contact.objects.get().tags.all()} == {"Fair", "VIP"}
    assert link_to(job.ref) == where
    rejected = operator.get(f"{where}rejected.csv")
    assert rejected["Content-Type"] == "text/csv; charset=utf-8"
    assert b'12,Linus,,,3,"phone_number: ' in rejected.getvalue()
    undo = operator.post(f"/undo/import/{job.pk}/")["Location"]
    undo_some()
    assert Contact.objects.get().first_name == "Augusta"
    assert f'href="{where}"' in text(operator.get(undo))
    assert "people.csv" in text(operator.get("/imports/"))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (chosen(column_0=""), "Exactly one column must be mapped to phone_number."),
        (chosen(column_3="first_name"), "A field can take one column only."),
        (chosen(region="XX"), "two letters"),
        (chosen(tags="a" * 121), "at most 120 characters"),
        (chosen(column_1="nowhere"), "not one of the available choices"),
    ],
)
def test_what_cannot_be_is_said_at_its_place_and_nothing_begins(operator, sent, words):
    where = upload(operator)["Location"]
    for press in ("preview", "start"):
        page = text(operator.post(where, sent | {press: "1"}))
        assert words in page
    assert ContactImport.objects.get().state == "uploaded"


def test_the_policy_decides_about_contacts_that_are_there(operator):
    create_contact("+14155550100", {"first_name": "Augusta"}, source=Source("person"))
    where = upload(operator)["Location"]
    page = text(operator.post(where, chosen(preview="1", policy="fill_if_empty")))
    assert "Augusta" not in page
    assert "<ins>Pro</ins>" in page


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "The submitted file is empty."), ("a\n", "no row below it"), ('a\n"1', "cannot be read"), ("PK\x03\x04x", "Excel")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_what_to_do(operator, content, words):
    assert words in text(upload(operator, content))
    assert not ContactImport.objects.exists()


def test_a_second_import_waits_for_the_first_and_says_which(operator):
    first, second = upload(operator)["Location"], upload(operator)["Location"]
    operator.post(first, chosen(start="1"))
    assert operator.post(second, chosen(start="1"))["Location"] == first
    assert "An import is under way already" in text(operator.get(first))
    operator.post(f"{first}stop/")
    assert ContactImport.objects.order_by("pk").first().state == "cancelled"  # type: ignore[union-attr]
    assert operator.post(second, chosen(start="1"))["Location"] == second


def test_a_file_without_some_headers_can_be_imported_and_shows_the_others(operator):
    where = upload(operator, "Phone,,Name\n+14155550100,x,Ada\n")["Location"]
    page = text(operator.get(where))
    assert 'name="column_0"' in page
    assert 'name="column_1"' not in page
    assert 'name="column_2"' in page


def test_cells_and_names_of_files_are_shown_as_text(operator):
    where = upload(operator, "Phone,<b>\n+14155550100,<script>x</script>\n", "<i>.csv")["Location"]
    for page in (text(operator.get(where)), text(operator.get("/imports/"))):
        assert "<script>x" not in page
        assert "<i>" not in page


@pytest.mark.parametrize("role", [STAFF, REVIEWER])
def test_who_does_not_run_the_system_watches_imports_and_starts_none(operator, role):
    where = upload(operator)["Location"]
    other = client_of(role)
    assert other.get(where).status_code == 200
    assert "<form" not in text(other.get("/imports/")).split("<main")[1]
    assert upload(other).status_code == 403
    for path in (where, f"{where}stop/", f"/undo/import/{where.split('/')[2]}/"):
        assert other.post(path, chosen(start="1")).status_code == 403
    assert other.get(f"{where}rejected.csv").status_code == 403
    assert "Import CSV" not in text(other.get("/contacts/"))
    assert "Import CSV" in text(operator.get("/contacts/"))


def test_the_setup_lists_imports_and_leads_to_a_new_one(operator):
    upload(operator)
    assert "people.csv" in text(operator.get("/admin/sync/contactimport/"))
    assert operator.get("/admin/sync/contactimport/add/")["Location"] == "/imports/"


def test_a_list_of_imports_costs_the_same_queries_whatever_its_length(
    operator, django_assert_max_num_queries
):
    for number in range(20):
        ContactImport.objects.create(file_name=f"{number}.csv", encoding="utf-8", delimiter=",", state="done")
    with django_assert_max_num_queries(8):
        operator.get("/imports/")


@pytest.mark.once
@pytest.mark.parametrize(
    ("header", "name"),
    [("Phone", "phone_number"), ("phone_number", "phone_number"), ("FIRST NAME", "first_name"), ("Surname", "last_name"),
     ("DNC", "do_not_call"), ("Favourite colour", None), ("", None), ("!", None)],
)  # fmt: skip
def test_a_header_names_its_field_by_name_label_or_a_usual_word(header: str, name: str | None):
    assert named_alike(header, BUILT_IN) == name
