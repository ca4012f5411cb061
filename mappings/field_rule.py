"""What ties one contact field to one CRM field: direction, policies and transforms, as one connection's mappings say. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contacts.values import DoesNotFit, FieldSpec, Value
from mappings.transforms import AS_IT_IS, Transform

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


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One contact field and one CRM field that a connection's mappings tie together.

    `external` describes the CRM field; its options are given only where the CRM accepts nothing else. `transform_in` is for
    CRM values on their way to the contact, `transform_out` for the way back.
    """

    contact: FieldSpec
    external: FieldSpec
    direction: Direction
    conflict: Conflict = Conflict.CRM_WINS
    blank_in: Blank = Blank.IGNORE
    blank_out: Blank = Blank.IGNORE
    transform_in: Transform = AS_IT_IS
    transform_out: Transform = AS_IT_IS

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

    def inward(self, remote: Value) -> Value:
        """What the contact would hold of a CRM value. Raises DoesNotFit."""
        return self.transform_in.apply(remote, self.contact)

    def outward(self, local: Value) -> Value:
        """What the CRM would hold of a contact value. Raises DoesNotFit."""
        return self.transform_out.apply(local, self.external)

    def default_in(self, before: Value) -> Value:
        """What a blank contact gets when the CRM's blank is ignored, or None. `before`: the CRM's value when last settled."""
        ignored = self.pulls and self.contact.name != OPT_OUT and not passes(self.blank_in, before)
        return _fitting(self.transform_in, self.contact) if ignored else None

    def default_out(self, before: Value) -> Value:
        """What a blank CRM field gets when our blank is ignored, or None. `before`: our value when last settled."""
        ignored = self.pushes and self.contact.name != OPT_OUT and not passes(self.blank_out, before)
        return _fitting(self.transform_out, self.external) if ignored else None


def passes(policy: Blank, before: Value) -> bool:
    """Whether a blank is carried over; `before`: what the giving side held when the field was last settled."""
    return policy is Blank.CLEAR or (policy is Blank.CLEAR_IF_EMPTIED and before is not None)


def _fitting(transform: Transform, target: FieldSpec) -> Value:
    """The default, unless the target has changed so that it does not fit any more."""
    try:
        return transform.default_for(target)
    except DoesNotFit:
        return None
