"""Keep the sync's tables small: old runs without news and settled issues go after a while."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from sync.import_store import prune_imports
from sync.models import RunState, SyncIssue, SyncRun

KEEP = timedelta(days=90)
KEEP_QUIET = timedelta(days=7)


def prune() -> dict[str, int]:
    """Delete runs older than 90 days (7 where nothing changed) and issues closed 90 days ago; returns how many of each."""
    now = timezone.now()
    ended = SyncRun.objects.filter(
        state__in=[RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.CANCELLED]
    )
    quiet = ended.filter(finished_at__lt=now - KEEP_QUIET, done=0, state=RunState.SUCCEEDED).delete()[0]
    old = ended.filter(finished_at__lt=now - KEEP).delete()[0]
    issues = SyncIssue.objects.filter(closed_at__lt=now - KEEP).delete()[0]
    return {"runs": quiet + old, "issues": issues, "imports": prune_imports()}
