"""How a mapping rewrites a value on its way: a value map, the case of letters, and a default for blanks. Pure.

White space around a value is always trimmed (see contacts.values), so there is no switch for it. A transform is applied to
what the giving side holds; the settled pair keeps what each side really holds, so a transform that cannot be turned round
(two CRM values for one of ours) is stable too: our own write coming back equals the remote half.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from contacts.values import FieldSpec, FieldType, Value, as_text, coerce

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Case(StrEnum):
    """How letters are written."""

    KEEP = ""
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Transform:
    """One direction of one mapping.

    `value_map`: pairs (value of the giving side as text, value of the receiving side as text); looked up by `folded` text.
    `case` concerns texts that are not mapped. `default` is a text that fits the receiving field, "" for none.
    """

    case: Case = Case.KEEP
    value_map: tuple[tuple[str, str], ...] = ()
    default: str = ""

    def apply(self, value: Value, target: FieldSpec) -> Value:
        """The value as the target holds it; a blank stays blank. Raises DoesNotFit (contacts.values)."""
        if value is None:
            return None
        mapped = _looked_up(self.value_map).get(folded(as_text(value))) if self.value_map else None
        if mapped is not None:
            return coerce(mapped, target)
        held = coerce(value, target)
        if self.case is Case.KEEP or target.type is not FieldType.STRING or not isinstance(held, str):
            return held
        return coerce(in_case(held, self.case), target)  # once more: letters may have become longer

    def default_for(self, target: FieldSpec) -> Value:
        """What a blank becomes where the target is blank too; None without a default. Raises DoesNotFit."""
        return coerce(self.default, target)


AS_IT_IS = Transform()


def folded(text: str) -> str:
    """A key of a value map as it is compared: without outer white space and without case."""
    return text.strip().casefold()


def in_case(text: str, case: Case) -> str:
    """The text in the case asked for. In Title Case a word of mixed letters, like "McKay", is left as somebody wrote it."""
    if case is Case.LOWER:
        return text.lower()
    if case is Case.UPPER:
        return text.upper()
    return _WORD.sub(lambda found: _titled(found.group()), text) if case is Case.TITLE else text


def _titled(word: str) -> str:
    mixed = word != word.lower() and word != word.upper()
    return word if mixed else word[:1].title() + word[1:].lower()


@lru_cache(maxsize=1024)
def _looked_up(value_map: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {folded(given): held for given, held in value_map}
