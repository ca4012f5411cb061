"""A stand-in HubSpot asked directly, without HTTP: what the HubSpot tests of the sandbox share."""

import json
from typing import Any

from sandbox.clock import Clock
from sandbox.hubspot import HubSpot
from sandbox.seed import people
from sandbox.wire import Request

CONTACTS = "/crm/objects/2026-03/contacts"
JSON_HEADERS = {"authorization": "Bearer pat-sandbox-token", "content-type": "application/json"}


class Portal:
    """A HubSpot of `count` people; `ask` gives (status, document)."""

    def __init__(self, count: int = 20) -> None:
        self.clock = Clock()
        self.crm = HubSpot(self.clock, people("hubspot", count))
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.crm.respond(
            Request(method, path, query, JSON_HEADERS if headers is None else headers, content)
        )
        self.headers = response.headers
        return response.status, None if response.body is None else json.loads(response.body)

    def create(self, **properties: str) -> str:
        status, body = self.ask("POST", CONTACTS, {"properties": properties})
        assert status == 201, body
        return str(body["id"])

    def read(self, contact_id: str, *names: str) -> dict[str, Any]:
        status, body = self.ask("GET", f"{CONTACTS}/{contact_id}?properties={','.join(names)}")
        assert status == 200, body
        return dict(body)

    def search(self, *filters: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = {"filterGroups": [{"filters": list(filters)}] if filters else [], **more}
        status, answer = self.ask("POST", f"{CONTACTS}/search", body)
        assert status == 200, answer
        return dict(answer)

    def found(self, *filters: dict[str, Any], **more: Any) -> list[str]:
        return [row["id"] for row in self.search(*filters, **more)["results"]]


def to_contact(contact_id: str, type_id: int, category: str = "HUBSPOT_DEFINED") -> list[dict[str, Any]]:
    """Inline associations of a create."""
    spec = {"associationCategory": category, "associationTypeId": type_id}
    return [{"to": {"id": contact_id}, "types": [spec]}]


def where(name: str, operator: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    """One search filter."""
    return {"propertyName": name, "operator": operator, **({} if value is None else {"value": value}), **more}
