"""A stand-in Salesforce asked directly, without HTTP: what the Salesforce tests of the sandbox share."""

import json
from typing import Any
from urllib.parse import urlencode

from sandbox.clock import Clock
from sandbox.salesforce import Salesforce
from sandbox.seed import people
from sandbox.wire import Request

BASE = "/services/data/v62.0"
FORM = {"content-type": "application/x-www-form-urlencoded", "host": "127.0.0.1:8080"}
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "sandbox-key",
    "client_secret": "sandbox-secret",
}


class Org:
    """A Salesforce of `count` people with an open session; `ask` gives (status, document)."""

    def __init__(self, count: int = 20, **settings: Any) -> None:
        self.clock = Clock()
        self.crm = Salesforce(self.clock, people("salesforce", count))
        self.crm.settings.update(settings)
        self.headers: dict[str, str] = {}
        self.token = self.log_in()[1]["access_token"]

    def log_in(self, headers: Any = None, **form: str) -> tuple[int, Any]:
        body = urlencode(form or CREDENTIALS).encode()
        response = self.crm.respond(
            Request("POST", "/services/oauth2/token", "", {**FORM, **(headers or {})}, body)
        )
        return response.status, json.loads(response.body or b"null")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Headers are given with underscores; paths without a leading slash are below the API's base."""
        path, _, query = path.partition("?")
        path = path if path.startswith("/") else f"{BASE}/{path}"
        given = {
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "host": "127.0.0.1:8080",
        }
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.crm.respond(Request(method, path, query, given, content))
        self.headers = response.headers
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        return response.status, json.loads(response.body) if response.body and is_json else None

    def query(self, soql: str, *, everything: bool = False, **headers: str) -> tuple[int, Any]:
        return self.ask("GET", f"{'queryAll' if everything else 'query'}?{urlencode({'q': soql})}", **headers)

    def found(self, soql: str, *, everything: bool = False) -> list[dict[str, Any]]:
        status, document = self.query(soql, everything=everything)
        assert status == 200, document
        return [
            {key: value for key, value in row.items() if key != "attributes"} for row in document["records"]
        ]

    def refused(self, soql: str) -> tuple[str, str]:
        status, document = self.query(soql)
        assert status == 400, document
        return document[0]["errorCode"], document[0]["message"]

    def create(self, sobject: str, **fields: Any) -> str:
        status, document = self.ask("POST", f"sobjects/{sobject}", fields)
        assert status == 201, document
        return str(document["id"])

    def read(self, sobject: str, record_id: str) -> dict[str, Any]:
        status, document = self.ask("GET", f"sobjects/{sobject}/{record_id}")
        assert status == 200, document
        return dict(document)
