"""What goes wrong on purpose: rules that the server applies around a system's answer, first match first."""

from __future__ import annotations

import itertools
import json
import re
import threading
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from sandbox.wire import Request, Response

MAINTENANCE = (
    "<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    "<body><h1>We are down for maintenance</h1><p>Please try again later.</p></body></html>"
)


class BadRule(ValueError):
    """A fault rule that cannot be understood; the text says what is wrong."""


@dataclass(slots=True)
class Rule:
    """One fault. Empty conditions match all; `times` None is for ever; `skip` lets the first matches through.
    `name` is that of the catalogue's entry it came from, if any.

    Actions: status (`status`, `headers`, `content`), vendor (`kind`), delay, drop_before (not applied),
    drop_after (applied, then closed without an answer), html (a maintenance page), truncate (half of the real
    body). `seconds` waits before any action.
    """

    ACTIONS: ClassVar[frozenset[str]] = frozenset(
        {"status", "vendor", "delay", "drop_after", "drop_before", "html", "truncate"}
    )

    action: str
    system: str | None = None
    method: str | None = None
    path: str | None = None
    query: str | None = None
    body: str | None = None
    times: int | None = 1
    skip: int = 0
    seconds: float = 0.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content: Any = None
    kind: str | None = None
    name: str = ""
    id: int = 0
    matched: int = 0
    applied: int = 0

    def matches(self, system: str, request: Request) -> bool:
        """Whether the conditions hold, whatever is left of `times` and `skip`."""
        if self.system not in (None, system) or self.method not in (None, request.method):
            return False
        if self.path is not None and not re.search(self.path, request.path):
            return False
        if self.query is not None and self.query not in unquote_plus(request.query_string):
            return False
        return self.body is None or self.body.encode() in request.body

    def response(self) -> Response:
        """The made-up answer of a `status` or `html` rule."""
        if self.action == "html":
            headers = {"Content-Type": "text/html;charset=utf-8", **self.headers}
            return Response(self.status or 200, MAINTENANCE.encode(), headers)
        status = self.status or 500
        if self.content is None:
            return Response(status, b"", dict(self.headers))
        if isinstance(self.content, str):
            headers = {"Content-Type": "text/plain;charset=utf-8", **self.headers}
            return Response(status, self.content.encode(), headers)
        return Response.of(status, self.content, self.headers)

    def public(self) -> dict[str, Any]:
        """The rule as the control API shows it; `times` is what is left."""
        return asdict(self)


_SHAPES: dict[str, tuple[tuple[type, ...], str]] = {
    "action": ((str,), "a string"),
    "system": ((str, type(None)), "a string"),
    "method": ((str, type(None)), "a string"),
    "path": ((str, type(None)), "a regular expression"),
    "query": ((str, type(None)), "a string"),
    "body": ((str, type(None)), "a string"),
    "times": ((int, type(None)), "a whole number or null"),
    "skip": ((int,), "a whole number"),
    "seconds": ((int, float), "a number"),
    "status": ((int, type(None)), "an HTTP status"),
    "headers": ((dict,), "an object of strings"),
    "content": ((object,), "any JSON"),
    "kind": ((str, type(None)), "a string"),
}


def parse_rule(document: dict[str, Any], systems: frozenset[str]) -> Rule:
    """A rule from its JSON; raises BadRule with the reason. `systems` are the names it may hold."""
    for name, value in document.items():
        if name not in _SHAPES:
            raise BadRule(f"Unknown key {name!r}. Known: {', '.join(_SHAPES)}.")
        types, words = _SHAPES[name]
        if not isinstance(value, types) or (isinstance(value, bool) and object not in types):
            raise BadRule(f"{name!r} must be {words}.")
    if document.get("action") not in Rule.ACTIONS:
        raise BadRule(f"'action' must be one of {', '.join(sorted(Rule.ACTIONS))}.")
    rule = Rule(**document)
    rule.method = rule.method.upper() if rule.method else None
    _check_values(rule, systems)
    return rule


def _check_values(rule: Rule, systems: frozenset[str]) -> None:
    if rule.system is not None and rule.system not in systems:
        raise BadRule(f"'system' must be one of {', '.join(sorted(systems))}.")
    if rule.path is not None:
        try:
            re.compile(rule.path)
        except re.error as error:
            raise BadRule(f"'path' is not a regular expression: {error}.") from error
    if (rule.times is not None and rule.times < 1) or rule.skip < 0 or not 0 <= rule.seconds <= 3600:
        raise BadRule("'times' must be at least 1, 'skip' at least 0, 'seconds' between 0 and 3600.")
    if rule.status is not None and not 200 <= rule.status <= 599:
        raise BadRule("'status' must be between 200 and 599.")
    if any(not isinstance(value, str) for value in rule.headers.values()):
        raise BadRule("'headers' must be an object of strings.")
    _check_action(rule)


def _check_action(rule: Rule) -> None:
    if rule.action == "status" and rule.status is None:
        raise BadRule("Action 'status' needs 'status'.")
    if rule.action == "delay" and rule.seconds <= 0:
        raise BadRule("Action 'delay' needs 'seconds'.")
    if rule.action == "vendor" and (rule.kind is None or rule.system is None):
        raise BadRule("Action 'vendor' needs 'system' and 'kind'.")
    try:
        json.dumps(rule.content)
    except (TypeError, ValueError) as error:
        raise BadRule("'content' must be JSON.") from error


class Faults:
    """The rules in force, in order; `times` is exact with many callers, since taking one holds a lock."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> Rule:
        """Put a rule behind the others; it gets its id here."""
        with self._lock:
            rule.id = next(self._numbers)
            self._rules.append(rule)
        return rule

    def rules(self) -> list[dict[str, Any]]:
        """The rules still in force."""
        with self._lock:
            return [rule.public() for rule in self._rules]

    def remove(self, rule_id: int | None = None) -> int:
        """Remove one rule, or all; returns how many were removed."""
        with self._lock:
            kept = [rule for rule in self._rules if rule_id is not None and rule.id != rule_id]
            removed = len(self._rules) - len(kept)
            self._rules = kept
        return removed

    def take(self, system: str, request: Request) -> Rule | None:
        """The rule that applies to this request, counted down; None when it may pass."""
        with self._lock:
            for rule in self._rules:
                if not rule.matches(system, request):
                    continue
                rule.matched += 1
                if rule.matched > rule.skip:
                    return self._count_down(rule)
        return None

    def _count_down(self, rule: Rule) -> Rule:
        rule.applied += 1
        if rule.times is not None:
            rule.times -= 1
            if rule.times == 0:
                self._rules.remove(rule)
        return rule
