"""The server's own way to the doors answers as Django's does, and leaves all other addresses to it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client

from activity.models import WebhookDelivery
from crmsync.api_keys import issue_key
from crmsync.doors import Doors
from crmsync.middleware import DOORS
from tests.activity.payloads import ended, signed

pytestmark = pytest.mark.django_db


class Torn(io.BytesIO):
    """A body that cannot be read, for a reason that nobody foresaw."""

    def read(self, *_: Any) -> bytes:
        raise ValueError("torn")


def ask(path: str, method: str = "POST", body: bytes = b"", **more: Any) -> tuple[int, dict[str, str], bytes]:
    """What the server's application answers."""
    told: list[Any] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(),
    } | more  # fmt: skip
    content = b"".join(Doors(WSGIHandler())(environ, lambda status, headers: told.extend((status, headers))))
    return int(told[0].split()[0]), dict(told[1]), content


def alike(path: str, method: str = "POST", body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    """The status, when both ways answer the same."""
    of_server = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
    status, told, content = ask(path, method, body, **of_server)
    answer = Client(HTTP_HOST="localhost").generic(method, path, body, "application/json", headers=headers)
    assert (status, content) == (answer.status_code, answer.content)
    assert told.keys() == answer.headers.keys()
    same = told.keys() - {"X-Request-Id"}
    assert {name: told[name] for name in same} == {name: answer.headers[name] for name in same}
    return status


@pytest.mark.parametrize("door", DOORS)
def test_both_ways_answer_alike(door: str):
    body = json.dumps(ended()).encode()
    proof = signed(body, issue_key("Voice platform", webhook=True)[1])
    assert alike(door, body=body, headers=proof) == 200
    assert WebhookDelivery.objects.count() == 1
    assert alike(door, body=b"{}", headers=proof) == 401
    assert alike(door, "GET") == 405


@pytest.mark.parametrize("door", DOORS)
def test_hosts_that_are_not_ours_are_refused(door: str):
    assert ask(door, HTTP_HOST="elsewhere.example")[0] == 400


def test_an_error_of_ours_is_a_500_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture):
    torn: dict[str, Any] = {"wsgi.input": Torn()}
    assert ask(DOORS[0], body=b"1", **torn)[0] == 500
    assert "Internal Server Error" in caplog.text


def test_all_other_addresses_are_djangos():
    assert ask("/healthz", "GET")[0] == 200
    assert ask("/nowhere/", "GET")[0] == 404
