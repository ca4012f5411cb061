"""OpenAI's error object, and the errors a fault rule can ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.wire import Response


class Refused(Exception):
    """A request OpenAI would refuse, with its status and the parts of its error object."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    def response(self) -> Response:
        """The error as it goes over the wire."""
        return Response.of(self.status, {"error": self.error}, self.headers)


def wrong_type(name: str, expected: str, value: Any) -> Refused:
    """OpenAI's words for a value of the wrong JSON type."""
    words = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
    }
    got = words.get(type(value), "null")
    return Refused(
        f"Invalid type for '{name}': expected {expected}, but got {got} instead.",
        param=name,
        code="invalid_type",
    )


FAULTS: dict[str, Callable[[], Refused]] = {
    "rate_limit": lambda: Refused(
        "Rate limit reached for requests per min (RPM): Limit 500, Used 500, Requested 1. "
        "Please try again in 1s.",
        code="rate_limit_exceeded",
        kind="requests",
        status=429,
        headers={"Retry-After": "1", "X-Ratelimit-Remaining-Requests": "0"},
    ),
    "insufficient_quota": lambda: Refused(
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        kind="insufficient_quota",
        status=429,
    ),
    "server_error": lambda: Refused(
        "The server had an error while processing your request. Sorry about that!",
        kind="server_error",
        status=500,
    ),
    "overloaded": lambda: Refused(
        "The engine is currently overloaded, please try again later", kind="server_error", status=503
    ),
    "unauthorized": lambda: Refused("Incorrect API key provided: ***.", code="invalid_api_key", status=401),
    "context_length": lambda: Refused(
        "This model's maximum context length is 128000 tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    ),
}
