"""What the stand-in systems were asked: a bounded list of requests that tests and people can read back."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from sandbox.wire import Request

MAX_ENTRIES = 20_000
MAX_BODY_BYTES = 2_000_000
MAX_TOTAL_BYTES = 200_000_000
LOGGED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "content-type",
        "host",
        "if-modified-since",
        "if-unmodified-since",
        "idempotency-key",
        "user-agent",
        "x-request-id",
        "x-stainless-retry-count",
    }
)
SECRET_FORM_FIELDS = frozenset({"client_secret", "assertion", "refresh_token", "password", "code", "token"})


@dataclass(slots=True)
class Entry:
    """One request to a system; `status` is what the caller was sent, None while (or when never) answered."""

    sequence: int
    system: str | None
    request: Request
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.perf_counter)
    status: int | None = None
    system_status: int | None = None
    fault: dict[str, Any] | None = None
    milliseconds: float | None = None

    def finish(self, status: int | None) -> None:
        """Note what goes back to the caller (None: the connection is dropped) and how long it took."""
        self.status = status
        self.milliseconds = round((time.perf_counter() - self.started) * 1000, 3)

    def public(self) -> dict[str, Any]:
        """The entry as the control API shows it; credentials are never part of it."""
        request = self.request
        return {
            "sequence": self.sequence,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "system": self.system,
            "method": request.method,
            "path": request.path,
            "query": _query(request),
            "headers": {name: value for name, value in request.headers.items() if _is_logged(name)},
            "body": _body(request),
            "status": self.status,
            "system_status": self.system_status,
            "duration_ms": self.milliseconds,
            "fault": self.fault,
        }


class RequestLog:
    """The last 20,000 requests, oldest first. Sequence numbers keep rising when the log is cleared."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._numbers = itertools.count(1)
        self._bytes = 0
        self._lock = threading.Lock()
        self.last = 0

    def begin(self, system: str | None, request: Request) -> Entry:
        """Note a request when it arrives, so that one that hangs can be seen too."""
        with self._lock:
            entry = Entry(next(self._numbers), system, _bounded(request))
            self.last = entry.sequence
            self._entries.append(entry)
            self._bytes += len(entry.request.body)
            while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_TOTAL_BYTES:
                self._bytes -= len(self._entries.popleft().request.body)
        return entry

    def clear(self) -> int:
        """Forget everything; returns how many requests were forgotten."""
        with self._lock:
            forgotten = len(self._entries)
            self._entries.clear()
            self._bytes = 0
        return forgotten

    def entries(
        self, since: int = 0, system: str | None = None, method: str | None = None, path: str | None = None
    ) -> list[Entry]:
        """Entries after sequence number `since`; `path` is a regular expression searched in the path."""
        with self._lock:
            found = [entry for entry in self._entries if entry.sequence > since]
        if system is not None:
            found = [entry for entry in found if entry.system == system]
        if method is not None:
            found = [entry for entry in found if entry.request.method == method.upper()]
        if path is not None:
            pattern = re.compile(path)
            found = [entry for entry in found if pattern.search(entry.request.path)]
        return found


def _bounded(request: Request) -> Request:
    if len(request.body) <= MAX_BODY_BYTES:
        return request
    note = json.dumps({"body_not_kept_bytes": len(request.body)}).encode()
    return Request(request.method, request.path, request.query_string, request.headers, note)


def _is_logged(name: str) -> bool:
    return name in LOGGED_HEADERS or name.startswith("sforce-")


def _query(request: Request) -> dict[str, Any]:
    """Query parameters as an object; a repeated one becomes a list, a secret one is masked."""
    shown: dict[str, Any] = {}
    for name, value in request.query:
        text = "***" if name in SECRET_FORM_FIELDS else value
        if name in shown:
            earlier = shown[name]
            shown[name] = [*earlier, text] if isinstance(earlier, list) else [earlier, text]
        else:
            shown[name] = text
    return shown


def _body(request: Request) -> Any:
    if not request.body:
        return None
    content_type = request.headers.get("content-type", "")
    text = request.body.decode("utf-8", "replace")
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {
            name: "***" if name in SECRET_FORM_FIELDS else value
            for name, value in parse_qsl(text, keep_blank_values=True)
        }
    try:
        return json.loads(text)
    except ValueError:
        return text
