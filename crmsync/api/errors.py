"""One error shape for every call: `{"status": "error", "message": …}`, and for a bad request also `errors` by field.

400 the request breaks a rule · 401 no valid key · 403 the key lacks a scope · 404 no such call · 405 wrong method · 409 the
first request with this Idempotency-Key is under way · 411 no Content-Length · 413 too large · 415 not JSON · 422 nothing with
this id, or another body with a known Idempotency-Key · 429 too many requests. 409 means "again in a moment" only: client
libraries repeat it silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from django.core.exceptions import ValidationError as ModelError
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

log = structlog.get_logger(__name__)
SHOWN = 3
FAILED = "The server failed; the failure is logged."


class NotHere(APIException):
    """Nothing with this id exists under this key."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "Nothing with this id exists."
    default_code = "not_found"


class NoLength(APIException):
    """A body that is sent in chunks: what is not announced is not read."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_detail = "Send the body at once, with a Content-Length, and not in chunks."
    default_code = "no_length"


class TooLarge(APIException):
    """A body beyond what a call takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class Refused(APIException):
    """The call is understood, but the state of things forbids it."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "refused"


def invalid(field: str, message: str, rule: str = "invalid") -> ValidationError:
    """A validation error of one field; `field` is its path, like "custom_fields.plan"."""
    return ValidationError({field: [message]}, code=rule)


def from_model(error: ModelError, at: str = "", names: Mapping[str, str] | None = None) -> ValidationError:
    """A model's refusal as a validation error; `at` is the path it happened at, `names` ours → the API's."""
    names = names or {}
    if not hasattr(error, "error_dict"):
        return ValidationError({at or "non_field_errors": error.messages}, code=_rule(error))
    found: dict[str, Any] = {}
    for field, problems in error.error_dict.items():
        path = ".".join(part for part in (at, names.get(field, field)) if part and part != "__all__")
        found[path or "non_field_errors"] = [
            ErrorDetail(text, _rule(problem)) for problem in problems for text in problem.messages
        ]
    return ValidationError(found)


def _rule(error: ModelError) -> str:
    return str(getattr(error, "code", None) or "invalid")


def flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Each single problem in the framework's nested detail as {field, rule, message}."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            yield from flatten(inner, path if key == "non_field_errors" else f"{path}.{key}".lstrip("."))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            if not nested or inner:
                yield from flatten(inner, f"{path}.{position}".lstrip(".") if nested else path)
    else:
        yield {"field": path, "rule": str(getattr(detail, "code", "invalid")), "message": str(detail)}


def error_response(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to any exception of a call. What is not ours to explain is logged, loud, and a 500 without detail."""
    answer = exception_handler(error, context)
    if answer is None:
        log.error("call failed", exc_info=error)
        got_request_exception.send(
            sender=error_response, request=getattr(context["request"], "_request", None)
        )
        return Response({"status": "error", "message": FAILED}, 500)
    body: dict[str, Any] = {"status": "error", "message": ""}
    if isinstance(error, ValidationError):
        body["errors"] = list(flatten(error.detail))
        body["message"] = _sentence(body["errors"])
    else:
        body["message"] = str(getattr(error, "detail", "") or "There is nothing at this address.")
    answer.data = body
    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What never reaches a call, such as a wrong Host header, is refused in the one shape too; pages keep Django's answer."""
    if not _is_call(request):
        return defaults.bad_request(request, exception)
    return JsonResponse({"status": "error", "message": "The request cannot be understood."}, status=400)


def server_failed(request: HttpRequest) -> HttpResponse:
    """A failure around a call, which Django has logged."""
    if not _is_call(request):
        return defaults.server_error(request)
    return JsonResponse({"status": "error", "message": FAILED}, status=500)


def _is_call(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _sentence(problems: list[dict[str, str]]) -> str:
    words = [f"{p['field']}: {p['message']}" if p["field"] else p["message"] for p in problems[:SHOWN]]
    more = len(problems) - SHOWN
    return " ".join(words) + (f" And {more} more." if more > 0 else "")
