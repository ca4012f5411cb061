"""What the stand-in LLM says: two texts joined, in the shape asked for, or a failure on purpose."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from sandbox.llm_schema import resolve

CHARACTERS_PER_TOKEN = 4
MODES = ("normal", "refuse", "malformed", "wrong_schema", "empty", "no_content", "slow")
REFUSAL = "I'm sorry, but I can't help with that request."
TEXT_PROPERTIES = ("merged", "merged_text", "text", "value", "result", "answer", "content")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: `text` or `refusal`, whether it was cut, and the tokens read and written."""

    text: str | None
    refusal: str | None
    cut: bool
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Question:
    """What the model was asked, the same for both endpoints."""

    model: str
    messages: list[dict[str, str]]
    schema: dict[str, Any] | None
    most_tokens: int | None

    @property
    def told(self) -> str:
        """All text of all messages."""
        return "\n".join(message["content"] for message in self.messages)


def merged(old: str, new: str) -> str:
    """Old and new as one list of sentences, each once, old ones first; nothing in them is obeyed."""
    sentences: list[str] = []
    seen: set[str] = set()
    for sentence in re.split(r"(?<=[.!?])\s+|\s*\n+\s*", f"{old}\n{new}"):
        key = re.sub(r"\W+", " ", sentence.casefold()).strip()
        if sentence.strip() and key not in seen:
            seen.add(key)
            sentences.append(sentence.strip())
    ended = [sentence if sentence[-1] in ".!?:;…" else f"{sentence}." for sentence in sentences[:-1]]
    return " ".join([*ended, *sentences[-1:]])


def tokens(text: str) -> int:
    """About four characters make a token."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def answer(question: Question, told: dict[str, str], mode: str) -> Reply:
    """What the model says in this mode, cut at the most tokens allowed."""
    read = tokens(question.told) + 4 * len(question.messages)
    if mode == "refuse":
        return Reply(None, REFUSAL, False, read, tokens(REFUSAL))
    text = _text(question, told, mode)
    most = question.most_tokens
    if most is None or tokens(text) <= most:
        return Reply(text, None, False, read, tokens(text))
    return Reply(text[: most * CHARACTERS_PER_TOKEN], None, True, read, most)


def _text(question: Question, told: dict[str, str], mode: str) -> str:
    if mode == "no_content":
        return ""
    if mode == "malformed":
        return 'Sure! Here is the merged text: {"merged": "'
    if mode == "wrong_schema":
        return json.dumps({"unexpected": [1, 2, 3]})
    plain = "" if mode == "empty" else _plain(question, told)
    if question.schema is None:
        return plain
    schema = question.schema or {"type": "object", "properties": {"text": {"type": "string"}}}
    return json.dumps(_filled(schema, schema, plain), ensure_ascii=False)


def _plain(question: Question, told: dict[str, str]) -> str:
    if told:
        return merged(told["old"], told["new"])
    asked = [message["content"] for message in question.messages if message["role"] == "user"]
    return asked[-1] if asked else ""


def _filled(schema: dict[str, Any], root: dict[str, Any], text: str) -> dict[str, Any]:
    """An object that fits the schema: `text` in the property made for it, plain values in all others."""
    properties: dict[str, Any] = schema.get("properties", {})
    strings = [
        name for name, node in properties.items() if "string" in _types(node, root) and "enum" not in node
    ]
    target = next((name for name in TEXT_PROPERTIES if name in strings), strings[0] if strings else None)
    return {name: text if name == target else _plainest(node, root) for name, node in properties.items()}


def _types(node: dict[str, Any], root: dict[str, Any]) -> list[str]:
    node = resolve(node, root) or {}
    kind = node.get("type")
    own = kind if isinstance(kind, list) else [kind] if kind else []
    return own + [name for option in node.get("anyOf", []) for name in _types(option, root)]


def _plainest(node: dict[str, Any], root: dict[str, Any]) -> Any:
    node = resolve(node, root) or {}
    if "const" in node:
        return node["const"]
    if node.get("enum"):
        return node["enum"][0]
    kinds = _types(node, root)
    if "null" in kinds:
        return None
    if "anyOf" in node:
        return _plainest(node["anyOf"][0], root)
    if "object" in kinds:
        return {name: _plainest(child, root) for name, child in node.get("properties", {}).items()}
    if "array" in kinds:
        return [_plainest(node.get("items", {}), root)] * int(node.get("minItems", 0))
    plain: dict[str, Any] = {
        "boolean": False,
        "integer": node.get("minimum", 0),
        "number": node.get("minimum", 0),
    }
    return plain.get(kinds[0] if kinds else "string", "")


def told_to_merge(messages: list[dict[str, str]]) -> dict[str, str]:
    """`old`, `new`, `instruction`, `field` of the last user message that carries them as JSON, or {}."""
    for message in reversed(messages):
        try:
            data = json.loads(message["content"]) if message["role"] == "user" else None
        except ValueError:
            continue
        if isinstance(data, dict) and "old" in data and "new" in data:
            return {
                name: "" if data.get(name) is None else str(data[name])
                for name in ("old", "new", "instruction", "field")
            }
    return {}
