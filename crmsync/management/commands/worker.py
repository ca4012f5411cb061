"""`manage.py worker`: the background workers and the scheduler, for a supervisor that restarts it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from crmsync import cluster


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C, finishing tasks in hand (status 0); status 70 asks to be restarted."""

    help = "Run the background workers and the scheduler."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run the cluster and pass its exit status on."""
        sys.exit(cluster.run())
