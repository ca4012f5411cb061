"""The part of the control API that makes things go wrong: rules of any form, and the catalogue's faults by name."""

from __future__ import annotations

from typing import Any

from sandbox.control_request import Wrong, object_of
from sandbox.fault_catalogue import Fault, fault_named
from sandbox.faults import parse_rule
from sandbox.switchboard import Switchboard
from sandbox.wire import Request, Response
from sandbox.world import SYSTEMS, World


class FaultControl:
    """Answers /_sandbox/faults… and /_sandbox/catalogue…"""

    def __init__(self, world: World) -> None:
        self.world = world
        self.switchboard = Switchboard(world)

    def list_faults(self, _request: Request) -> dict[str, Any]:
        """The fault rules in force."""
        return {"faults": self.world.faults.rules()}

    def add_fault(self, request: Request) -> Response:
        """Add a fault rule; see `faults.Rule` for its parts."""
        rule = parse_rule(object_of(request), frozenset(SYSTEMS))
        if rule.action == "vendor":
            with self.world.locked(str(rule.system)) as system:
                if system.fault_response(str(rule.kind)) is None:
                    raise Wrong(400, f"{rule.system} knows no fault {rule.kind!r}.")
        return Response.of(201, self.world.faults.add(rule).public())

    def clear_faults(self, _request: Request) -> dict[str, Any]:
        """Remove every fault rule."""
        return {"removed": self.world.faults.remove()}

    def read_fault(self, _request: Request, id: str) -> dict[str, Any]:  # noqa: A002
        """One rule in force; a used-up rule is gone."""
        for rule in self.world.faults.rules():
            if rule["id"] == int(id):
                return rule
        raise Wrong(404, f"No fault rule {id} is in force.")

    def remove_fault(self, request: Request, id: str) -> Response:  # noqa: A002
        """Remove one rule."""
        self.read_fault(request, id)
        self.world.faults.remove(int(id))
        return Response(204)

    def list_catalogue(self, _request: Request) -> dict[str, Any]:
        """Every fault by name, with its parameters and whether it is on."""
        return {"catalogue": self.switchboard.listing()}

    def all_off(self, _request: Request) -> dict[str, Any]:
        """Put everything right."""
        return {"removed": self.switchboard.all_off()}

    def read_entry(self, _request: Request, crm: str, fault: str) -> dict[str, Any]:
        """One fault of the catalogue."""
        return self.switchboard.state(_entry(crm, fault))

    def switch_on(self, request: Request, crm: str, fault: str) -> dict[str, Any]:
        """Switch a fault on with `{parameter: value}`, or carry out what happens once."""
        return self.switchboard.switch_on(_entry(crm, fault), object_of(request) if request.body else {})

    def switch_off(self, _request: Request, crm: str, fault: str) -> dict[str, Any]:
        """Put right what a fault made wrong."""
        return self.switchboard.switch_off(_entry(crm, fault))


def _entry(crm: str, name: str) -> Fault:
    found = fault_named(crm, name)
    if found is None:
        raise Wrong(404, f"The catalogue of {crm} has no fault {name!r}.")
    return found
