"""The control API under /_sandbox/: read and change a CRM as its own user, and make things go wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from sandbox.control_request import Wrong, object_of, whole
from sandbox.fault_control import FaultControl
from sandbox.faults import BadRule
from sandbox.llm_answers import MODES
from sandbox.wire import BadJson, Crm, Request, Response
from sandbox.world import CRMS, SYSTEMS, World

PREFIX = "/_sandbox"
MAX_COUNT = 2_000_000
CRM = f"(?P<crm>{'|'.join(CRMS)})"
ENTRY = f"catalogue/{CRM}/(?P<fault>\\w+)"


class ControlApi:
    """Answers /_sandbox/…; every answer is JSON, every mistake a 4xx with `{"error": sentence}`."""

    def __init__(self, world: World) -> None:
        self.world = world
        faults = FaultControl(world)
        contact = f"{CRM}/contacts/(?P<id>[^/]+)"
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "health", self.health),
            ("POST", "reset", self.reset),
            ("GET", f"{CRM}/contacts", self.list_contacts),
            ("POST", f"{CRM}/contacts", self.create_contact),
            ("GET", contact, self.read_contact),
            ("PATCH", contact, self.edit_contact),
            ("DELETE", contact, self.delete_contact),
            ("POST", f"{contact}/merge", self.merge_contacts),
            ("GET", f"{CRM}/activities", self.list_activities),
            ("GET", f"{CRM}/settings", self.read_settings),
            ("PATCH", f"{CRM}/settings", self.change_settings),
            ("GET", f"{CRM}/clock", self.read_clock),
            ("PATCH", f"{CRM}/clock", self.set_clock),
            ("GET", "requests", self.list_requests),
            ("DELETE", "requests", self.clear_requests),
            ("GET", "faults", faults.list_faults),
            ("POST", "faults", faults.add_fault),
            ("DELETE", "faults", faults.clear_faults),
            ("GET", "catalogue", faults.list_catalogue),
            ("DELETE", "catalogue", faults.all_off),
            ("GET", ENTRY, faults.read_entry),
            ("POST", ENTRY, faults.switch_on),
            ("DELETE", ENTRY, faults.switch_off),
            ("POST", f"{CRM}/bump", self.bump),
            ("GET", r"faults/(?P<id>\d+)", faults.read_fault),
            ("DELETE", r"faults/(?P<id>\d+)", faults.remove_fault),
            ("GET", "llm/requests", self.list_llm_requests),
            ("DELETE", "llm/requests", self.clear_llm_requests),
            ("GET", "llm/settings", self.read_llm_settings),
            ("PATCH", "llm/settings", self.change_llm_settings),
        ]
        self._routes = [(method, re.compile(f"{PREFIX}/{path}/?"), answer) for method, path, answer in routes]

    def handles(self, path: str) -> bool:
        """Everything under /_sandbox."""
        return path == PREFIX or path.startswith(f"{PREFIX}/")

    def respond(self, request: Request) -> Response:
        """Carry out one control request."""
        found = [
            (method, match, answer)
            for method, path, answer in self._routes
            if (match := path.fullmatch(request.path))
        ]
        if not found:
            return Response.of(404, {"error": f"No control path {request.path}"})
        for method, match, answer in found:
            if method == request.method:
                return self._carry_out(answer, request, match.groupdict())
        allowed = ", ".join(sorted(method for method, _, _ in found))
        return Response.of(405, {"error": f"{request.path} answers {allowed}"}, {"Allow": allowed})

    def _carry_out(self, answer: Callable[..., Any], request: Request, names: dict[str, str]) -> Response:
        try:
            result = answer(request, **names)
        except Wrong as wrong:
            return Response.of(wrong.status, {"error": str(wrong)})
        except BadJson:
            return Response.of(400, {"error": "The body is not JSON."})
        except BadRule as bad:
            return Response.of(400, {"error": str(bad)})
        return result if isinstance(result, Response) else Response.of(200, result)

    def health(self, _request: Request) -> dict[str, Any]:
        """That the sandbox is up, and the size of its world."""
        return {"status": "ok", "systems": list(SYSTEMS), "count": self.world.count, "pid": os.getpid()}

    def reset(self, request: Request) -> dict[str, Any]:
        """Start again from the seed, with `count` contacts per CRM (default: as many as before)."""
        document = object_of(request, {"count"}) if request.body else {}
        count = document.get("count", self.world.count)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
            raise Wrong(400, f"'count' must be a whole number from 0 to {MAX_COUNT}.")
        self.world.reset(count)
        return {"count": count}

    def list_contacts(self, request: Request, crm: str) -> dict[str, Any]:
        """Contacts whose fields equal the query's values (as text; null is empty).

        Also `limit`, `offset` and `deleted` (true, false, all)."""
        filters = dict(request.query)
        limit, offset = (
            whole(filters.pop("limit", None), "limit"),
            whole(filters.pop("offset", None), "offset") or 0,
        )
        deleted = filters.pop("deleted", "false")
        if deleted not in ("true", "false", "all"):
            raise Wrong(400, "'deleted' must be true, false or all.")
        with self.world.locked(crm) as system:
            contacts = system.contacts()
        _check_filter_names(contacts, filters)
        found = [
            contact
            for contact in contacts
            if deleted in ("all", _text(contact["deleted"]))
            and all(_text(contact["fields"].get(name)) == value for name, value in filters.items())
        ]
        return {"contacts": found[offset:][:limit], "total": len(found)}

    def create_contact(self, request: Request, crm: str) -> Response:
        """A new contact from `{field: value}`, as the CRM's own user would make it."""
        fields = object_of(request)
        with self.world.locked(crm) as system:
            return Response.of(201, _edited(lambda: system.create_contact(fields)))

    def read_contact(self, _request: Request, crm: str, id: str) -> dict[str, Any]:  # noqa: A002
        """One contact, deleted or not."""
        with self.world.locked(crm) as system:
            return _contact(system, id)

    def edit_contact(self, request: Request, crm: str, id: str) -> dict[str, Any]:  # noqa: A002
        """Change `{field: value}`, as the CRM's own user would."""
        fields = object_of(request)
        with self.world.locked(crm) as system:
            _live_contact(system, id)
            changed: dict[str, Any] = _edited(lambda: system.edit_contact(id, fields))
        return changed

    def delete_contact(self, _request: Request, crm: str, id: str) -> Response:  # noqa: A002
        """Move a contact to the CRM's bin."""
        with self.world.locked(crm) as system:
            _live_contact(system, id)
            system.delete_contact(id)
        return Response(204)

    def merge_contacts(self, request: Request, crm: str, id: str) -> dict[str, Any]:  # noqa: A002
        """Merge the contact `loser` into this one; returns the survivor."""
        loser = object_of(request, {"loser"}).get("loser")
        if not isinstance(loser, str) or loser == id:
            raise Wrong(400, "'loser' must be the id of another contact.")
        with self.world.locked(crm) as system:
            _live_contact(system, id)
            _live_contact(system, loser)
            survivor: dict[str, Any] = _edited(lambda: system.merge_contacts(id, loser))
        return survivor

    def list_activities(self, request: Request, crm: str) -> dict[str, Any]:
        """Tasks, calls, communications and notes; with `contact`, of one contact."""
        contact_id = request.param("contact")
        with self.world.locked(crm) as system:
            if contact_id is not None:
                _contact(system, contact_id)
            return {"activities": system.activities(contact_id)}

    def bump(self, request: Request, crm: str) -> dict[str, Any]:
        """Move the modified stamps of `ids` to one instant, without changing a value, as background jobs do."""
        ids = object_of(request, {"ids"}).get("ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Wrong(400, "'ids' must be a list of contact ids.")
        with self.world.locked(crm) as system:
            for one in ids:
                _live_contact(system, one)
            system.bump(ids)
        return {"bumped": len(ids)}

    def read_settings(self, _request: Request, crm: str) -> dict[str, Any]:
        """The CRM's switchable behaviour."""
        with self.world.locked(crm) as system:
            return dict(system.settings)

    def change_settings(self, request: Request, crm: str) -> dict[str, Any]:
        """Change some settings; an unknown one or one of another type is refused."""
        document = object_of(request)
        with self.world.locked(crm) as system:
            return _changed_settings(system.settings, document)

    def read_clock(self, _request: Request, crm: str) -> dict[str, Any]:
        """How far this CRM's clock is off."""
        return {"offset_seconds": self.world.clocks[crm].offset}

    def set_clock(self, request: Request, crm: str) -> dict[str, Any]:
        """Set how many seconds this CRM's clock is ahead (negative: behind)."""
        seconds = object_of(request, {"offset_seconds"}).get("offset_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or abs(seconds) > 10**9:
            raise Wrong(400, "'offset_seconds' must be a number.")
        with self.world.locked(crm):
            self.world.clocks[crm].offset = seconds
        return {"offset_seconds": seconds}

    def list_requests(self, request: Request) -> dict[str, Any]:
        """The request log, oldest first: `since` (a sequence number), `system`, `method`, `path` (regex)."""
        given = dict(request.query)
        if unknown := set(given) - {"since", "system", "method", "path"}:
            raise Wrong(400, f"Unknown parameter {min(unknown)!r}. Known: since, system, method, path.")
        since = whole(given.pop("since", None), "since") or 0
        last = self.world.log.last
        try:
            entries = self.world.log.entries(since, **given)
        except re.error as error:
            raise Wrong(400, f"'path' is not a regular expression: {error}.") from error
        return {"requests": [entry.public() for entry in entries], "last": last}

    def clear_requests(self, _request: Request) -> dict[str, Any]:
        """Forget the request log."""
        return {"forgotten": self.world.log.clear()}

    def list_llm_requests(self, _request: Request) -> dict[str, Any]:
        """What the LLM was told, oldest first, and what it said."""
        with self.world.locked("llm") as llm:
            return {"requests": list(llm.requests)}

    def clear_llm_requests(self, _request: Request) -> dict[str, Any]:
        """Forget what the LLM was told."""
        with self.world.locked("llm") as llm:
            forgotten = len(llm.requests)
            llm.requests.clear()
        return {"forgotten": forgotten}

    def read_llm_settings(self, _request: Request) -> dict[str, Any]:
        """The LLM's mode, delay, key and models."""
        with self.world.locked("llm") as llm:
            return dict(llm.settings)

    def change_llm_settings(self, request: Request) -> dict[str, Any]:
        """Change the LLM's mode, delay, key or models."""
        document = object_of(request)
        if document.get("mode", "normal") not in MODES:
            raise Wrong(400, f"'mode' must be one of {', '.join(MODES)}.")
        with self.world.locked("llm") as llm:
            return _changed_settings(llm.settings, document)


def _text(value: Any) -> str:
    """A value as a query string spells it: null is empty, booleans are lower case."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_filter_names(contacts: list[dict[str, Any]], filters: dict[str, str]) -> None:
    for name in filters:
        if contacts and not any(name in contact["fields"] for contact in contacts):
            raise Wrong(400, f"No contact has a field {name!r}.")


def _contact(system: Crm, contact_id: str) -> dict[str, Any]:
    contact = system.contact(contact_id)
    if contact is None:
        raise Wrong(404, f"No contact {contact_id}.")
    return contact


def _live_contact(system: Crm, contact_id: str) -> None:
    if _contact(system, contact_id)["deleted"]:
        raise Wrong(409, f"Contact {contact_id} is deleted.")


def _edited(edit: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return edit()
    except KeyError as error:
        raise Wrong(400, f"Unknown field {error.args[0] if error.args else ''!r}.") from error
    except (TypeError, ValueError) as error:
        raise Wrong(400, str(error)) from error


def _changed_settings(settings: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    for name, value in document.items():
        if name not in settings:
            raise Wrong(400, f"Unknown setting {name!r}. Known: {', '.join(sorted(settings))}.")
        if not _same_type(settings[name], value):
            raise Wrong(400, f"{name!r} must be of type {type(settings[name]).__name__}.")
    settings.update(document)
    return dict(settings)


def _same_type(old: Any, new: Any) -> bool:
    if old is None or new is None:
        return True
    if isinstance(old, bool) or isinstance(new, bool):
        return type(old) is type(new)
    numbers = (int, float)
    return (isinstance(old, numbers) and isinstance(new, numbers)) or type(old) is type(new)
