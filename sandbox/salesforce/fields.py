"""One field of an object: what may be done with it, and how describe shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

FLAGS = {
    "A": "aggregatable",
    "C": "createable",
    "D": "defaultedOnCreate",
    "F": "filterable",
    "G": "groupable",
    "L": "idLookup",
    "N": "nillable",
    "P": "permissionable",
    "R": "restrictedPicklist",
    "S": "sortable",
    "U": "updateable",
    "X": "externalId",
    "u": "unique",
    "n": "nameField",
    "p": "namePointing",
    "y": "polymorphicForeignKey",
    "s": "searchPrefilterable",
    "q": "queryByDistance",
    "=": "calculated",
    "x": "custom",
}
NEVER = (
    "aiPredictionField",
    "autoNumber",
    "cascadeDelete",
    "caseSensitive",
    "dependentPicklist",
    "deprecatedAndHidden",
    "displayLocationInDecimal",
    "encrypted",
    "formulaTreatNullNumberAsZero",
    "highScaleNumber",
    "htmlFormatted",
    "restrictedDelete",
    "writeRequiresMasterRead",
)
EMPTY = (
    "calculatedFormula",
    "controllerName",
    "defaultValueFormula",
    "filteredLookupInfo",
    "inlineHelpText",
    "mask",
    "maskType",
    "referenceTargetField",
    "relationshipOrder",
)
SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}
TEXTS = frozenset({"string", "textarea", "phone", "email", "url", "picklist", "multipicklist", "combobox"})
NUMBERS = frozenset({"double", "currency", "percent", "int"})


@dataclass(frozen=True)
class Field:
    """Flags are letters (see FLAGS); sizes in characters, precision and digits in decimal digits."""

    name: str
    label: str
    type: str
    flags: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    compound: str | None = None
    extra: str | None = None
    values: tuple[str, ...] = ()
    inactive: tuple[str, ...] = ()
    default: str | bool | None = None
    formula: str | None = None

    def may(self, flag: str) -> bool:
        """Whether the field carries a flag letter."""
        return flag in self.flags

    @property
    def long_text(self) -> bool:
        """Long text areas cannot be filtered, and two of them shrink a page of results."""
        return self.type == "textarea" and self.length > 255

    @property
    def required(self) -> bool:
        """Whether creating a record without a value is refused."""
        return self.may("C") and not (self.may("N") or self.may("D") or self.type == "boolean")

    def read_only(self) -> Field:
        """The same field for a caller who may read it only."""
        return replace(self, flags=self.flags.replace("C", "").replace("U", ""))

    @cached_property
    def described(self) -> dict[str, Any]:
        """The field's entry in a describe answer."""
        entry: dict[str, Any] = {key: self.may(letter) for letter, key in FLAGS.items()}
        entry |= dict.fromkeys(NEVER, False) | dict.fromkeys(EMPTY)
        entry |= {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "length": self.length,
            "byteLength": self.length if self.type in ("id", "reference") else self.length * 3,
            "precision": self.precision,
            "scale": self.scale,
            "digits": self.digits,
            "soapType": SOAP.get(self.type, "xsd:string"),
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship,
            "compoundFieldName": self.compound,
            "extraTypeInfo": self.extra,
            "defaultValue": False if self.type == "boolean" else self.default,
            "calculatedFormula": self.formula,
            "picklistValues": [
                *(self._choice(value) for value in self.values),
                *(self._choice(value, active=False) for value in self.inactive),
            ],
        }
        return dict(sorted(entry.items()))

    def _choice(self, value: str, *, active: bool = True) -> dict[str, Any]:
        return {
            "active": active,
            "defaultValue": value == self.default,
            "label": value,
            "validFor": None,
            "value": value,
        }


def read_table(table: str) -> dict[str, Field]:
    """Fields from lines of `Name | Label | type size | flags | options`, by lower-case name, in order."""
    fields = (_read_line(line) for line in table.strip().splitlines())
    return {field.name.lower(): field for field in fields}


def _read_line(line: str) -> Field:
    name, label, kind, flags, *options = (part.strip() for part in line.split("|"))
    type_, _, size = kind.partition(" ")
    options_read = dict(option.split("=", 1) for option in options)
    return Field(
        name,
        label,
        type_,
        flags,
        reference_to=tuple(options_read.get("to", "").split()),
        relationship=options_read.get("as"),
        compound=options_read.get("in"),
        extra=options_read.get("extra"),
        values=tuple(value for value in options_read.get("values", "").split("; ") if value),
        inactive=tuple(value for value in options_read.get("inactive", "").split("; ") if value),
        default=options_read.get("default"),
        formula=options_read.get("formula"),
        **_sizes(type_, size),
    )


def _sizes(type_: str, size: str) -> dict[str, int]:
    if type_ in ("id", "reference"):
        return {"length": 18}
    if type_ == "int":
        return {"digits": int(size)}
    if type_ in NUMBERS:
        precision, scale = size.split(",")
        return {"precision": int(precision), "scale": int(scale)}
    return {"length": int(size or 0)}
