"""Runs, issues, history, undo and deliveries over the API: thin calls over what the pages do."""

from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from activity.models import Conversation
from contacts.changes import Source, change_contact, create_contacts
from contacts.models import Contact, ContactChange
from crmsync.api_keys import ApiKey
from integrations.models import Connection
from sync.models import ExternalRecord, RunState, SyncIssue, SyncRun, UndoRequest
from sync.undo_requests import undo_some
from tests.crmsync.api_client import client_with, problems
from tests.crmsync.pages_world import World, contact, world

pytestmark = pytest.mark.django_db
CALLS = {
    "get runs/": "run_jobs configure", "post runs/": "run_jobs", "get runs/1/": "run_jobs configure",
    "get runs/1/changes/": "read_contacts", "get runs/1/held/": "read_contacts",
    "post runs/1/approve/": "run_jobs", "post runs/1/reject/": "run_jobs", "post runs/1/cancel/": "run_jobs",
    "get apps/app_x/left-out/": "run_jobs configure",
    "get issues/": "run_jobs configure", "get issues/1/": "run_jobs configure", "post issues/retry/": "run_jobs",
    "post issues/1/retry/": "run_jobs", "post issues/1/ignore/": "run_jobs",
    "get contacts/contact_x/provenance/": "read_contacts", "get contacts/contact_x/history/": "read_contacts",
    "get conversations/": "read_contacts", "post conversations/": "events write_contacts",
    "get imports/": "write_contacts run_jobs configure",
    "get backfills/": "run_jobs configure", "post backfills/": "run_jobs",
    "get undos/": "write_contacts run_jobs", "post undos/": "write_contacts run_jobs",
    "get undos/1/": "write_contacts run_jobs",
    "get deliveries/": "read_contacts", "get deliveries/1/": "read_contacts", "post deliveries/1/replay/": "run_jobs",
}  # fmt: skip
SCOPES = ("read_contacts", "write_contacts", "configure", "run_jobs", "events")


@pytest.fixture
def api() -> Any:
    return client_with()


@pytest.fixture
def all_of() -> World:
    return world()


@pytest.mark.parametrize("call", CALLS)
def test_every_call_needs_a_key_with_one_of_its_scopes(call):
    method, path = call.split()
    path, needed = f"/api/v1/{path}", CALLS[call].split()
    assert getattr(Client(), method)(path).status_code == 401
    refused = getattr(client_with(*(s for s in SCOPES if s not in needed)), method)(path)
    assert refused.status_code == 403
    assert needed[0] in refused.json()["message"]
    for scope in needed:
        assert getattr(client_with(scope), method)(path).status_code in (200, 400, 422)


@pytest.mark.parametrize("path", ["plans/inbound/", "plans/outbound/", "plans/contact/", "undos/preview/"])
def test_what_shows_values_and_works_on_them_needs_both_scopes(path):
    for scopes in (["run_jobs"], ["read_contacts"]):
        assert client_with(*scopes).post(f"/api/v1/{path}", {}).status_code == 403
    assert client_with("run_jobs", "read_contacts").post(f"/api/v1/{path}", {}).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["runs/77/", f"runs/{2**80}/", "runs/77/changes/", "issues/77/", "undos/77/", "deliveries/77/",
     "apps/app_x/left-out/", "contacts/contact_x/history/", "contacts/contact_x/provenance/"],
)  # fmt: skip
def test_what_is_not_there_is_a_422(api, path):
    assert api.get(f"/api/v1/{path}").status_code == 422


# --- lists ----------------------------------------------------------------------------------------


def test_a_list_goes_on_below_the_last_row_while_rows_are_added(api, all_of):
    for number in range(5):
        SyncRun.objects.create(connection=all_of.connection, state=RunState.FAILED, error=f"{number}")
    seen, key = [], ""
    while True:
        page = api.get("/api/v1/runs/", {"limit": 2, **({"pagination_key": key} if key else {})}).json()
        seen += [row["id"] for row in page["items"]]
        if not page["has_more"]:
            break
        key = page["pagination_key"]
        SyncRun.objects.create(connection=all_of.connection, state=RunState.FAILED)
    assert len(seen) == 6
    assert seen == sorted(set(seen), reverse=True)


@pytest.mark.parametrize("key", ["x", "????", "YmVmb3JlOg", "YmVmb3JlOi0x", "é"])
def test_a_key_of_no_list_is_refused_by_name(api, key):
    assert problems(api.get("/api/v1/runs/", {"pagination_key": key})) == {"pagination_key": "pagination_key"}


# --- runs -----------------------------------------------------------------------------------------


def test_runs_are_listed_narrowed_and_read(api, all_of):
    run, crm = all_of.run, all_of.connection
    items = api.get("/api/v1/runs/", {"app_id": crm.public_id, "state": "succeeded"}).json()["items"]
    assert [row["id"] for row in items] == [run.pk]
    assert api.get("/api/v1/runs/", {"state": "failed"}).json()["items"] == []
    found = api.get(f"/api/v1/runs/{run.pk}/").json()
    assert found == items[0]
    assert (found["app_id"], found["counts"], found["state"]) == (
        crm.public_id,
        {"created": 12345},
        "succeeded",
    )


def test_a_run_is_started_once_and_cancelled(api, all_of):
    sent = {"app_id": all_of.connection.public_id, "kind": "full"}
    first = api.post("/api/v1/runs/", sent, HTTP_IDEMPOTENCY_KEY="a")
    assert first.status_code == 201
    assert (first.json()["state"], first.json()["kind"]) == ("queued", "full")
    assert first.json()["requested_by"] == ApiKey.objects.get().name
    assert api.post("/api/v1/runs/", sent, HTTP_IDEMPOTENCY_KEY="a").json() == first.json()
    refused = api.post("/api/v1/runs/", sent)
    assert (refused.status_code, "already syncing" in refused.json()["message"]) == (400, True)
    ended = api.post(f"/api/v1/runs/{first.json()['id']}/cancel/")
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert api.post(f"/api/v1/runs/{first.json()['id']}/cancel/").status_code == 400


def test_an_app_that_is_switched_off_is_not_synced(api, all_of):
    Connection.objects.update(enabled=False)
    assert api.post("/api/v1/runs/", {"app_id": all_of.connection.public_id}).status_code == 400
    assert not SyncRun.objects.filter(state=RunState.QUEUED).exists()


@pytest.mark.parametrize(("decision", "state"), [("approve", "running"), ("reject", "cancelled")])
def test_what_a_waiting_run_holds_is_shown_and_decided(api, all_of, decision, state):
    held = [
        {"record": "003A", "contact": "Ada", "field": "city", "old": "London", "new": "Bath", "rule": "", "applied": True},
        {"record": "003B", "contact": "Eve", "field": "", "old": "Eve", "new": None, "rule": "delete"},
    ]  # fmt: skip
    run = SyncRun.objects.create(connection=all_of.connection, state=RunState.WAITING, held=held)
    shown = api.get(f"/api/v1/runs/{run.pk}/held/").json()["items"]
    assert shown == [
        {"external_id": "003A", "contact": "Ada", "field_name": "city", "old": "London", "new": "Bath", "applied": True},
        {"external_id": "003B", "contact": "Eve", "old": "Eve", "new": None, "applied": False},
    ]  # fmt: skip
    assert api.post(f"/api/v1/runs/{run.pk}/{decision}/").json()["state"] == state
    assert api.post(f"/api/v1/runs/{run.pk}/{decision}/").status_code == 400


def test_what_a_run_wrote_is_listed_row_by_row(api, all_of):
    source = Source("crm", all_of.run.ref, "Salesforce EU", {"external_id": "003A"})
    with transaction.atomic():
        create_contacts([{"phone_number": "+14155550111", "first_name": "Eve"}], source=source)
    change_contact(all_of.contact.pk, {"city": "Bath"}, source=source)
    written, made, *_ = api.get(f"/api/v1/runs/{all_of.run.pk}/changes/").json()["items"]
    assert written["contact_id"] == all_of.contact.public_id
    assert written["changes"] == [{"field_name": "city", "recorded": True, "old": "London", "new": "Bath"}]
    assert (written["source"]["kind"], written["source"]["run_id"]) == ("crm", all_of.run.pk)
    assert made["created"]
    assert {one["recorded"] for one in made["changes"]} == {False}


def test_records_that_stay_out_are_told_with_their_reason(api, all_of):
    ExternalRecord.objects.create(
        connection=all_of.connection, external_id="003X", state="skipped", reason="no_phone"
    )
    (row,) = api.get(f"/api/v1/apps/{all_of.connection.public_id}/left-out/").json()["items"]
    assert (row["reason"], row["count"], row["examples"]) == ("no_phone", 1, ["003X"])
    assert "phone" in row["advice"]


# --- issues ---------------------------------------------------------------------------------------


def test_issues_are_listed_by_kind_state_and_app(api, all_of):
    def kinds(**query: str) -> list[str]:
        return [row["kind"] for row in api.get("/api/v1/issues/", query).json()["items"]]

    assert kinds() == ["oscillation", "no_phone"]
    assert kinds(kind="no_phone") == ["no_phone"]
    assert kinds(state="ignored") == []
    assert kinds(app_id=all_of.connection.public_id, state="all") == ["oscillation", "no_phone"]
    assert problems(api.get("/api/v1/issues/", {"kind": "bad luck"})) == {"kind": "invalid_choice"}
    found = api.get(f"/api/v1/issues/{all_of.question.pk}/").json()
    assert (found["contact_id"], found["field_name"]) == (all_of.contact.public_id, "city")
    assert (found["can_retry"], found["can_ignore"]) == (False, False)


def test_an_issue_tells_the_crms_own_request(api, all_of):
    assert "request_id" not in api.get(f"/api/v1/issues/{all_of.question.pk}/").json()
    SyncIssue.objects.filter(pk=all_of.question.pk).update(request_id="req-9")
    assert api.get(f"/api/v1/issues/{all_of.question.pk}/").json()["request_id"] == "req-9"


def test_an_issue_is_retried_or_ignored_under_the_keys_name_or_says_why_not(api, all_of):
    issue = SyncIssue.objects.get(kind="no_phone")
    tried = api.post(f"/api/v1/issues/{issue.pk}/retry/").json()
    assert tried["acted_by"] == ApiKey.objects.get().name
    assert tried["next_retry_timestamp"]
    assert api.post(f"/api/v1/issues/{issue.pk}/ignore/").json()["state"] == "ignored"
    for what in ("retry", "ignore"):
        assert api.post(f"/api/v1/issues/{all_of.question.pk}/{what}/").status_code == 400


def test_all_issues_of_a_kind_are_retried_together(api, all_of):
    sent = {"app_id": all_of.connection.public_id, "kind": "no_phone"}
    assert api.post("/api/v1/issues/retry/", sent).json() == {"retried": 1}
    assert api.post("/api/v1/issues/retry/", sent | {"kind": "conflict"}).status_code == 400


# --- where values came from -----------------------------------------------------------------------


def test_every_value_is_told_with_its_source_and_every_record_with_what_stayed_behind(api, all_of):
    call = all_of.conversation
    change_contact(all_of.contact.pk, {"city": "Bath"}, source=Source("conversation", call.ref, "Call"))
    ExternalRecord.objects.update(skipped_fields={"City:city": "too_long"})
    found = api.get(f"/api/v1/contacts/{all_of.contact.public_id}/provenance/").json()
    fields = {field["field_name"]: field for field in found["fields"]}
    assert (fields["city"]["value"], fields["city"]["type"]) == ("Bath", "string")
    assert fields["city"]["source"]["conversation_id"] == call.key
    assert fields["first_name"]["source"]["run_id"] == 1
    assert (fields["contact_memory"]["value"], "source" in fields["contact_memory"]) == (None, False)
    assert found["records"] == [
        {
            "app_id": all_of.connection.public_id,
            "external_id": "0035g00000AbCdEAAV",
            "state": "linked",
            "skipped": {"City:city": "too_long"},
        }
    ]


def test_a_history_tells_the_key_that_wrote(api, all_of):
    api.patch(f"/api/update-contact/{all_of.contact.public_id}", {"first_name": "Augusta"})
    row = api.get(f"/api/v1/contacts/{all_of.contact.public_id}/history/", {"limit": 1}).json()["items"][0]
    key = ApiKey.objects.get()
    assert (row["source"]["kind"], row["source"]["label"], row["source"]["ref"]) == (
        "api_key",
        key.name,
        key.ref,
    )
    assert row["changes"] == [{"field_name": "first_name", "recorded": True, "old": "Ada", "new": "Augusta"}]


# --- conversations and backfills ------------------------------------------------------------------


def test_conversations_are_listed_by_contact_channel_and_whether_they_have_one(api, all_of):
    Conversation.objects.create(key="web_1", kind="call", channel="web_call", summary="Nobody yet.")

    def keys(**query: Any) -> list[str]:
        return [row["id"] for row in api.get("/api/v1/conversations/", query).json()["items"]]

    assert keys() == ["web_1", "call_1"]
    assert keys(attached="false") == keys(channel="web_call") == ["web_1"]
    assert keys(contact_id=all_of.contact.public_id) == keys(attached="true") == ["call_1"]
    page = api.get("/api/v1/conversations/", {"limit": 1}).json()
    assert (page["has_more"], page["items"][0]["summary"], "applied" in page["items"][0]) == (
        True,
        "Nobody yet.",
        False,
    )
    one = api.get("/api/v1/conversations/call_1/").json()
    assert (one["contact_id"], one["activities"][0]["app_id"]) == (
        all_of.contact.public_id,
        all_of.connection.public_id,
    )
    assert api.get("/api/v1/conversations/", {"contact_id": "contact_x"}).status_code == 422


def test_backfills_are_listed(api, all_of):
    assert [row["id"] for row in api.get("/api/v1/backfills/").json()["items"]] == [all_of.backfill.pk]


# --- undo -----------------------------------------------------------------------------------------


def test_a_change_is_taken_back_after_a_look_and_watched(api, all_of):
    api.patch(f"/api/update-contact/{all_of.contact.public_id}", {"first_name": "Augusta"})
    change = ContactChange.objects.latest("pk")
    sent = {"change_id": change.pk}
    look = api.post("/api/v1/undos/preview/", sent).json()
    assert (look["complete"], look["restored"]) == (True, 1)
    assert look["changes"] == [
        {"contact_id": all_of.contact.public_id, "field_name": "first_name", "now": "Augusta", "old": "Ada"}
    ]
    assert not UndoRequest.objects.filter(ref=f"change:{change.pk}").exists()
    asked = api.post("/api/v1/undos/", sent)
    assert (asked.status_code, asked.json()["state"]) == (201, "queued")
    assert api.post("/api/v1/undos/", sent).status_code == 400
    undo_some()
    done = api.get(f"/api/v1/undos/{asked.json()['id']}/").json()
    assert (done["state"], done["restored"], done["requested_by"]) == ("done", 1, ApiKey.objects.get().name)
    assert Contact.objects.get().first_name == "Ada"
    assert api.get("/api/v1/undos/").json()["items"][0] == done
    again = api.post("/api/v1/undos/preview/", sent).json()
    assert (again["restored"], again["skipped"]) == (0, {"undone": 1})


def test_runs_and_conversations_are_taken_back_by_their_ids(api, all_of):
    for sent, ref in (
        ({"run_id": all_of.run.pk}, all_of.run.ref),
        ({"conversation_id": all_of.conversation.key}, all_of.conversation.ref),
    ):
        assert api.post("/api/v1/undos/", sent).json()["ref"] == ref
    for sent in ({"run_id": 77}, {"conversation_id": "nothing"}, {"change_id": 77}):
        assert api.post("/api/v1/undos/", sent).status_code == 422


@pytest.mark.parametrize("sent", [{}, {"run_id": 1, "change_id": 1}])
def test_exactly_one_thing_is_taken_back(api, sent):
    assert problems(api.post("/api/v1/undos/", sent)) == {"": "exactly_one"}


def test_a_run_is_taken_back_by_keys_that_run_jobs_only(all_of):
    change = ContactChange.objects.latest("pk")
    writer, runner = client_with("write_contacts"), client_with("run_jobs")
    assert writer.post("/api/v1/undos/", {"run_id": all_of.run.pk}).status_code == 403
    assert runner.post("/api/v1/undos/", {"change_id": change.pk}).status_code == 403
    assert runner.post("/api/v1/undos/", {"run_id": all_of.run.pk}).status_code == 201


# --- deliveries -----------------------------------------------------------------------------------


def test_deliveries_are_listed_without_their_bodies_read_and_replayed(api, all_of):
    row = all_of.delivery
    (listed,) = api.get("/api/v1/deliveries/", {"conversation_id": "call_1", "state": "parked"}).json()[
        "items"
    ]
    assert (listed["id"], listed["event"], "body" in listed) == (row.pk, "call_analyzed", False)
    assert api.get("/api/v1/deliveries/", {"conversation_id": "call_2"}).json()["items"] == []
    assert api.get(f"/api/v1/deliveries/{row.pk}/").json()["body"] == {"call": {"call_id": "call_1"}}
    assert api.post(f"/api/v1/deliveries/{row.pk}/replay/").json()["state"] == "pending"


def test_a_question_that_was_answered_is_not_replayed_and_shows_its_answer(api, all_of):
    row = all_of.delivery
    row.event, row.answer, row.processed_at = "call_inbound", {"call_inbound": {}}, timezone.now()
    row.save()
    assert api.post(f"/api/v1/deliveries/{row.pk}/replay/").status_code == 400
    assert api.get(f"/api/v1/deliveries/{row.pk}/").json()["answer"] == {"call_inbound": {}}


def test_a_list_costs_the_same_queries_whatever_its_length(api, all_of, django_assert_max_num_queries):
    for number in range(5):
        contact(f"+1415555020{number}")
        SyncIssue.objects.create(connection=all_of.connection, kind="conflict", external_id=str(number))
    for path in (
        "runs/",
        "issues/",
        "deliveries/",
        "undos/",
        "conversations/",
        "imports/",
        "backfills/",
        f"runs/{all_of.run.pk}/changes/",
    ):
        with django_assert_max_num_queries(8):
            api.get(f"/api/v1/{path}")
