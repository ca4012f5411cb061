"""The page of what goes wrong: every fault of the catalogue with a form to switch it, and the rules in force."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from sandbox.fault_catalogue import fault_named
from sandbox.faults import BadRule
from sandbox.markup import Html, join, page, table, tag
from sandbox.page_layout import LAYOUTS
from sandbox.switchboard import Switchboard
from sandbox.wire import Request, Response
from sandbox.world import World

HERE = "/faults"


class FaultPages:
    """Answers /faults, and the forms on it."""

    def __init__(self, world: World) -> None:
        self._world, self._switchboard = world, Switchboard(world)

    def show(self, _request: Request) -> Response:
        """The catalogue of each CRM, what is on first said in one line, and the rules in force."""
        return self._page()

    def switch(self, request: Request, crm: str, fault: str) -> Response:
        """Switch one fault as its form says; what cannot work is said above the catalogue."""
        found = fault_named(crm, fault)
        if found is None:
            unknown = tag("p", f"There is no fault {fault} of {LAYOUTS[crm].title}.")
            return page("No such fault", unknown, status=404, here=HERE)
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        off = form.pop("switch", "on") == "off"
        try:
            if off:
                self._switchboard.switch_off(found)
            else:
                self._switchboard.switch_on(found, form)
        except BadRule as bad:
            words = f"{LAYOUTS[crm].title}, {found.title}: {bad}"
            return self._page(tag("p", words, class_="notice bad", role="alert"), status=422)
        if found.act:
            return self._page(tag("p", f"Done: {found.title}.", class_="notice", role="status"))
        return Response(303, b"", {"Location": f"{HERE}#{crm}-{fault}"})

    def clear(self, _request: Request) -> Response:
        """Switch everything off."""
        self._switchboard.all_off()
        return Response(303, b"", {"Location": HERE})

    def _page(self, notice: Html | None = None, status: int = 200) -> Response:
        listing, rules = self._switchboard.listing(), self._world.faults.rules()
        on = [entry for entry in listing if entry["on"]]
        sections = [_section(crm, [one for one in listing if one["system"] == crm]) for crm in LAYOUTS]
        jumps = join(
            join([" ", tag("a", layout.title, href=f"{HERE}#{crm}"), " "]) for crm, layout in LAYOUTS.items()
        )
        return page(
            "Faults",
            notice or Html(),
            _in_force(on, bool(rules)),
            tag("p", "Go to", jumps, class_="faint"),
            *sections,
            tag("h2", "Rules in force"),
            _rules(rules),
            status=status,
            here=HERE,
        )


def _in_force(on: list[dict[str, Any]], any_rule: bool) -> Html:
    if not (on or any_rule):
        return tag("p", "No fault is in force.")
    links = [
        tag(
            "a",
            f"{LAYOUTS[one['system']].title}: {one['title']}",
            href=f"{HERE}#{one['system']}-{one['name']}",
        )
        for one in on
    ]
    items = tag("ul", *(tag("li", link) for link in links)) if links else Html()
    button = tag("form", tag("button", "Switch everything off"), method="post", action=f"{HERE}/clear")
    return join([items, button])


def _section(crm: str, entries: list[dict[str, Any]]) -> Html:
    forms = (_form(entry) for entry in entries)
    return tag("section", tag("h2", LAYOUTS[crm].title, id=crm), tag("div", *forms, class_="switches"))


def _form(entry: dict[str, Any]) -> Html:
    key = f"{entry['system']}-{entry['name']}"
    inputs = [_input(key, one) for one in entry["parameters"]]
    buttons = [tag("button", "Do it" if entry["once"] else "Switch on again" if entry["on"] else "Switch on",
                   name="switch", value="on", aria_describedby=f"{key}-about")]  # fmt: skip
    if entry["on"]:
        buttons.append(tag("button", "Switch off", name="switch", value="off", formnovalidate=True))
    return tag(
        "form",
        tag(
            "fieldset",
            tag("legend", entry["title"]),
            tag("p", entry["about"], " ", tag("code", entry["name"]), id=f"{key}-about", class_="faint"),
            tag("p", tag("strong", _told(entry))) if entry["on"] else Html(),
            *inputs,
            tag("div", *buttons, class_="search"),
        ),
        method="post",
        action=f"{HERE}/{entry['system']}/{entry['name']}",
        id=key,
        class_="switched" if entry["on"] else None,
    )


def _told(entry: dict[str, Any]) -> str:
    return "On" if entry["left"] is None else f"On, {entry['left']} times more"


def _input(key: str, one: dict[str, Any]) -> Html:
    place, default = f"{key}-{one['name']}", one["default"]
    label = tag("label", one["label"], for_=place)
    if one["choices"] or one["kind"] == "flag":
        choices = one["choices"] or ["false", "true"]
        options = [tag("option", choice, value=choice, selected=choice == default) for choice in choices]
        return tag("div", label, tag("select", *options, id=place, name=one["name"]), class_="field")
    shown = "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
    numeric = "numeric" if one["kind"] == "count" else None
    given = default is not None or one["optional"]
    box = tag("input", id=place, name=one["name"], type="text", value=shown, inputmode=numeric,
              required=not given, autocomplete="off")  # fmt: skip
    return tag("div", label, box, class_="field")


def _rules(rules: list[dict[str, Any]]) -> Html:
    if not rules:
        hint = tag("code", "POST /_sandbox/faults")
        return tag("p", "None. Rules of any form are added with ", hint, ".", class_="faint")
    rows = [
        (
            rule["id"],
            rule["name"] or rule["action"],
            rule["system"] or "any",
            rule["method"] or "any",
            rule["path"] or "any",
            "for ever" if rule["times"] is None else rule["times"],
            rule["matched"],
            rule["applied"],
        )
        for rule in rules
    ]
    return table(("Id", "Fault", "System", "Method", "Path", "Left", "Matched", "Applied"), rows)
