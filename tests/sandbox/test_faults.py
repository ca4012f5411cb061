"""Faults: each action as its caller meets it, and rules that count exactly."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox.client import ControlError

HUBSPOT = {"Authorization": "Bearer pat-sandbox-token"}
ADA = {"properties": {"firstname": "Ada", "email": "ada.byron@example.com"}}


def create(sandbox: Any, timeout: Any = 5) -> requests.Response:
    url = f"{sandbox.base_url}/crm/v3/objects/contacts"
    return requests.post(url, json=ADA, headers=HUBSPOT, timeout=timeout)


def created(sandbox: Any) -> int:
    return len(sandbox.control.contacts("hubspot", email="ada.byron@example.com"))


def test_a_status_is_answered_n_times_and_then_the_crm_again(sandbox):
    sandbox.control.add_fault(
        action="status",
        system="hubspot",
        status=503,
        times=2,
        headers={"Retry-After": "7"},
        content={"message": "later"},
    )
    first, second, third = (create(sandbox) for _ in range(3))
    assert (first.status_code, first.headers["Retry-After"], first.json()) == (503, "7", {"message": "later"})
    assert (second.status_code, third.status_code) == (503, 201)
    assert created(sandbox) == 1
    assert sandbox.control.faults() == []


@pytest.mark.parametrize(
    ("system", "kind", "path", "status"),
    [
        ("hubspot", "rate_limit_secondly", "/crm/v3/objects/contacts", 429),
        ("hubspot", "unauthorized", "/crm/v3/objects/contacts", 401),
        ("salesforce", "daily_limit", "/services/data/v59.0/limits", 403),
        ("salesforce", "session_expired", "/services/data/v59.0/limits", 401),
        ("llm", "rate_limit", "/v1/models", 429),
        ("llm", "insufficient_quota", "/v1/models", 429),
    ],
)
def test_a_vendor_error_comes_in_the_vendors_own_words(sandbox, system, kind, path, status):
    sandbox.control.add_fault(action="vendor", system=system, kind=kind)
    answer = requests.get(f"{sandbox.base_url}{path}", timeout=5)
    assert answer.status_code == status
    assert isinstance(answer.json(), list if system == "salesforce" else dict)
    assert sandbox.control.requests(system=system)[0]["fault"]["action"] == "vendor"


def test_a_drop_after_the_write_leaves_the_write_and_no_answer(sandbox):
    sandbox.control.add_fault(action="drop_after", system="hubspot", method="post")
    with pytest.raises(requests.ConnectionError):
        create(sandbox)
    assert created(sandbox) == 1
    [entry] = sandbox.control.requests(system="hubspot")
    assert (entry["status"], entry["system_status"], entry["fault"]["action"]) == (None, 201, "drop_after")


def test_a_drop_before_the_write_leaves_nothing(sandbox):
    sandbox.control.add_fault(action="drop_before", system="hubspot")
    with pytest.raises(requests.ConnectionError):
        create(sandbox)
    assert created(sandbox) == 0
    assert sandbox.control.requests(system="hubspot")[0]["system_status"] is None


def test_a_truncated_answer_ends_in_the_middle(sandbox):
    sandbox.control.add_fault(action="truncate", system="hubspot")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        create(sandbox)
    assert created(sandbox) == 1


def test_a_maintenance_page_is_html_with_status_200(sandbox):
    sandbox.control.add_fault(action="html", system="hubspot")
    answer = create(sandbox)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html;charset=utf-8")
    assert "maintenance" in answer.text
    assert created(sandbox) == 0


def test_a_delay_outlasts_an_impatient_caller_and_holds_up_nobody_else(sandbox):
    sandbox.control.add_fault(action="delay", system="hubspot", method="POST", seconds=0.8)
    with pytest.raises(requests.ReadTimeout):
        create(sandbox, timeout=(5, 0.1))
    url = f"{sandbox.base_url}/crm/v3/objects/contacts?limit=1"
    assert requests.get(url, headers=HUBSPOT, timeout=5).status_code == 200
    assert [entry["status"] for entry in sandbox.control.requests(system="hubspot")] == [None, 200]
    while sandbox.control.requests(method="POST")[0]["status"] is None:
        time.sleep(0.02)
    assert created(sandbox) == 1


def test_skip_lets_the_first_ones_through(sandbox):
    sandbox.control.add_fault(action="status", status=500, system="hubspot", skip=1)
    url = f"{sandbox.base_url}/crm/v3/objects/contacts"
    statuses = [requests.get(url, headers=HUBSPOT, timeout=5).status_code for _ in range(3)]
    assert statuses == [200, 500, 200]


def test_a_rule_matches_by_method_path_query_and_body(sandbox):
    sandbox.control.add_fault(
        action="status",
        status=418,
        system="hubspot",
        method="POST",
        path="/contacts$",
        body="ada.byron@",
        times=None,
    )
    sandbox.control.add_fault(action="status", status=420, query="limit=3", times=None)
    url = f"{sandbox.base_url}/crm/v3/objects/contacts"
    grace = {"properties": {"firstname": "Grace", "email": "grace@example.com"}}
    assert create(sandbox).status_code == 418
    assert requests.post(url, json=grace, headers=HUBSPOT, timeout=5).status_code == 201
    assert requests.get(url, headers=HUBSPOT, timeout=5).status_code == 200
    assert requests.get(url, params={"limit": "3"}, headers=HUBSPOT, timeout=5).status_code == 420


def test_the_first_matching_rule_wins_and_one_can_be_removed(sandbox):
    first = sandbox.control.add_fault(action="status", status=500, times=None)
    sandbox.control.add_fault(action="status", status=502, times=None)
    assert create(sandbox).status_code == 500
    assert [rule["applied"] for rule in sandbox.control.faults()] == [1, 0]
    sandbox.control.remove_fault(first["id"])
    assert create(sandbox).status_code == 502
    sandbox.control.clear_faults()
    assert create(sandbox).status_code == 201


def test_times_is_exact_with_many_callers_at_once(sandbox):
    sandbox.control.add_fault(action="status", status=500, system="llm", times=7)
    start = threading.Barrier(10)

    def ask(_):
        start.wait(timeout=10)
        return [requests.get(f"{sandbox.base_url}/v1/models", timeout=10).status_code for _ in range(3)]

    with ThreadPoolExecutor(10) as pool:
        statuses = [status for answers in pool.map(ask, range(10)) for status in answers]
    assert (statuses.count(500), statuses.count(401)) == (7, 23)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"action": "explode"}, "action"),
        ({}, "action"),
        ({"action": "status"}, "needs 'status'"),
        ({"action": "status", "status": 99}, "between 200 and 599"),
        ({"action": "status", "status": True}, "HTTP status"),
        ({"action": "delay"}, "needs 'seconds'"),
        ({"action": "html", "system": "pipedrive"}, "system"),
        ({"action": "html", "path": "("}, "regular expression"),
        ({"action": "html", "times": 0}, "times"),
        ({"action": "html", "tmies": 1}, "tmies"),
        ({"action": "vendor", "kind": "rate_limit"}, "needs 'system'"),
        ({"action": "vendor", "system": "llm", "kind": "grumpy"}, "knows no fault 'grumpy'"),
        ({"action": "html", "headers": {"X": 1}}, "object of strings"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(sandbox, rule, words):
    with pytest.raises(ControlError, match="400") as refused:
        sandbox.control.add_fault(**rule)
    assert words in str(refused.value)
    assert sandbox.control.faults() == []


def test_a_request_that_was_held_up_does_not_reach_the_world_after_a_reset(sandbox):
    sandbox.control.change_llm_settings(mode="slow", delay_seconds=0.6)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello."}]}
    headers = {"Authorization": "Bearer sandbox-llm-key"}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{sandbox.base_url}/v1/chat/completions", json=body, headers=headers, timeout=0.1)
    sandbox.control.reset()
    time.sleep(0.8)
    assert sandbox.control.llm_requests() == []
