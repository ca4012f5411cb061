"""A small client of the control API, for tests and the demo."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit


class ControlError(Exception):
    """The control API said no: `status` and its sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Control:
    """The control API at `base_url`; `crm` is "salesforce" or "hubspot", fields are the vendor's."""

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        parts = urlsplit(base_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._timeout = timeout

    def health(self) -> dict[str, Any]:
        """`{"status": "ok", "systems", "count", "pid"}`."""
        return self._json("GET", "/health")

    def reset(self, count: int | None = None) -> None:
        """Start again from the seed."""
        self._json("POST", "/reset", {} if count is None else {"count": count})

    def contacts(
        self, crm: str, *, limit: int | None = None, deleted: str = "false", **fields: str
    ) -> list[dict[str, Any]]:
        """Contacts whose fields equal the given texts; `deleted` is "false", "true" or "all"."""
        query = {**fields, "deleted": deleted, **({} if limit is None else {"limit": str(limit)})}
        return self._list("contacts", f"/{crm}/contacts", query)

    def contact(self, crm: str, contact_id: str) -> dict[str, Any]:
        """One contact; ControlError 404 when there is none."""
        return self._json("GET", f"/{crm}/contacts/{quote(contact_id)}")

    def create_contact(self, crm: str, fields: dict[str, Any]) -> dict[str, Any]:
        """A new contact, as the CRM's own user would make it."""
        return self._json("POST", f"/{crm}/contacts", fields)

    def edit_contact(self, crm: str, contact_id: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The contact after an edit by the CRM's own user."""
        return self._json("PATCH", f"/{crm}/contacts/{quote(contact_id)}", fields)

    def delete_contact(self, crm: str, contact_id: str) -> None:
        """Move a contact to the bin."""
        self._json("DELETE", f"/{crm}/contacts/{quote(contact_id)}")

    def merge_contacts(self, crm: str, winner: str, loser: str) -> dict[str, Any]:
        """The surviving contact."""
        return self._json("POST", f"/{crm}/contacts/{quote(winner)}/merge", {"loser": loser})

    def activities(self, crm: str, contact: str | None = None) -> list[dict[str, Any]]:
        """Tasks, calls, communications and notes of one contact or of all."""
        return self._list("activities", f"/{crm}/activities", {"contact": contact})

    def settings(self, crm: str) -> dict[str, Any]:
        """The CRM's switchable behaviour."""
        return self._json("GET", f"/{crm}/settings")

    def change_settings(self, crm: str, **settings: Any) -> dict[str, Any]:
        """Change some settings; returns all."""
        return self._json("PATCH", f"/{crm}/settings", settings)

    def set_clock(self, crm: str, offset_seconds: float) -> None:
        """Put the CRM's clock ahead (negative: behind)."""
        self._json("PATCH", f"/{crm}/clock", {"offset_seconds": offset_seconds})

    def requests(
        self, *, since: int = 0, system: str | None = None, method: str | None = None, path: str | None = None
    ) -> list[dict[str, Any]]:
        """The request log, oldest first; `path` is a regular expression."""
        return self._list(
            "requests", "/requests", {"since": str(since), "system": system, "method": method, "path": path}
        )

    def last_request(self) -> int:
        """The newest sequence number, to pass as `since` later."""
        last: int = self._json("GET", "/requests?path=%24.")["last"]
        return last

    def clear_requests(self) -> None:
        """Forget the request log."""
        self._json("DELETE", "/requests")

    def faults(self) -> list[dict[str, Any]]:
        """The fault rules in force."""
        return self._list("faults", "/faults", {})

    def add_fault(self, **rule: Any) -> dict[str, Any]:
        """Add a rule (see `sandbox.faults.Rule`); returns it with its id."""
        return self._json("POST", "/faults", rule)

    def remove_fault(self, rule_id: int) -> None:
        """Remove one rule."""
        self._json("DELETE", f"/faults/{rule_id}")

    def clear_faults(self) -> None:
        """Remove every rule."""
        self._json("DELETE", "/faults")

    def catalogue(self, crm: str | None = None) -> list[dict[str, Any]]:
        """Every fault by name, of one CRM or of both, with its parameters and whether it is on."""
        found = self._list("catalogue", "/catalogue", {})
        return [one for one in found if crm in (None, one["system"])]

    def switch_on(self, crm: str, fault: str, **parameters: Any) -> dict[str, Any]:
        """Switch a fault of the catalogue on, or carry out what happens once; returns its state."""
        return self._json("POST", f"/catalogue/{crm}/{quote(fault)}", parameters)

    def switch_off(self, crm: str, fault: str) -> dict[str, Any]:
        """Put right what a fault of the catalogue made wrong; returns its state."""
        return self._json("DELETE", f"/catalogue/{crm}/{quote(fault)}")

    def all_off(self) -> None:
        """Switch every fault off and remove every rule."""
        self._json("DELETE", "/catalogue")

    def bump(self, crm: str, ids: list[str]) -> None:
        """Move modified stamps without changing a value, as the CRM's background jobs do."""
        self._json("POST", f"/{crm}/bump", {"ids": ids})

    def llm_requests(self) -> list[dict[str, Any]]:
        """What the LLM was told and said, oldest first."""
        return self._list("requests", "/llm/requests", {})

    def clear_llm_requests(self) -> None:
        """Forget what the LLM was told."""
        self._json("DELETE", "/llm/requests")

    def change_llm_settings(self, **settings: Any) -> dict[str, Any]:
        """Change `mode`, `delay_seconds`, `key` or `models`; returns all."""
        return self._json("PATCH", "/llm/settings", settings)

    def _list(self, name: str, path: str, query: Mapping[str, str | None]) -> list[dict[str, Any]]:
        given = urlencode({key: value for key, value in query.items() if value is not None})
        found: list[dict[str, Any]] = self._json("GET", f"{path}?{given}")[name]
        return found

    def _json(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"/_sandbox{path}", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlError(response.status, answer.get("error", ""))
        return answer
