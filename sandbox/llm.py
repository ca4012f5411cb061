"""A stand-in LLM: OpenAI's chat completions and responses, deterministic, deaf to instructions in data."""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import Any

from sandbox import llm_rules, llm_schema
from sandbox.llm_answers import Question, Reply, answer, told_to_merge
from sandbox.llm_errors import FAULTS, Refused, wrong_type
from sandbox.wire import BadJson, Request, Response

API_KEY = "sandbox-llm-key"


class LLM:
    """The system under /v1/. Settings: `mode`, `delay_seconds` (of mode slow), `key`, `models`."""

    name = "llm"

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {
            "mode": "normal",
            "delay_seconds": 2.0,
            "key": API_KEY,
            "models": list(llm_rules.MODELS),
        }
        self.requests: deque[dict[str, Any]] = deque(maxlen=5_000)
        self._numbers = itertools.count(1)

    def handles(self, path: str) -> bool:
        """Everything under /v1/."""
        return path == "/v1" or path.startswith("/v1/")

    def pause_seconds(self) -> float:
        """How long the server waits before it asks; not 0 in mode slow only."""
        return float(self.settings["delay_seconds"]) if self.settings["mode"] == "slow" else 0.0

    def respond(self, request: Request) -> Response:
        """Answer one request; refusals carry OpenAI's error object."""
        try:
            llm_rules.check_key(request.headers.get("authorization"), self.settings["key"])
            response = self._route(request)
        except Refused as refused:
            response = refused.response()
        response.headers |= {
            "X-Request-Id": f"req_{next(self._numbers):032x}",
            "Openai-Version": "2020-10-01",
        }
        return response

    def fault_response(self, kind: str) -> Response | None:
        """rate_limit, insufficient_quota, server_error, overloaded, unauthorized, context_length."""
        make = FAULTS.get(kind)
        return make().response() if make else None

    def _route(self, request: Request) -> Response:
        method, path = request.method, request.path.rstrip("/")
        if path in ("/v1/chat/completions", "/v1/responses"):
            if method != "POST":
                raise Refused(
                    f"Not allowed to {method} on {path} "
                    "(HINT: Perhaps you meant to use a different HTTP method?)",
                    code="method_not_supported",
                    status=405,
                )
            document = _document(request)
            return self._chat(document) if path.endswith("completions") else self._responses(document)
        if method == "GET" and path == "/v1/models":
            return Response.of(
                200, {"object": "list", "data": [_model(name) for name in self.settings["models"]]}
            )
        if method == "GET" and path.startswith("/v1/models/"):
            model = llm_rules.check_model({"model": path.removeprefix("/v1/models/")}, self._models)
            return Response.of(200, _model(model))
        raise Refused(f"Invalid URL ({method} {request.path})", status=404)

    @property
    def _models(self) -> tuple[str, ...]:
        return tuple(self.settings["models"])

    def _chat(self, document: dict[str, Any]) -> Response:
        model = llm_rules.check_model(document, self._models)
        llm_rules.check_parameters(document, llm_rules.CHAT_PARAMETERS)
        llm_rules.check_messages(document.get("messages"), "messages", ("text",))
        messages = [_flat(message) for message in document["messages"]]
        told = "\n".join(message["content"] for message in messages)
        schema = llm_schema.check_format(document.get("response_format"), "response_format", told)
        most = document.get("max_completion_tokens") or document.get("max_tokens")
        reply = self._reply("chat.completions", document, Question(model, messages, schema, most))
        return Response.of(200, self._chat_document(model, reply))

    def _responses(self, document: dict[str, Any]) -> Response:
        model = llm_rules.check_model(document, self._models)
        llm_rules.check_parameters(document, llm_rules.RESPONSES_PARAMETERS)
        messages = _input_messages(document)
        told = "\n".join(message["content"] for message in messages)
        text = document.get("text") or {}
        if not isinstance(text, dict):
            raise wrong_type("text", "an object", text)
        schema = llm_schema.check_format(text.get("format"), "text.format", told)
        reply = self._reply(
            "responses", document, Question(model, messages, schema, document.get("max_output_tokens"))
        )
        return Response.of(200, self._responses_document(model, document, reply))

    def _reply(self, endpoint: str, document: dict[str, Any], question: Question) -> Reply:
        told = told_to_merge(question.messages)
        reply = answer(question, told, self.settings["mode"])
        self.requests.append(
            {
                "at": time.time(),
                "endpoint": endpoint,
                "model": question.model,
                "messages": question.messages,
                "request": document,
                "old": told.get("old"),
                "new": told.get("new"),
                "instruction": told.get("instruction"),
                "field": told.get("field"),
                "reply": reply.text,
                "refusal": reply.refusal,
                "finish_reason": "length" if reply.cut else "stop",
                "prompt_tokens": reply.read,
                "completion_tokens": reply.written,
            }
        )
        return reply

    def _chat_document(self, model: str, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply.text,
            "refusal": reply.refusal,
            "annotations": [],
        }
        return {
            "id": f"chatcmpl-{next(self._numbers):029d}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": "length" if reply.cut else "stop",
                }
            ],
            "usage": {
                "prompt_tokens": reply.read,
                "completion_tokens": reply.written,
                "total_tokens": reply.read + reply.written,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "default",
            "system_fingerprint": "fp_sandbox",
        }

    def _responses_document(self, model: str, document: dict[str, Any], reply: Reply) -> dict[str, Any]:
        number = next(self._numbers)
        status = "incomplete" if reply.cut else "completed"
        part: dict[str, Any] = {
            "type": "output_text",
            "text": reply.text or "",
            "annotations": [],
            "logprobs": [],
        }
        if reply.refusal is not None:
            part = {"type": "refusal", "refusal": reply.refusal}
        return {
            "id": f"resp_{number:048x}",
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if reply.cut else None,
            "instructions": document.get("instructions"),
            "max_output_tokens": document.get("max_output_tokens"),
            "model": model,
            "output": [
                {
                    "id": f"msg_{number:048x}",
                    "type": "message",
                    "status": status,
                    "role": "assistant",
                    "content": [part],
                }
            ],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": document.get("store", True),
            "temperature": document.get("temperature", 1.0),
            "text": document.get("text") or {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": document.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": {
                "input_tokens": reply.read,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": reply.written,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": reply.read + reply.written,
            },
            "user": None,
            "metadata": document.get("metadata") or {},
        }


def _document(request: Request) -> dict[str, Any]:
    given = request.headers.get("content-type", "")
    if not given.startswith("application/json"):
        raise Refused(
            f"Invalid Content-Type header ({given}), expected application/json.",
            status=415,
        )
    try:
        document = request.json()
    except BadJson as error:
        raise Refused(
            "We could not parse the JSON body of your request. "
            "(HINT: This likely means you aren't using your HTTP library "
            "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        ) from error
    if not isinstance(document, dict):
        raise Refused("Invalid body: expected an object.")
    return document


def _input_messages(document: dict[str, Any]) -> list[dict[str, str]]:
    given = document.get("input")
    if isinstance(given, str):
        messages = [{"role": "user", "content": given}]
    else:
        llm_rules.check_messages(given, "input", ("input_text", "output_text"))
        messages = [_flat(message) for message in given or []]
    instructions = document.get("instructions")
    if instructions is None:
        return messages
    if not isinstance(instructions, str):
        raise wrong_type("instructions", "a string", instructions)
    return [{"role": "developer", "content": instructions}, *messages]


def _flat(message: dict[str, Any]) -> dict[str, str]:
    content = message["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return {"role": message["role"], "content": text}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"}
