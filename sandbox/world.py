"""The sandbox as a whole: CRMs, LLM, clocks, faults and log, and how one request passes through them."""

from __future__ import annotations

import contextlib
import copy
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.handlers import format_date_time

from sandbox.clock import Clock
from sandbox.faults import Faults, Rule
from sandbox.hubspot import HubSpot
from sandbox.llm import LLM
from sandbox.log import RequestLog
from sandbox.salesforce import Salesforce
from sandbox.seed import Person, people
from sandbox.wire import Crm, Request, Response, System

CRMS = ("salesforce", "hubspot")
SYSTEMS = (*CRMS, "llm")
Builder = Callable[[Clock, list[Person]], Crm]
VENDORS: Mapping[str, Builder] = {"salesforce": Salesforce, "hubspot": HubSpot}


@dataclass(slots=True)
class Delivery:
    """What goes back over the wire: a response, half of one, or (None) a closed connection."""

    response: Response | None
    truncated: bool = False


class World:
    """Everything the sandbox holds. Touch a system inside `locked(name)` only; `reset` seeds anew."""

    def __init__(self, count: int = 500, builders: Mapping[str, Builder] | None = None) -> None:
        self._builders = VENDORS if builders is None else builders
        self._locks = {name: threading.RLock() for name in SYSTEMS}
        self._systems: dict[str, System] = {}
        self._defaults: dict[str, dict[str, Any]] = {}
        self.clocks: dict[str, Clock] = {}
        self.faults = Faults()
        self.log = RequestLog()
        self.stopping = threading.Event()
        self.count = count
        self.reset(count)

    @property
    def salesforce(self) -> Crm:
        """The stand-in Salesforce."""
        return self.crm("salesforce")

    @property
    def hubspot(self) -> Crm:
        """The stand-in HubSpot."""
        return self.crm("hubspot")

    @property
    def llm(self) -> LLM:
        """The stand-in LLM."""
        llm = self._systems["llm"]
        assert isinstance(llm, LLM)  # noqa: S101 - set in reset, and nowhere else
        return llm

    def crm(self, name: str) -> Crm:
        """One CRM by name; KeyError for any other name."""
        if name not in CRMS:
            raise KeyError(name)
        crm: Any = self._systems[name]
        return crm  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[Any]:
        """The system of that name, held: nobody else is answered by it meanwhile."""
        with self._locks[name]:
            yield self._systems[name]

    def reset(self, count: int | None = None) -> None:
        """Seed both CRMs anew, `count` contacts each; settings, clocks, faults, log and LLM start afresh."""
        count = self.count if count is None else count
        clocks = {name: Clock() for name in CRMS}
        systems: dict[str, System] = {
            name: self._builders[name](clocks[name], people(name, count)) for name in CRMS
        }
        defaults = {name: copy.deepcopy(getattr(systems[name], "settings", {})) for name in CRMS}
        systems["llm"] = LLM()
        with contextlib.ExitStack() as stack:
            for name in SYSTEMS:
                stack.enter_context(self._locks[name])
            self.count, self.clocks, self._systems, self._defaults = count, clocks, systems, defaults
            self.faults.remove()
            self.log.clear()

    def default(self, crm: str, setting: str) -> Any:
        """What a setting of a CRM is in a fresh world."""
        return copy.deepcopy(self._defaults[crm][setting])

    def system_for(self, path: str) -> str | None:
        """The name of the system that owns this path."""
        return next((name for name in SYSTEMS if self._systems[name].handles(path)), None)

    def deliver(self, name: str, request: Request) -> Delivery:
        """Pass one request to a system, with the first fault that matches it, and log what happened."""
        asked = self._systems[name]
        entry = self.log.begin(name, request)
        rule = self.faults.take(name, request)
        if rule is not None:
            entry.fault = {"id": rule.id, "action": rule.action, "name": rule.name}
            self.stopping.wait(rule.seconds)
        self._pause_as_slow_llm(name)
        if self._systems[name] is not asked:
            # The world began anew while this request was held up: it belongs to the old one and gets no answer.
            return Delivery(None)
        delivery, entry.system_status = self._apply(rule, name, request)
        entry.finish(delivery.response.status if delivery.response else None)
        if delivery.response is not None and name in self.clocks:
            delivery.response.headers.setdefault("Date", format_date_time(self.clocks[name].reading()))
        return delivery

    def _pause_as_slow_llm(self, name: str) -> None:
        """Wait outside the lock, so that a slow answer does not hold up the others."""
        if name == "llm":
            self.stopping.wait(self.llm.pause_seconds())

    def _apply(self, rule: Rule | None, name: str, request: Request) -> tuple[Delivery, int | None]:
        """The delivery, and the status the system itself gave (None when it was never asked)."""
        if rule is not None and rule.action in ("status", "html"):
            return Delivery(rule.response()), None
        if rule is not None and rule.action == "vendor":
            with self.locked(name) as system:
                return Delivery(system.fault_response(rule.kind)), None
        if rule is not None and rule.action == "drop_before":
            return Delivery(None), None
        response = self._respond(name, request)
        if rule is not None and rule.action == "drop_after":
            return Delivery(None), response.status
        return Delivery(response, truncated=rule is not None and rule.action == "truncate"), response.status

    def _respond(self, name: str, request: Request) -> Response:
        with self.locked(name) as system:
            try:
                return system.respond(request)  # type: ignore[no-any-return]
            except Exception as error:  # noqa: BLE001 - the process must go on, and the mistake must be seen
                traceback.print_exc(file=sys.stderr)
                return Response.of(500, {"error": f"The sandbox {name} failed: {type(error).__name__}."})
