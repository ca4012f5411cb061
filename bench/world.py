"""An installation to press on: a database of its own, a signing key, contacts."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from bench.load import ROOT, Figures, others_work, press, request, served
from bench.report import BARE, PRODUCT, report

START_NUMBER = 4_155_000_000


class World:
    """A migrated installation in a temporary directory, or in DATABASE_URL (which is filled: use an empty one)."""

    def __init__(self, directory: str) -> None:
        self.var = Path(directory)
        (self.var / "static").mkdir()
        self.environment = {
            "CRMSYNC_VAR_DIR": str(self.var), "CRMSYNC_ENV_FILE": os.devnull, "LOG_LEVEL": "ERROR",
            "ALLOWED_HOSTS": "127.0.0.1",
        }  # fmt: skip
        self._manage("migrate", "--verbosity", "0")
        self.key = self._manage("create_api_key", "bench", "--webhook").split()[-1]
        url = os.environ.get("DATABASE_URL", "")
        self.environment |= {
            "BENCH_DATABASE": url or str(self.var / "crmsync.sqlite3"),
            "BENCH_KEY": self.key,
        }

    def fill(self, contacts: int) -> None:
        """Contacts with numbers in a row, a dozen custom fields each."""
        code = (
            "from contacts.models import Contact, CustomField\n"
            "for i in range(12): CustomField.objects.create(name=f'field_{i}', type='string', position=i)\n"
            f"for start in range(0, {contacts}, 2000):\n"
            f"    Contact.objects.bulk_create(Contact(phone_number=f'+1{{{START_NUMBER} + n}}', first_name='Ada',"
            " last_name=f'Lovelace {n}', custom_fields={f'field_{i}': f'value {i} of {n}' for i in range(12)})"
            f" for n in range(start, min(start + 2000, {contacts})))\n"
        )
        self.run(code)

    def collect(self) -> None:
        """Lay out the static files that pages name."""
        self._manage("collectstatic", "--noinput", "--verbosity", "0")

    def run(self, code: str) -> str:
        """Run Python in the installation; returns what it printed."""
        return self._manage("shell", "--no-imports", "--verbosity", "0", "-c", code)

    def signed(self, path: str, document: object) -> bytes:
        """A request to one of the doors."""
        body, stamp = json.dumps(document).encode(), str(int(time.time() * 1000))
        digest = hmac.new(self.key.encode(), body + stamp.encode(), hashlib.sha256).hexdigest()
        return request(path, body, {"X-Retell-Signature": f"v={stamp},d={digest}"})

    def called(self, path: str, document: object) -> bytes:
        """A request to a call of the API."""
        return request(path, json.dumps(document).encode(), {"Authorization": f"Bearer {self.reader}"})

    @cached_property
    def reader(self) -> str:
        """A key that reads contacts, as fast as it can."""
        return self._manage("create_api_key", "reader", "--scope", "read_contacts", "--rate", "0").split()[-1]

    def _manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**os.environ, **self.environment},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout


def compared(
    world: World,
    make: Callable[[str, int], list[bytes]],
    *,
    goal: float,
    requests: int,
    rounds: int,
    bare: str = "bench.bare:application",
    calm_goal: float = 10.0,
) -> bool:
    """Press on the yardstick and on the product in turn; print how they compare, and whether the goals are met."""
    full: dict[str, list[Figures]] = {BARE: [], PRODUCT: []}
    calm: dict[str, list[Figures]] = {BARE: [], PRODUCT: []}
    with others_work() as others:
        for round_ in range(rounds):
            for name, application in ((BARE, bare), (PRODUCT, "crmsync.wsgi")):
                with served(application, world.environment) as (port, pid):
                    press(port, pid, make(f"{name}-{round_}-w", 200), 2)
                    calm[name].append(press(port, pid, make(f"{name}-{round_}-c", requests // 2), 2))
                    full[name].append(press(port, pid, make(f"{name}-{round_}-f", requests), 8))
    lines, met = report(full, calm, goal=goal, others=others(), most_p99=calm_goal)
    print("\n".join(lines))
    return met
