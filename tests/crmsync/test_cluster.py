"""The worker is killed for real, part by part: it must end as a whole, with a status that says so."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Installation

ENQUEUE = "from django_q.tasks import async_task; async_task({func!r}, *{arguments!r})"


def descendants(pid: int) -> dict[int, str]:
    """Process id → command name part of every living descendant, found through ps (Linux and macOS)."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    found: dict[int, str] = {}
    front = [pid]
    while front:
        parent = front.pop()
        for child, owner, state in rows:
            if int(owner) == parent and not state.startswith("Z"):
                found[int(child)] = state
                front.append(int(child))
    return found


def alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Poll until the condition holds; whether it did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


class Cluster:
    """A running `manage.py worker` with one worker process, and its parts by role."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.log = installation.var_dir / "worker.log"
        self.main = installation.start(sys.executable, "manage.py", "worker", log=self.log)
        assert wait_until(lambda: "cluster running" in self.log.read_text(), 15), self.log.read_text()
        assert wait_until(lambda: len(descendants(self.main.pid)) == 4, 5)
        # The sentinel forks its parts in this order.
        [self.sentinel] = [pid for pid in descendants(self.main.pid) if alive_parent(pid) == self.main.pid]
        self.worker, self.monitor, self.pusher = sorted(set(descendants(self.main.pid)) - {self.sentinel})
        self.parts = [self.main.pid, *descendants(self.main.pid)]

    def enqueue(self, func: str, *arguments: object) -> None:
        self.installation.manage("shell", "-c", ENQUEUE.format(func=func, arguments=arguments))

    def stop(self) -> None:
        for pid in self.parts:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.main.wait(5)


def alive_parent(pid: int) -> int:
    return int(
        subprocess.run(
            ["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True
        ).stdout
    )


@pytest.fixture
def start_cluster(installation: Installation) -> Iterator[Callable[[], Cluster]]:
    """Starts workers that have nothing to do by themselves."""
    installation.environment["CRMSYNC_WORKERS"] = "1"
    with closing(sqlite3.connect(installation.var_dir / "crmsync.sqlite3")) as database:
        database.execute("DELETE FROM django_q_schedule")
        database.commit()
    running: list[Cluster] = []

    def start() -> Cluster:
        running.append(Cluster(installation))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def cluster(start_cluster: Callable[[], Cluster]) -> Cluster:
    return start_cluster()


@pytest.mark.parametrize("part", ["worker", "monitor", "pusher", "sentinel"])
def test_the_death_of_a_part_ends_the_whole_cluster_within_three_seconds(cluster: Cluster, part: str) -> None:
    os.kill(getattr(cluster, part), signal.SIGKILL)

    assert cluster.main.wait(3) == 70
    assert wait_until(lambda: not any(alive(pid) for pid in cluster.parts), 1), "orphans are left"


def test_the_death_of_the_command_takes_every_part_with_it(cluster: Cluster) -> None:
    os.kill(cluster.main.pid, signal.SIGKILL)

    assert cluster.main.wait(3) == -signal.SIGKILL
    assert wait_until(lambda: not any(alive(pid) for pid in cluster.parts), 3), "orphans are left"


def test_a_queued_task_runs_once_after_the_cluster_broke_and_was_restarted(
    cluster: Cluster, start_cluster: Callable[[], Cluster], tmp_path: Path
) -> None:
    os.kill(cluster.worker, signal.SIGKILL)
    assert cluster.main.wait(3) == 70
    cluster.enqueue("cluster_jobs.note", str(tmp_path / "note"))

    again = start_cluster()
    assert wait_until(lambda: lines(tmp_path / "note"), 5)
    again.main.send_signal(signal.SIGTERM)

    assert again.main.wait(10) == 0
    assert len(lines(tmp_path / "note")) == 1


def test_a_worker_killed_in_the_middle_of_a_task_is_replaced(cluster: Cluster, tmp_path: Path) -> None:
    cluster.enqueue("cluster_jobs.note_and_take", str(tmp_path / "long"), 60)
    assert wait_until(lambda: lines(tmp_path / "long"), 5)
    os.kill(cluster.worker, signal.SIGKILL)

    cluster.enqueue("cluster_jobs.note", str(tmp_path / "next"))
    assert wait_until(lambda: lines(tmp_path / "next"), 5), cluster.log.read_text()
    cluster.parts = [cluster.main.pid, *descendants(cluster.main.pid)]
    assert cluster.main.poll() is None


def test_a_task_that_cannot_be_loaded_costs_one_worker_not_the_cluster(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.enqueue("cluster_jobs_broken.anything")
    assert wait_until(lambda: "could not load a task" in cluster.log.read_text(), 5)

    cluster.enqueue("cluster_jobs.note", str(tmp_path / "next"))
    assert wait_until(lambda: lines(tmp_path / "next"), 5), cluster.log.read_text()
    cluster.parts = [cluster.main.pid, *descendants(cluster.main.pid)]
    assert cluster.main.poll() is None


@pytest.mark.parametrize("everyone", [False, True], ids=["the command", "every process"])
def test_a_request_to_stop_lets_the_task_in_hand_finish(
    cluster: Cluster, tmp_path: Path, everyone: bool
) -> None:
    cluster.enqueue("cluster_jobs.note_and_take", str(tmp_path / "note"), 1.5)
    assert wait_until(lambda: lines(tmp_path / "note"), 5)

    if everyone:
        os.killpg(cluster.main.pid, signal.SIGTERM)
    else:
        cluster.main.send_signal(signal.SIGTERM)

    assert cluster.main.wait(10) == 0, cluster.log.read_text()
    assert len(lines(tmp_path / "note")) == 2
    assert not any(alive(pid) for pid in cluster.parts)


def test_schedules_are_looked_at_as_soon_as_the_worker_starts(
    installation: Installation, start_cluster: Callable[[], Cluster], tmp_path: Path
) -> None:
    schedule = (
        "from django_q.models import Schedule; Schedule.objects.create("
        f"func='cluster_jobs.note', args=repr(({str(tmp_path / 'note')!r},)), schedule_type='I', minutes=1)"
    )
    installation.manage("shell", "-c", schedule)

    cluster = start_cluster()
    assert wait_until(lambda: lines(tmp_path / "note"), 5), cluster.log.read_text()
