"""What people come for, from the first click to the end that counts: in the CRM's own record where it ends there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.once]


def test_a_badly_typed_number_finds_the_contact(page_of: Callable[[str], Page], stack: Stack):
    page, number = page_of("staff"), stack.facts["number"]
    page.goto("/")
    page.get_by_role("link", name="Contacts", exact=True).click()
    page.get_by_label("Search").fill(f"({number[2:5]})  {number[5:8]}.{number[8:]}")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=stack.facts["name"]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(stack.facts["name"])
    expect(page.get_by_role("link", name="Edit", exact=True)).to_have_count(0)


def test_a_merge_is_reviewed_and_reaches_the_crm(page_of: Callable[[str], Page], stack: Stack):
    page = page_of("operator")
    page.goto("/")
    page.get_by_role("link", name=re.compile("^Merges to review")).click()
    waiting = page.get_by_label("Together").count()
    text = page.get_by_label("Together").first
    text.fill(f"{text.input_value().strip()} Call before noon.")
    page.get_by_role("button", name="Accept").first.click()
    expect(page.get_by_text("Written.")).to_be_visible()
    expect(page.get_by_label("Together")).to_have_count(waiting - 1)
    page.goto(stack.places["contact"])
    expect(page.get_by_role("row", name=re.compile("^Notes"))).to_contain_text("Call before noon.")
    _wait_for(lambda: "Call before noon." in str(_customer(stack)["Notes__c"]))


def test_an_issue_is_followed_to_its_repair(page_of: Callable[[str], Page], stack: Stack):
    page = page_of("operator")
    page.goto("/")
    page.get_by_role("link", name="Records without a phone number").click()
    card = page.locator(".issue", has_text="Salesforce")
    card.get_by_role("link", name="Show the records").click()
    record = page.locator("tbody th code").first.inner_text()
    # Whoever minds the CRM enters the number there.
    stack.control.edit_contact("salesforce", record, {"Phone": "(206) 555-0143"})
    page.get_by_role("link", name="Salesforce", exact=True).click()
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator(".head .chip")).to_have_text("succeeded", timeout=15_000)
    page.goto("/contacts/?q=206+555+0143")
    page.locator("tbody th a").click()
    expect(page.locator("aside")).to_contain_text(record)


def test_a_field_is_mapped_tried_approved_and_seen_in_the_crm(page_of: Callable[[str], Page], stack: Stack):
    page, record = page_of("operator"), stack.facts["hubspot"]
    page.goto(stack.places["unarmed"])
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("button", name="Add a mapping").click()
    row = page.locator(".pair").last
    # The pickers by the keyboard alone: type, look, choose.
    page.keyboard.type("nick")
    expect(row.locator("[role=option]").first).to_contain_text("nickname")
    page.keyboard.press("Enter")
    row.get_by_label("Contact field", exact=True).focus()
    expect(row.locator("[role=option]").first).to_contain_text("suggested")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    row.get_by_label("Way", exact=True).select_option("both")
    page.get_by_label("Try it on a contact").fill(stack.facts["name"])
    page.locator(".trial-person [role=option]").first.click()
    expect(page.locator("#editor-state")).to_have_text("Nothing is wrong; not saved yet.")
    expect(row.locator(".trial")).to_contain_text("In the CRM")
    row.get_by_label("CRM field", exact=True).fill("createdate")
    expect(row.locator(".unfit")).to_contain_text("read-only")
    page.keyboard.press("Escape")
    row.get_by_label("Way", exact=True).focus()
    expect(row.locator(".told .error").first).to_contain_text("read-only")
    row.get_by_label("CRM field", exact=True).fill("nickname")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save the mappings").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto(stack.places["contact-edit"])
    page.get_by_label("Nickname").fill("Captain")
    page.get_by_role("button", name="Save").click()
    page.goto(stack.places["unarmed-outbound"])
    page.get_by_role("button", name="Show the preview").click()
    expect(page.get_by_role("table")).to_contain_text("Captain")
    assert stack.control.contact("hubspot", record)["fields"].get("nickname") != "Captain"
    page.get_by_role("button", name=re.compile("^Approve and arm")).click()
    expect(page.get_by_text("is armed: changes are written")).to_be_visible()
    _wait_for(lambda: stack.control.contact("hubspot", record)["fields"].get("nickname") == "Captain")


def test_a_run_is_undone_here_and_in_the_crm(page_of: Callable[[str], Page], stack: Stack):
    page = page_of("operator")
    record = stack.control.contacts("salesforce", limit=1)[0]
    was = record["fields"]["FirstName"]
    stack.control.edit_contact("salesforce", record["id"], {"FirstName": "Mistyped"})
    page.goto(stack.places["connection"])
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator(".head .chip")).to_have_text("succeeded", timeout=15_000)
    page.get_by_role("link", name="Undo this run").click()
    page.get_by_role("button", name=re.compile("^Undo: restore")).click()
    expect(page.locator(".head .chip")).to_have_text("done", timeout=15_000)
    _wait_for(lambda: stack.control.contact("salesforce", record["id"])["fields"]["FirstName"] == was)


def test_a_file_is_imported_after_a_look_at_what_it_does(page_of: Callable[[str], Page], tmp_path: Path):
    file = tmp_path / "fair.csv"
    file.write_text("Mobile,First name,Seen at\n(206) 555-0177,Edith,Fair\nnone,Nobody,Fair\n")
    page = page_of("operator")
    page.goto("/contacts/")
    page.get_by_role("link", name="Import CSV").click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.get_by_label("Mobile").select_option("phone_number")
    expect(page.get_by_label("First name")).to_have_value("first_name")
    page.get_by_label("Seen at").select_option("notes")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("row", name=re.compile("^3 rejected"))).to_contain_text(
        "not a valid phone number"
    )
    page.get_by_role("button", name="Import 2 rows").click()
    expect(page.locator(".head .chip")).to_have_text("done", timeout=15_000)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download rejected rows").click()
    assert "Nobody" in saved.value.path().read_text()
    page.goto("/contacts/?q=206+555+0177")
    page.locator("tbody th a").click()
    expect(page.get_by_role("row", name=re.compile("^Notes"))).to_contain_text("Fair")
    expect(page.get_by_role("link", name=re.compile("^Import of fair.csv")).first).to_be_visible()


def test_the_keyboard_alone_leads_to_the_content_and_shows_where_it_is(page_of: Callable[[str], Page]):
    page = page_of("staff")
    page.goto("/contacts/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = "document.querySelector('main').contains(document.activeElement)"
    assert page.evaluate(inside)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_dates_are_in_the_readers_zone_with_the_exact_time_on_hover(page_of: Callable[[str], Page]):
    page = page_of("staff")
    page.goto("/runs/")
    expect(page.locator("main time").first).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d CES?T$"))


def test_on_a_telephone_a_menu_leads_to_the_pages_and_out(page_of: Callable[[str], Page]):
    page = page_of("staff")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    page.locator("summary", has_text="Menu").focus()
    page.keyboard.press("Enter")
    menu = page.locator(".menu-in")
    expect(menu.get_by_role("button", name="Sign out")).to_be_visible()
    expect(menu.get_by_role("link", name="Dashboard")).to_have_attribute("aria-current", "page")
    menu.get_by_role("link", name="Contacts").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Contacts")


def test_a_contact_is_resynced_while_its_customer_is_on_the_phone(
    page_of: Callable[[str], Page], stack: Stack
):
    page = page_of("operator")
    stack.control.edit_contact("salesforce", stack.facts["salesforce"], {"Lifetime_Value__c": 4321})
    page.goto(stack.places["contact"])
    page.get_by_role("button", name="Resync now").click()
    result = page.get_by_label("What the resync did")
    expect(result).to_contain_text("1 value taken from it.")
    expect(result).to_contain_text("4321")
    expect(page.get_by_role("row", name=re.compile("^Lifetime value"))).to_contain_text("4321")


def _customer(stack: Stack) -> dict[str, object]:
    """The customer's record in Salesforce."""
    fields: dict[str, object] = stack.control.contact("salesforce", stack.facts["salesforce"])["fields"]
    return fields


def _wait_for(true: Callable[[], bool], patience: float = 15.0) -> None:
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until, "It did not come true in time."
        time.sleep(0.1)
