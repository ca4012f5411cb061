"""A real browser before the real stack, one of each for all tests here; whatever a page does wrong fails its test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from crmsync.demo.seed import PASSWORD
from tests.browser.stack import Stack, running_stack

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 15_000  # milliseconds


class Guard:
    """Listens to a browser: errors on the console (refusals by the security policy are among them), and requests off the host."""

    def __init__(self, base_url: str) -> None:
        self.host = urlsplit(base_url).netloc
        self.seen: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Hear all of its pages."""
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.seen.append(f"error on the page: {error.error}"))
        context.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.seen.append(
                f"{message.type} on the console of {message.page and message.page.url}: {message.text}"
            )

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob", "about"} and parts.netloc != self.host:
            self.seen.append(f"a request off the host: {request.url}")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, seeded."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's own Chromium. Closed with the folder: its event loop would keep other tests from the database."""
    path = next(found for name in NAMES if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def _signed_in() -> dict[str, object]:
    """The cookies of people who have signed in, by name."""
    return {}


@pytest.fixture
def guard(stack: Stack) -> Iterator[Guard]:
    """Fails the test at its end with everything that pages did wrong."""
    listening = Guard(stack.base_url)
    yield listening
    assert not listening.seen, "\n".join(listening.seen)


@pytest.fixture
def page_of(
    browser: Browser, stack: Stack, guard: Guard, _signed_in: dict[str, object]
) -> Iterator[Callable[[str], Page]]:
    """A page in which somebody is signed in: "admin", "operator" or "staff"."""
    contexts: list[BrowserContext] = []

    def open_page(name: str) -> Page:
        state = _signed_in.get(name)
        context = browser.new_context(
            base_url=stack.base_url, viewport={"width": 1280, "height": 900}, storage_state=state,  # type: ignore[arg-type]
            reduced_motion="reduce", timezone_id="Europe/Berlin",
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        guard.watch(context)
        contexts.append(context)
        page = context.new_page()
        if state is None:
            sign_in(page, name)
            _signed_in[name] = context.storage_state()
        return page

    yield open_page
    for context in contexts:
        context.close()


def sign_in(page: Page, name: str) -> None:
    """As the person does it."""
    page.goto("/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")
