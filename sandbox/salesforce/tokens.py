"""The words of a query, the quoted text in it, and errors that point at a place in it."""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.salesforce.errors import ApiError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))(?!\w)
      | (?P<date>\d{4}-\d\d-\d\d)(?![\w:-])
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?![\w:-])
      | (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<relative>[A-Za-z]\w*:\d+)(?!\w)
      | (?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
      | (?P<mark>!=|<=|>=|[=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


class Token(NamedTuple):
    """A piece of the query; `at` is its offset in the text."""

    kind: str
    text: str
    at: int


def pointed(text: str, at: int, message: str) -> str:
    """A message with the query's neighbourhood and a caret under the place, as the vendor prints it."""
    begin = 0 if at < 60 else text.rfind(" ", 0, at - 30) + 1 or at - 30
    excerpt = text[begin : max(at + 30, 60 + begin)].replace("\n", " ")
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return f"\n{excerpt}\n{' ' * (at - begin)}^\nERROR at Row:{line}:Column:{column}\n{message}"


def malformed(text: str, at: int, message: str) -> ApiError:
    """The refusal of a query that is not in the grammar."""
    return ApiError("MALFORMED_QUERY", pointed(text, at, message))


def tokens(text: str) -> list[Token]:
    """The query in pieces, ended by one of kind `end`."""
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise malformed(text, at, f"unexpected token: '{text[at]}'")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], at))
        at = match.end()
    return [*found, Token("end", "<EOF>", len(text))]


def unquoted(literal: str, *, keep: str = "") -> str | None:
    """The content of a quoted string, escapes resolved but those in `keep`; None for an unknown escape."""
    parts = re.split(r"\\(.)", literal[1:-1], flags=re.DOTALL)
    for i in range(1, len(parts), 2):
        if parts[i] in keep:
            parts[i] = "\\" + parts[i]
        elif parts[i] in _ESCAPES:
            parts[i] = _ESCAPES[parts[i]] if not (keep and parts[i] == "\\") else "\\\\"
        else:
            return None
    return "".join(parts)
