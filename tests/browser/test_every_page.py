"""Every page as a browser sees it: no error, nothing from elsewhere, nothing that keeps people out, in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Page

from tests.browser.conftest import Guard
from tests.browser.pages import all_pages
from tests.browser.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.once]
AXE = AXE_FILE_PATH.read_text()
SERIOUS = {"serious", "critical"}
# What a second colour scheme can change.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
NARROW = 360


def test_axe_finds_nothing_serious_on_any_page_in_light_and_dark(
    page_of: Callable[[str], Page], stack: Stack, guard: Guard
):
    page, found = page_of("admin"), []
    for name, address in all_pages(stack).items():
        answer = page.goto(address)
        assert answer is not None
        if name == "not-found":
            guard.seen.clear()  # the browser's own line about the 404
        else:
            assert answer.status == 200, f"{name}: {answer.status}"
        page.evaluate(AXE)
        for scheme, options in (("light", {}), ("dark", COLOURS)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found += [f"{name}, {scheme}: {line}" for line in _violations(page, options)]
        page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


def test_axe_finds_what_is_wrong(page_of: Callable[[str], Page]):
    page = page_of("admin")
    page.goto("/contacts/")
    page.evaluate("document.querySelector('label[for=sort]').remove()")
    page.evaluate(AXE)
    assert any("select-name" in line for line in _violations(page, {}))


def test_no_page_is_wider_than_a_telephone(page_of: Callable[[str], Page], stack: Stack, guard: Guard):
    page = page_of("admin")
    page.set_viewport_size({"width": NARROW, "height": 740})
    wide = []
    for name, address in all_pages(stack).items():
        page.goto(address, wait_until="domcontentloaded")
        if (width := page.evaluate("document.documentElement.scrollWidth")) > NARROW:
            wide.append(f"{name}: {width}")
    guard.seen[:] = [line for line in guard.seen if "404" not in line]
    assert not wide, "\n".join(wide)


def test_the_guard_sees_what_no_page_may_do(page_of: Callable[[str], Page], guard: Guard):
    page = page_of("staff")
    page.goto("/contacts/")
    page.evaluate(
        "for (const [tag, name, value] of [['img', 'src', 'https://elsewhere.example/'], ['p', 'style', 'color: red']])"
        " { document.body.append(Object.assign(document.createElement('div'),"
        " { innerHTML: `<${tag} ${name}='${value}'>` })) }"
    )
    page.wait_for_timeout(200)
    seen, guard.seen[:] = "\n".join(guard.seen), []
    assert "img-src" in seen
    assert "style-src" in seen


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    """What axe-core finds, each with the first place."""
    result = page.evaluate(
        "options => axe.run(document, {...options, preload: false, resultTypes: ['violations']})", options
    )
    return [
        f"{one['id']} ({one['impact']}), {len(one['nodes'])} times, first in {one['nodes'][0]['html'][:160]}"
        for one in result["violations"]
        if one["impact"] in SERIOUS
    ]
