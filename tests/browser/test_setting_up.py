"""From an empty installation to a CRM that is in step, as a person does it: leaving, coming back, rotating the secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stack import Stack, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.once]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, with people and nothing else in it."""
    with running_stack(tmp_path_factory.mktemp("bare"), count=30, bare=True) as running:
        yield running


@pytest.fixture(scope="module")
def _signed_in() -> dict[str, object]:
    """Nobody has signed in to this one."""
    return {}


def test_a_crm_is_connected_from_nothing_to_its_first_sync(page_of: Callable[[str], Page], stack: Stack):
    page = page_of("operator")
    page.goto("/")
    page.get_by_role("link", name="Connect a CRM").click()
    page.get_by_role("link", name=re.compile("^Salesforce")).click()
    page.get_by_label("Name", exact=True).fill("Sales")
    page.get_by_label("Address").fill(stack.sandbox_url)
    page.get_by_label("Client ID").fill("sandbox-key")
    page.get_by_label("Client secret").fill("wrong")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_role("alert")).to_have_text("Salesforce refuses the client id or secret.")
    expect(page.get_by_role("heading", name="What to check")).to_be_visible()
    # Left here, and taken up again where it was left.
    page.goto("/setup/")
    expect(page.get_by_text("step 1 of 4")).to_be_visible()
    page.get_by_role("link", name="Sales: access").click()
    page.get_by_label("Client secret").fill("sandbox-secret")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_text("The CRM answers as Sandbox")).to_be_visible()
    page.get_by_role("link", name="Next: mappings").click()
    _choose_fields(page)
    page.goto("/setup/")
    page.get_by_role("link", name="Sales: dry run").click()
    page.get_by_role("button", name="Make the dry run").click()
    expect(page.get_by_text("30 of 30 records looked at. Nothing has been written.")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("New contact")
    page.get_by_role("button", name="Approve and start the first sync").click()
    expect(page.get_by_role("heading", name="Done: Sales is in step")).to_be_visible()
    expect(page.locator("progress")).to_have_attribute("value", "100")
    expect(page.get_by_text("30 of 30 records read")).to_be_visible()
    page.get_by_role("link", name="See the contacts").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def test_credentials_are_rotated_and_everything_is_kept(page_of: Callable[[str], Page], stack: Stack):
    page = page_of("operator")
    page.goto("/")
    page.get_by_role("link", name="Sales", exact=True).first.click()
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_text("5 inbound, 4 outbound")).to_be_visible()
    page.get_by_label("Client secret").fill("sandbox-secret")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Sales", exact=True).first.click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text(re.compile("answers as Sandbox.*fields were read"))).to_be_visible()
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator(".head .chip")).to_have_text("succeeded")
    # An administrator reads who did all this, and never a secret.
    boss = page_of("admin")
    boss.goto("/admin/crmsync/configchange/?q=Sales")
    told = boss.locator("#result_list")
    expect(told.get_by_text("replaced: client_secret").first).to_be_visible()
    expect(told.get_by_text("operator").first).to_be_visible()
    assert "sandbox-secret" not in boss.content()


def _choose_fields(page: Page) -> None:
    """The suggested pairs stay ticked; one CRM field becomes a contact field; then the page is left."""
    page.get_by_label(re.compile("^Search .* fields")).fill("lifetime")
    page.get_by_label("Take over Lifetime Value").check()
    page.get_by_label("Log every call and chat").check()
    page.get_by_role("button", name="Save and stay").click()
    expect(page.get_by_text("Saved. You can leave now")).to_be_visible()
    expect(page.get_by_label("Map Lifetime Value and Lifetime Value")).to_be_checked()
    expect(page.get_by_label(re.compile("^Map First Name"))).to_be_checked()
