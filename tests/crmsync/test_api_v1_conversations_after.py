"""What follows from conversations, over the API: outbound calls, reviews of merges, backfills, the memory."""

import pytest

from activity.backfill import backfill_some
from activity.models import Backfill, MergeReview
from activity.process import process_some
from contacts.changes import Source, create_contact
from contacts.models import Contact, CustomField
from mappings.models import AnalysisMapping
from tests.activity.payloads import ADA, START, analyzed, deliver
from tests.crmsync.api_client import client_with, problems

pytestmark = pytest.mark.django_db


def settle():
    while process_some():
        pass


@pytest.fixture
def ada(db):
    CustomField.objects.create(name="notes", type="string")
    CustomField.objects.create(name="secret", type="string", private=True)
    values = {"first_name": "Ada", "notes": "Likes tea.", "secret": "x", "contact_memory": "Kind."}
    return create_contact(ADA, values, source=Source("person")).contact


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_outbound_call_gets_the_same_variables_and_leave(ada, method):
    ask = getattr(client_with("read_contacts"), method)
    found = ask("/api/v1/dynamic-variables/", {"phone_number": "(415) 555-0101"}).json()
    assert found == {
        "phone_number": ADA, "contact_id": ada.public_id, "may_call": True,
        "dynamic_variables": {
            "first_name": "Ada", "do_not_call": "false", "contact_memory": "Kind.", "notes": "Likes tea.",
        },
    }  # fmt: skip
    Contact.objects.update(do_not_call=True)
    refused = ask("/api/v1/may-call/", {"phone_number": ADA}).json()
    assert (refused["may_call"], bool(refused["reason"])) == (False, True)
    unknown = ask("/api/v1/may-call/", {"phone_number": "+14155550177"}).json()
    assert unknown == {"phone_number": "+14155550177", "may_call": True}
    assert ask("/api/v1/may-call/", {"phone_number": "x"}).status_code == 400


def test_a_merge_is_listed_and_decided(ada):
    AnalysisMapping.objects.create(
        analysis_field="topic", contact_field="notes", update_mode="merge", review="reviewed"
    )
    api = client_with()
    for number in range(3):
        deliver(analyzed(f"call_{number}", topic=f"Fact {number}."))
    settle()
    items = api.get("/api/v1/merge-reviews/", {"limit": 2}).json()
    assert (len(items["items"]), items["has_more"]) == (2, True)
    first, second = items["items"]
    assert (first["old"], first["new"], first["merged"]) == ("Likes tea.", "Fact 0.", "Likes tea.\n\nFact 0.")
    assert api.post(f"/api/v1/merge-reviews/{first['id']}/accept/").json()["state"] == "applied"
    assert api.post(f"/api/v1/merge-reviews/{first['id']}/accept/").status_code == 400
    edited = api.post(f"/api/v1/merge-reviews/{second['id']}/edit/", {"text": "Mine."}).json()
    assert (edited["state"], edited["old"]) == ("waiting", "Likes tea.\n\nFact 0.")
    assert api.post(f"/api/v1/merge-reviews/{edited['id']}/accept/").json()["decided_by"] == "Ada's script"
    assert Contact.objects.get().value("notes") == "Mine."
    third = MergeReview.objects.filter(state="waiting").get()
    rejected = api.post(f"/api/v1/merge-reviews/{third.pk}/reject/", {"reason": "No."}).json()
    assert (rejected["state"], rejected["reason"]) == ("rejected", "No.")
    assert api.post("/api/v1/merge-reviews/999999/accept/").status_code == 422
    assert client_with("read_contacts").post(f"/api/v1/merge-reviews/{third.pk}/accept/").status_code == 403


def test_the_memory_of_a_contact_is_read_written_and_cleared(ada):
    api = client_with()
    address = f"/api/update-contact/{ada.public_id}"
    assert api.get(f"/api/get-contact/{ada.public_id}").json()["contact_memory"] == "Kind."
    assert api.patch(address, {"contact_memory": "Very kind."}).json()["contact_memory"] == "Very kind."
    assert "contact_memory" not in api.patch(address, {"contact_memory": None}).json()
    assert ada.changes.filter(diff__has_key="contact_memory").count() == 3


@pytest.fixture
def talked(ada):
    deliver(analyzed(topic="Has a dog."))
    settle()
    return AnalysisMapping.objects.create(analysis_field="topic", contact_field="notes")


def test_the_contracts_backfill_starts_once_and_is_watched(talked):
    api = client_with()
    assert api.get("/api/get-backfill-contact-job-status").json() == {"status": "idle"}
    body = {
        "backfill_attributes": ["notes", "contact_memory"],
        "backfill_call_filter": {
            "agent": [{"agent_id": "agent_1", "version": [3]}],
            "start_timestamp": {"type": "range", "op": "bt", "value": [START, START + 1]},
        },
    }
    Contact.objects.update(sources={})
    assert api.post("/api/backfill-contact-analysis-data", body).json()["status"] == "queued"
    assert api.post("/api/backfill-contact-analysis-data", body).status_code == 400
    while backfill_some():
        pass
    status = api.get("/api/get-backfill-contact-job-status").json()
    assert (status["status"], status["succeeded"], status["failed"]) == ("idle", 1, 0)
    assert Contact.objects.get().value("notes") == "Has a dog."
    assert Contact.objects.get().contact_memory.startswith("Kind.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "backfill_attributes"),
        ({"backfill_attributes": []}, "backfill_attributes"),
        ({"backfill_attributes": ["nothing"]}, "backfill_attributes.0"),
        ({"backfill_attributes": ["first_name"]}, "backfill_attributes.0"),
        (
            {"backfill_attributes": ["notes"], "backfill_call_filter": {"start_timestamp": {"op": "gt"}}},
            "backfill_call_filter.start_timestamp",
        ),
        (
            {"backfill_attributes": ["notes"], "backfill_call_filter": {"agents": []}},
            "backfill_call_filter.agents",
        ),
    ],
)
def test_a_backfill_that_cannot_be_is_refused_by_its_path(talked, body, field):
    assert field in problems(client_with().post("/api/backfill-contact-analysis-data", body))


def test_our_own_call_previews_starts_watches_and_cancels(talked):
    api, body = client_with(), {"backfill_attributes": ["notes"]}
    Contact.objects.update(sources={})
    found = api.post("/api/v1/backfills/", body | {"preview": True}).json()
    assert (found["state"], found["changed"], found["counts"]) == ("preview", 1, {"written": 1})
    assert not Backfill.objects.exists()
    job = api.post("/api/v1/backfills/", body).json()
    assert (job["state"], job["contacts"]) == ("queued", 1)
    assert api.post(f"/api/v1/backfills/{job['id']}/cancel/").json()["state"] == "cancelled"
    assert api.post(f"/api/v1/backfills/{job['id']}/cancel/").status_code == 400
    assert api.get(f"/api/v1/backfills/{job['id']}/").json()["state"] == "cancelled"
    assert api.get("/api/v1/backfills/999999/").status_code == 422
