"""What an OpenAI-compatible server refuses: keys, models, parameters and messages, in OpenAI's words."""

from __future__ import annotations

from typing import Any

from sandbox.llm_errors import Refused, wrong_type

MODELS = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "o4-mini",
)
ROLES = ("system", "assistant", "user", "function", "tool", "developer")
CHAT_PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
RESPONSES_PARAMETERS = frozenset(
    {
        "background",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
NOT_OFFERED = ("stream", "tools", "background", "previous_response_id")
NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
INTEGERS: dict[str, tuple[int, int]] = {
    "max_tokens": (1, 32_768),
    "max_completion_tokens": (1, 128_000),
    "max_output_tokens": (16, 128_000),
    "n": (1, 1),
    "top_logprobs": (0, 20),
}


def check_key(authorization: str | None, key: str) -> None:
    """Refuse a missing or wrong bearer key with 401."""
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise Refused(
            "You didn't provide an API key. "
            "You need to provide your API key in an Authorization "
            "header using Bearer auth "
            "(i.e. Authorization: Bearer YOUR_KEY).",
            status=401,
        )
    if given.strip() != key:
        shown = f"{given[:3]}***{given[-2:]}" if len(given) > 8 else "***"
        raise Refused(
            f"Incorrect API key provided: {shown}. "
            "You can find your API key at https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
            status=401,
        )


def check_model(document: dict[str, Any], models: tuple[str, ...]) -> str:
    """The model asked for; 400 when missing, 404 when unknown."""
    model = document.get("model")
    if model is None:
        raise Refused("you must provide a model parameter")
    if not isinstance(model, str):
        raise wrong_type("model", "a string", model)
    if model not in models:
        raise Refused(
            f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
            status=404,
        )
    return model


def check_parameters(document: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse unknown parameters, wrong number types, and what this stand-in does not offer."""
    for name in document:
        if name not in known and known is CHAT_PARAMETERS:
            raise Refused(f"Unrecognized request argument supplied: {name}")
        if name not in known:
            raise Refused(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name in NOT_OFFERED:
        if document.get(name):
            raise Refused(
                f"Unsupported parameter: '{name}' is not offered by the sandbox.",
                param=name,
                code="unsupported_parameter",
            )
    for name, (low, high) in NUMBERS.items():
        _check_range(name, document.get(name), low, high, "decimal")
    for name, (least, most) in INTEGERS.items():
        _check_range(name, document.get(name), least, most, "integer")
    _check_together(document)


def _check_range(name: str, value: Any, low: float, high: float, kind: str) -> None:
    if value is None:
        return
    fits = isinstance(value, int) or (kind == "decimal" and isinstance(value, float))
    if isinstance(value, bool) or not fits:
        raise wrong_type(name, "an integer" if kind == "integer" else "a decimal", value)
    if value < low:
        raise Refused(
            f"Invalid '{name}': {kind} below minimum value. "
            f"Expected a value >= {low}, but got {value} instead.",
            param=name,
            code=f"{kind}_below_min_value",
        )
    if value > high:
        raise Refused(
            f"Invalid '{name}': {kind} above maximum value. "
            f"Expected a value <= {high}, but got {value} instead.",
            param=name,
            code=f"{kind}_above_max_value",
        )


def _check_together(document: dict[str, Any]) -> None:
    if document.get("max_tokens") is not None and document.get("max_completion_tokens") is not None:
        raise Refused(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if not str(document.get("model", "")).startswith(("gpt-5", "o")):
        return
    if document.get("max_tokens") is not None:
        raise Refused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if document.get("temperature") not in (None, 1):
        value = document["temperature"]
        raise Refused(
            f"Unsupported value: 'temperature' does not support {value} with this model. "
            "Only the default (1) value is "
            "supported.",
            param="temperature",
            code="unsupported_value",
        )


def check_messages(messages: Any, name: str, text_kinds: tuple[str, ...]) -> None:
    """Refuse anything but a non-empty list of messages with a known role and text content."""
    if messages is None:
        raise Refused(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(messages, list):
        raise wrong_type(name, "an array of objects", messages)
    if not messages:
        raise Refused(
            f"Invalid '{name}': empty array. "
            "Expected an array with minimum length 1, but got an empty array instead.",
            param=name,
            code="empty_array",
        )
    for index, message in enumerate(messages):
        _check_message(message, f"{name}[{index}]", text_kinds)


def _check_message(message: Any, where: str, text_kinds: tuple[str, ...]) -> None:
    if not isinstance(message, dict):
        raise wrong_type(where, "an object", message)
    for key in message:
        if key not in (
            "role",
            "content",
            "name",
            "type",
            "id",
            "status",
            "tool_call_id",
            "tool_calls",
            "refusal",
        ):
            raise Refused(
                f"Unknown parameter: '{where}.{key}'.", param=f"{where}.{key}", code="unknown_parameter"
            )
    role = message.get("role")
    if role is None:
        raise Refused(
            f"Missing required parameter: '{where}.role'.",
            param=f"{where}.role",
            code="missing_required_parameter",
        )
    if role not in ROLES:
        supported = ", ".join(f"'{known}'" for known in ROLES[:-1]) + f", and '{ROLES[-1]}'"
        raise Refused(
            f"Invalid value: '{role}'. Supported values are: {supported}.",
            param=f"{where}.role",
            code="invalid_value",
        )
    _check_content(message.get("content"), f"{where}.content", text_kinds)


def _check_content(content: Any, where: str, text_kinds: tuple[str, ...]) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(where, "one of a string or array of objects", content)
    for index, part in enumerate(content):
        if not isinstance(part, dict):
            raise wrong_type(f"{where}[{index}]", "an object", part)
        if part.get("type") not in text_kinds:
            raise Refused(
                f"Invalid value: '{part.get('type')}'. "
                f"Supported values are: {', '.join(map(repr, text_kinds))}.",
                param=f"{where}[{index}].type",
                code="invalid_value",
            )
        if not isinstance(part.get("text"), str):
            raise wrong_type(f"{where}[{index}].text", "a string", part.get("text"))
