"""The clock: which tasks run by themselves and how often. Written to the queue's table after every migrate.

The sweep looks at what is due (connections to sync, events to process, pushes to send) and so carries all
other timing; the queue's own grain is 30 seconds.
"""

from typing import Any

from django.db import connections
from django_q.models import Schedule

SCHEDULES: dict[str, dict[str, Any]] = {
    "crmsync sweep": {"func": "crmsync.tasks.sweep", "schedule_type": Schedule.MINUTES, "minutes": 1},
    "crmsync prune": {"func": "crmsync.tasks.prune", "schedule_type": Schedule.DAILY, "minutes": None},
}


def ensure_schedules(using: str = "default", **_signal: Any) -> None:
    """Create or correct the schedules, by name; when they run next is left alone. Safe to repeat."""
    # A partial migrate (one app, or backwards) may end without the queue's table.
    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return
    for name, rule in SCHEDULES.items():
        values = {**rule, "repeats": -1}
        if Schedule.objects.using(using).filter(name=name).update(**values) == 0:
            Schedule.objects.using(using).create(name=name, **values)
