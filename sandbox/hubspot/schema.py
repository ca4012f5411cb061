"""Property definitions of each object type, and the answers of the properties API about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.hubspot.stamps import iso

BORN = 1_704_067_200_000  # 2024-01-01: when HubSpot's own definitions were installed in the portal


@dataclass(slots=True)
class Option:
    """One choice of an enumeration; writes carry the value, people see the label."""

    value: str
    label: str
    order: int = 0
    hidden: bool = False

    def document(self) -> dict[str, Any]:
        """As the properties API shows it."""
        return {"label": self.label, "value": self.value, "displayOrder": self.order, "hidden": self.hidden}


@dataclass(slots=True)
class Property:
    """One property of an object type."""

    name: str
    label: str
    type: str = "string"
    field_type: str = "text"
    group: str = "contactinformation"
    description: str = ""
    options: list[Option] = field(default_factory=list)
    read_only: bool = False
    calculated: bool = False
    hidden: bool = False
    unique: bool = False
    external: str | None = None
    own: bool = False
    formula: str | None = None
    order: int = -1
    form_field: bool = False
    created: int = BORN
    updated: int = BORN
    archived: int | None = None

    def document(self) -> dict[str, Any]:
        """As the properties API shows it; `hubspotDefined` stands only on HubSpot's own."""
        body: dict[str, Any] = {
            "updatedAt": iso(self.updated),
            "createdAt": iso(self.created),
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [option.document() for option in self.options],
            "displayOrder": self.order,
            "calculated": self.calculated,
            "externalOptions": self.external is not None,
            "archived": self.archived is not None,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "modificationMetadata": self._metadata(),
            "formField": self.form_field,
            "dataSensitivity": "non_sensitive",
        }
        optional = {
            "referencedObjectType": self.external,
            "hubspotDefined": None if self.own else True,
            "calculationFormula": self.formula,
            "archivedAt": None if self.archived is None else iso(self.archived),
        }
        return body | {key: value for key, value in optional.items() if value is not None}

    def _metadata(self) -> dict[str, bool]:
        metadata = {
            "archivable": self.own,
            "readOnlyDefinition": not self.own,
            "readOnlyValue": self.read_only or self.calculated,
        }
        return metadata | ({"readOnlyOptions": not self.own} if self.type == "enumeration" else {})


_GROUP_LABELS = {"contactinformation": "Contact information", "engagement": "Engagement information"}


@dataclass(slots=True)
class Group:
    """Properties that people see together."""

    name: str
    label: str
    order: int = -1

    def document(self) -> dict[str, Any]:
        """As the properties API shows it."""
        return {"name": self.name, "label": self.label, "displayOrder": self.order, "archived": False}


class Schema:
    """The properties of one object type by name, archived ones apart; and the groups they stand in."""

    def __init__(self, properties: Iterable[Property]) -> None:
        self.live: dict[str, Property] = {one.name: one for one in properties}
        names = dict.fromkeys(one.group for one in self.live.values())
        self.groups = {name: Group(name, _label(name), place) for place, name in enumerate(names)}
        self.archived: dict[str, Property] = {}
        self._withheld: dict[str, Property] = {}
        self._fixed: list[Property] = []
        self._restricted: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def restrict(self, hidden: Iterable[str], fixed: Iterable[str]) -> None:
        """Take properties away and make others read-only for as long as they are named; records keep their values."""
        asked = (tuple(hidden), tuple(fixed))
        if asked == self._restricted:
            return
        self._restricted = asked
        self.live |= self._withheld
        self._withheld = {name: self.live.pop(name) for name in asked[0] if name in self.live}
        for one in self._fixed:
            one.read_only = False
        named = (self.live.get(name) or self._withheld.get(name) for name in asked[1])
        self._fixed = [one for one in named if one is not None and not one.read_only]
        for one in self._fixed:
            one.read_only = True

    def __contains__(self, name: object) -> bool:
        return name in self.live

    def get(self, name: str) -> Property | None:
        """A live property, or None."""
        return self.live.get(name)

    def unique(self) -> list[str]:
        """Properties whose value only one record may hold (`hs_object_id` apart)."""
        return [one.name for one in self.live.values() if one.unique and not one.read_only]

    def add(self, one: Property) -> None:
        """Install a definition; one of the same name that was archived is forgotten."""
        self.archived.pop(one.name, None)
        self.live[one.name] = one

    def archive(self, name: str, stamp: int) -> None:
        """Take a property out of use."""
        one = self.live.pop(name)
        one.archived = stamp
        self.archived[name] = one


def _label(group: str) -> str:
    return _GROUP_LABELS.get(group) or group.replace("_", " ").capitalize()


def choices(pairs: str) -> list[Option]:
    """Options from "value=Label, value=Label" text, in order."""
    split = [pair.strip().split("=") for pair in pairs.split(",")]
    return [Option(pair[0], pair[-1], order) for order, pair in enumerate(split)]
