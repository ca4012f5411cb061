"""`python -m sandbox`: serve the stand-in CRMs and LLM until told to stop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time

from sandbox.server import is_loopback, running
from sandbox.world import World

MAX_COUNT = 2_000_000


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns 0 after a stop, 1 if the port is taken, 2 for bad arguments."""
    options = _parser().parse_args(arguments)
    if not is_loopback(options.host):
        sys.stderr.write(f"The sandbox serves on loopback only, not on {options.host!r}.\n")
        return 2
    if not 0 <= options.count <= MAX_COUNT:
        sys.stderr.write(f"--count must be between 0 and {MAX_COUNT}.\n")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if options.with_parent:
        threading.Thread(target=_stop_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        return _serve(options.host, options.port, options.count)
    except KeyboardInterrupt:
        return 0


def _serve(host: str, port: int, count: int) -> int:
    world = World(count)
    try:
        with running(world, host, port) as url:
            sys.stdout.write(f"Sandbox ready on {url}\n")
            sys.stdout.flush()
            while True:
                signal.pause()
    except OSError as error:
        sys.stderr.write(f"Cannot serve on {host}:{port}: {error.strerror}.\n")
        return 1


def _stop_with_parent(parent: int) -> None:
    """Watch for the parent's end: an orphan gets another parent, on Linux and macOS alike."""
    while os.getppid() == parent:
        time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A stand-in Salesforce, HubSpot and OpenAI-compatible LLM over HTTP, on loopback only.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=9470, help="port, 0 for a free one (default 9470)")
    parser.add_argument("--count", type=int, default=500, help="contacts per CRM (default 500)")
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when the process that started this one ends"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
