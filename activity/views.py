"""The two doors for conversation events. Both verify, store and answer; all work on events is done by the workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from activity import receive, signatures, variables
from activity.receive import Received
from activity.variables import Answer

KEPT = {
    "Content-Type": "CONTENT_TYPE",
    "User-Agent": "HTTP_USER_AGENT",
    "X-Retell-Signature": "HTTP_X_RETELL_SIGNATURE",
}
log = structlog.get_logger(__name__)


class Refused(Exception):
    """The request is answered with this status and message, and not kept."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


View = Callable[[HttpRequest], HttpResponse]


def _door(view: Callable[[Received], Mapping[str, Any]]) -> View:
    """Let only verified events in; everything else gets its status and a reason."""

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        try:
            return _said(view(_admitted(request)))
        except Refused as refused:
            return _said({"status": "error", "message": str(refused)}, refused.status)

    return guarded


def _said(document: Mapping[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(document), status=status, content_type="application/json")


def _keep(received: Received) -> Mapping[str, Any]:
    receive.store_and_wake(received)
    return {"status": "ok"}


def _answer(received: Received) -> Mapping[str, Any]:
    """The caller's dynamic variables, from one read; neither the CRM nor the LLM is in the way."""
    if received.event not in variables.INBOUND_EVENTS:
        return _keep(received)
    answer = variables.answer_for_caller(received.document.get(received.event))
    try:
        receive.store_answered(received, answer.document, _note(answer))
    except DatabaseError:
        # The caller hears ringing: an answer that cannot be kept is given all the same.
        log.exception("answer_not_kept")
    return {received.event: answer.document}


def _note(answer: Answer) -> str:
    if answer.reject:
        return "Rejected, as the organisation's rule for this contact's field says."
    told = len(answer.variables)
    if not answer.known:
        fallbacks = f"; the fallbacks of {told} fields were told" if told else ""
        return f"Answered: nothing is known about this number{fallbacks}."
    return f"Answered with {told} variables."


# POST /webhooks/retell/: keep the event, wake a worker, say so.
events = _door(_keep)
# POST /webhooks/retell/inbound/: asked before a call or SMS connects, answered with what the agent should know.
inbound = _door(_answer)


def _admitted(request: HttpRequest) -> Received:
    if request.method != "POST":
        raise Refused(405, "Only POST is answered here.")
    body = _body(request)
    try:
        signatures.check(body, request.META.get("HTTP_X_RETELL_SIGNATURE"))
    except signatures.BadSignature as error:
        signatures.count_bad()
        raise Refused(401, str(error)) from error
    try:
        return receive.read(body, _headers(request))
    except receive.BadBody as error:
        raise Refused(400, str(error)) from error


def _headers(request: HttpRequest) -> dict[str, str]:
    """The headers that are kept, by their names; Django's own mapping would read all of them first."""
    return {name: request.META[key] for name, key in KEPT.items() if key in request.META}


def _body(request: HttpRequest) -> bytes:
    limit = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    declared = str(request.META.get("CONTENT_LENGTH") or "")
    if not declared and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise Refused(411, "Send the body at once, with a Content-Length, and not in chunks.")
    if declared.isdecimal() and int(declared) > limit:
        raise Refused(413, f"The body has more than {limit} bytes.")
    try:
        return request.body
    except UnreadablePostError as error:
        raise Refused(400, "The body did not arrive whole.") from error
