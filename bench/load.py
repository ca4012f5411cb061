"""Serve an application with gunicorn and press on it: requests a second, latencies, and the server's CPU for each request."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """Of one run: requests a second, p50 and p99 in milliseconds, the server's CPU microseconds a request."""

    rate: float
    p50: float
    p99: float
    cpu: float

    def __str__(self) -> str:
        return (
            f"{self.rate:8.0f}/s   p50 {self.p50:6.2f} ms   p99 {self.p99:6.2f} ms   {self.cpu:6.0f} µs CPU"
        )


@contextmanager
def served(application: str, environment: dict[str, str], threads: int = 4) -> Iterator[tuple[int, int]]:
    """`application` under gunicorn with one process; yields its port and pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread",
        "--workers", "1", "--threads", str(threads), "--log-level", "error", "--no-control-socket", "--keep-alive", "30",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}) as server:
        try:
            _wait(port)
            yield port, server.pid
        finally:
            server.terminate()
            server.wait(timeout=30)


def press(port: int, pid: int, requests: Sequence[bytes], connections: int) -> Figures:
    """Send every request once over `connections` kept connections."""
    latencies: list[float] = []
    cpu, started = _cpu(pid), time.perf_counter()
    shares = [requests[number::connections] for number in range(connections)]
    threads = [threading.Thread(target=_send, args=(port, share, latencies)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, used = time.perf_counter() - started, _cpu(pid) - cpu
    if len(latencies) != len(requests):
        raise RuntimeError(f"only {len(latencies)} of {len(requests)} requests were answered with 200")
    spread = statistics.quantiles(latencies, n=100)
    return Figures(len(requests) / seconds, spread[49] * 1e3, spread[98] * 1e3, used / len(requests) * 1e6)


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@contextmanager
def others_work() -> Iterator[Callable[[], float | None]]:
    """Yields a question to ask at the end: the share of the machine that went to processes other than this one and its own."""
    before, own = _machine(), _own()
    yield lambda: _share(before, own, _machine(), _own())


def _share(
    before: tuple[float, float] | None, own: float, after: tuple[float, float] | None, own_now: float
) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return max(0.0, (after[0] - before[0]) - (own_now - own)) / (after[1] - before[1])


def _machine() -> tuple[float, float] | None:
    """CPU seconds spent and passed, of all processors; None where the system does not tell."""
    try:
        ticks = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return None
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS


def _own() -> float:
    """CPU seconds of this process and of the servers that it has served and ended."""
    return sum(os.times()[:4])


def asked(port: int, raw: bytes) -> Any:
    """The JSON that one request is answered with."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(raw)
        head, rest = _answer(connection)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.partition(b"\r\n")[0].decode())
    return json.loads(rest)


def _send(port: int, requests: Sequence[bytes], latencies: list[float]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for raw in requests:
            started = time.perf_counter()
            connection.sendall(raw)
            if _answer(connection)[0].startswith(b"HTTP/1.1 200"):
                latencies.append(time.perf_counter() - started)


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of what comes next."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(rest) < length:
        rest += connection.recv(65536)
    return head, rest


def _wait(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not come up")


def _cpu(pid: int) -> float:
    """CPU seconds of the server's processes; 0 where the system does not tell (it is then not shown)."""
    total = 0.0
    for one in (pid, *_children(pid)):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
