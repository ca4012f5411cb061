"""Sync jobs and the CRM's schema over the API, against the sandbox CRMs where a CRM is asked."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations.models import Connection
from sync.models import RunState, SyncRun
from sync.pull import run_now
from tests.crmsync.api_client import client_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def api():
    return client_with(name="nightly sync")


def connection(name="Salesforce", **more):
    return Connection.objects.create(provider="salesforce", name=name, **more)


def status(api):
    response = api.get("/api/get-sync-job-status")
    assert response.status_code == 200
    return response.json()


def test_before_any_sync_the_job_is_idle(api):
    assert status(api) == {"status": "idle"}


def test_without_a_linked_app_a_sync_is_refused(api):
    connection(enabled=False)
    response = api.post("/api/run-sync-job")
    assert (response.status_code, response.json()["status"]) == (400, "error")


def test_a_job_starts_a_full_run_of_every_linked_connection_under_the_keys_name(api):
    connection(cursor="c1")
    connection("HubSpot", cursor="c2")
    connection("off", enabled=False)
    started = api.post("/api/run-sync-job").json()
    assert started == {"status": "queued", "succeeded": 0, "failed": 0, "triggered_by": "manual"}
    runs = SyncRun.objects.all()
    assert {run.connection.name for run in runs} == {"Salesforce", "HubSpot"}
    assert {(run.kind, run.trigger, run.requested_by) for run in runs} == {("full", "manual", "nightly sync")}


def test_a_second_job_is_refused_with_a_status_that_no_client_repeats(api):
    idle, _busy = connection("HubSpot"), connection()
    SyncRun.objects.create(connection=_busy, state=RunState.RUNNING)
    response = api.post("/api/run-sync-job")
    assert response.status_code == 400
    assert "already" in response.json()["message"]
    assert not SyncRun.objects.filter(connection=idle).exists()


def run(of, state, minutes_ago, *, ended=None, **more):
    start = timezone.now() - timedelta(minutes=minutes_ago)
    finished = None if ended is None else timezone.now() - timedelta(minutes=ended)
    return SyncRun.objects.create(
        connection=of, state=state, created_at=start, started_at=start, finished_at=finished, **more
    )


def test_a_running_job_counts_what_it_has_done_and_skipped(api):
    made = run(
        connection(), RunState.RUNNING, 1, trigger="cron", done=120,
        counts={"created": 90, "updated": 20, "skipped_no_phone": 6, "skipped_bad_phone": 4, "skipped_fields": 50},
    )  # fmt: skip
    assert status(api) == {
        "status": "running",
        "succeeded": 110,
        "failed": 10,
        "start_timestamp": int(made.started_at.timestamp() * 1000),
        "triggered_by": "cron",
    }


def test_a_job_of_two_connections_ends_with_the_later_one(api):
    first, second = connection(), connection("HubSpot")
    run(first, RunState.SUCCEEDED, 3, ended=2, done=5)
    waiting = SyncRun.objects.create(
        connection=second, created_at=timezone.now() - timedelta(minutes=3), done=0
    )
    assert (status(api)["status"], status(api)["succeeded"]) == ("running", 5)
    waiting.state, waiting.done, waiting.finished_at = RunState.SUCCEEDED, 7, timezone.now()
    waiting.save()
    assert (status(api)["status"], status(api)["succeeded"]) == ("idle", 12)


def test_an_earlier_job_of_another_connection_is_not_counted(api):
    run(connection(), RunState.SUCCEEDED, 60, ended=59, done=500)
    run(connection("HubSpot"), RunState.RUNNING, 1, done=3)
    assert status(api)["succeeded"] == 3


def test_the_config_tells_the_end_of_the_last_successful_sync(api):
    ours = connection()
    good = run(ours, RunState.SUCCEEDED, 30, ended=20)
    run(ours, RunState.FAILED, 10, ended=5)
    assert api.get("/api/get-crm-config").json()["last_sync_timestamp"] == int(
        good.finished_at.timestamp() * 1000
    )


def salesforce_app(api, sandbox, secret="sandbox-secret"):  # noqa: S107 (the sandbox's own)
    body = {
        "provider": "salesforce",
        "type": "crm",
        "tenant_url": sandbox.base_url,
        "auth_config": {"type": "oauth2", "client_id": "sandbox-key", "client_secret": secret},
        "crm_config": {
            "inbound_sync_mappings": [
                {"external_field_name": "Phone", "field_name": "phone_number"},
                {"external_field_name": "FirstName", "field_name": "first_name"},
            ]
        },
    }
    return api.post("/api/create-app", body).json()


@pytest.mark.django_db(transaction=True)
def test_a_script_connects_a_crm_runs_a_sync_polls_it_and_reads_the_contacts(api, sandbox):
    app = salesforce_app(api, sandbox)
    assert api.post(f"/api/test-app-auth/{app['app_id']}").json() == {"success": True}
    assert api.get(f"/api/get-app/{app['app_id']}").json()["connection_status"] == "connected"
    assert api.post("/api/run-sync-job").json()["status"] == "queued"
    run_now(SyncRun.objects.get())
    ended = status(api)
    assert ended["status"] == "idle"
    assert ended["succeeded"] + ended["failed"] == 40
    linked = {"filter_criteria": {"external_id": {"type": "present", "op": "pr"}}}
    listed = api.post("/api/list-contacts", linked).json()
    assert listed["total"] == len(listed["items"]) > 0
    record = sandbox.control.contact("salesforce", listed["items"][0]["external_id"])
    assert record["fields"]["FirstName"] == listed["items"][0].get("first_name")


@pytest.mark.django_db(transaction=True)
def test_the_schema_is_read_live_with_types_and_options(api, sandbox):
    app = salesforce_app(api, sandbox)
    schema = api.get("/api/get-crm-schema").json()
    assert schema["provider"] == "salesforce"
    fields = {field["name"]: field for field in schema["fields"]}
    assert (fields["Plan__c"]["type"], "Pro" in fields["Plan__c"]["options"]) == ("enum", True)
    assert (fields["LastName"]["type"], "options" in fields["LastName"]) == ("string", False)
    assert api.get("/api/get-crm-schema", {"app_id": app["app_id"]}).json() == schema


@pytest.mark.django_db(transaction=True)
def test_wrong_credentials_fail_the_test_and_put_the_app_in_error(api, sandbox):
    app = salesforce_app(api, sandbox, secret="wrong")
    assert api.post(f"/api/test-app-auth/{app['app_id']}").json() == {"success": False}
    assert api.get(f"/api/get-app/{app['app_id']}").json()["connection_status"] == "error"
    response = api.get("/api/get-crm-schema")
    assert (response.status_code, "wrong" in response.json()["message"]) == (400, False)


def test_a_schema_without_a_crm_is_refused(api):
    assert api.get("/api/get-crm-schema").status_code == 400
    assert api.get("/api/get-crm-schema", {"app_id": "app_" + "0" * 24}).status_code == 422
