"""Around every request: a request id in the log lines and the answer, and one count for /metrics."""

import time
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from crmsync.metrics import REQUEST_SECONDS


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
        response["X-Request-Id"] = request_id
        route = request.resolver_match.route if request.resolver_match else "unmatched"
        REQUEST_SECONDS.labels(request.method or "?", route, str(response.status_code)).observe(
            time.perf_counter() - started
        )
        return response
