"""Three-way sync, decided purely: what each side held when a field was last settled, against what it holds now.

Each side is compared with its own half of the settled pair only, never with the other side and never by clocks. So a value
that we truncated, mapped or refused is not "changed" at the next poll, and our own write coming back is no change.

                  only remote changed   only local changed   both changed, differ        neither
    both ways     take it               push it              the policy decides          nothing
    inbound only  take it               keep it here         the policy decides          nothing
    outbound only leave it (drift)      push it              push it                     nothing

At first link there is no pair: blanks are filled from the other side, and where both hold values the better rank wins, or the
policy. `do_not_call` only tightens: true from either side wins, and only a person's own change takes it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from contacts.values import DoesNotFit, FieldSpec, Value, coerce, same

OPT_OUT = "do_not_call"


class Direction(StrEnum):
    """Which way a rule carries values."""

    BOTH = "both"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Conflict(StrEnum):
    """Who wins when both sides changed."""

    CRM_WINS = "crm_wins"
    OURS_WINS = "ours_wins"
    ASK = "ask"


class Blank(StrEnum):
    """What a blank on the giving side does."""

    IGNORE = "ignore"
    CLEAR = "clear"
    CLEAR_IF_EMPTIED = "clear_if_emptied"


_WINNER = {Conflict.CRM_WINS: "crm", Conflict.OURS_WINS: "ours", Conflict.ASK: "ask"}


class Pair(NamedTuple):
    """What each side held when the field was last settled."""

    remote: Value
    local: Value


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One contact field and one CRM field that a connection's mappings tie together.

    `external` describes the CRM field; its options are given only where the CRM accepts nothing else.
    """

    contact: FieldSpec
    external: FieldSpec
    direction: Direction
    conflict: Conflict = Conflict.CRM_WINS
    blank_in: Blank = Blank.IGNORE
    blank_out: Blank = Blank.IGNORE

    @property
    def key(self) -> str:
        """The name of the rule's settled pair."""
        return f"{self.external.name}:{self.contact.name}"

    @property
    def pulls(self) -> bool:
        """Whether CRM values may reach the contact."""
        return self.direction is not Direction.OUTBOUND

    @property
    def pushes(self) -> bool:
        """Whether contact values may reach the CRM."""
        return self.direction is not Direction.INBOUND


@dataclass(frozen=True, slots=True)
class Clash:
    """Both sides changed and differ. `winner` is "crm", "ours" or "ask"; the losing value goes into the history."""

    key: str
    contact_field: str
    external_field: str
    local: Value
    remote: Value
    winner: str


@dataclass(slots=True)
class Plan:
    """What would change and why not.

    `changes`: contact field → value. `pushes`: CRM field → value. `settle`: pairs that hold as soon as `changes` are written;
    `settle_pushed`: pairs that hold once `pushes` have succeeded, by CRM field. `skipped`: rule key → reason code.
    """

    changes: dict[str, Value] = field(default_factory=dict)
    pushes: dict[str, Value] = field(default_factory=dict)
    settle: dict[str, Pair] = field(default_factory=dict)
    settle_pushed: dict[str, tuple[str, Pair]] = field(default_factory=dict)
    conflicts: list[Clash] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    drift: list[str] = field(default_factory=list)

    @property
    def asks(self) -> bool:
        """Whether a person must decide something first."""
        return any(clash.winner == "ask" for clash in self.conflicts)


def plan(
    rules: Iterable[FieldRule],
    settled: Mapping[str, Pair],
    local: Mapping[str, Value],
    remote: Mapping[str, Value],
    *,
    outranked: frozenset[str] = frozenset(),
) -> Plan:
    """What to do for one linked record.

    `settled` by rule key; `local` canonical contact values (absent = blank); `remote` canonical CRM values as read (absent =
    hidden from us, which is not blank). `outranked`: contact fields whose value came from a connection of better rank.
    """
    result = Plan()
    for rule in rules:
        if rule.external.name not in remote:
            result.skipped[rule.key] = "hidden"
            continue
        # A rule that takes a value in goes before the rules that carry it on: see mappings.compile.
        ours = result.changes.get(rule.contact.name, local.get(rule.contact.name))
        cell = _Cell(rule, settled.get(rule.key), ours, remote[rule.external.name], result)
        if rule.contact.name == OPT_OUT:
            cell.tighten()
        elif cell.pair is None:
            cell.link(outranked=rule.contact.name in outranked)
        else:
            cell.step()
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
        ours = local.get(rule.contact.name)
        try:
            outgoing = coerce(ours, rule.external) if rule.pushes else None
        except DoesNotFit:
            outgoing = None
        if outgoing is not None and not (rule.contact.name == OPT_OUT and not outgoing):
            values[rule.external.name] = outgoing
            pairs[rule.key] = Pair(outgoing, ours)
    return values, pairs


def pack(pairs: Mapping[str, Pair]) -> dict[str, Value | list[Value]]:
    """Settled pairs for storage: one value where both halves are the same, [remote, local] otherwise."""
    return {key: pair.local if same(*pair) else [pair.remote, pair.local] for key, pair in pairs.items()}


def unpack(stored: Mapping[str, Value | list[Value]]) -> dict[str, Pair]:
    """The reverse of `pack`."""
    return {
        key: Pair(*value) if isinstance(value, list) else Pair(value, value) for key, value in stored.items()
    }


class _Skip(Exception):
    """The value is not carried over; the reason is "" for a blank that policy ignores."""


class _Cell:
    """One rule on one record: decides, and writes its decision into the plan."""

    __slots__ = ("local", "pair", "plan", "remote", "rule")

    def __init__(self, rule: FieldRule, pair: Pair | None, local: Value, remote: Value, result: Plan) -> None:
        self.rule, self.pair, self.local, self.remote, self.plan = rule, pair, local, remote, result

    # The states of the table.

    def step(self) -> None:
        """A field that has been settled before."""
        assert self.pair is not None  # noqa: S101 - the caller's branch, said for the type checker
        remote_moved = not same(self.remote, self.pair.remote)
        local_moved = not same(self.local, self.pair.local)
        if remote_moved and local_moved and self.rule.pulls:
            self._clash()
        elif remote_moved and self.rule.pulls:
            self._take()
        elif local_moved and self.rule.pushes:
            self._push()
        elif remote_moved:
            self.plan.drift.append(self.rule.key)

    def link(self, *, outranked: bool) -> None:
        """A field without a pair: the record has just been linked, or the mapping is new."""
        if self.local is None and self.remote is None:
            self._settle(self.remote, self.local)
        elif not self.rule.pulls:
            self._push() if self.local is not None else self._settle(self.remote, self.local)
        elif self.remote is None:
            self._keep_ours()
        elif self.local is None:
            self._take()
        elif outranked:
            self._equal_or(self._keep_ours)
        else:
            self._clash(first=True)

    def tighten(self) -> None:
        """`do_not_call`: true wins; only a local change from true to false, a person's, is carried out as false."""
        ours = self.local is True
        try:
            theirs = self._incoming() is True
        except _Skip as skip:
            theirs = False
            self._note(skip)
        cleared_here = self.pair is not None and self.pair.local is True and not ours
        if theirs == ours:
            self._settle(self.remote, ours)
        elif theirs and cleared_here and self.pair is not None and same(self.pair.remote, self.remote):
            self._push() if self.rule.pushes else None
        elif theirs and self.rule.pulls:
            self._change(True)
        elif ours and self.rule.pushes and self.pair != Pair(self.remote, ours):
            self._push()
        else:
            self._settle(self.remote, ours)

    # The moves.

    def _take(self) -> None:
        try:
            incoming = self._incoming()
        except _Skip as skip:
            self._note(skip)
            self._settle(self.remote, self.local)
        else:
            self._change(incoming)

    def _push(self) -> None:
        try:
            outgoing = self._outgoing()
        except _Skip as skip:
            self._note(skip)
            self._settle(self.remote, self.local)
            return
        if same(outgoing, self.remote):
            self._settle(self.remote, self.local)
        else:
            self.plan.pushes[self.rule.external.name] = outgoing
            self.plan.settle_pushed[self.rule.external.name] = (self.rule.key, Pair(outgoing, self.local))

    def _keep_ours(self) -> None:
        self._push() if self.rule.pushes else self._settle(self.remote, self.local)

    def _equal_or(self, otherwise: object) -> None:
        try:
            equal = same(coerce(self.remote, self.rule.contact), self.local)
        except DoesNotFit:
            equal = False
        if equal:
            self._settle(self.remote, self.local)
        elif callable(otherwise):
            otherwise()

    def _clash(self, *, first: bool = False) -> None:
        """Both sides changed. Values that mean the same are no conflict, and a blank that policy ignores never wins."""
        try:
            incoming = self._incoming()
        except _Skip as skip:
            self._note(skip)
            if not str(skip):
                self._keep_ours()
            else:
                self._cannot_come_in()
            return
        if same(incoming, self.local):
            self._settle(self.remote, self.local)
            return
        winner = _WINNER[self.rule.conflict]
        if not first or winner == "ask":
            self._conflict(winner)
        if winner == "crm":
            self._change(incoming)
        elif winner == "ours":
            self._keep_ours()

    def _cannot_come_in(self) -> None:
        """The CRM's value does not fit here: it cannot win, but neither is it overwritten unless the policy says so."""
        if self.rule.conflict is Conflict.CRM_WINS:
            self._settle(self.remote, self.local)
        elif self.rule.conflict is Conflict.OURS_WINS:
            self._keep_ours()
        else:
            self._conflict("ask")

    def _conflict(self, winner: str) -> None:
        rule = self.rule
        self.plan.conflicts.append(
            Clash(rule.key, rule.contact.name, rule.external.name, self.local, self.remote, winner)
        )

    def _change(self, value: Value) -> None:
        if not same(value, self.local):
            self.plan.changes[self.rule.contact.name] = value
        self._settle(self.remote, value)

    def _settle(self, remote: Value, local: Value) -> None:
        pair = Pair(remote, local)
        if self.pair is None or not (same(self.pair.remote, remote) and same(self.pair.local, local)):
            self.plan.settle[self.rule.key] = pair

    def _note(self, skip: _Skip) -> None:
        if str(skip):
            self.plan.skipped[self.rule.key] = str(skip)

    # Values as the other side would hold them.

    def _incoming(self) -> Value:
        if self.remote is None:
            self._check_blank(self.rule.blank_in, self.pair.remote if self.pair else None)
        try:
            return coerce(self.remote, self.rule.contact)
        except DoesNotFit as error:
            raise _Skip(error.reason) from error

    def _outgoing(self) -> Value:
        if self.local is None:
            self._check_blank(self.rule.blank_out, self.pair.local if self.pair else None)
        try:
            return coerce(self.local, self.rule.external)
        except DoesNotFit as error:
            raise _Skip(error.reason) from error

    @staticmethod
    def _check_blank(policy: Blank, before: Value) -> None:
        if policy is Blank.IGNORE or (policy is Blank.CLEAR_IF_EMPTIED and before is None):
            raise _Skip("")
