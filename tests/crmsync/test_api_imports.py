"""CSV imports through the API: uploaded, previewed, started, watched, and the rows that were not taken."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactChange, CustomField
from crmsync.api_keys import Scope
from sync.import_work import import_some
from sync.models import ContactImport
from sync.undo_requests import undo_some
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db
ADA = "+14155550100"
MAPPING = [
    {"external_field_name": "Phone", "field_name": "phone_number"},
    {"external_field_name": "Name", "field_name": "first_name"},
    {"external_field_name": "Plan", "field_name": "plan"},
]
LIST = "Phone;Name;Plan;Rest\n(415) 555-0100;Ada;pro;x\n12;Linus;;\n+14155550101;=1+1;Gold;\n"


@pytest.fixture(autouse=True)
def _plan(db: None) -> None:
    CustomField.objects.create(name="plan", type="enum", options=["Free", "Pro"])


def upload(client: Any, content: str | bytes = LIST, **headers: str) -> Any:
    """A file, sent as a form."""
    raw = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("people.csv", raw, "text/csv")
    return client.post("/api/upload-contact-import-file", {"file": file}, format="multipart", **headers)


def work() -> None:
    """Everything that is due."""
    while import_some():
        pass


def test_a_file_is_uploaded_imported_and_watched_under_the_keys_name():
    client = client_with(name="nightly")
    answer = upload(client)
    assert (answer.status_code, set(answer.json())) == (201, {"file_name", "upload_id"})
    upload_id = answer.json()["upload_id"]
    assert client.get("/api/get-contact-import").json() == {"status": "idle"}
    body = {"upload_id": upload_id, "column_mapping": MAPPING, "contact_tags": [" Fair ", "Fair"]}
    started = client.post("/api/create-contact-import", body)
    assert (started.status_code, started.json()) == (
        201, {"status": "queued", "succeeded": 0, "failed": 0, "triggered_by": "manual"},
    )  # fmt: skip
    work()
    ended = client.get("/api/get-contact-import").json()
    assert ended.pop("start_timestamp") > 1_700_000_000_000
    assert ended == {"status": "idle", "succeeded": 1, "failed": 2, "triggered_by": "manual"}
    change = ContactChange.objects.get(created=True)
    assert (change.source_kind, change.source_label) == ("import", "Import of people.csv by nightly")
    assert [tag.label for tag in Contact.objects.get().tags.all()] == ["Fair"]
    found = client.get(f"/api/v1/imports/{upload_id}/").json()
    assert (found["state"], found["rows"], found["created"], found["rejected"]) == ("done", 3, 1, 2)
    assert found["columns"] == ["Phone", "Name", "Plan", "Rest"]


def test_the_preview_tells_each_row_with_its_diff_or_its_reason():
    create_contact(ADA, {"first_name": "Augusta"}, source=Source("person"))
    client = client_with()
    body = {"upload_id": upload(client).json()["upload_id"], "column_mapping": MAPPING}
    found = client.post("/api/v1/imports/preview/", body).json()
    assert (found["rows"], found["counts"]) == (
        3,
        {"created": 0, "updated": 1, "unchanged": 0, "rejected": 2},
    )
    assert found["items"][0] == {
        "line": 2, "outcome": "updated", "phone_number": ADA, "kept": {},
        "changes": {"first_name": ["Augusta", "Ada"], "plan": [None, "Pro"]},
    }  # fmt: skip
    assert (found["items"][1]["field"], found["items"][1]["line"]) == ("phone_number", 3)
    assert "one of the field's options" in found["items"][2]["reason"]
    policy = body | {"update_policy": "create_only", "limit": 1}
    assert client.post("/api/v1/imports/preview/", policy).json()["items"][0]["outcome"] == "unchanged"
    assert Contact.objects.get().first_name == "Augusta"


def test_rejected_rows_come_as_a_file_that_can_be_mended_and_imported_again():
    client = client_with()
    upload_id = upload(client).json()["upload_id"]
    client.post("/api/v1/imports/", {"upload_id": upload_id, "column_mapping": MAPPING})
    work()
    answer = client.get(f"/api/v1/imports/{upload_id}/rejected.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="rejected-')
    content = answer.getvalue()
    assert content.startswith(b"\xef\xbb\xbfPhone,Name,Plan,Rest,line,reason\r\n")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [row[:5] for row in rows[1:]] == [
        ["12", "Linus", "", "", "3"],
        ["+14155550101", "'=1+1", "Gold", "", "4"],
    ]
    assert rows[2][5].startswith("plan: The value is not one of")
    mended = upload(client, content.replace(b"Gold", b"Free")).json()["upload_id"]
    client.post("/api/create-contact-import", {"upload_id": mended, "column_mapping": MAPPING})
    work()
    assert Contact.objects.get(phone_number="+14155550101").first_name == "=1+1"


@pytest.mark.parametrize(
    ("content", "rule"),
    [("", "empty_file"), ("a\n", "no_rows"), (b"PK\x03\x04", "not_csv"), ('a\n"1', "quotes"), ("a,a\n1,2", "duplicate_header")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_a_problem_of_its_field(content: str | bytes, rule: str):
    assert problems(upload(client_with(), content)) == {"file": rule}


def test_a_form_without_a_file_and_a_body_that_is_no_form_are_refused():
    client = client_with()
    assert problems(client.post("/api/upload-contact-import-file", {"x": "1"}, format="multipart")) == {
        "file": "required"
    }
    assert client.post("/api/upload-contact-import-file", {"file": "x"}).status_code == 415


@override_settings(CRMSYNC_IMPORT_MAX_MB=1)
def test_what_is_too_large_is_refused_by_its_length():
    refused = upload(client_with(), b"Phone\n" + b"1" * 1_200_000)
    assert problems(refused) == {"file": "too_large"}
    assert "1 MB" in refused.json()["message"]
    assert not ContactImport.objects.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"column_mapping": MAPPING[1:]}, {"column_mapping": "phone_number_missing"}),
        ({"column_mapping": [MAPPING[0], MAPPING[0]]}, {"column_mapping.1.field_name": "field_twice"}),
        (
            {"column_mapping": [{"external_field_name": "Tel", "field_name": "phone_number"}]},
            {"column_mapping.0.external_field_name": "unknown_header"},
        ),
        ({"default_country": "Narnia"}, {"default_country": "unknown_country"}),
        ({"update_policy": "merge"}, {"update_policy": "unknown_key"}),
    ],
)
def test_a_wish_that_cannot_be_met_names_its_field(changes: dict[str, Any], problem: dict[str, str]):
    client = client_with()
    body = {"upload_id": upload(client).json()["upload_id"], "column_mapping": MAPPING} | changes
    assert problems(client.post("/api/create-contact-import", body)) == problem


def test_one_import_runs_at_a_time_and_a_file_is_imported_once():
    client = client_with()
    first, second = (
        {"upload_id": upload(client).json()["upload_id"], "column_mapping": MAPPING} for _ in range(2)
    )
    assert client.post("/api/create-contact-import", first).status_code == 201
    refused = client.post("/api/create-contact-import", second)
    assert (refused.status_code, "under way" in refused.json()["message"]) == (400, True)
    cancelled = client.post(f"/api/v1/imports/{first['upload_id']}/cancel/")
    assert cancelled.json()["state"] == "cancelled"
    assert client.post(f"/api/v1/imports/{first['upload_id']}/cancel/").status_code == 400
    again = client.post("/api/create-contact-import", first)
    assert (again.status_code, "Upload the file again" in again.json()["message"]) == (400, True)
    assert client.post("/api/create-contact-import", second).status_code == 201


def test_an_import_is_taken_back_by_its_upload():
    create_contact(ADA, {"first_name": "Augusta"}, source=Source("person"))
    client = client_with()
    upload_id = upload(client).json()["upload_id"]
    client.post("/api/v1/imports/", {"upload_id": upload_id, "column_mapping": MAPPING})
    work()
    sent = {"upload_id": upload_id}
    look = client.post("/api/v1/undos/preview/", sent).json()
    assert look["restored"] == 2
    assert {row["field_name"]: row["old"] for row in look["changes"]}["first_name"] == "Augusta"
    assert client.post("/api/v1/undos/", sent).status_code == 201
    undo_some()
    assert Contact.objects.get().first_name == "Augusta"
    assert client.post("/api/v1/undos/", {"upload_id": "upload_" + "0" * 24}).status_code == 422


def test_imports_are_listed_newest_first_with_their_figures():
    client = client_with(name="nightly")
    first, second = (upload(client).json()["upload_id"] for _ in range(2))
    page = client.get("/api/v1/imports/", {"limit": 1}).json()
    assert [one["upload_id"] for one in page["items"]] == [second]
    rest = client.get("/api/v1/imports/", {"limit": 1, "pagination_key": page["pagination_key"]}).json()
    assert [(one["upload_id"], one["state"], one["rows"]) for one in rest["items"]] == [
        (first, "uploaded", 3)
    ]


def test_an_upload_that_nobody_knows_is_a_422():
    client = client_with()
    for upload_id in ("upload_" + "0" * 24, "x"):
        assert client.get(f"/api/v1/imports/{upload_id}/").status_code == 422
        body = {"upload_id": upload_id, "column_mapping": MAPPING}
        assert client.post("/api/create-contact-import", body).status_code == 422


def test_an_upload_sent_twice_with_one_key_is_kept_once():
    client = client_with()
    answers = [upload(client, HTTP_IDEMPOTENCY_KEY="u1").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert ContactImport.objects.count() == 1
    assert upload(client, LIST + "1;2;;\n", HTTP_IDEMPOTENCY_KEY="u1").status_code == 422


def test_only_keys_that_write_contacts_import():
    reader = client_with(Scope.READ_CONTACTS, Scope.CONFIGURE, Scope.RUN_JOBS)
    assert upload(reader).status_code == 403
    for path in ("create-contact-import", "v1/imports/", "v1/imports/preview/", "v1/imports/x/cancel/"):
        assert reader.post(f"/api/{path}", {}).status_code == 403
    assert reader.get("/api/v1/imports/x/rejected.csv").status_code == 403
    assert reader.get("/api/get-contact-import").status_code == 200
