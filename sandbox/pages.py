"""Plain pages that show the CRMs as their users see them, the request log and the faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from sandbox.fault_pages import FaultPages
from sandbox.markup import Html, as_json, field_input, join, moment, page, pager, table, tag
from sandbox.page_layout import LAYOUTS, NOT_ON_TIMELINE, changes, typed
from sandbox.wire import Request, Response
from sandbox.world import World

PAGE_SIZE = 50
CSS = Path(__file__).parent / "static" / "page.css"
CRM_PATH = r"/(?P<crm>salesforce|hubspot)"
SALESFORCE_CONTACT = r"(?:/lightning/r/Contact/(?P<id>003\w+)/view|/(?P<short>003\w{12}(?:\w{3})?))"
HUBSPOT_CONTACT = r"/contacts/[^/]+/(?:record/0-1|contact)/(?P<id>\d+)/?"


class Pages:
    """Answers GET / and what is linked from it, and the contact form."""

    def __init__(self, world: World) -> None:
        self.world = world
        faults = FaultPages(world)
        routes: list[tuple[str, str, Callable[..., Response]]] = [
            ("GET", r"/", self.home),
            ("GET", r"/static/page\.css", self.css),
            ("GET", rf"{CRM_PATH}/", self.contact_list),
            ("GET", rf"{CRM_PATH}/contacts/(?P<id>[^/]+)", self.contact),
            ("POST", rf"{CRM_PATH}/contacts/(?P<id>[^/]+)", self.save_contact),
            ("GET", SALESFORCE_CONTACT, self.salesforce_link),
            ("GET", HUBSPOT_CONTACT, self.hubspot_link),
            ("GET", r"/requests", self.requests),
            ("GET", r"/faults", faults.show),
            ("POST", r"/faults/clear", faults.clear),
            ("POST", rf"/faults{CRM_PATH}/(?P<fault>\w+)", faults.switch),
        ]
        self._routes = [(method, re.compile(path), answer) for method, path, answer in routes]

    def handles(self, path: str) -> bool:
        """Whether there is a page at this path."""
        return any(pattern.fullmatch(path) for _, pattern, _ in self._routes)

    def respond(self, request: Request) -> Response:
        """Show one page, or save one form."""
        for method, pattern, answer in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                if method == "POST" and request.headers.get("sec-fetch-site", "none") not in (
                    "same-origin",
                    "none",
                ):
                    return page(
                        "Not from here", tag("p", "Forms are taken from these pages only."), status=403
                    )
                return answer(request, **match.groupdict())
        return page("Not allowed", tag("p", f"This page does not take {request.method}."), status=405)

    def css(self, _request: Request) -> Response:
        """The style sheet."""
        return Response(
            200, CSS.read_bytes(), {"Content-Type": "text/css; charset=utf-8", "Cache-Control": "no-cache"}
        )

    def home(self, _request: Request) -> Response:
        """The choice of a CRM, with sizes."""
        cards = []
        for name, layout in LAYOUTS.items():
            with self.world.locked(name) as crm:
                live = sum(not contact["deleted"] for contact in crm.contacts())
                logged = len(crm.activities())
            counts = tag("span", f"{live} contacts, {logged} activities")
            cards.append(tag("a", tag("strong", layout.title), counts, href=f"/{name}/", class_="card"))
        intro = "A stand-in Salesforce, HubSpot and language model. Nothing here is real."
        return page("Stand-in CRMs", tag("p", intro), tag("div", *cards, class_="cards"))

    def contact_list(self, request: Request, crm: str) -> Response:
        """Contacts, last modified first, with a search over all that is shown."""
        layout, sought = LAYOUTS[crm], (request.param("q") or "").strip()
        columns = (layout.first_name, layout.last_name, layout.phone, layout.email, layout.plan)
        with self.world.locked(crm) as system:
            found = [
                contact
                for contact in system.contacts()
                if not contact["deleted"] and _matches(contact, columns, sought)
            ]
        found.sort(key=lambda contact: str(contact["modified"]), reverse=True)
        number, last, shown = _page_of(found, request)
        rows = [
            [
                _contact_link(crm, contact),
                *(typed(contact["fields"].get(name)) for name in columns[2:]),
                moment(contact["modified"]),
            ]
            for contact in shown
        ]
        search = tag(
            "form",
            tag("label", "Search", for_="q"),
            tag("input", type="search", id="q", name="q", value=sought),
            tag("button", "Search"),
            method="get",
            action=f"/{crm}/",
            class_="search",
        )
        count = tag("p", f"{len(found)} contacts" + (f" with “{sought}”" if sought else ""), class_="faint")
        listing = table(("Name", "Phone", "Email", "Plan", "Modified"), rows)
        query = {"q": sought} if sought else {}
        return page(
            f"{layout.title} contacts",
            search,
            count,
            listing,
            pager(f"/{crm}/", query, number, last),
            here=f"/{crm}/",
        )

    def contact(self, _request: Request, crm: str, id: str) -> Response:  # noqa: A002
        """One contact."""
        return self._contact_page(crm, id)

    def _contact_page(
        self, crm: str, contact_id: str, notice: Html | None = None, status: int = 200
    ) -> Response:
        """One contact: the form, the timeline, and every field as the API names it."""
        with self.world.locked(crm) as system:
            found = system.contact(contact_id)
            activities = system.activities(contact_id) if found else []
        if found is None:
            return page(
                "No such contact",
                tag("p", f"{LAYOUTS[crm].title} has no contact {contact_id}."),
                status=404,
                here=f"/{crm}/",
            )
        layout, fields = LAYOUTS[crm], found["fields"]
        inputs = [field_input(field, fields.get(field.name)) for field in layout.fields]
        form = tag(
            "form",
            tag("div", *inputs, class_="fields"),
            tag("button", "Save"),
            method="post",
            action=_path(crm, contact_id),
        )
        if found["deleted"]:
            form = tag("p", "This contact is deleted.", class_="notice bad")
        everything = table(
            ("Field", "Value"), [(tag("code", name), typed(value)) for name, value in sorted(fields.items())]
        )
        title = _name(crm, fields) or contact_id
        facts = tag(
            "p",
            f"{layout.title} contact ",
            tag("code", contact_id),
            ", modified ",
            moment(found["modified"]),
            class_="faint",
        )
        return page(
            title,
            notice or Html(),
            facts,
            form,
            tag("h2", "Timeline"),
            _timeline(activities),
            tag("details", tag("summary", "All fields"), everything),
            status=status,
            here=f"/{crm}/",
        )

    def save_contact(self, request: Request, crm: str, id: str) -> Response:  # noqa: A002
        """Save the form as the CRM's own user and show the contact; a refusal is said above the form."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        with self.world.locked(crm) as system:
            found = system.contact(id)
            if found is not None and not found["deleted"]:
                changed = changes(LAYOUTS[crm], found["fields"], form)
                try:
                    if changed:
                        system.edit_contact(id, changed)
                except (KeyError, TypeError, ValueError) as error:
                    notice = tag(
                        "p",
                        f"Not saved: {error.args[0] if error.args else error}",
                        class_="notice bad",
                        role="alert",
                    )
                    return self._contact_page(crm, id, notice, status=422)
        return Response(303, b"", {"Location": _path(crm, id)})

    def salesforce_link(self, _request: Request, id: str | None, short: str | None) -> Response:  # noqa: A002
        """The address Salesforce itself gives a contact leads to the page here."""
        return Response(302, b"", {"Location": _path("salesforce", id or short or "")})

    def hubspot_link(self, _request: Request, id: str) -> Response:  # noqa: A002
        """The address HubSpot itself gives a contact leads to the page here."""
        return Response(302, b"", {"Location": _path("hubspot", id)})

    def requests(self, request: Request) -> Response:
        """What the systems were asked, newest first."""
        entries = self.world.log.entries()[::-1]
        number, last, shown = _page_of(entries, request)
        rows = []
        for entry in (entry.public() for entry in shown):
            details = {key: entry[key] for key in ("query", "headers", "body")}
            asked = tag("details", tag("summary", f"{entry['method']} {entry['path']}"), as_json(details))
            fault = entry["fault"]["action"] if entry["fault"] else ""
            answered = entry["status"] if entry["status"] is not None else "no answer"
            rows.append(
                (
                    entry["sequence"],
                    entry["system"] or "—",
                    asked,
                    answered,
                    entry["duration_ms"],
                    fault,
                    moment(entry["at"]),
                )
            )
        heads = ("#", "System", "Request", "Status", "ms", "Fault", "At")
        return page("Requests", table(heads, rows), pager("/requests", {}, number, last), here="/requests")


def _path(crm: str, contact_id: str) -> str:
    return f"/{crm}/contacts/{quote(contact_id, safe='')}"


def _name(crm: str, fields: dict[str, Any]) -> str:
    layout = LAYOUTS[crm]
    return " ".join(
        typed(fields.get(name)) for name in (layout.first_name, layout.last_name) if fields.get(name)
    )


def _contact_link(crm: str, contact: dict[str, Any]) -> Html:
    return tag("a", _name(crm, contact["fields"]) or contact["id"], href=_path(crm, contact["id"]))


def _matches(contact: dict[str, Any], columns: tuple[str, ...], sought: str) -> bool:
    if not sought:
        return True
    shown = " ".join(typed(contact["fields"].get(name)) for name in columns)
    digits = re.sub(r"\D", "", sought)
    return (
        sought.casefold() in shown.casefold()
        or (len(digits) > 3 and digits in re.sub(r"\D", "", shown))
        or sought == contact["id"]
    )


def _page_of(items: list[Any], request: Request) -> tuple[int, int, list[Any]]:
    """Page number, last page number and the page's items; an odd number becomes the nearest page."""
    last = max(1, -(-len(items) // PAGE_SIZE))
    asked = request.param("page") or "1"
    number = min(max(1, int(asked) if asked.isascii() and asked.isdigit() else 1), last)
    return number, last, items[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]


def _timeline(activities: list[dict[str, Any]]) -> Html:
    live = [activity for activity in activities if not activity["deleted"]]
    if not live:
        return tag("p", "Nothing logged yet.", class_="faint")
    live.sort(key=lambda activity: str(activity["created"]), reverse=True)
    return tag("ol", *(_activity(activity) for activity in live), class_="timeline")


def _activity(activity: dict[str, Any]) -> Html:
    fields = [(name, value) for name, value in activity["fields"].items() if name not in NOT_ON_TIMELINE]
    filled = [(name, value) for name, value in fields if value not in (None, "")]
    rows = join(join([tag("dt", name), tag("dd", typed(value))]) for name, value in filled)
    head = join(
        [
            tag("strong", str(activity["kind"]).title()),
            " ",
            moment(activity["created"]),
            " ",
            tag("code", activity["id"]),
        ]
    )
    return tag("li", head, tag("dl", rows), id=activity["id"])
