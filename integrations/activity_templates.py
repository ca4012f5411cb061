"""Activity templates: an operator's own title and body of what is logged, in a small closed part of Jinja. Pure.

Jinja's immutable sandbox is the second wall. The first is an allow-list of the language: no calls, no arithmetic, no
assignments, nothing that reaches behind a value or makes a text grow, so that the cost is known when a template is saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from integrations.template_language import FILTERS, TESTS, TemplateProblem, check, printed

TEMPLATE_LIMIT = 8_000
TITLE_LIMIT, BODY_LIMIT = 500, 60_000

DEFAULT_TITLE = "{{ kind }} {{ conversation_id }}"
DEFAULT_BODY = """\
{{ summary }}

{% if outcome %}
Outcome: {{ outcome }}
{% endif %}
{% if sentiment %}
Sentiment: {{ sentiment }}
{% endif %}
{% if voicemail %}
Voicemail: yes
{% endif %}
{% if direction %}
Direction: {{ direction }}
{% endif %}
{% if from_number %}
From: {{ from_number }}
{% endif %}
{% if to_number %}
To: {{ to_number }}
{% endif %}
{% if duration %}
Duration: {{ duration }}
{% endif %}
{% if disconnection_reason %}
Ended by: {{ disconnection_reason }}
{% endif %}
{% if recording_link %}
Recording: {{ recording_link }}
{% endif %}
Conversation: {{ conversation_id }}"""

# A line that holds one tag and nothing else leaves no empty line.
_ALONE = re.compile(r"^[ \t]*(\{%(?:(?!%\}|\n).)*%\})[ \t]*\n", re.MULTILINE)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_UNUSABLE = (
    TemplateError, SyntaxError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError,
)  # fmt: skip


class _Sandbox(ImmutableSandboxedEnvironment):
    """Reaches into the analysis by key and into a loop's counters, never for an attribute of a Python object."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a mapping, or what `check` allows of a loop; anything else is blank."""
        if isinstance(obj, Mapping):
            return obj.get(attribute, "")
        return getattr(obj, attribute) if type(obj).__name__ == "LoopContext" else ""

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A key of a mapping; anything else is blank."""
        return obj.get(argument, "") if isinstance(obj, Mapping) and isinstance(argument, str) else ""


def problem_of(text: str) -> str | None:
    """Why this template cannot be saved, with its line and what to do about it; None when it can."""
    try:
        _compiled(_with_plain_ends(text))
    except TemplateProblem as problem:
        return str(problem)
    return None


def title_of(template: str, values: Mapping[str, Any]) -> str:
    """The rendered title on one line. Raises TemplateProblem, also when it comes out blank."""
    title = " ".join(_render(template, values, TITLE_LIMIT).split())
    if not title:
        raise TemplateProblem("The title comes out blank.")
    return title


def body_of(template: str, values: Mapping[str, Any]) -> str:
    """The rendered body, with at most one empty line between two others. Raises TemplateProblem."""
    lines = "\n".join(line.rstrip() for line in _render(template, values, BODY_LIMIT).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()


def _render(text: str, values: Mapping[str, Any], limit: int) -> str:
    template = _compiled(_with_plain_ends(text))
    parts, length = list[str](), 0
    try:
        for part in template.generate(dict(values)):
            parts.append(part)
            length += len(part)
            if length >= limit:
                break
    except _UNUSABLE as error:
        kind = type(error).__name__
        words = "It does not fit this conversation"
        raise TemplateProblem(f"{words} ({kind}); put an “if” around what may be missing.") from None
    return _UNPRINTABLE.sub("", _with_plain_ends("".join(parts)[:limit]))


def _with_plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@lru_cache(maxsize=64)
def _compiled(text: str) -> Template:
    """The checked template. Raises TemplateProblem."""
    if len(text) > TEMPLATE_LIMIT:
        raise TemplateProblem(f"It has {len(text):,} characters; at most {TEMPLATE_LIMIT:,} are possible.")
    try:
        check(_SANDBOX.parse(text))
        return _SANDBOX.from_string(_ALONE.sub(r"\1", text))
    except TemplateSyntaxError as error:
        raise TemplateProblem(f"Line {error.lineno}: {error.message} Correct it there.") from None
    except TemplateProblem:
        raise
    except _UNUSABLE:
        raise TemplateProblem(
            "It is nested too deeply, or holds too large a number. Make it simpler."
        ) from None


def _sandbox() -> _Sandbox:
    made = _Sandbox(optimized=False, keep_trailing_newline=True, finalize=printed, cache_size=0)
    made.globals.clear()
    made.filters = dict(FILTERS)
    made.tests = {name: test for name, test in made.tests.items() if name in TESTS}
    return made


_SANDBOX = _sandbox()
