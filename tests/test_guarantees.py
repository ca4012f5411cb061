"""Every guarantee names tests that exist, and every failure mode has its guarantee."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
ROWS = {*range(1, 12), *range(13, 41), 42, *range(44, 48)}
pytestmark = pytest.mark.once


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_a_guarantee_names_exists(path: str, name: str) -> None:
    tree = ast.parse((TESTS / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_failure_mode_is_guaranteed() -> None:
    numbered = {
        int(number)
        for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)
        for number in row.split(",")
    }
    assert numbered == ROWS


def test_every_failure_mode_is_named_by_a_test() -> None:
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= numbers(node)
    assert found >= ROWS


def numbers(test: ast.FunctionDef) -> set[int]:
    """The failure modes that a test names in its docstring ("Row 26", "Failure modes 7 and 9") or its name (test_26_…)."""
    words = re.findall(
        r"(?:[Rr]ows?|[Ff]ailure modes?) ((?:\d+(?:, | and )?)+)", ast.get_docstring(test) or ""
    )
    named = re.findall(r"^test_(\d+)_", test.name)
    return {int(number) for text in [*words, *named] for number in re.findall(r"\d+", text)}
