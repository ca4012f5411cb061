"""A worker cluster that works or dies: never silent, never doubled.

django-q2's own guard replaces whatever process dies. That is right for a worker in the middle of a task, and
wrong for the others: a worker killed while it waits takes the queue's read lock with it, and a new monitor
waits for ever for results it cannot see. Here such a death ends the whole cluster with status 70, so that a
supervisor starts it afresh; what was in hand is redelivered. And no process outlives its parent.

This leans on names inside django-q2, which requirements.txt pins to 1.11.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NoReturn

import structlog
from django import db
from django_q.cluster import Sentinel, get_mp_context
from django_q.conf import Conf
from django_q.scheduler import scheduler
from django_q.worker import worker

log = structlog.get_logger(__name__)

BROKEN = 70  # EX_SOFTWARE: the supervisor should start a new cluster
SCHEDULER_SECONDS = 30
LOCK_SECONDS = 5  # a worker holds its timer's lock for microseconds; longer means it died holding it
STOP_GRACE_SECONDS = 20  # beyond the longest task, before a stop is forced
_PR_SET_PDEATHSIG = 1
_IDLE, _RECYCLED = -1, -2  # django-q2's words in a worker's timer; above 0 it counts a task's seconds down


def tie_to(parent: int) -> None:
    """Make this process end at once when `parent`, which forked it, ends for any reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before we could ask to be told
        os._exit(BROKEN)


def _watch(parent: int) -> None:
    """For systems that cannot signal a parent's death: look twice a second."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(BROKEN)


def _tied(parent: int, target: Callable[..., None], *args: Any) -> None:
    tie_to(parent)
    # A supervisor may signal every process of the group: the sentinel alone says when to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    target(*args)


class FailFastSentinel(Sentinel):
    """Guards the pool: replaces workers that were recycled, timed out or died in a task; else gives up."""

    def __init__(self, parent: int, stop_event: Any, start_event: Any, cluster_id: uuid.UUID) -> None:
        tie_to(parent)
        super().__init__(stop_event, start_event, cluster_id)

    def spawn_process(self, target: Callable[..., None], *args: Any) -> Any:
        """Start a child of the cluster that cannot outlive the sentinel."""
        process: Any = get_mp_context().Process(
            target=_tied, args=(os.getpid(), target, *args), name=f"{target.__name__}-{uuid.uuid4().hex[:8]}"
        )
        process.daemon = True
        if target is worker:
            process.timer = args[2]
            self.pool.append(process)
        process.start()
        return process

    def guard(self) -> None:
        """Watch until told to stop; look for due schedules at once and every 30 seconds."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.start_event.set()
        log.info("worker cluster running", workers=len(self.pool))
        next_look = time.monotonic()
        while not self.stop_event.wait(Conf.GUARD_CYCLE):
            for process in list(self.pool):
                self._check_worker(process)
            for name, process in (("monitor", self.monitor), ("pusher", self.pusher)):
                if not process.is_alive():
                    self._give_up(f"the {name} died")
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + SCHEDULER_SECONDS
                scheduler(broker=self.broker)
        self._stop_in_time()

    def _check_worker(self, process: Any) -> None:
        lock = process.timer.get_lock()
        if not lock.acquire(timeout=LOCK_SECONDS):
            self._give_up("a worker died holding its timer")
        try:
            left = process.timer.value
            if left > 0:
                process.timer.value = max(0.0, left - Conf.GUARD_CYCLE)
        finally:
            lock.release()
        if left == 0:
            self._replace(process, "over its time")
        elif not process.is_alive():
            if left == _IDLE and process.exitcode < 0:  # by a signal: it may have held the queue's lock
                self._give_up("an idle worker was killed")
            self._replace(
                process, {_RECYCLED: "recycled", _IDLE: "could not load a task"}.get(left, "died in a task")
            )

    def _replace(self, process: Any, why: str) -> None:
        process.join(1)  # one that ends by itself first hands over its result
        if process.is_alive():
            process.kill()
        self.pool.remove(process)
        db.connections.close_all()  # a fork must not share the sentinel's connection
        self.spawn_worker()
        self.reincarnations += 1
        (log.info if why == "recycled" else log.error)("worker replaced", why=why)

    def _stop_in_time(self) -> None:
        """Let the tasks in hand finish; force the end when they take longer than any task may."""
        signal.signal(signal.SIGALRM, lambda *_: self._give_up("stopping took too long"))
        signal.alarm(int(self.timeout) + STOP_GRACE_SECONDS)
        self.stop()

    def _give_up(self, why: str) -> NoReturn:
        """End now, and with us every child: no clean-up, since its locks may be held by the dead."""
        log.critical("worker cluster broken: ending it so that it can be started afresh", why=why)
        os._exit(BROKEN)


def run() -> int:
    """Run a cluster until SIGTERM or SIGINT; the exit status: 0 when asked to stop, 70 when it broke."""
    context = get_mp_context()
    stop_event, start_event = context.Event(), context.Event()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    db.connections.close_all()
    sentinel = context.Process(
        target=FailFastSentinel, args=(os.getpid(), stop_event, start_event, uuid.uuid4()), name="sentinel"
    )
    sentinel.start()
    while sentinel.is_alive():
        sentinel.join(0.2)
        if stopping.is_set() and not stop_event.is_set():
            stop_event.set()
    return 0 if sentinel.exitcode == 0 and stopping.is_set() else BROKEN
