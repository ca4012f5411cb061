"""`manage.py sandbox`: become the stand-in CRMs, which share no code with the server: their own program."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from crmsync.settings import BASE_DIR


class Command(BaseCommand):
    """Passes every argument on to `python -m sandbox`; `manage.py sandbox -- --help` lists them."""

    help = "Serve the stand-in Salesforce, HubSpot and language model on loopback."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Replace this process; the arguments are the sandbox's to judge."""
        os.chdir(BASE_DIR)
        arguments = [argument for argument in argv[2:] if argument != "--"]
        os.execv(sys.executable, [sys.executable, "-m", "sandbox", *arguments])  # noqa: S606

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Called from code: the same, without arguments."""
        self.run_from_argv(["manage.py", "sandbox"])
