"""Which records are associated, and the association types that HubSpot defines between these objects."""

from __future__ import annotations

from sandbox.hubspot.errors import Refusal, invalid

TYPES: dict[tuple[str, str], int] = {
    ("calls", "contacts"): 194,
    ("contacts", "calls"): 193,
    ("communications", "contacts"): 81,
    ("contacts", "communications"): 82,
    ("notes", "contacts"): 202,
    ("contacts", "notes"): 201,
    ("tasks", "contacts"): 204,
    ("contacts", "tasks"): 203,
    ("contacts", "contacts"): 449,
}
PAIRS = {number: pair for pair, number in TYPES.items()}
TYPE_IDS = {"contacts": "0-1", "calls": "0-48", "communications": "0-18", "notes": "0-46", "tasks": "0-27"}
CATEGORIES = ("HUBSPOT_DEFINED", "INTEGRATOR_DEFINED", "USER_DEFINED", "WORK")


def type_name(kind: str, to: str) -> str:
    """The association's name in object answers, e.g. call_to_contact."""
    return f"{kind.removesuffix('s')}_to_{to.removesuffix('s')}"


def default_type(kind: str, to: str) -> int:
    """The unlabelled association type between two object types; 400 when there is none."""
    number = TYPES.get((kind, to))
    if number is None:
        raise invalid(f"No default association type exists between {kind} and {to}")
    return number


def target(kind: str, category: str, number: int) -> str:
    """The object type that association type `number` leads to from `kind`, or HubSpot's refusal."""
    if category not in CATEGORIES:
        raise invalid(f"Invalid association category: {category}")
    pair = PAIRS.get(number)
    if category != "HUBSPOT_DEFINED" or pair is None:
        raise invalid(f"Association type {category} {number} does not exist")
    if pair[0] != kind:
        message = "invalid from object type {} for associations to be created. expected: {}"
        raise invalid(message.format(TYPE_IDS[kind], TYPE_IDS[pair[0]]))
    return pair[1]


def unknown_target(to: str, identifier: str) -> Refusal:
    """A create that names a record which is not there."""
    context = {"INVALID_OBJECT_IDS": [identifier], "objectType": [to.removesuffix("s").upper()]}
    return invalid("One or more associations are invalid", context=context)


class Links:
    """Associations, kept in both directions and in the order they were made."""

    def __init__(self) -> None:
        self._to: dict[tuple[str, int], dict[str, dict[int, None]]] = {}

    def add(self, kind: str, one: int, to: str, other: int) -> bool:
        """Associate two records; says whether they were not associated before."""
        known = self._to.setdefault((kind, one), {}).setdefault(to, {})
        fresh = other not in known
        known[other] = None
        self._to.setdefault((to, other), {}).setdefault(kind, {})[one] = None
        return fresh

    def remove(self, kind: str, one: int, to: str, other: int) -> None:
        """Dissolve an association; unknown ones are fine."""
        self._to.get((kind, one), {}).get(to, {}).pop(other, None)
        self._to.get((to, other), {}).get(kind, {}).pop(one, None)

    def of(self, kind: str, one: int, to: str) -> list[int]:
        """Ids of the associated records of one type."""
        return list(self._to.get((kind, one), {}).get(to, {}))

    def move(self, kind: str, old: int, new: int) -> None:
        """Let a merged record's associations belong to the outcome."""
        for to, others in self._to.pop((kind, old), {}).items():
            for other in others:
                self._to.get((to, other), {}).get(kind, {}).pop(old, None)
                self.add(kind, new, to, other)

    def drop(self, kind: str, one: int) -> None:
        """Dissolve every association of a record."""
        for to, others in self._to.pop((kind, one), {}).items():
            for other in others:
                self._to.get((to, other), {}).get(kind, {}).pop(one, None)
