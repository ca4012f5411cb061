"""The pages: a CRM as its user sees it, read over HTTP; everything that was typed comes back as text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import requests

NASTY = '<script>alert("Ada")</script>&amp;'
FIELDS = {
    "salesforce": {
        "first": "FirstName",
        "last": "LastName",
        "number": "Lifetime_Value__c",
        "notes": "Notes__c",
    },
    "hubspot": {
        "first": "firstname",
        "last": "lastname",
        "number": "lifetime_value",
        "notes": "notes_summary",
    },
}
both = pytest.mark.parametrize("crm", ["salesforce", "hubspot"])


class Outline(HTMLParser):
    """Tags in order, the current form values, and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.form: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.links += [values[name] for name in ("href", "src", "action") if values.get(name)]
        if tag == "input":
            self.form[values["name"]] = values.get("value", "")
        if tag in ("select", "textarea"):
            self._inside = values["name"]
            self.form[self._inside] = ""
        if tag == "option" and "selected" in values:
            self.form[self._inside] = values["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside and self.tags[-1] == "textarea":
            self.form[self._inside] += data.removeprefix("\n")


def read(sandbox: Any, path: str, **more: Any) -> tuple[requests.Response, "Outline"]:
    answer = requests.get(f"{sandbox.base_url}{path}", timeout=5, **more)
    assert answer.headers["Content-Type"].startswith("text/html")
    return answer, Outline(answer.text)


def submit(sandbox: Any, path: str, form: dict[str, str], **headers: str) -> requests.Response:
    return requests.post(f"{sandbox.base_url}{path}", data=form, headers=headers, timeout=5)


def a_contact(sandbox: Any, crm: str) -> tuple[dict[str, Any], str]:
    contact = sandbox.control.contacts(crm, limit=1)[0]
    return contact, f"/{crm}/contacts/{contact['id']}"


def test_every_page_stays_on_this_host_and_runs_no_script(sandbox):
    paths = [
        "/",
        "/salesforce/",
        "/hubspot/",
        a_contact(sandbox, "salesforce")[1],
        a_contact(sandbox, "hubspot")[1],
    ]
    for path in [*paths, "/requests", "/faults"]:
        answer, outline = read(sandbox, path)
        assert answer.status_code == 200
        assert all(link.startswith("/") for link in outline.links)
        assert "script" not in outline.tags
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert (
        requests.get(f"{sandbox.base_url}/static/page.css", timeout=5)
        .headers["Content-Type"]
        .startswith("text/css")
    )


@both
def test_the_list_pages_through_everybody_and_finds_by_name_and_digits(sandbox, crm):
    sandbox.control.reset(120)
    _, outline = read(sandbox, f"/{crm}/?page=3")
    assert "120 contacts" in outline.text
    assert "Page 3 of 3" in outline.text
    assert len([link for link in outline.links if "/contacts/" in link]) == 20
    made = sandbox.control.create_contact(
        crm, {FIELDS[crm]["last"]: "Zuse", {"salesforce": "Phone", "hubspot": "phone"}[crm]: "(212) 867-5309"}
    )
    for sought in ("zuse", "2128675309", "867-5309", made["id"]):
        _, outline = read(sandbox, f"/{crm}/", params={"q": sought})
        assert [link for link in outline.links if "/contacts/" in link] == [f"/{crm}/contacts/{made['id']}"]


@both
def test_saving_the_untouched_form_changes_nothing(sandbox, crm):
    for contact in sandbox.control.contacts(crm, limit=15):
        path = f"/{crm}/contacts/{contact['id']}"
        _, outline = read(sandbox, path)
        assert submit(sandbox, path, outline.form).status_code == 200
        assert sandbox.control.contact(crm, contact["id"]) == contact


@both
def test_the_form_edits_as_the_crms_own_user(sandbox, crm):
    before, path = a_contact(sandbox, crm)
    names = FIELDS[crm]
    _, outline = read(sandbox, path)
    form = {
        **outline.form,
        names["first"]: NASTY[:40],
        names["number"]: "12.5",
        names["notes"]: "One.\r\nTwo.",
    }
    answer = submit(sandbox, path, form)
    assert answer.url.endswith(path)
    after = sandbox.control.contact(crm, before["id"])
    assert after["fields"][names["first"]] == NASTY[:40]
    lines = {"salesforce": "One.\r\nTwo.", "hubspot": "One.\nTwo."}  # as each keeps what its own pages send
    assert after["fields"][names["notes"]] == lines[crm]
    assert after["fields"][names["number"]] == {"salesforce": 12.5, "hubspot": "12.5"}[crm]
    assert after["modified"] > before["modified"]
    assert "script" not in Outline(answer.text).tags
    assert NASTY[:40] in Outline(answer.text).text


@both
def test_what_the_crm_refuses_is_said_and_nothing_is_saved(sandbox, crm):
    before, path = a_contact(sandbox, crm)
    _, outline = read(sandbox, path)
    answer = submit(sandbox, path, {**outline.form, FIELDS[crm]["number"]: "a lot"})
    assert answer.status_code == 422
    assert re.search(r"Not saved: .+", Outline(answer.text).text)
    assert sandbox.control.contact(crm, before["id"]) == before


def test_a_form_of_another_site_is_refused(sandbox):
    before, path = a_contact(sandbox, "hubspot")
    assert (
        submit(sandbox, path, {"firstname": "Grace H."}, **{"Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )
    assert sandbox.control.contact("hubspot", before["id"]) == before


def test_the_timeline_shows_what_was_logged_as_text(sandbox):
    contact, path = a_contact(sandbox, "hubspot")
    assert "Nothing logged yet." in read(sandbox, path)[1].text
    link = {
        "to": {"id": contact["id"]},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}],
    }
    call = {
        "properties": {"hs_timestamp": "2026-02-01T10:00:00Z", "hs_call_body": NASTY},
        "associations": [link],
    }
    headers = {"Authorization": "Bearer pat-sandbox-token"}
    made = requests.post(f"{sandbox.base_url}/crm/v3/objects/calls", json=call, headers=headers, timeout=5)
    assert made.status_code == 201, made.text
    _, outline = read(sandbox, path)
    assert NASTY in outline.text
    assert "script" not in outline.tags


def test_the_vendors_own_contact_addresses_lead_to_the_page(sandbox):
    salesforce, salesforce_path = a_contact(sandbox, "salesforce")
    hubspot, hubspot_path = a_contact(sandbox, "hubspot")
    for path, page in [
        (f"/lightning/r/Contact/{salesforce['id']}/view", salesforce_path),
        (f"/{salesforce['id']}", salesforce_path),
        (f"/contacts/4711/record/0-1/{hubspot['id']}", hubspot_path),
        (f"/contacts/4711/contact/{hubspot['id']}", hubspot_path),
    ]:
        assert read(sandbox, path)[0].url.endswith(page)


def test_faults_and_requests_can_be_seen_and_faults_removed(sandbox):
    sandbox.control.add_fault(action="status", status=503, system="hubspot", path="/crm/", times=2)
    requests.get(f"{sandbox.base_url}/crm/v3/objects/contacts?after={NASTY}", timeout=5)
    answer, outline = read(sandbox, "/requests")
    assert "GET /crm/v3/objects/contacts" in outline.text
    assert "503" in outline.text
    assert "<script" not in answer.text
    assert "hubspot" in read(sandbox, "/faults")[1].text
    assert "No fault is in force." in Outline(submit(sandbox, "/faults/clear", {}).text).text
    assert sandbox.control.faults() == []


@pytest.mark.parametrize("path", ["/salesforce/contacts/nobody", "/hubspot/contacts/%3Cb%3E"])
def test_a_contact_that_is_not_there_is_a_404_page(sandbox, path):
    answer, outline = read(sandbox, path)
    assert answer.status_code == 404
    assert "b" not in outline.tags
