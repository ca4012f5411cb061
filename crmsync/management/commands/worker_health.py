"""`manage.py worker_health`: for a container's health check; fails when the worker has gone silent."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crmsync.health import worker_problem


class Command(BaseCommand):
    """Exit status 0 while the worker gives signs of life, 1 and the reason otherwise."""

    help = "Fail when the worker has given no sign of life for three minutes."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Look at the heartbeat."""
        if words := worker_problem():
            raise CommandError(words[0].upper() + words[1:])
        self.stdout.write("The worker is alive.")
