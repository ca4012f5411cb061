"""Switches the faults of the catalogue on and off in a world, and tells which are on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.fault_catalogue import CATALOGUE, SCOPES, Fault, Parameter
from sandbox.faults import BadRule, Rule
from sandbox.world import World

MOST = 1_000_000


class Switchboard:
    """The catalogue applied to one world. Everything that cannot work is refused with BadRule and a sentence."""

    def __init__(self, world: World) -> None:
        self._world = world

    def listing(self) -> list[dict[str, Any]]:
        """Every fault with its parameters and whether it is `on`; `left`: how often a rule is still to be applied."""
        rules = self._world.faults.rules()
        return [self._state(fault, rules) for fault in CATALOGUE]

    def state(self, fault: Fault) -> dict[str, Any]:
        """One entry of the listing."""
        return self._state(fault, self._world.faults.rules())

    def switch_on(self, fault: Fault, given: Mapping[str, Any]) -> dict[str, Any]:
        """Switch on, or on again with other parameters; an act is carried out. Returns its state."""
        with self._world.locked(fault.system) as crm:
            values = read(fault, given, crm)
            if fault.act:
                _carry_out(crm, fault, values)
            elif fault.clock:
                self._world.clocks[fault.system].offset = values["seconds"]
            elif fault.settings is not None:
                crm.settings.update({name: _filled(value, values) for name, value in fault.settings.items()})
        if fault.rule is not None:
            self.switch_off(fault)
            self._world.faults.add(_rule(fault, values))
        return self.state(fault)

    def switch_off(self, fault: Fault) -> dict[str, Any]:
        """Put right what the fault made wrong; one that is off stays off. Returns its state."""
        if fault.act:
            raise BadRule(f"“{fault.title}” happens once; there is nothing to switch off.")
        for rule in self._world.faults.rules():
            if (rule["system"], rule["name"]) == (fault.system, fault.name):
                self._world.faults.remove(rule["id"])
        with self._world.locked(fault.system) as crm:
            if fault.clock:
                self._world.clocks[fault.system].offset = 0.0
            for name in fault.settings or ():
                crm.settings[name] = self._world.default(fault.system, name)
        return self.state(fault)

    def all_off(self) -> int:
        """Switch everything off and remove every rule; returns how many were in force."""
        on = [fault for fault in CATALOGUE if not fault.rule and self.state(fault)["on"]]
        for fault in on:
            self.switch_off(fault)
        return len(on) + self._world.faults.remove()

    def _state(self, fault: Fault, rules: list[dict[str, Any]]) -> dict[str, Any]:
        left, on = None, False
        if fault.clock:
            on = self._world.clocks[fault.system].offset != 0.0
        elif fault.settings is not None:
            with self._world.locked(fault.system) as crm:
                names = list(fault.settings)
                on = any(crm.settings[name] != self._world.default(fault.system, name) for name in names)
        for rule in rules:
            if (rule["system"], rule["name"]) == (fault.system, fault.name):
                on, left = True, rule["times"]
        return {
            "system": fault.system,
            "name": fault.name,
            "title": fault.title,
            "about": fault.about,
            "once": bool(fault.act),
            "on": on,
            "left": left,
            "parameters": [_described(fault, one) for one in fault.parameters],
        }


def read(fault: Fault, given: Mapping[str, Any], crm: Any) -> dict[str, Any]:
    """The parameters in their types, from JSON or from the texts of a form; raises BadRule."""
    known = {one.name for one in fault.parameters}
    if unknown := set(given) - known:
        words = f"Known: {', '.join(sorted(known))}." if known else "It takes no parameter."
        raise BadRule(f"“{fault.title}” knows no parameter {min(unknown)!r}. {words}")
    return {one.name: _value(fault, one, given.get(one.name, one.default), crm) for one in fault.parameters}


def _value(fault: Fault, one: Parameter, value: Any, crm: Any) -> Any:
    if value is None or value == "":
        if one.optional:
            return None
        raise BadRule(f"{one.label!r} is missing.")
    return _READERS[one.kind](fault, one, value, crm)


def _count(_fault: Fault, one: Parameter, value: Any, _crm: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    least = 0 if one.default == 0 else 1
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise BadRule(f"{one.label!r} must be a whole number from {least} to {MOST}.")
    return value


def _seconds(_fault: Fault, one: Parameter, value: Any, _crm: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    least = -one.most if one.most > 3600 else 0
    if not least <= number <= one.most:
        raise BadRule(f"{one.label!r} must be a number from {least:g} to {one.most:g}.")
    return number


def _choice(fault: Fault, one: Parameter, value: Any, _crm: Any) -> str:
    allowed = _choices(fault, one)
    if value not in allowed:
        raise BadRule(f"{one.label!r} must be one of {', '.join(allowed)}.")
    return str(value)


def _text(_fault: Fault, one: Parameter, value: Any, _crm: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadRule(f"{one.label!r} must be a text.")
    return value.strip()


def _pattern(fault: Fault, one: Parameter, value: Any, crm: Any) -> str:
    text = _text(fault, one, value, crm)
    try:
        re.compile(text)
    except re.error as error:
        raise BadRule(f"{one.label!r} is not a regular expression: {error}.") from error
    return text


def _field(fault: Fault, one: Parameter, value: Any, crm: Any) -> str:
    name = _text(fault, one, value, crm)
    if not crm.knows_field(name):
        raise BadRule(f"{fault.system} has no field {name!r}.")
    return name


def _fields(fault: Fault, one: Parameter, value: Any, crm: Any) -> list[str]:
    return [_field(fault, one, name, crm) for name in _listed(one, value)]


def _id(_fault: Fault, one: Parameter, value: Any, crm: Any) -> str:
    found = crm.contact(value) if isinstance(value, str) else None
    if found is None or found["deleted"]:
        raise BadRule(f"{one.label!r}: there is no contact {value!r}.")
    return str(value)


def _ids(fault: Fault, one: Parameter, value: Any, crm: Any) -> list[str]:
    return [_id(fault, one, each, crm) for each in _listed(one, value)]


def _flag(_fault: Fault, one: Parameter, value: Any, _crm: Any) -> bool:
    if value not in (True, False, "true", "false"):
        raise BadRule(f"{one.label!r} must be true or false.")
    return value in (True, "true")


_READERS: dict[str, Callable[[Fault, Parameter, Any, Any], Any]] = {
    "count": _count, "seconds": _seconds, "choice": _choice, "scope": _choice, "text": _text, "pattern": _pattern,
    "field": _field, "fields": _fields, "id": _id, "ids": _ids, "flag": _flag,
}  # fmt: skip


def _listed(one: Parameter, value: Any) -> list[Any]:
    """A JSON list, or words of a form with commas between them."""
    found = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(found, list) or not found:
        raise BadRule(f"{one.label!r} must be a list with something in it.")
    return found


def _choices(fault: Fault, one: Parameter) -> tuple[str, ...]:
    return tuple(SCOPES[fault.system]) if one.kind == "scope" else one.choices


def _described(fault: Fault, one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "label": one.label,
        "default": one.default,
        "optional": one.optional,
        "choices": list(_choices(fault, one)),
    }


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    """A setting's value with the parameters in it; a count that was left empty means all, which is -1."""
    if isinstance(value, dict):
        return {_filled(key, values): _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if isinstance(value, str) and value.startswith("{"):
        name = value.strip("{}")
        found = values[name]
        if name == "scopes":
            return [scope.strip() for scope in found.split(",") if scope.strip()]
        return -1 if found is None else found
    return value


def _rule(fault: Fault, values: Mapping[str, Any]) -> Rule:
    parts: dict[str, Any] = {**(fault.rule or {}), **SCOPES[fault.system][values["scope"]]}
    parts |= {name: values[name] for name in ("times", "skip", "seconds") if name in values}
    return Rule(system=fault.system, name=fault.name, **parts)


def _carry_out(crm: Any, fault: Fault, values: Mapping[str, Any]) -> None:
    given = dict(values)
    if "ids" in given and given["ids"] is None:
        given["ids"] = [one["id"] for one in crm.contacts() if not one["deleted"]]
    try:
        getattr(crm, fault.act)(*given.values())
    except (KeyError, ValueError) as error:
        raise BadRule(f"The CRM does not do that: {error.args[0] if error.args else error}") from error
