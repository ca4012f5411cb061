"""Pictures of every page at two widths, light and dark, small, and written only where they differ from what is there."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

WIDTHS = {1280: 780, 390: 780}  # and how much of a page is seen
THEMES = ("light", "dark")
COLOURS, NEAR = 36, 20  # in a picture; and how far apart they are, all channels together
EXACT = 10
SAME = 40  # pixels that may differ: what fonts do between two runs
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def take(
    base_url: str, password: str, pages: dict[str, str], to: Path, only: Iterable[str] = ()
) -> list[str]:
    """Write <page>-<width>-<theme>.png for every page, or for those named; returns the names of files that changed."""
    wanted = {name: where for name, where in pages.items() if not only or name in only}
    wanted = dict(sorted(wanted.items(), key=_turn))
    to.mkdir(parents=True, exist_ok=True)
    changed = []
    with _browser(base_url, password) as page:
        for name, where in wanted.items():
            for width, height in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": height})
                _open(page, name, where)
                for theme in THEMES:
                    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                    path = to / f"{name}-{width}-{theme}.png"
                    if keep(page.screenshot(animations="disabled"), path):
                        changed.append(path.name)
    if not only:
        _drop_others(to, wanted)
    return changed


def _turn(one: tuple[str, str]) -> tuple[bool, bool]:
    """What asks the CRMs comes late, so that their counts of calls do not depend on it; the sign-in ends the session."""
    return one[0] == "login", one[0] in _PRESSED


@contextmanager
def _browser(base_url: str, password: str) -> Iterator[Page]:
    """A page in which the administrator is signed in."""
    path = next(found for name in BROWSERS if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--font-render-hinting=none", "--hide-scrollbars"]
        )
        context = browser.new_context(base_url=base_url, reduced_motion="reduce", timezone_id="Europe/Berlin")
        page = context.new_page()
        page.goto("/login/")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("/")
        yield page
        browser.close()


def _open(page: Page, name: str, where: str) -> None:
    """Go there, and do what the page is for where it would be empty without."""
    if name == "login":
        page.context.clear_cookies()  # it comes last
    page.goto(where)
    if name in _PRESSED:
        page.get_by_role("button", name=_PRESSED[name]).first.click()
        page.wait_for_load_state()
    if name == "agent-view":
        page.get_by_label("Number").fill("(646) 555-1001")
        page.get_by_role("button", name="Show").click()
        page.wait_for_load_state()
    page.evaluate("document.activeElement && document.activeElement.blur()")
    page.evaluate("document.fonts.ready")


_PRESSED = {
    "drift": "Compare now",
    "dry-run": "Everything in the CRM",
    "outbound": "Show the preview",
    "unarmed-outbound": "Show the preview",
}


def keep(raw: bytes, path: Path) -> bool:
    """Write the picture in few colours, unless what is there looks the same; returns whether it was written."""
    small = _in_few_colours(Image.open(io.BytesIO(raw)).convert("RGB"))
    if path.exists() and _alike(Image.open(path).convert("RGB"), small.convert("RGB")):
        return False
    small.save(path, optimize=True)
    return True


def _in_few_colours(picture: Image.Image) -> Image.Image:
    """The colours that there is most of stay exactly as they are; smoothed edges take the nearest of them."""
    raw = picture.tobytes()
    pixels = list(zip(raw[0::3], raw[1::3], raw[2::3], strict=True))
    found = [colour for colour, _ in Counter(pixels).most_common()]
    kept: list[tuple[int, int, int]] = []
    for colour in found:
        if len(kept) < EXACT or all(_apart(colour, one) > NEAR for one in kept):
            kept.append(colour)
        if len(kept) == COLOURS:
            break
    nearest = {colour: _nearest(colour, kept) for colour in found}
    small = Image.frombytes("P", picture.size, bytes(map(nearest.__getitem__, pixels)))
    small.putpalette([channel for colour in kept for channel in colour])
    return small


def _nearest(colour: tuple[int, ...], kept: Sequence[tuple[int, ...]]) -> int:
    return min(range(len(kept)), key=lambda place: _apart(kept[place], colour))


def _apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _alike(one: Image.Image, other: Image.Image) -> bool:
    if one.size != other.size:
        return False
    difference = ImageChops.difference(one, other).convert("L").point(lambda value: 255 if value > 24 else 0)
    return difference.histogram()[255] <= SAME


def _drop_others(folder: Path, wanted: Iterable[str]) -> None:
    """Pictures of pages that there are no longer."""
    known = {f"{name}-{width}-{theme}.png" for name in wanted for width in WIDTHS for theme in THEMES}
    for path in folder.glob("*.png"):
        if path.name not in known:
            path.unlink()
