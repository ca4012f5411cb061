"""The fault catalogue: every fault by name, in the vendor's own words, switched over the control API and from the page."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import requests

from sandbox.client import ControlError
from sandbox.fault_catalogue import CATALOGUE, SCOPES
from sandbox.world import CRMS

HUBSPOT = {"Authorization": "Bearer pat-sandbox-token"}
LOGIN = {"grant_type": "client_credentials", "client_id": "sandbox-key", "client_secret": "sandbox-secret"}
BASE = {"salesforce": "/services/data/v62.0", "hubspot": "/crm/objects/2026-03"}
CONTACT = {"attributes": {"type": "Contact"}, "LastName": "Byron", "Phone": "+14155550177"}
TASK = {"attributes": {"type": "Task"}, "Subject": "Call"}
ONE = {"salesforce": CONTACT, "hubspot": {"properties": {"lastname": "Byron", "email": "ada@example.com"}}}
NAMED = {"salesforce": "LastName", "hubspot": "lastname"}


class Caller:
    """Asks one CRM over HTTP as an integration does; `ask` gives status and the whole text of the answer."""

    def __init__(self, sandbox: Any, crm: str) -> None:
        self.url, self.crm, self.headers = sandbox.base_url, crm, HUBSPOT
        if crm == "salesforce":
            answer = self.log_in()
            self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def log_in(self) -> requests.Response:
        return requests.post(f"{self.url}/services/oauth2/token", data=LOGIN, timeout=5)

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 5) -> tuple[int, str]:
        path = path if path.startswith("/") else f"{BASE[self.crm]}/{path}"
        answer = requests.request(
            method, f"{self.url}{path}", json=body, headers=self.headers, timeout=timeout
        )
        return answer.status_code, answer.text

    def create(self, *records: Any) -> tuple[int, str]:
        given = list(records) or [ONE[self.crm]]
        if self.crm == "salesforce":
            return self.ask("POST", "composite/sobjects", {"records": given})
        return self.ask("POST", "contacts/batch/create", {"inputs": given})

    def read(self) -> tuple[int, str]:
        path = "query?q=SELECT+Id,Title+FROM+Contact" if self.crm == "salesforce" else "contacts?limit=3"
        return self.ask("GET", path)

    def fields(self) -> tuple[int, str]:
        paths = {"salesforce": "sobjects/Contact/describe", "hubspot": "/crm/properties/2026-03/contacts"}
        return self.ask("GET", paths[self.crm])

    def search(self) -> tuple[int, str]:
        return self.ask("POST", "contacts/search", {"limit": 1, "filterGroups": []})

    def task(self) -> tuple[int, str]:
        return self.create(TASK)

    def describe_task(self) -> tuple[int, str]:
        return self.ask("GET", "sobjects/Task/describe")

    def query_task(self) -> tuple[int, str]:
        return self.ask("GET", "query?q=SELECT+Id+FROM+Task")

    def titled(self) -> tuple[int, str]:
        if self.crm == "salesforce":
            return self.create({**CONTACT, "Title": "x"})
        return self.create({"properties": {"lastname": "Byron", "jobtitle": "x"}})

    def web_chat(self) -> tuple[int, str]:
        given = {"hs_timestamp": "2026-02-01T10:00:00Z", "hs_communication_logged_from": "CRM"}
        body = {"properties": given | {"hs_communication_channel_type": "CUSTOM_CHANNEL_CONVERSATION"}}
        return self.ask("POST", "communications", body)

    def nameless_2026_09(self) -> tuple[int, str]:
        body = {"properties": {"lastname": "Byron"}}
        return self.ask("POST", "/crm/objects/2026-09/contacts", body)


TITLE = {"salesforce": ["Contact.Title"], "hubspot": ["jobtitle"]}
RULE = {
    "salesforce": {"field": "Contact.Title", "pattern": "Dr.*"},
    "hubspot": {"field": "jobtitle", "pattern": "Dr.*"},
}
# CRM, fault, its parameters, what is asked, the status and what the answer says (None: no answer comes).
TOLD: list[tuple[str, str, dict[str, Any], str, int | None, str]] = [
    ("salesforce", "daily_limit", {}, "read", 403, "TotalRequests Limit exceeded"),
    ("salesforce", "concurrent_limit", {}, "read", 403, "ConcurrentRequests"),
    ("salesforce", "token_refused", {}, "read", 401, "INVALID_SESSION_ID"),
    ("salesforce", "credentials_revoked", {}, "read", 401, "INVALID_SESSION_ID"),
    ("salesforce", "user_inactive", {}, "read", 401, "INVALID_SESSION_ID"),
    ("salesforce", "row_lock", {}, "create", 200, '"statusCode": "UNABLE_TO_LOCK_ROW"'),
    ("salesforce", "server_error", {}, "read", 500, "UNKNOWN_EXCEPTION"),
    ("salesforce", "server_unavailable", {}, "read", 503, "SERVER_UNAVAILABLE"),
    ("salesforce", "query_timeout", {}, "read", 400, "QUERY_TIMEOUT"),
    ("salesforce", "api_disabled", {}, "fields", 403, "API_DISABLED_FOR_ORG"),
    ("salesforce", "storage_limit", {}, "create", 403, "STORAGE_LIMIT_EXCEEDED"),
    ("salesforce", "hidden_field", {"fields": TITLE["salesforce"]}, "read", 400, "No such column 'Title'"),
    ("salesforce", "hidden_field", {"fields": TITLE["salesforce"]}, "titled", 200, '"INVALID_FIELD"'),
    ("salesforce", "readonly_field", {"fields": TITLE["salesforce"]}, "titled", 200, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ("salesforce", "hidden_object", {}, "task", 400, "INVALID_TYPE"),
    ("salesforce", "hidden_object", {}, "query_task", 400, "sObject type 'Task' is not supported"),
    ("salesforce", "hidden_object", {}, "describe_task", 404, "NOT_FOUND"),
    ("salesforce", "validation_rule", RULE["salesforce"], "titled", 200, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    ("salesforce", "validation_rule", RULE["salesforce"], "create", 200, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    ("hubspot", "secondly_limit", {}, "search", 429, '"policyName": "SECONDLY"'),
    ("hubspot", "ten_secondly_limit", {}, "read", 429, '"policyName": "TEN_SECONDLY_ROLLING"'),
    ("hubspot", "daily_limit", {}, "read", 429, '"policyName": "DAILY"'),
    ("hubspot", "token_refused", {}, "read", 401, "INVALID_AUTHENTICATION"),
    ("hubspot", "credentials_revoked", {}, "read", 401, "INVALID_AUTHENTICATION"),
    ("hubspot", "token_expired", {}, "read", 401, "EXPIRED_AUTHENTICATION"),
    ("hubspot", "locked", {}, "create", 423, "LOCKED"),
    ("hubspot", "migration", {}, "read", 477, "Migration in progress"),
    ("hubspot", "server_error", {}, "read", 500, "internal error"),
    ("hubspot", "server_unavailable", {}, "read", 503, "Service Unavailable"),
    ("hubspot", "gateway_timeout", {}, "read", 504, "gateway timeout"),
    ("hubspot", "bad_gateway", {}, "read", 502, "<title>502 Bad Gateway"),
    ("hubspot", "hidden_field", {"fields": TITLE["hubspot"]}, "titled", 400, "PROPERTY_DOESNT_EXIST"),
    ("hubspot", "readonly_field", {"fields": TITLE["hubspot"]}, "titled", 400, "READ_ONLY_VALUE"),
    ("hubspot", "hidden_object", {}, "create", 403, "MISSING_SCOPES"),
    ("hubspot", "validation_rule", RULE["hubspot"], "titled", 400, "VALIDATION_ERROR"),
    ("hubspot", "required_properties", {"fields": ["email"]}, "nameless_2026_09", 400, "required properties"),
    ("hubspot", "no_custom_channel", {}, "web_chat", 400, "INVALID_OPTION"),
    *[(crm, "html", {}, "read", 200, "<title>Maintenance") for crm in CRMS],
    *[(crm, "drop_before", {}, "read", None, "") for crm in CRMS],
    *[(crm, "drop_after", {"scope": "everything"}, "read", None, "") for crm in CRMS],
    *[(crm, "truncated", {}, "read", None, "") for crm in CRMS],
]  # fmt: skip


@pytest.mark.parametrize(("crm", "fault", "given", "asked", "status", "words"), TOLD)
def test_a_fault_is_told_in_the_vendors_words_until_it_is_switched_off(
    sandbox, crm, fault, given, asked, status, words
):
    caller = Caller(sandbox, crm)
    assert sandbox.control.switch_on(crm, fault, **given)["on"]
    try:
        found, text = getattr(caller, asked)()
    except requests.RequestException:
        found, text = None, ""
    assert found == status, text
    assert words in text
    assert not sandbox.control.switch_off(crm, fault)["on"]
    caller = Caller(sandbox, crm)
    again, text = getattr(caller, asked)()
    assert again < 400, text
    assert words not in text or not words
    assert not any(one["on"] for one in sandbox.control.catalogue())


@pytest.mark.parametrize("crm", CRMS)
def test_a_lost_answer_leaves_what_was_done_and_a_lost_request_nothing(sandbox, crm):
    caller = Caller(sandbox, crm)
    for fault, more in (("drop_before", 0), ("drop_after", 1)):
        before = len(sandbox.control.contacts(crm))
        sandbox.control.switch_on(crm, fault, times=1)
        with pytest.raises(requests.RequestException):
            caller.create()
        assert len(sandbox.control.contacts(crm)) == before + more


@pytest.mark.parametrize("crm", CRMS)
def test_a_slow_answer_outlasts_its_caller_and_is_carried_out_all_the_same(sandbox, crm):
    caller = Caller(sandbox, crm)
    sandbox.control.switch_on(crm, "slow", seconds=0.4, times=1)
    path = {"salesforce": "limits", "hubspot": "contacts?limit=1"}[crm]
    with pytest.raises(requests.ReadTimeout):
        caller.ask("GET", path, timeout=0.1)
    assert caller.ask("GET", path)[0] == 200


def test_a_rotated_secret_and_a_deactivated_user_refuse_the_next_login(sandbox):
    caller = Caller(sandbox, "salesforce")
    for fault, words in (("credentials_revoked", "invalid_client"), ("user_inactive", "inactive user")):
        sandbox.control.switch_on("salesforce", fault)
        assert words in caller.log_in().text
        sandbox.control.switch_off("salesforce", fault)
        assert caller.log_in().status_code == 200


def test_sessions_that_an_administrator_ends_are_opened_again_by_a_login(sandbox):
    caller = Caller(sandbox, "salesforce")
    assert sandbox.control.switch_on("salesforce", "sessions_end")["once"]
    assert caller.read()[0] == 401
    assert Caller(sandbox, "salesforce").read()[0] == 200


def test_locked_rows_are_counted_one_by_one(sandbox):
    caller = Caller(sandbox, "salesforce")
    sandbox.control.switch_on("salesforce", "row_lock", rows=2)
    people = [{**CONTACT, "LastName": name} for name in ("Byron", "Hopper", "Noether")]
    _, text = caller.create(*people)
    assert re.findall(r'"success": (\w+)', text) == ["false", "false", "true"]
    assert not any(one["on"] for one in sandbox.control.catalogue())


def test_a_validation_rule_judges_the_whole_salesforce_record_and_the_written_hubspot_property(sandbox):
    for crm, names in (("salesforce", ("Title", "LastName")), ("hubspot", ("jobtitle", "lastname"))):
        caller, one = Caller(sandbox, crm), sandbox.control.contacts(crm)[0]["id"]
        sandbox.control.switch_on(crm, "validation_rule", field=names[0], pattern="Dr .*")
        body: Any = {"records": [{"attributes": {"type": "Contact"}, "id": one, names[1]: "Noether"}]}
        if crm == "hubspot":
            body = {"inputs": [{"id": one, "properties": {names[1]: "Noether"}}]}
        path = {"salesforce": ("PATCH", "composite/sobjects"), "hubspot": ("POST", "contacts/batch/update")}
        _, text = caller.ask(*path[crm], body)
        assert ("FIELD_CUSTOM_VALIDATION_EXCEPTION" in text) is (crm == "salesforce")


@pytest.mark.parametrize("crm", CRMS)
def test_a_field_that_is_hidden_is_gone_from_the_schema_and_comes_back_with_its_values(sandbox, crm):
    caller, name = Caller(sandbox, crm), {"salesforce": "Title", "hubspot": "jobtitle"}[crm]
    one = sandbox.control.contacts(crm)[0]["id"]
    sandbox.control.edit_contact(crm, one, {name: "Admiral"})
    sandbox.control.switch_on(crm, "hidden_field", fields=[name])
    assert f'"name": "{name}"' not in caller.fields()[1]
    sandbox.control.switch_on(crm, "hidden_field", fields=[NAMED[crm]])
    assert f'"name": "{name}"' in caller.fields()[1]
    sandbox.control.all_off()
    assert sandbox.control.contact(crm, one)["fields"][name] == "Admiral"


@pytest.mark.parametrize("crm", CRMS)
def test_a_background_job_moves_stamps_and_no_value(sandbox, crm):
    sandbox.control.set_clock(crm, 3600)
    before = {one["id"]: one for one in sandbox.control.contacts(crm)}
    first = next(iter(before))
    sandbox.control.switch_on(crm, "background_bump", ids=[first])
    moved = [
        one["id"] for one in sandbox.control.contacts(crm) if one["modified"] != before[one["id"]]["modified"]
    ]
    assert moved == [first]
    sandbox.control.switch_on(crm, "background_bump")
    after = {one["id"]: one for one in sandbox.control.contacts(crm)}
    assert len({one["modified"] for one in after.values()}) == 1
    for id_, one in after.items():
        assert one["fields"][NAMED[crm]] == before[id_]["fields"][NAMED[crm]]
    sandbox.control.bump(crm, [first])
    assert sandbox.control.contact(crm, first)["modified"] > before[first]["modified"]
    with pytest.raises(ControlError, match="404"):
        sandbox.control.bump(crm, ["nobody"])


@pytest.mark.parametrize("crm", CRMS)
def test_merges_and_deletes_are_acts_that_cannot_be_switched_off(sandbox, crm):
    winner, loser, third = (one["id"] for one in sandbox.control.contacts(crm, limit=3))
    sandbox.control.switch_on(crm, "merge", winner=winner, loser=loser)
    sandbox.control.switch_on(crm, "archive", id=third)
    live = [one["id"] for one in sandbox.control.contacts(crm)]
    assert loser not in live
    assert third not in live
    with pytest.raises(ControlError, match="happens once"):
        sandbox.control.switch_off(crm, "merge")


def test_a_property_that_an_administrator_adds_can_be_written(sandbox):
    caller = Caller(sandbox, "hubspot")
    sandbox.control.switch_on("hubspot", "property_added", name="shoe_size", label="Shoe size", type="number")
    status, text = caller.create({"properties": {"lastname": "Byron", "shoe_size": "39"}})
    assert (status, "shoe_size" in text) == (201, True)
    with pytest.raises(ControlError, match="cannot be the name"):
        sandbox.control.switch_on("hubspot", "property_added", name="shoe_size", label="Again")


@pytest.mark.parametrize("crm", CRMS)
def test_a_wrong_clock_and_a_lagging_search_are_states(sandbox, crm):
    sandbox.control.switch_on(crm, "clock_skew", seconds=-7200)
    sandbox.control.switch_on(crm, "search_lag", seconds=20)
    on = {one["name"] for one in sandbox.control.catalogue(crm) if one["on"]}
    assert on == {"clock_skew", "search_lag"}
    assert sandbox.control.settings(crm)["search_lag_seconds"] == 20
    sandbox.control.all_off()
    assert sandbox.control.settings(crm)["search_lag_seconds"] == 0
    assert sandbox.world.clocks[crm].offset == 0


def test_a_scope_and_a_count_limit_a_fault(sandbox):
    caller = Caller(sandbox, "hubspot")
    sandbox.control.switch_on("hubspot", "server_error", scope="writing contacts", times=1, skip=1)
    statuses = [caller.read()[0], caller.create()[0], caller.create({"properties": {"lastname": "X"}})[0]]
    assert statuses == [200, 201, 500]
    assert caller.create({"properties": {"lastname": "Y"}})[0] == 201
    assert sandbox.control.faults() == []


@pytest.mark.parametrize(
    ("crm", "fault", "given", "words"),
    [
        ("salesforce", "nonsense", {}, "404.*no fault 'nonsense'"),
        ("salesforce", "html", {"tmies": 3}, "knows no parameter 'tmies'"),
        ("salesforce", "html", {"times": 0}, "whole number from 1"),
        ("salesforce", "html", {"times": True}, "whole number from 1"),
        ("salesforce", "html", {"scope": "lunch"}, "must be one of everything, login"),
        ("salesforce", "hidden_field", {}, "'Fields' is missing"),
        ("salesforce", "hidden_field", {"fields": ["Nope__c"]}, "no field 'Nope__c'"),
        ("salesforce", "hidden_object", {"object": "Case"}, "must be one of Task"),
        ("salesforce", "credentials_revoked", {"x": 1}, "takes no parameter"),
        ("hubspot", "slow", {"seconds": -1}, "number from 0 to 3600"),
        ("hubspot", "slow", {"seconds": "soon"}, "number from 0 to 3600"),
        ("hubspot", "validation_rule", {"field": "jobtitle", "pattern": "("}, "not a regular expression"),
        ("hubspot", "merge", {"winner": "1", "loser": "2"}, "there is no contact '1'"),
        ("hubspot", "background_bump", {"ids": ["nobody"]}, "there is no contact 'nobody'"),
    ],
)  # fmt: skip
def test_a_switch_that_cannot_work_is_refused_with_the_reason(sandbox, crm, fault, given, words):
    with pytest.raises(ControlError, match=words):
        sandbox.control.switch_on(crm, fault, **given)
    assert not any(one["on"] for one in sandbox.control.catalogue())


def test_every_fault_has_a_name_of_its_own_and_words_and_every_rule_can_be_carried_out(sandbox):
    assert len({(one.system, one.name) for one in CATALOGUE}) == len(CATALOGUE)
    for one in CATALOGUE:
        assert one.title
        assert one.about.endswith(".")
        assert bool(one.rule) + bool(one.settings) + bool(one.act) + one.clock == 1, one.name
        for name in one.settings or ():
            assert name in sandbox.control.settings(one.system)
        if one.act:
            assert callable(getattr(sandbox.world.crm(one.system), one.act))
        if one.rule and one.rule["action"] == "vendor":
            assert sandbox.world.crm(one.system).fault_response(one.rule["kind"]) is not None
    for scopes in SCOPES.values():
        assert all(re.compile(scope.get("path", "")) for scope in scopes.values())
    # What is shown above in the vendor's words, and what has a test of its own.
    shown = {(crm, fault) for crm, fault, *_ in TOLD}
    own = {"slow", "clock_skew", "search_lag", "background_bump", "merge", "archive", "sessions_end", "property_added",
           "tasks_archived", "duplicate_rule", "strict_collections", "limits_enforced", "overtaxed",
           "no_call_center", "whole_batches", "untraced_results", "silent_updates"}  # fmt: skip
    assert {(one.system, one.name) for one in CATALOGUE if one.name not in own} == shown


class Forms(HTMLParser):
    """The forms of a page by action: the ids of their inputs, and which ids have a label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: dict[str, list[str]] = {}
        self.labelled: set[str] = set()
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        if tag == "form":
            self.forms[values["action"]] = []
        elif tag == "label":
            self.labelled.add(values["for"])
        elif tag in ("input", "select"):
            [*self.forms.values()][-1].append(values["id"])


def post(sandbox: Any, path: str, **form: str) -> requests.Response:
    return requests.post(f"{sandbox.base_url}{path}", data=form, timeout=5)


def test_the_page_has_a_labelled_form_for_every_fault_and_needs_no_script(sandbox):
    found = Forms(requests.get(f"{sandbox.base_url}/faults", timeout=5).text)
    assert set(found.forms) == {f"/faults/{one.system}/{one.name}" for one in CATALOGUE}
    assert all(id_ in found.labelled for ids in found.forms.values() for id_ in ids)
    assert "script" not in found.tags
    assert sum(map(len, found.forms.values())) == sum(len(one.parameters) for one in CATALOGUE)


def test_a_fault_is_switched_on_and_off_from_the_page(sandbox):
    caller, path = Caller(sandbox, "hubspot"), "/faults/hubspot/daily_limit"
    text = post(sandbox, path, switch="on", scope="everything", times="2", skip="0").text
    assert "On, 2 times more" in text
    assert caller.read()[0] == 429
    text = post(sandbox, path, switch="off").text
    assert "No fault is in force." in text
    assert caller.read()[0] == 200
    post(sandbox, "/faults/salesforce/hidden_field", switch="on", fields="Contact.Title, Phone")
    assert sandbox.control.settings("salesforce")["hidden_fields"] == ["Contact.Title", "Phone"]
    assert "No fault is in force." in post(sandbox, "/faults/clear").text
    assert sandbox.control.settings("salesforce")["hidden_fields"] == []


def test_an_act_on_the_page_says_that_it_is_done_and_a_mistake_says_why(sandbox):
    one = sandbox.control.contacts("salesforce")[0]["id"]
    assert "Done: Delete a contact." in post(sandbox, "/faults/salesforce/archive", id=one).text
    assert sandbox.control.contact("salesforce", one)["deleted"]
    refused = post(sandbox, "/faults/salesforce/archive", id="<b>")
    assert (refused.status_code, "there is no contact" in refused.text, "<b>" in refused.text) == (
        422,
        True,
        False,
    )
    assert post(sandbox, "/faults/hubspot/nonsense").status_code == 404


def test_the_page_takes_no_form_from_another_site(sandbox):
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = requests.post(f"{sandbox.base_url}/faults/hubspot/html", headers=headers, timeout=5)
    assert answer.status_code == 403
    assert sandbox.control.faults() == []
