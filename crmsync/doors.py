"""The doors for events, reached without what Django does around a page: signals, script prefix, handlers of every layer.

The middleware of the same short way does the work here too, so a request is answered alike on either; a server that knows
only Django's own application loses nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.middleware.security import SecurityMiddleware

from crmsync.middleware import DOORS, RequestContext, ShortWay

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Doors:
    """A WSGI application that answers at the doors itself and leaves all else to `site`."""

    def __init__(self, site: Application) -> None:
        self.site = site
        # Whoever comes by http where https is wanted is sent there, as from everywhere.
        elsewhere: Any = SecurityMiddleware(_not_found)
        self.answer: Any = convert_exception_to_response(RequestContext(ShortWay(elsewhere)))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        if environ.get("PATH_INFO") not in DOORS:
            return self.site(environ, start_response)
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()  # past its age, or with an error behind it
        response: HttpResponse = self.answer(WSGIRequest(environ))
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [response.content]


def _not_found(_request: HttpRequest) -> HttpResponse:
    return HttpResponseNotFound()
