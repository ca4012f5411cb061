"""Three-way sync, decided purely: what each side held when a field was last settled, against what it holds now.

Each side is compared with its own half of the settled pair only, never with the other side and never by clocks. So a value
that we truncated, mapped or refused is not "changed" at the next poll, and our own write coming back is no change.

                  only remote changed   only local changed   both changed, differ        neither
    both ways     take it               push it              the policy decides          nothing
    inbound only  take it               keep it here         the policy decides          nothing
    outbound only leave it (drift)      push it              push it                     nothing

At first link there is no pair: blanks are filled from the other side, and where both hold values the better rank wins, or the
policy. `do_not_call` only tightens: true from either side wins, and only a person's own change takes it back.

A mapping's transform (mappings.transforms) rewrites what one side gives before the other takes it. Its default is written
where a blank that the policy ignores meets a blank: never over a value, never where the policy clears.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from contacts.values import DoesNotFit, Value, is_blank, same
from mappings.cell import Cell, Clash, Plan
from mappings.field_rule import OPT_OUT, Blank, Conflict, Direction, FieldRule
from mappings.pairs import Pair, pack, unpack

__all__ = [
    "OPT_OUT",
    "Blank",
    "Clash",
    "Conflict",
    "Direction",
    "FieldRule",
    "Pair",
    "Plan",
    "creation_values",
    "locally_changed",
    "pack",
    "plan",
    "unpack",
]

# Why a value did not fit the contact field: a changed mapping, option list or limit can mend it.
_UNFIT = frozenset(
    {"unknown_option", "too_long", "wrong_type", "out_of_range"}
    | {"not_a_number", "not_a_boolean", "not_a_date", "not_a_datetime"}
)


def plan(
    rules: Iterable[FieldRule],
    settled: Mapping[str, Pair],
    local: Mapping[str, Value],
    remote: Mapping[str, Value],
    *,
    outranked: frozenset[str] = frozenset(),
    skipped: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """What to do for one linked record.

    `settled` by rule key; `local` canonical contact values (absent = blank); `remote` canonical CRM values as read (absent =
    hidden from us, which is not blank). `outranked`: contact fields whose value came from a connection of better rank.
    `skipped`: the reasons of earlier plans by rule key; a value that did not fit into a blank field is tried again.
    """
    result = Plan()
    for rule in rules:
        if rule.external.name not in remote:
            result.skipped[rule.key] = "hidden"
            continue
        # A rule that takes a value in goes before the rules that carry it on: see mappings.compile.
        ours = result.changes.get(rule.contact.name, local.get(rule.contact.name))
        theirs = remote[rule.external.name]
        cell = Cell(rule, settled.get(rule.key), _value(ours), _value(theirs), result)
        if rule.contact.name == OPT_OUT:
            cell.tighten()
        elif cell.pair is None:
            cell.link(outranked=rule.contact.name in outranked)
        else:
            cell.step(again=skipped.get(rule.key) in _UNFIT)
    return result


def locally_changed(
    rules: Iterable[FieldRule], settled: Mapping[str, Pair], local: Mapping[str, Value]
) -> bool:
    """Whether any rule might have something to push, judged without asking the CRM."""
    return any(
        rule.pushes
        and (rule.key not in settled or not same(settled[rule.key].local, local.get(rule.contact.name)))
        for rule in rules
    )


def creation_values(
    rules: Iterable[FieldRule], local: Mapping[str, Value]
) -> tuple[dict[str, Value], dict[str, Pair]]:
    """The CRM fields of a record to create, and the pairs that hold once it exists. Values that do not fit are left out."""
    values: dict[str, Value] = {}
    pairs: dict[str, Pair] = {}
    for rule in rules:
        ours = _value(local.get(rule.contact.name))
        if not rule.pushes or (rule.contact.name == OPT_OUT and ours is not True):
            continue
        try:
            outgoing = rule.outward(ours) if ours is not None else rule.default_out(None)
        except DoesNotFit:
            continue
        if outgoing is not None:
            values[rule.external.name] = outgoing
            pairs[rule.key] = Pair(outgoing, ours)
    return values, pairs


def _value(held: Value) -> Value:
    return None if is_blank(held) else held
