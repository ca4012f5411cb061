"""What a control request may hold, and how one is refused."""

from __future__ import annotations

from typing import Any

from sandbox.wire import Request


class Wrong(Exception):
    """A control request that cannot be carried out: `status` and a sentence that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def object_of(request: Request, known: set[str] | None = None) -> dict[str, Any]:
    """The JSON object of a body; with `known`, no other keys."""
    document = request.json()
    if not isinstance(document, dict):
        raise Wrong(400, "The body must be a JSON object.")
    if known is not None and (unknown := set(document) - known):
        raise Wrong(400, f"Unknown key {min(unknown)!r}. Known: {', '.join(sorted(known))}.")
    return document


def whole(text: str | None, name: str) -> int | None:
    """A whole number of a query string, None where there is none."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Wrong(400, f"'{name}' must be a whole number.")
    return int(text)
