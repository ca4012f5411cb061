"""Around every request: a request id in the log lines and the answer, and one count for /metrics.

And a short way to the doors for events, past all that is there for browsers.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, resolve

from crmsync.metrics import REQUEST_SECONDS

DOORS = ("/webhooks/retell/", "/webhooks/retell/inbound/")  # below the prefix the site is served under


TOO_LARGE, CHUNK, MOST_READ = 413, 65_536, 64 * 1024 * 1024


def _read_on(request: HttpRequest) -> None:
    """Let the sender of a refused body finish: most see an answer only then, and an error of the network before."""
    left = MOST_READ
    with suppress(UnreadablePostError):
        while left > 0 and (chunk := request.read(min(CHUNK, left))):
            left -= len(chunk)


class RequestContext:
    """Binds `request_id` to the log context and counts the answer by route (paths hold phone numbers)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request_id = uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        if response.status_code == TOO_LARGE:
            _read_on(request)
        response["X-Request-Id"] = request_id
        route = request.resolver_match.route if request.resolver_match else "unmatched"
        REQUEST_SECONDS.labels(request.method or "?", route, str(response.status_code)).observe(
            time.perf_counter() - started
        )
        return response


class ShortWay:
    """Straight to the doors for events: they know senders by signature, and have no use for sessions or page policies.

    Hosts are held to ALLOWED_HOSTS, and answers carry the headers of transport security, as everywhere; what else pages
    carry for browsers says nothing to a sender of events.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.security = SecurityMiddleware(get_response)

    @cached_property
    def doors(self) -> dict[str, ResolverMatch]:
        """The views by path; read at the first request, when the addresses are known."""
        return {path: resolve(path) for path in DOORS}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        door = self.doors.get(request.path_info)
        if door is None or (settings.SECURE_SSL_REDIRECT and not request.is_secure()):
            return self.get_response(request)
        request.get_host()  # refuses hosts that are not ours
        request.resolver_match = door
        response: HttpResponse = door.func(request)
        if self.security.sts_seconds:
            self.security.process_response(request, response)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Length"] = str(len(response.content))
        return response
