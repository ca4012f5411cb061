"""Idempotency-Key: whatever is sent again with its key happens once and is answered the same."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from activity.models import Backfill, WebhookDelivery
from contacts.changes import Source, create_contact
from contacts.models import Contact, ContactChange
from crmsync.api import repeats
from crmsync.api_keys import ApiKey, issue_key
from crmsync.models import KeptAnswer
from integrations.models import Connection
from mappings.models import AnalysisMapping
from sync.models import SyncRun
from tests.crmsync.api_client import client_with, problems
from tests.fakes.crashes import Killed, killed_at_commit

pytestmark = pytest.mark.django_db
ADA = {"phone_number": "+14155550100", "first_name": "Ada"}
KEY: Any = {"HTTP_IDEMPOTENCY_KEY": "row-1"}


@pytest.fixture
def api() -> Any:
    return client_with()


def test_a_repeat_creates_nothing_and_gets_the_same_answer_byte_for_byte(api):
    first = api.post("/api/create-contact", ADA, **KEY)
    again = api.post("/api/create-contact", ADA, **KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Contact.objects.count() == 1


def test_the_answer_is_that_of_the_time_even_when_the_contact_has_changed_or_gone(api):
    first = api.post("/api/create-contact", ADA, **KEY).json()
    api.patch(f"/api/update-contact/{first['contact_id']}", {"first_name": "Augusta"})
    assert api.post("/api/create-contact", ADA, **KEY).json() == first
    api.delete(f"/api/delete-contact/{first['contact_id']}")
    assert api.post("/api/create-contact", ADA, **KEY).json() == first
    assert not Contact.objects.exists()


def test_another_body_or_another_call_with_the_same_key_is_a_422_that_names_the_header(api):
    api.post("/api/create-contact", ADA, **KEY)
    for path, body in (("create-contact", {**ADA, "first_name": "Eve"}), ("run-sync-job", {})):
        response = api.post(f"/api/{path}", body, **KEY)
        assert response.status_code == 422
        assert response.json()["status"] == "error"
        assert [(one["field"], one["rule"]) for one in response.json()["errors"]] == [
            ("Idempotency-Key", "other_request")
        ]
    assert Contact.objects.get().first_name == "Ada"


def test_white_space_and_the_order_of_keys_make_no_other_body(api):
    first = api.post("/api/create-contact", ADA, **KEY)
    spelt = b'{ "first_name": "Ada",\n "phone_number": "+14155550100" }'
    again = api.generic("POST", "/api/create-contact", spelt, content_type="application/json", **KEY)
    assert (again.status_code, again.json()) == (201, first.json())


def test_a_key_belongs_to_the_api_key_that_sent_it(api):
    first = api.post("/api/create-contact", ADA, **KEY)
    other = client_with(name="another script").post("/api/create-contact", ADA, **KEY)
    assert first.status_code == 201
    assert problems(other) == {"phone_number": "phone_taken"}


def test_a_refused_call_changes_nothing_and_leaves_its_key_free(api):
    refused = api.post("/api/create-contact", {**ADA, "first_name": 7}, **KEY)
    assert problems(refused) == {"first_name": "invalid"}
    assert not KeptAnswer.objects.exists()
    assert api.post("/api/create-contact", ADA, **KEY).status_code == 201


def test_without_the_header_nothing_is_kept(api):
    api.post("/api/create-contact", ADA)
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize("name", ["", "a" * 256, "two words", "ü"])
def test_a_key_that_is_no_key_is_refused_by_name(api, name):
    refused = api.post("/api/create-contact", ADA, HTTP_IDEMPOTENCY_KEY=name)
    assert problems(refused) == {"Idempotency-Key": "idempotency_key"}


def test_the_first_being_under_way_is_a_409_with_the_time_to_wait(api):
    api.post("/api/create-contact", ADA, **KEY)
    KeptAnswer.objects.update(status=None, body="", claimed_until=timezone.now() + timedelta(seconds=30))
    waiting = api.post("/api/create-contact", ADA, **KEY)
    assert (waiting.status_code, waiting.json()["status"]) == (409, "error")
    assert waiting.headers["Retry-After"] == "1"
    other = api.post("/api/create-contact", {**ADA, "first_name": "Eve"}, **KEY)
    assert other.status_code == 422


def test_what_a_dead_process_had_claimed_is_done_by_the_next_request(api):
    """Its transaction ended with it: the claim is all that it left."""
    api.post("/api/create-contact", ADA, **KEY)
    Contact.objects.all().delete()
    KeptAnswer.objects.update(status=None, body="", claimed_until=timezone.now() - timedelta(seconds=1))
    assert api.post("/api/create-contact", ADA, **KEY).status_code == 201
    assert Contact.objects.count() == 1
    assert KeptAnswer.objects.get().status == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [False, True], ids=["before it holds", "after"])
@pytest.mark.parametrize("commit", range(1, 6))
def test_a_server_that_dies_at_any_commit_has_created_once_after_the_repeat(commit, after):
    client = client_with()
    with suppress(Killed), killed_at_commit(commit, after=after):
        client.post("/api/create-contact", ADA, **KEY)
    KeptAnswer.objects.filter(status=None).update(claimed_until=timezone.now() - timedelta(seconds=1))
    repeated = client.post("/api/create-contact", ADA, **KEY)
    assert repeated.status_code == 201
    assert repeated.json()["contact_id"] == Contact.objects.get().public_id
    assert ContactChange.objects.count() == 1


def test_who_was_so_slow_that_another_took_over_undoes_its_own_effect(api):
    issue_key("slow")
    key = ApiKey.objects.get(name="slow")

    def request() -> Request:
        made = Request(APIRequestFactory().post("/x", headers={"Idempotency-Key": "k"}))
        made.auth = key
        return made

    @repeats.once
    def quick(_view: Any, _request: Request) -> Response:
        create_contact("+14155550101", {}, source=Source("api_key"))
        return Response({"by": "quick"})

    @repeats.once
    def slow(_view: Any, _request: Request) -> Response:
        KeptAnswer.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        quick(None, request())
        create_contact("+14155550102", {}, source=Source("api_key"))
        return Response({"by": "slow"})

    with pytest.raises(repeats.UnderWay):
        slow(None, request())
    # The two share a transaction here, so that the one who took over goes as well; neither effect is left alone.
    assert not Contact.objects.exists()


def test_a_days_old_key_is_new_again_and_old_answers_are_pruned(api):
    api.post("/api/create-contact", ADA, **KEY)
    api.post("/api/create-contact", {"phone_number": "+14155550102"}, HTTP_IDEMPOTENCY_KEY="row-2")
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    fresh = api.post("/api/create-contact", {"phone_number": "+14155550101"}, **KEY)
    assert (fresh.status_code, fresh.json()["phone_number"]) == (201, "+14155550101")
    assert repeats.prune() == 1
    assert KeptAnswer.objects.count() == 1


def test_neither_the_key_nor_the_answer_can_be_read_in_the_database(api):
    api.post("/api/create-contact", ADA, HTTP_IDEMPOTENCY_KEY="for-ada-4155550100")
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_hash, request_hash, body FROM crmsync_keptanswer")
        row = " ".join(cursor.fetchone())
    assert "Ada" not in row
    assert "4155550100" not in row


def test_every_create_honours_the_key(api):
    AnalysisMapping.objects.create(analysis_field="first_name", contact_field="first_name")
    made = {
        "create-app": ({"provider": "salesforce", "type": "crm", "name": "EU"}, Connection),
        "run-sync-job": ({}, SyncRun),
        "backfill-contact-analysis-data": ({"backfill_attributes": ["first_name"]}, Backfill),
        "v1/conversations/": ({"id": "c-1", "channel": "web_chat"}, WebhookDelivery),
    }
    for path, (body, model) in made.items():
        first = api.post(f"/api/{path}", body, HTTP_IDEMPOTENCY_KEY=path)
        again = api.post(f"/api/{path}", body, HTTP_IDEMPOTENCY_KEY=path)
        assert first.status_code in (200, 201, 202), first.content
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert model._default_manager.count() == 1


def test_an_uploaded_file_is_part_of_the_body():
    def seen(content: bytes) -> str:
        from django.core.files.uploadedfile import SimpleUploadedFile

        raw = APIRequestFactory().post(
            "/x", {"file": SimpleUploadedFile("a.csv", content)}, format="multipart"
        )
        return repeats._request_hash(Request(raw, parsers=[MultiPartParser()]))

    assert seen(b"phone\n+1415\n") == seen(b"phone\n+1415\n") != seen(b"phone\n+1416\n")
