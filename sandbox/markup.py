"""The HTML of the sandbox's pages: pieces that escape everything they are given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from sandbox.page_layout import Layout, typed
from sandbox.wire import Response

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
PLACES = (
    ("/salesforce/", "Salesforce"),
    ("/hubspot/", "HubSpot"),
    ("/requests", "Requests"),
    ("/faults", "Faults"),
)


class Html(str):
    """Markup that is already escaped; any other string is escaped when it is put into a page."""

    __slots__ = ()


def text(value: Any) -> Html:
    """A value made safe to stand between tags and inside quoted attributes."""
    return value if isinstance(value, Html) else Html(escape("" if value is None else str(value), quote=True))


def join(pieces: Iterable[Any]) -> Html:
    """Pieces one after the other, each escaped unless it is markup."""
    return Html("".join(text(piece) for piece in pieces))


def tag(name: str, /, *content: Any, **attributes: Any) -> Html:
    """One element; `class_` loses the underscore, None leaves an attribute out, True stands alone."""
    words = [name]
    for key, value in attributes.items():
        if value is not None and value is not False:
            label = key.rstrip("_").replace("_", "-")
            words.append(label if value is True else f'{label}="{text(value)}"')
    start = f"<{' '.join(words)}>"
    return (
        Html(start) if name in ("input", "link", "meta", "br") else Html(f"{start}{join(content)}</{name}>")
    )


def page(title: str, *content: Any, status: int = 200, here: str = "") -> Response:
    """A whole page with its navigation."""
    links = [
        tag("a", label, href=href, aria_current="page" if here == href else None) for href, label in PLACES
    ]
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{title} · Sandbox"),
            tag("link", rel="stylesheet", href="/static/page.css"),
        ]
    )
    brand = tag("a", "Sandbox", href="/", class_="brand")
    body = join(
        [
            tag("header", brand, tag("nav", *links, aria_label="Places")),
            tag("main", tag("h1", title), *content),
        ]
    )
    document = f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(status, document.encode(), headers)


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """A table that scrolls by itself on a narrow screen."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), class_="scroll", tabindex="0")


def pager(path: str, query: dict[str, str], number: int, last: int) -> Html:
    """Links to the page before and after."""

    def link(label: str, to: int) -> Html:
        if not 1 <= to <= last:
            return tag("span", label, class_="faint")
        return tag("a", label, href=f"{path}?{urlencode({**query, 'page': to})}")

    return tag(
        "p",
        link("← Newer", number - 1),
        f" Page {number} of {last} ",
        link("Older →", number + 1),
        class_="pager",
    )


def field_input(layout: Layout, value: Any) -> Html:
    """One labelled input of the edit form."""
    name, shown = layout.name, typed(value)
    label = tag("label", layout.label, tag("code", name), for_=name)
    if layout.kind in ("flag", "choice"):
        choices = layout.choices
        if shown not in dict(choices):
            choices = ((shown, shown or "—"), *choices)
        options = [tag("option", words, value=choice, selected=choice == shown) for choice, words in choices]
        return tag("div", label, tag("select", *options, id=name, name=name), class_="field")
    if layout.kind == "long":
        return tag(
            "div", label, tag("textarea", "\n", shown, id=name, name=name, rows="4"), class_="field wide"
        )
    kind = "date" if layout.kind == "date" else "text"
    return tag(
        "div",
        label,
        tag("input", id=name, name=name, type=kind, value=shown, autocomplete="off"),
        class_="field",
    )


def moment(stamp: Any) -> Html:
    """An ISO stamp to the second, as people read it."""
    return tag("time", str(stamp)[:19].replace("T", " "), datetime=str(stamp), title=str(stamp))


def as_json(value: Any) -> Html:
    """A value as indented JSON in a box."""
    return tag("pre", json.dumps(value, indent=1, ensure_ascii=False, default=str))
