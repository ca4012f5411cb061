"""The conversation id inside a CRM's activity: always there, found again without doubt. Pure."""

from __future__ import annotations

import re


def with_marker(text: str, marker: str, limit: int) -> str:
    """`text` that holds the marker, at most `limit` characters; the text gives way, never the marker."""
    text = " ".join(text.split())
    if len(text) <= limit and holds_marker(text, marker):
        return text
    ending = f"[{marker}]"
    return f"{text[: max(0, limit - len(ending) - 1)].rstrip()} {ending}".strip()


def holds_marker(text: str | None, marker: str) -> bool:
    """Whether `text` names exactly this conversation: call_1 is not found in call_12."""
    return bool(text) and re.search(rf"(?<![\w-]){re.escape(marker)}(?![\w-])", text or "") is not None
