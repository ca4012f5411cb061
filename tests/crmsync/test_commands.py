"""The commands a person types: `manage.py sandbox` and bin/serve, run for real."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.client import Control
from tests.conftest import ROOT, Installation, Sandbox


def wait_for(log: Path, pattern: str, seconds: float = 20) -> re.Match[str]:
    """The first match of the pattern in a growing log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if match := re.search(pattern, log.read_text()):
            return match
        time.sleep(0.05)
    raise AssertionError(f"no {pattern!r} in: {log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def group_is_gone(group: int, seconds: float) -> bool:
    """Whether every process of the group ended in time."""
    end = time.monotonic() + seconds
    while any(int(row[0]) == group and not row[1].startswith("Z") for row in processes("pgid=,stat=")):
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)
    return True


def processes(columns: str) -> list[list[str]]:
    """These columns of every process; the last one keeps its spaces."""
    listing = subprocess.run(["ps", "-A", "-o", columns], capture_output=True, text=True, check=True)
    return [line.split(None, columns.count(",")) for line in listing.stdout.splitlines()]


@contextmanager
def started(installation: Installation, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = installation.var_dir / "command.log"
    process = installation.start(*command, log=log)
    try:
        yield process, log
    finally:
        if not group_is_gone(process.pid, 0):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


@pytest.fixture
def serving(installation: Installation) -> Iterator[tuple[subprocess.Popen[bytes], Path, str]]:
    port = free_port()
    installation.environment.update(PORT=str(port), PYTHONWARNINGS="", CRMSYNC_WORKERS="1")
    with started(installation, "bin/serve") as (process, log):
        wait_for(log, "worker cluster running")
        yield process, log, f"http://127.0.0.1:{port}"


def get(url: str, seconds: float = 10) -> int:
    """The status of an answer, once something listens."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except (ConnectionError, urllib.error.URLError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def child(parent: int, words: str) -> int:
    [pid] = [
        int(row[0]) for row in processes("pid=,ppid=,args=") if int(row[1]) == parent and words in row[2]
    ]
    return pid


def test_manage_sandbox_becomes_the_sandbox_with_its_own_arguments(installation: Installation) -> None:
    with started(installation, sys.executable, "manage.py", "sandbox", "--port", "0", "--count", "12") as (
        process,
        log,
    ):
        url = wait_for(log, r"ready on (http://\S+)")[1]

        assert Control(url).health()["count"] == 12
        assert Control(url).health()["pid"] == process.pid


def test_the_sandbox_fixture_starts_afresh_for_each_test(sandbox: Sandbox) -> None:
    before = sandbox.control.contacts("hubspot")
    sandbox.world.hubspot.delete_contact(before[0]["id"])
    assert len(sandbox.control.contacts("hubspot")) == len(before) - 1

    sandbox.control.reset(40)

    assert sandbox.control.contacts("hubspot") == before


def test_no_test_reaches_beyond_this_machine() -> None:
    with socket.socket() as far, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        far.connect(("192.0.2.1", 80))


def test_serve_answers_and_ctrl_c_ends_everything_with_status_0(
    serving: tuple[subprocess.Popen[bytes], Path, str],
) -> None:
    process, _, url = serving
    assert get(f"{url}/healthz") == 200
    assert get(f"{url}/admin/login/") == 200
    assert get(f"{url}/readyz") == 200, "the worker's first sweep shows within seconds"

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(15) == 0
    assert group_is_gone(process.pid, 2)


@pytest.mark.parametrize("words", ["manage.py worker", "gunicorn"])
def test_serve_ends_with_status_1_when_one_part_dies(
    serving: tuple[subprocess.Popen[bytes], Path, str], words: str
) -> None:
    process, log, _ = serving
    os.kill(child(process.pid, words), signal.SIGKILL)

    assert process.wait(15) == 1
    assert "ended by itself" in log.read_text()
    assert group_is_gone(process.pid, 2)


def test_serve_names_a_port_that_is_taken_and_the_next_one(installation: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        installation.environment["PORT"] = str(port)

        result = subprocess.run(
            ["bin/serve"], cwd=ROOT, env=installation.environment, capture_output=True, text=True, timeout=20
        )

    assert result.returncode == 1
    assert f"Cannot serve on 127.0.0.1:{port}" in result.stderr
    assert f"PORT={port + 1} bin/serve" in result.stderr
