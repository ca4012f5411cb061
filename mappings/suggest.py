"""Mappings that suggest themselves: contact fields and CRM fields with like names or labels and types that fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from contacts.values import FieldSpec, FieldType
from integrations.providers.base import ExternalField
from mappings.compatibility import PHONE, inbound_problem, outbound_problem, phone_problem

# What people call the same thing; each group by its folded spellings, the most telling first.
_SAME = (
    ("phonenumber", "phone", "telephone", "mainphone", "businessphone", "workphone"),
    ("mobilephone", "mobile", "mobilephonenumber", "cell", "cellphone"),
    ("firstname", "givenname", "forename"),
    ("lastname", "surname", "familyname"),
    ("donotcall", "dnc", "calloptout", "donotphone"),
    ("email", "emailaddress", "mail"),
    ("company", "companyname", "accountname", "organization", "organisation"),
    ("jobtitle", "title", "position"),
    ("city", "mailingcity", "town"),
    ("zip", "postalcode", "postcode", "zipcode", "mailingpostalcode"),
    ("country", "mailingcountry", "countryregion"),
    ("state", "mailingstate", "stateregion", "province"),
    ("street", "mailingstreet", "streetaddress", "address"),
    ("birthday", "birthdate", "dateofbirth"),
    ("lifecyclestage", "lifecycle"),
    ("notes", "description", "note"),
)
_GROUP = {word: group[0] for group in _SAME for word in group}


class Suggested(NamedTuple):
    """One mapping to offer. `both`: the CRM field can be written, so that an outbound mapping may go with it."""

    external: str
    contact: str
    both: bool


def suggest(contact_specs: Mapping[str, FieldSpec], schema: Mapping[str, ExternalField]) -> list[Suggested]:
    """A mapping for each contact field that has a counterpart, in the contact's order; no CRM field is offered twice.

    An equal name counts more than an equal label, and either more than another word for it. The phone number comes in only:
    it is written to the CRM once, when a record is created.
    """
    found: dict[str, Suggested] = {}
    for near in _NEAR:
        for name, spec in contact_specs.items():
            free = schema.keys() - {one.external for one in found.values()} if name not in found else set()
            like = [schema[one] for one in free if _distance(spec, schema[one]) == near]
            if like:
                field = min(like, key=_order)
                both = name != PHONE and _feeds_back(spec, field, schema)
                found[name] = Suggested(field.name, name, both)
    return [found[name] for name in contact_specs if name in found]


def named_alike(words: str, specs: Mapping[str, FieldSpec]) -> str | None:
    """The contact field that a column's header names: by its name, else its label, else another word for either."""
    theirs = _folded(words)
    if not theirs:
        return None
    group = _GROUP.get(theirs)
    steps: tuple[Callable[[FieldSpec], bool], ...] = (
        lambda spec: theirs == _folded(spec.name),
        lambda spec: theirs == _folded(spec.label),
        lambda spec: (
            group is not None and group in (_GROUP.get(_folded(spec.name)), _GROUP.get(_folded(spec.label)))
        ),
    )
    return next((name for step in steps for name, spec in specs.items() if step(spec)), None)


_NEAR = (0, 1, 2, 3)
_FAR = 9


def _distance(spec: FieldSpec, field: ExternalField) -> int:
    """0 for the same name, up to `_FAR` for a stranger or a field that does not fit."""
    schema = {field.name: field}
    problem = (
        phone_problem(field.name, schema) if spec.name == PHONE else inbound_problem(spec, field.name, schema)
    )
    if problem or (spec.name == PHONE and not field.phone) or _loses(spec, field):
        return _FAR
    ours, theirs = (_folded(spec.name), _folded(spec.label)), (_folded(field.name), _folded(field.label))
    if ours[0] == theirs[0]:
        return 0
    if ours[0] == theirs[1] or (ours[1] and ours[1] in theirs):
        return 1
    groups = {_GROUP.get(word) for word in ours} & {_GROUP.get(word) for word in theirs}
    if groups - {None}:
        return 2
    return 3 if spec.name == PHONE and _GROUP.get(theirs[0]) == "mobilephone" else _FAR


def _loses(spec: FieldSpec, field: ExternalField) -> bool:
    """Types that convert, but not so that anybody would suggest it: prose into numbers, times into texts."""
    alike = {FieldType.STRING, FieldType.ENUM}
    days = {FieldType.DATE, FieldType.DATETIME}
    same_family = any({spec.type, field.type} <= family for family in (alike, days))
    return spec.type is not field.type and not same_family


def _order(field: ExternalField) -> tuple[int, str]:
    """Among equals: a writable field first, and the plainer name."""
    return (len(field.name) if field.writable else 1000, field.name)


def _feeds_back(spec: FieldSpec, field: ExternalField, schema: Mapping[str, ExternalField]) -> bool:
    return spec.type is field.type and outbound_problem(spec, field.name, schema) is None


def _folded(words: str) -> str:
    """Letters and digits alone, without the CRM's suffixes for custom fields: "Do_Not_Call__c" → "donotcall"."""
    return re.sub(r"[\W_]+", "", re.sub(r"__(c|pc)$", "", words)).casefold()
