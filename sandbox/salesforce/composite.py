"""The composite resource: up to 25 calls in one, later ones using results of earlier ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.rows import object_body
from sandbox.salesforce.store import Store
from sandbox.wire import Request, Response

Answer = Callable[[Request], Response]
_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}")
METHODS = ("GET", "POST", "PATCH", "DELETE")
MOST_HEAVY = 5
_HEAVY = re.compile(r"/(query|queryAll|composite/sobjects)(?![\w])", re.IGNORECASE)


class Halted(Exception):
    """A subrequest of an all-or-none composite failed."""


def composite(request: Request, base: str, store: Store, answer: Answer) -> Response:
    """Answer POST composite below `base`; `answer` answers one call."""
    body = object_body(request)
    calls = body.get("compositeRequest")
    if not isinstance(calls, list) or not calls or not all(isinstance(call, dict) for call in calls):
        raise ApiError(
            "JSON_PARSER_ERROR", "compositeRequest must be a list of requests at [line:1, column:1]"
        )
    if len(calls) > 25:
        raise ApiError("LIMIT_EXCEEDED", "The number of requests in a composite can not exceed 25.")
    _check_calls(calls, base)
    all_or_none, results = body.get("allOrNone") is True, list[dict[str, Any]]()
    try:
        with store.savepoint():
            for call in calls:
                results.append(_result(call, request, results, answer))
                if all_or_none and results[-1]["httpStatusCode"] >= 400:
                    raise Halted
    except Halted:
        results = _halted(calls, results)
    return Response.of(200, {"compositeResponse": results})


def _check_calls(calls: list[dict[str, Any]], base: str) -> None:
    names = [call.get("referenceId") for call in calls]
    for call in calls:
        name = call.get("referenceId")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name) or names.count(name) > 1:
            raise ApiError("INVALID_INPUT", f"Invalid or duplicate reference ID: {name}")
        if call.get("method") not in METHODS or not isinstance(call.get("url"), str):
            raise ApiError("INVALID_INPUT", "Each request needs a method and a url.")
        if not call["url"].startswith(f"{base}/"):
            raise ApiError(
                "INVALID_INPUT", f"Each url must start with {base}/, the version of the composite."
            )
        if re.match(r"/composite(?!/sobjects)", call["url"].removeprefix(base)):
            raise ApiError("INVALID_INPUT", "A composite request cannot hold another one.")
    heavy = [call for call in calls if _HEAVY.match(call["url"].removeprefix(base))]
    if len(heavy) > MOST_HEAVY:
        words = (
            f"At most {MOST_HEAVY} requests of a composite may be queries or collections, not {len(heavy)}."
        )
        raise ApiError("LIMIT_EXCEEDED", words)


def _result(
    call: dict[str, Any], request: Request, results: list[dict[str, Any]], answer: Answer
) -> dict[str, Any]:
    known = {result["referenceId"]: result["body"] for result in results if result["httpStatusCode"] < 400}
    try:
        response = answer(_subrequest(call, request, known))
        body = json.loads(response.body) if response.body else None
        status = response.status
    except ApiError as error:
        body, status = error.document(), error.status
    made = body.get("id") if status == 201 and isinstance(body, dict) else None
    headers = {"Location": f"{call['url'].rstrip('/')}/{made}"} if made else {}
    return {
        "body": body,
        "httpHeaders": headers,
        "httpStatusCode": status,
        "referenceId": call["referenceId"],
    }


def _subrequest(call: dict[str, Any], request: Request, known: dict[str, Any]) -> Request:
    url = urlsplit(_filled(call["url"], known))
    headers = {
        **request.headers,
        **{str(key).lower(): str(value) for key, value in (call.get("httpHeaders") or {}).items()},
    }
    body = json.dumps(_filled_deep(call["body"], known)).encode() if "body" in call else b""
    return Request(call["method"], unquote(url.path), url.query, headers, body)


def _filled_deep(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_deep(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_deep(item, known) for item in value]
    return _filled(value, known) if isinstance(value, str) else value


def _filled(text: str, known: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        found = known.get(match[1])
        for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", match[2]):
            try:
                found = found[int(index)] if index else found[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                found = None
        if found is None:
            raise ApiError(
                "PROCESSING_HALTED", f"Invalid reference specified. No value for {match[0][2:-1]} found"
            )
        return str(found)

    return _REFERENCE.sub(value, text)


def _halted(calls: list[dict[str, Any]], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every answer but the failed one says that the call was taken back."""
    message = "The transaction was rolled back since another operation in the same transaction failed."
    halted = ApiError("PROCESSING_HALTED", message).document()
    failed = results[-1]
    return [
        failed
        if call["referenceId"] == failed["referenceId"]
        else {"body": halted, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": call["referenceId"]}
        for call in calls
    ]
