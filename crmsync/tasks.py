"""The workers' three tasks: drain what is due, sweep once a minute, prune once a day."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from django.utils import timezone

from activity.backfill import backfill_some
from activity.catch_up import catch_up_all, catch_up_changed
from activity.log import log_some
from activity.overdue import merge_some
from activity.process import process_some
from activity.prune import prune as prune_deliveries
from activity.waiting import revive_recent
from contacts.indexes import settle as settle_indexes
from crmsync import pulse
from crmsync.api.repeats import prune as prune_answers
from crmsync.models import Heartbeat
from mappings.ready import check_some
from sync.arming import remind as remind_to_arm
from sync.held import read_held
from sync.import_work import import_some
from sync.models import WakeUp
from sync.prune import prune as prune_sync
from sync.pull import pull_some
from sync.push import push_some
from sync.reconcile import request_due as request_due_reconciliations
from sync.retries import retry_some
from sync.runs import end_disabled, request_due_runs
from sync.touch import drain_touched
from sync.undo_requests import undo_some
from sync.wake import awake, wake, wake_again

log = structlog.get_logger(__name__)
STRETCH = 10.0
# A step of more than QUICK seconds is long; after LONGEST no further step is begun, so that the queue does not end the task.
QUICK, LONGEST = 1.0, 45.0


def touched_by_people() -> int:
    """Notes of what people, scripts and conversations changed."""
    return drain_touched(urgent_only=True)


def push_urgent() -> int:
    """Pushes of the same."""
    return push_some(urgent_only=True)


# Most urgent first: a fresh conversation never waits behind an import.
STEPS: tuple[Callable[[], int], ...] = (
    process_some,
    touched_by_people,
    push_urgent,
    retry_some,
    log_some,
    drain_touched,
    push_some,
    read_held,
    undo_some,
    import_some,
    pull_some,
    merge_some,
    backfill_some,
    check_some,
)


def drain(steps: Sequence[Callable[[], int]] = STEPS) -> int:
    """Do what is due for about ten seconds and have the rest done by a new task; returns how many rows were handled.

    A step that breaks is left out and the others go on; its error is raised at the end, so that the task counts as failed.
    """
    awake()
    began = time.monotonic()
    handled, left, broken = 0, list(steps), list[Exception]()
    while time.monotonic() - began < STRETCH:
        done = _pass(left, broken, began)
        if not done:
            break
        handled += done
    else:
        wake()
    if broken:
        raise broken[0]
    return handled


def _pass(steps: list[Callable[[], int]], broken: list[Exception], began: float) -> int:
    """The steps in their order, up to one that has found something: then the most urgent ones are asked again.

    One that took long (a language model may) lets all others have a turn before it is asked again, or it would starve them.
    """
    done, slow = 0, False
    for step in list(steps):
        started = time.monotonic()
        found = 0
        try:
            found = step()
        except Exception as error:
            log.exception("step_broke", step=getattr(step, "__name__", "step"))
            steps.remove(step)
            broken.append(error)
        done += found
        now = time.monotonic()
        slow = slow or now - started >= QUICK
        if (found and not slow) or now - began >= LONGEST:
            break
    return done


def sweep() -> None:
    """Every minute: queue the inbound syncs whose time has come, wake workers for what else is due, mind indexes and pulse."""
    Heartbeat.beat()
    end_disabled()
    request_due_reconciliations()
    request_due_runs()
    remind_to_arm()
    catch_up_changed()
    revive_recent()
    wake_again()
    settle_indexes()
    pulse.look()


def prune() -> dict[str, int]:
    """Once a day: drop what is no longer needed; returns what was dropped."""
    catch_up_all()
    dropped = {
        "deliveries": prune_deliveries(),
        "answers": prune_answers(),
        **prune_sync(),
        "pulses": pulse.prune(),
    }
    WakeUp.objects.filter(pending=True, at__lt=timezone.now()).update(pending=False)
    log.info("pruned", **dropped)
    return dropped
