"""What passes between the HTTP server and the stand-in systems: one request in, one response out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl


class BadJson(Exception):
    """The request body is not JSON; each system answers that in its own words."""


@dataclass(slots=True)
class Request:
    """One HTTP request; `path` has no query string and is percent-decoded, `headers` has lower-case names."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters in order, repeated ones kept, `+` read as a space."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    def param(self, name: str, default: str | None = None) -> str | None:
        """The last value of one query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def json(self) -> Any:
        """The parsed body; raises BadJson when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise BadJson(str(error)) from error


@dataclass(slots=True)
class Response:
    """One HTTP response; a `body` of None sends no content."""

    status: int
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, document: Any, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON answer."""
        body = json.dumps(document, ensure_ascii=False).encode()
        return cls(status, body, {"Content-Type": "application/json;charset=utf-8", **(headers or {})})


class System(Protocol):
    """One stand-in system. The server calls it under a lock of that system, so it needs none of its own."""

    name: str

    def handles(self, path: str) -> bool:
        """Whether this path belongs to the system."""
        ...

    def respond(self, request: Request) -> Response:
        """Answer one request as the vendor would; an exception becomes a 500 and a line on stderr."""
        ...

    def fault_response(self, kind: str) -> Response | None:
        """An error in the vendor's own words, for fault rules; None when the kind is unknown."""
        ...


class Crm(System, Protocol):
    """A stand-in CRM as its own users and administrators hold it: what the control API and the pages call.

    Contacts are `{"id", "fields": {name: value}, "modified", "deleted"}`, activities
    `{"id", "kind", "contact_ids", "fields", "created", "deleted"}`, with the vendor's own names and values.
    """

    settings: dict[str, Any]

    def contacts(self) -> list[dict[str, Any]]:
        """Every contact, deleted ones too, oldest first."""
        ...

    def contact(self, contact_id: str) -> dict[str, Any] | None:
        """One contact, or None."""
        ...

    def create_contact(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A new contact; KeyError for an unknown field, ValueError for a value the CRM refuses."""
        ...

    def edit_contact(self, contact_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The contact after an edit by the CRM's own user; KeyError and ValueError as above."""
        ...

    def delete_contact(self, contact_id: str) -> None:
        """Move one contact to the bin."""
        ...

    def merge_contacts(self, winner_id: str, loser_id: str) -> dict[str, Any]:
        """The surviving contact after a merge."""
        ...

    def bump(self, ids: Iterable[str]) -> None:
        """Move modified stamps, all to one instant, without changing a value; KeyError as above."""
        ...

    def knows_field(self, name: str) -> bool:
        """Whether contacts have a field of this name, visible to the integration or not."""
        ...

    def activities(self, contact_id: str | None = None) -> list[dict[str, Any]]:
        """Tasks, calls, communications and notes, of one contact or of all."""
        ...
