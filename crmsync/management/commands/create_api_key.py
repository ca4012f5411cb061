"""`manage.py create_api_key NAME`: make a key for a script or an agent platform and print it once."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from crmsync.api_keys import Scope, issue_key


class Command(BaseCommand):
    """The last line of the output is the key and nothing else, so that scripts can capture it."""

    help = "Makes an API key and prints it once; the last line is the key alone."

    def add_arguments(self, parser: CommandParser) -> None:
        """The name, what it may do, and whether it signs events."""
        parser.add_argument("name", help="who uses the key; contact histories show it")
        parser.add_argument("--webhook", action="store_true", help="the key signs conversation events")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            dest="scopes",
            help="what the key may do, repeatable; without it: everything, and only events with --webhook",
        )
        parser.add_argument(
            "--rate", type=int, help="the most requests a minute; without it CRMSYNC_API_RATE, 0 for no limit"
        )

    def handle(self, **options: Any) -> None:
        """Make the key; words for people go to stderr."""
        scopes, webhook = options["scopes"], options["webhook"]
        if webhook:  # whoever signs events need not be able to do anything else
            scopes = [*(scopes or []), Scope.EVENTS.value]
        try:
            key, secret = issue_key(options["name"], scopes=scopes, webhook=webhook, rate=options["rate"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stderr.write(f"API key “{key.name}” may: {', '.join(key.scopes)}. It is shown only now:")
        self.stdout.write(secret)
