"""What an activity template may say: its variables, filters and the part of Jinja's language that is let in. Pure.

Every node of a parsed template is judged before it is compiled; what is not listed is refused with its line and what to
do. Texts handed in are at most TEXT_LIMIT long, loops run over at most MOST_ANALYSIS values and cannot be nested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from jinja2 import Undefined, nodes

TEXT_LIMIT, MOST_ANALYSIS = 30_000, 50
MOST_STEPS = 2_000

VARIABLES: Mapping[str, str] = {
    "kind": "Call, SMS, WhatsApp or Chat",
    "channel": "phone call, web call, SMS, WhatsApp or web chat",
    "conversation_id": "the platform's id; the CRM gets it whatever the template says",
    "summary": "what was said, in short",
    "outcome": "“successful” or “not successful”",
    "successful": "true or false, blank when nobody knows",
    "sentiment": "Positive, Negative, Neutral or Unknown",
    "voicemail": "true when a voicemail answered",
    "direction": "inbound or outbound",
    "from_number": "who called or wrote",
    "to_number": "who was called or written to",
    "duration": "in words, like “3 min 12 s”",
    "duration_seconds": "a whole number",
    "started": "when it took place, like “2026-05-14 09:30 UTC”",
    "disconnection_reason": "why it ended, like “user hangup”",
    "recording_link": "the recording's address",
    "transcript_link": "the address of the transcript",
    "transcript": "what was said, word for word",
    "agent": "the agent's name, else its id",
    "agent_version": "the agent's version",
    "contact_name": "the contact's first and last name",
    "first_name": "the contact's first name",
    "last_name": "the contact's last name",
    "analysis": "the custom analysis values: {{ analysis.interests }}, or all by {% for name, value in analysis|items %}",
}
TESTS = frozenset({"defined", "undefined", "none", "true", "false", "boolean", "number", "string"})
LOOP_FIELDS = ("first", "index", "last", "length")

_JUDGED_BY_PARTS = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Tuple, nodes.List, nodes.Slice, nodes.Keyword,
)  # fmt: skip
_INSTEAD: Mapping[type[nodes.Node], str] = {
    nodes.Call: "Nothing can be called; use a filter, like {{ summary|upper }}.",
    nodes.Assign: "Nothing can be set; write the value where it is needed.",
    nodes.AssignBlock: "Nothing can be set; write the value where it is needed.",
    nodes.Concat: "Texts are not joined by ~; write them side by side, like {{ first_name }} {{ last_name }}.",
    nodes.Dict: "There are no {…} values; write the text itself.",
}
_LANGUAGE = "Use variables, filters, {% if %} and {% for … in analysis %} only."


class TemplateProblem(ValueError):
    """Why a template cannot be used, with its line and what to do; holds no value of a conversation."""


def check(template: nodes.Template) -> None:
    """Judge a parsed template. Raises TemplateProblem for the first thing that is not let in."""
    steps = _judge(template, frozenset(), in_loop=False)
    if steps > MOST_STEPS:
        raise TemplateProblem("It does too much. Take some of its conditions, filters or loops out.")


def _judge(node: nodes.Node, targets: frozenset[str], *, in_loop: bool) -> int:
    """Judge a node and what is in it; returns how many steps it takes at most."""
    if isinstance(node, nodes.For):
        return _loop(node, targets, in_loop=in_loop)
    if isinstance(node, nodes.Name):
        _name(node, targets)
    elif isinstance(node, nodes.Getattr | nodes.Getitem):
        _part(node, in_loop=in_loop)
    elif isinstance(node, nodes.Filter):
        _filter(node)
    elif isinstance(node, nodes.Test):
        if node.name not in TESTS:
            raise _refused(node, f"There is no test “{node.name}”; there are {', '.join(sorted(TESTS))}.")
    elif type(node) not in _JUDGED_BY_PARTS:
        raise _refused(node, _INSTEAD.get(type(node), _LANGUAGE))
    return 1 + sum(_judge(child, targets, in_loop=in_loop) for child in node.iter_child_nodes())


def _loop(node: nodes.For, targets: frozenset[str], *, in_loop: bool) -> int:
    over = node.iter.node if isinstance(node.iter, nodes.Filter) and node.iter.name == "items" else node.iter
    if in_loop or node.recursive or not isinstance(over, nodes.Name) or over.name != "analysis":
        words = (
            "A loop runs over the analysis, and not inside another: {% for name, value in analysis|items %}."
        )
        raise _refused(node, words)
    names = frozenset(one.name for one in node.target.find_all(nodes.Name)) | (
        {node.target.name} if isinstance(node.target, nodes.Name) else set()
    )
    inner = [*node.body, *([node.test] if node.test is not None else [])]
    once = 1 + sum(_judge(child, targets | names | {"loop"}, in_loop=True) for child in inner)
    return MOST_ANALYSIS * once + sum(_judge(child, targets, in_loop=in_loop) for child in node.else_)


def _name(node: nodes.Name, targets: frozenset[str]) -> None:
    if node.name in VARIABLES or node.name in targets:
        return
    close = get_close_matches(node.name, VARIABLES, n=1)
    instead = f"did you mean “{close[0]}”?" if close else "choose one from the list."
    raise _refused(node, f"There is no variable “{node.name}”; {instead}")


def _part(node: nodes.Getattr | nodes.Getitem, *, in_loop: bool) -> None:
    whole = node.node
    of = whole.name if isinstance(whole, nodes.Name) else ""
    if isinstance(node, nodes.Getitem):
        if isinstance(node.arg, nodes.Slice) and all(map(_is_number, node.arg.iter_child_nodes())):
            return
        allowed = of == "analysis" and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
    else:
        allowed = of == "analysis" or (of == "loop" and in_loop and node.attr in LOOP_FIELDS)
    if not allowed:
        raise _refused(
            node, "Only the analysis has parts, like {{ analysis.interests }}. Use the variable as it is."
        )


def _is_number(node: nodes.Node) -> bool:
    inner = node.node if isinstance(node, nodes.Neg) else node
    return isinstance(inner, nodes.Const) and isinstance(inner.value, int)


def _filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS or node.node is None:
        close = get_close_matches(node.name, FILTERS, n=1)
        instead = f"did you mean “{close[0]}”?" if close else f"there are {', '.join(sorted(FILTERS))}."
        raise _refused(node, f"There is no filter “{node.name}”; {instead}")
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _refused(node, "A filter's settings are written out, without a star.")


def _refused(node: nodes.Node, words: str) -> TemplateProblem:
    return TemplateProblem(f"Line {node.lineno}: {words}")


def printed(value: Any) -> Any:
    """How a value stands in the text: nothing for what is missing, lists with commas, the analysis in lines."""
    if value is None or isinstance(value, str | Undefined):
        return "" if value is None else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {printed(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(printed(one)) for one in value)
    return str(value)


def plain(value: Any) -> Any:
    """An analysis value as templates see it: a text of bounded length, a number, a truth, or a list of such."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        room = TEXT_LIMIT // MOST_ANALYSIS
        return [str(printed(plain(one)))[:room] for one in value[:MOST_ANALYSIS]]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:TEXT_LIMIT]


def _text(value: Any) -> str:
    return str(printed(value))


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or value == "" or isinstance(value, Undefined) else value


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    text, most = _text(value), max(0, int(length))
    return text if len(text) <= most else text[: max(0, most - len(end))].rstrip() + end


def _replace(value: Any, old: str, new: str) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if not old or len(text) + text.count(old) * len(new) > 2 * TEXT_LIMIT:
        raise ValueError("too long")
    return text.replace(old, new)


def _join(value: Any, between: str = ", ") -> str:
    parts = [_text(one) for one in value] if isinstance(value, list | tuple) else [_text(value)]
    if sum(map(len, parts)) + len(parts) * len(_text(between)) > 2 * TEXT_LIMIT:
        raise ValueError("too long")
    return _text(between).join(parts)


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _round(value: Any, places: int = 0) -> float | int:
    number = round(float(value), max(0, min(6, int(places))))
    return int(number) if places == 0 else number


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple | Mapping) else len(_text(value))


def _on_text(use: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: use(_text(value))


def _one_line(text: str) -> str:
    return " ".join(text.split())


FILTERS: Mapping[str, Callable[..., Any]] = {
    "capitalize": _on_text(str.capitalize),
    "default": _default,
    "items": _items,
    "join": _join,
    "length": _length,
    "lower": _on_text(str.lower),
    "one_line": _on_text(_one_line),
    "replace": _replace,
    "round": _round,
    "title": _on_text(str.title),
    "trim": _on_text(str.strip),
    "truncate": _truncate,
    "upper": _on_text(str.upper),
}
