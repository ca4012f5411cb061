"""One rule on one record: what the table in mappings.rules says about it, written into a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contacts.values import DoesNotFit, Value, same
from mappings.field_rule import Conflict, FieldRule, passes
from mappings.pairs import Pair

_WINNER = {Conflict.CRM_WINS: "crm", Conflict.OURS_WINS: "ours", Conflict.ASK: "ask"}


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


class _Skip(Exception):
    """The value is not carried over; the reason is "" for a blank that policy ignores."""


class Cell:
    """One rule on one record: decides, and writes its decision into the plan."""

    __slots__ = ("local", "pair", "plan", "remote", "rule")

    def __init__(self, rule: FieldRule, pair: Pair | None, local: Value, remote: Value, result: Plan) -> None:
        self.rule, self.pair, self.local, self.remote, self.plan = rule, pair, local, remote, result

    # The states of the table.

    def step(self, *, again: bool) -> None:
        """A field that has been settled before. `again`: a value of the CRM did not fit then and may fit now."""
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
        elif again and self.rule.pulls and self.local is None and self.remote is not None:
            self._take()

    def link(self, *, outranked: bool) -> None:
        """A field without a pair: the record has just been linked, or the mapping is new."""
        if self.local is None and self.remote is None:
            self._both_blank()
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
            self._push_clearing()
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
            if self.local is None and not str(skip):
                self._both_blank()
                return
            self._note(skip)
            self._settle(self.remote, self.local)
        else:
            self._change(incoming)

    def _both_blank(self) -> None:
        """A blank meets a blank. The inbound default is a value like any other then, and goes on to the CRM if mapped so."""
        start = self.rule.default_in(self.pair.remote if self.pair else None)
        if start is not None:
            self.plan.changes[self.rule.contact.name] = self.local = start
        self._keep_ours()

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
            self._send(outgoing)

    def _push_clearing(self) -> None:
        """A person took the opt-out back here. Where the CRM cannot be told, the pair stays, so that it is not taken anew."""
        try:
            outgoing = self._outgoing() if self.rule.pushes else self.remote
        except _Skip as skip:
            self._note(skip)
        else:
            self._send(outgoing) if not same(outgoing, self.remote) else None

    def _send(self, outgoing: Value) -> None:
        self.plan.pushes[self.rule.external.name] = outgoing
        self.plan.settle_pushed[self.rule.external.name] = (self.rule.key, Pair(outgoing, self.local))

    def _keep_ours(self) -> None:
        self._push() if self.rule.pushes else self._settle(self.remote, self.local)

    def _equal_or(self, otherwise: Callable[[], None]) -> None:
        try:
            equal = same(self.rule.inward(self.remote), self.local)
        except DoesNotFit:
            equal = False
        self._settle(self.remote, self.local) if equal else otherwise()

    def _is_what_we_send(self) -> bool:
        """Whether the CRM holds what the contact's value becomes there: the two mean the same, whatever comes back."""
        try:
            return self.rule.pushes and same(self.rule.outward(self.local), self.remote)
        except DoesNotFit:
            return False

    def _clash(self, *, first: bool = False) -> None:
        """Both sides changed. Values that mean the same are no conflict, and a blank that policy ignores never wins."""
        if self.local is not None and self._is_what_we_send():
            self._settle(self.remote, self.local)
            return
        try:
            incoming = self._incoming()
        except _Skip as skip:
            self._note(skip)
            if str(skip):
                self._cannot_come_in()
            else:
                self._keep_ours() if self.local is not None else self._both_blank()
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
        if self.remote is None and not passes(self.rule.blank_in, self.pair.remote if self.pair else None):
            raise _Skip("")
        try:
            return self.rule.inward(self.remote)
        except DoesNotFit as error:
            raise _Skip(error.reason) from error

    def _outgoing(self) -> Value:
        before = self.pair.local if self.pair else None
        if self.local is None and not passes(self.rule.blank_out, before):
            default = self.rule.default_out(before) if self.remote is None else None
            if default is None:
                raise _Skip("")
            return default
        try:
            return self.rule.outward(self.local)
        except DoesNotFit as error:
            raise _Skip(error.reason) from error
