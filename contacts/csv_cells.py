"""Cells of CSV files that spreadsheets open: no cell may be taken for a formula, and none changes on its way out and in. Pure."""

from __future__ import annotations

import re

# What spreadsheets take for the beginning of a formula, the full-width signs of Asian keyboards among them.
_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
_PLAIN_NUMBER = re.compile(r"[+-]\d+(\.\d+)?")


def defused(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would calculate it; numbers keep their sign.

    Source of the rule: OWASP, CSV injection.
    """
    return f"'{text}" if _risky(text) else text


def plain(cell: str) -> str:
    """What `defused` was given: its apostrophe goes, any other stays."""
    return cell[1:] if cell.startswith("'") and _risky(cell[1:]) else cell


def _risky(text: str) -> bool:
    """Apostrophes count as blanks here, so that a text which already has one before its formula gets another."""
    return text.lstrip("' ")[:1] in _STARTS and bool(text) and not _PLAIN_NUMBER.fullmatch(text)
