"""Any number of inputs through a vendor's batch call: cut to size, bad rows apart, no success lost. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from integrations.providers.base import Outcome
from integrations.providers.errors import (
    AmbiguousMatch,
    OutcomeUnknown,
    ProviderError,
    RecordGone,
    Rejected,
    Transient,
)

T = TypeVar("T")
OF_ONE_ROW = (Rejected, RecordGone, AmbiguousMatch)


def in_batches(
    inputs: Sequence[T],
    size: int,
    send: Callable[[list[T]], list[Outcome]],
    *,
    key: Callable[[T], Hashable] = lambda _input: None,
) -> list[Outcome]:
    """One outcome per input, in order. `send` gets up to `size` inputs of one `key` and answers one outcome each.

    A batch refused for one poisoned row is halved until that row stands alone. An error of the whole connection is
    raised if nothing was sent before it, else it becomes the outcome of all that was not sent. After a lost answer
    the inputs of that batch are OutcomeUnknown and the rest is left for later (Transient).
    """
    outcomes: list[Outcome | None] = [None] * len(inputs)
    waiting = _cut(inputs, size, key)
    started = False
    while waiting:
        places = waiting.pop()
        try:
            answers = send([inputs[place] for place in places])
        except OF_ONE_ROW as error:
            if len(places) > 1:
                waiting += [places[len(places) // 2 :], places[: len(places) // 2]]
                continue
            answers = [Outcome(error=error)]
        except OutcomeUnknown as error:
            answers = [Outcome(error=error)] * len(places)
            _fill(outcomes, waiting, Transient("Not sent, because the answer to an earlier write was lost."))
            waiting = []
        except ProviderError as error:
            if not started:
                raise
            answers = [Outcome(error=error)] * len(places)
            _fill(outcomes, waiting, error)
            waiting = []
        started = True
        for place, answer in zip(places, answers, strict=True):
            outcomes[place] = answer
    return [outcome for outcome in outcomes if outcome is not None]


def _cut(inputs: Sequence[T], size: int, key: Callable[[T], Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(inputs):
        groups.setdefault(key(one), []).append(place)
    batches = [
        places[start : start + size] for places in groups.values() for start in range(0, len(places), size)
    ]
    return batches[::-1]


def _fill(outcomes: list[Outcome | None], batches: list[list[int]], error: ProviderError) -> None:
    for places in batches:
        for place in places:
            outcomes[place] = Outcome(error=error)
