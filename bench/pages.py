"""`python -m bench.pages`: how long the list pages take with 100,000 contacts, calls, issues and deliveries."""

import http.client
import json
import statistics
import sys
import time
from tempfile import TemporaryDirectory

from bench.bare_pages import LISTS
from bench.load import served
from bench.world import World

CONTACTS, ROUNDS = 100_000, 15
GOAL, TIMES = (
    0.5,
    3,
)  # seconds, the median of every page; or at most that many times what its bare reading takes
_FILL = f"""
import json
from django.contrib.auth.models import User
from django.test import Client
from tests.crmsync.large_book import addresses, fill
known = fill({CONTACTS})
client = Client()
client.force_login(User.objects.create_superuser("bench"))
print(json.dumps([client.cookies["sessionid"].value, addresses(known)]))
"""


def main() -> int:
    """Exit 0 when every page's median is under half a second, or near what the database alone takes."""
    with TemporaryDirectory() as directory:
        world = World(directory)
        world.collect()
        session, pages = json.loads(world.run(_FILL).splitlines()[-1])
        cookie = {"Cookie": f"sessionid={session}", "Host": "127.0.0.1"}
        with served("bench.bare_pages:application", world.environment) as (port, _):
            bare = {name: _median(port, f"/{place}", cookie) for place, name in enumerate(LISTS)}
        with served("crmsync.wsgi", world.environment) as (port, _):
            product = {name: _median(port, where, cookie) for name, where in pages.items()}
    print(f"{'page':24} {'bare':>8} {'product':>8}  of bare")
    for name, seconds in product.items():
        held = bare.get(name)
        times = f"{held * 1e3:5.1f} ms" if held else "–".rjust(8)
        print(f"{name:24} {times} {seconds * 1e3:5.0f} ms  {f'{seconds / held:.1f}×' if held else ''}")
    slow = [name for name, seconds in product.items() if seconds > max(GOAL, TIMES * bare.get(name, 0))]
    print(f"over the goal: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


def _median(port: int, where: str, headers: dict[str, str]) -> float:
    """Seconds of one reader's requests, one after the other on a kept connection; the first two are not counted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    for _ in range(ROUNDS + 2):
        started = time.perf_counter()
        connection.request("GET", where, headers=headers)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - started)
        if answer.status != 200:
            raise RuntimeError(f"{where} was answered {answer.status}")
    connection.close()
    return statistics.median(times[2:])


if __name__ == "__main__":
    sys.exit(main())
