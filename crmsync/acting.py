"""Who is acting: the person or API key behind a request, or else the server or the command that runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Actor:
    """`ref` as histories point at them, like "user:3" or "key:1", "" for the machine; `name` for people."""

    ref: str
    name: str


_actor: ContextVar[Callable[[], Actor] | None] = ContextVar("actor", default=None)


class ActingPerson:
    """Puts the signed-in person around a request; who that is, is only asked when something has to be attributed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _actor.set(lambda: _person(request))
        try:
            return self.get_response(request)
        finally:
            _actor.reset(before)


def acts(ref: str, name: str) -> None:
    """From here to the end of the request it is somebody else who acts: the API key that was shown."""
    _actor.set(lambda: Actor(ref, name))


def acting() -> Actor:
    """Who acts now."""
    who = _actor.get()
    return who() if who else _machine()


def _person(request: HttpRequest) -> Actor:
    user = request.user
    return Actor(f"user:{user.pk}", user.get_username()) if isinstance(user, User) else _machine()


def _machine() -> Actor:
    """The worker and the web server are the server; any other command was started by somebody at a terminal."""
    command = sys.argv[1] if len(sys.argv) > 1 and Path(sys.argv[0]).name == "manage.py" else ""
    return Actor("", f"manage.py {command}" if command not in {"", "worker"} else "the server")
