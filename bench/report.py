"""What a run comes to: the shares of the yardstick, and plainly which goals are met and which are missed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.load import Figures

BARE, PRODUCT = "bare", "product"
MOST_P99 = 10.0  # milliseconds with two connections, on a machine that does nothing else
Runs = Mapping[str, Sequence[Figures]]


def report(
    full: Runs, calm: Runs, *, goal: float, others: float | None = None, most_p99: float = MOST_P99
) -> tuple[list[str], bool]:
    """The lines to print, and whether the goals are met.

    `full`, `calm`: every round of the yardstick and of the product with eight connections and with two. `goal`: the share of
    the yardstick's requests a second. `others`: the share of the machine that other work took, where that is known.
    `most_p99`: milliseconds with two connections.
    """
    best = {name: max(runs, key=lambda one: one.rate) for name, runs in full.items()}
    calmest = {name: min(runs, key=lambda one: one.p99) for name, runs in calm.items()}
    cheapest = {name: min(one.cpu for one in (*full[name], *calm[name])) for name in (BARE, PRODUCT)}
    share = best[PRODUCT].rate / best[BARE].rate
    lines = [f"{name:8} 8 connections, best:    {best[name]}" for name in (BARE, PRODUCT)]
    lines += [f"{name:8} 2 connections, calmest: {calmest[name]}" for name in (BARE, PRODUCT)]
    if others is not None:
        lines.append(f"other work (a database server included) took {others:.0%} of the machine")
    rounds = ", ".join(
        f"{mine.rate / theirs.rate:.0%}" for theirs, mine in zip(full[BARE], full[PRODUCT], strict=True)
    )
    lines.append(f"share of the yardstick, round by round: {rounds}")
    if cheapest[PRODUCT]:
        lines.append(f"share of the yardstick by CPU:          {cheapest[BARE] / cheapest[PRODUCT]:.0%}")
    slow = calmest[PRODUCT].p99
    goals = [
        _judged(f"share of the yardstick's requests a second: {share:.1%}, goal {goal:.0%}", share >= goal),
        _judged(
            f"p99 at 2 connections: {slow:.1f} ms (yardstick {calmest[BARE].p99:.1f} ms), goal {most_p99:.0f} ms",
            slow < most_p99,
        ),
    ]
    lines += [line for line, _ in goals]
    if slow >= most_p99 and calmest[BARE].p99 >= most_p99 / 2:
        lines.append("The yardstick's own p99 is high: the machine is busy. Repeat this when it is calm.")
    return lines, all(met for _, met in goals)


def _judged(line: str, met: bool) -> tuple[str, bool]:
    return f"{'met   ' if met else 'MISSED'}  {line}", met
