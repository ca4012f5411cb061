"""Settled pairs, and how they are stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from contacts.values import Value, same


class Pair(NamedTuple):
    """What each side held when the field was last settled."""

    remote: Value
    local: Value


def pack(pairs: Mapping[str, Pair]) -> dict[str, Value | list[Value]]:
    """Settled pairs for storage: one value where both halves are the same, [remote, local] otherwise."""
    return {key: pair.local if same(*pair) else [pair.remote, pair.local] for key, pair in pairs.items()}


def unpack(stored: Mapping[str, Value | list[Value]]) -> dict[str, Pair]:
    """The reverse of `pack`."""
    return {
        key: Pair(*value) if isinstance(value, list) else Pair(value, value) for key, value in stored.items()
    }
