"""The control API: the CRM's own user and administrator, the log, the clock, and clear refusals."""

import pytest
import requests

from sandbox.client import ControlError

HUBSPOT = {"Authorization": "Bearer pat-sandbox-token"}
NAMES = {"salesforce": ("FirstName", "LastName"), "hubspot": ("firstname", "lastname")}
both = pytest.mark.parametrize("crm", ["salesforce", "hubspot"])


def salesforce_token(base_url: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "sandbox-key", "client_secret": "sandbox-secret"}
    answer = requests.post(f"{base_url}/services/oauth2/token", data=form, timeout=5)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@both
def test_a_contact_can_be_made_found_changed_and_deleted(sandbox, crm):
    first, last = NAMES[crm]
    made = sandbox.control.create_contact(crm, {first: "Ada", last: "Byron"})
    found = sandbox.control.contacts(crm, **{last: "Byron"})
    assert [contact["id"] for contact in found] == [made["id"]]
    sandbox.control.set_clock(crm, 60)
    changed = sandbox.control.edit_contact(crm, made["id"], {last: "Lovelace"})
    assert changed["fields"][last] == "Lovelace"
    assert changed["modified"] > made["modified"]
    sandbox.control.delete_contact(crm, made["id"])
    assert made["id"] not in [contact["id"] for contact in sandbox.control.contacts(crm)]
    assert sandbox.control.contact(crm, made["id"])["deleted"]
    assert made["id"] in [contact["id"] for contact in sandbox.control.contacts(crm, deleted="true")]


@both
def test_a_merge_leaves_one_of_two(sandbox, crm):
    winner, loser = (contact["id"] for contact in sandbox.control.contacts(crm, limit=2))
    survivor = sandbox.control.merge_contacts(crm, winner, loser)
    assert not survivor["deleted"]
    live = {contact["id"] for contact in sandbox.control.contacts(crm)}
    assert len(live) == 39
    assert survivor["id"] in live
    assert loser not in live


@both
def test_activities_are_listed_by_contact(sandbox, crm):
    contact = sandbox.control.contacts(crm, limit=1)[0]["id"]
    if crm == "salesforce":
        task = {"Subject": "Call with Grace", "WhoId": contact, "Status": "Completed"}
        url = f"{sandbox.base_url}/services/data/v59.0/sobjects/Task"
        answer = requests.post(url, json=task, headers=salesforce_token(sandbox.base_url), timeout=5)
    else:
        link = {
            "to": {"id": contact},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}],
        }
        call = {"properties": {"hs_timestamp": "2026-02-01T10:00:00Z"}, "associations": [link]}
        answer = requests.post(
            f"{sandbox.base_url}/crm/v3/objects/calls", json=call, headers=HUBSPOT, timeout=5
        )
    assert answer.status_code == 201, answer.text
    [logged] = sandbox.control.activities(crm, contact)
    assert logged["contact_ids"] == [contact]
    assert logged["kind"] == {"salesforce": "task", "hubspot": "call"}[crm]
    assert sandbox.control.activities(crm) == [logged]


@both
def test_settings_change_by_name_and_type_and_a_reset_brings_them_back(sandbox, crm):
    assert sandbox.control.change_settings(crm, search_lag_seconds=5)["search_lag_seconds"] == 5
    with pytest.raises(ControlError, match="Unknown setting"):
        sandbox.control.change_settings(crm, serch_lag=5)
    with pytest.raises(ControlError, match="must be of type int"):
        sandbox.control.change_settings(crm, search_lag_seconds="five")
    sandbox.control.reset(40)
    assert sandbox.control.settings(crm)["search_lag_seconds"] == 0


@both
def test_the_clock_can_be_put_wrong_in_both_directions(sandbox, crm):
    first, last = NAMES[crm]
    stamps = []
    for offset in (3600, -3600):
        sandbox.control.set_clock(crm, offset)
        stamps.append(sandbox.control.create_contact(crm, {first: "Ada", last: "Byron"})["modified"])
    assert stamps[0] > stamps[1]


def test_a_reset_brings_back_the_seed_in_the_size_asked_for(sandbox):
    before = sandbox.control.contacts("hubspot")
    sandbox.control.edit_contact("hubspot", before[0]["id"], {"firstname": "Grace H."})
    sandbox.control.add_fault(action="html")
    sandbox.control.reset()
    assert sandbox.control.contacts("hubspot") == before
    assert sandbox.control.faults() == []
    sandbox.control.reset(25)
    assert sandbox.control.health()["count"] == len(sandbox.control.contacts("salesforce")) == 25


def test_the_log_shows_what_was_asked_and_never_a_credential(sandbox):
    token = salesforce_token(sandbox.base_url)
    since = sandbox.control.last_request()
    query = {"q": "SELECT Id FROM Contact LIMIT 1"}
    headers = {**token, "Sforce-Query-Options": "batchSize=200"}
    requests.get(f"{sandbox.base_url}/services/data/v59.0/query", params=query, headers=headers, timeout=5)
    requests.post(f"{sandbox.base_url}/crm/v3/objects/contacts", json={"properties": {}}, timeout=5)
    asked, refused = sandbox.control.requests(since=since)
    assert (asked["system"], asked["method"], asked["status"], asked["query"]) == (
        "salesforce",
        "GET",
        200,
        query,
    )
    assert asked["headers"]["sforce-query-options"] == "batchSize=200"
    assert asked["duration_ms"] > 0
    assert (refused["system"], refused["status"], refused["body"]) == ("hubspot", 401, {"properties": {}})
    everything = str(sandbox.control.requests())
    assert "sandbox-secret" not in everything
    assert token["Authorization"].removeprefix("Bearer ") not in everything


def test_the_log_is_narrowed_by_system_method_and_path_and_can_be_cleared(sandbox):
    salesforce_token(sandbox.base_url)
    requests.get(f"{sandbox.base_url}/crm/v3/properties/contacts", headers=HUBSPOT, timeout=5)
    control = sandbox.control
    assert [entry["system"] for entry in control.requests(system="hubspot")] == ["hubspot"]
    assert [entry["system"] for entry in control.requests(method="post")] == ["salesforce"]
    assert [entry["path"] for entry in control.requests(path="/contacts$")] == ["/crm/v3/properties/contacts"]
    last = control.last_request()
    control.clear_requests()
    assert control.requests() == []
    salesforce_token(sandbox.base_url)
    assert [entry["sequence"] for entry in control.requests(since=last)] == [last + 1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/hubspot/contacts/none", None, 404, "No contact none"),
        ("PATCH", "/hubspot/contacts/none", "{}", 404, "No contact none"),
        ("GET", "/pipedrive/contacts", None, 404, "No control path"),
        ("PUT", "/hubspot/contacts", "{}", 405, "GET, POST"),
        ("POST", "/hubspot/contacts", "{", 400, "not JSON"),
        ("POST", "/hubspot/contacts", "[]", 400, "JSON object"),
        ("POST", "/hubspot/contacts", '{"fristname": "Ada"}', 400, "fristname"),
        ("POST", "/salesforce/contacts", '{"Fristname": "Ada"}', 400, "Fristname"),
        ("POST", "/salesforce/contacts", '{"LastName": 7}', 400, "Cannot deserialize"),
        ("GET", "/hubspot/contacts?fristname=Ada", None, 400, "fristname"),
        ("GET", "/hubspot/contacts?limit=many", None, 400, "limit"),
        ("GET", "/hubspot/activities?contact=none", None, 404, "No contact none"),
        ("POST", "/reset", '{"count": -1}', 400, "count"),
        ("POST", "/reset", '{"size": 1}', 400, "size"),
        ("PATCH", "/hubspot/clock", '{"offset_seconds": "1"}', 400, "offset_seconds"),
        ("GET", "/requests?sytem=hubspot", None, 400, "sytem"),
        ("GET", "/requests?path=(", None, 400, "regular expression"),
        ("GET", "/faults/7", None, 404, "No fault rule 7"),
        ("PATCH", "/llm/settings", '{"mode": "grumpy"}', 400, "mode"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_a_sentence_that_names_it(sandbox, method, path, body, status, words):
    answer = requests.request(method, f"{sandbox.base_url}/_sandbox{path}", data=body, timeout=5)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


@both
def test_a_deleted_contact_cannot_be_edited(sandbox, crm):
    contact = sandbox.control.contacts(crm, limit=1)[0]["id"]
    sandbox.control.delete_contact(crm, contact)
    with pytest.raises(ControlError, match="deleted") as refused:
        sandbox.control.edit_contact(crm, contact, {NAMES[crm][0]: "Ada"})
    assert refused.value.status == 409
