"""The demo's processes: sandbox, web server and worker, on free ports, stopped together whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from crmsync.settings import BASE_DIR

PATIENCE = 60.0


class DemoProblem(Exception):
    """The demo cannot go on; the message says why and what to do."""


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, ready: Callable[[], object], patience: float = PATIENCE, pause: float = 0.1) -> None:
    """Wait until `ready()` is true; raises DemoProblem naming `what` when patience ends."""
    until = time.monotonic() + patience
    while not ready():
        if time.monotonic() > until:
            raise DemoProblem(f"Waited {patience:.0f} seconds for {what} in vain. The logs are in var/demo/.")
        time.sleep(pause)


class Processes:
    """What the demo has started; each writes its words to a log of its own."""

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start `command` as `name` in a process group of its own."""
        with (self._var_dir / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, *command], cwd=BASE_DIR, env={**os.environ, **(environment or {})},
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def dead(self) -> list[str]:
        """The names of processes that have ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def stop(self) -> None:
        """End all of them, politely first; newest first, so that the CRMs outlive the worker."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self._running.values()):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def stopped_at_the_end(var_dir: Path) -> Iterator[Processes]:
    """Processes that end with the block."""
    processes = Processes(var_dir)
    try:
        yield processes
    finally:
        processes.stop()


def answers(url: str) -> bool:
    """Whether something answers 2xx there."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
