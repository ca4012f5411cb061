"""One routed request as the operations see it: its table, path parts, query and checked body."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

from sandbox.hubspot.bodies import Check
from sandbox.hubspot.errors import Refusal, bad_json, invalid
from sandbox.hubspot.portal import Portal
from sandbox.hubspot.records import Table
from sandbox.wire import BadJson, Request


@dataclass(slots=True)
class Call:
    """A request that passed authorisation; `version` is v3, v4, 2026-03 or 2026-09."""

    request: Request
    portal: Portal
    version: str
    parts: dict[str, str]

    @property
    def table(self) -> Table:
        """The table that the path names."""
        return self.portal.table(self.parts["kind"])

    @property
    def to(self) -> Table:
        """The table at the other end of an association path."""
        return self.portal.table(self.parts["to"])

    def body(self, model: Check) -> Any:
        """The JSON body, if it fits the model; 415 and 400 otherwise."""
        content_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.request.body and content_type != "application/json":
            raise Refusal(415, "HTTP 415 Unsupported Media Type")
        try:
            document = self.request.json()
        except BadJson as error:
            raise bad_json(str(error), len(self.request.body)) from error
        model(document, bool(self.portal.settings["require_spec_fields"]))
        return document

    def names(self, parameter: str) -> list[str]:
        """A list parameter: repeated, comma-separated, or both."""
        given = (value for key, value in self.request.query if key == parameter)
        return [name.strip() for value in given for name in value.split(",") if name.strip()]

    def flag(self, parameter: str) -> bool:
        """A boolean parameter; Python's capitalised spelling is understood."""
        text = (self.request.param(parameter) or "false").lower()
        if text not in ("true", "false"):
            raise invalid(f"Invalid boolean for query parameter {parameter}: {text}")
        return text == "true"

    def limit(self, default: int, most: int) -> int:
        """The page size; one beyond `most` is refused, never clamped."""
        text = self.request.param("limit")
        if text is None:
            return default
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise invalid(f"Invalid limit: {text}. The limit must be between 1 and {most}.")
        return int(text)

    def partial(self, status: int, errors: Sized) -> int:
        """The status of a batch: 207 when some of it failed, save in 2026-09, which tells that in the body only."""
        return 207 if errors and self.version != "2026-09" else status

    def here(self) -> str:
        """The public address of the requested path, for paging links."""
        return f"https://api.hubapi.com{self.request.path}"
