"""`python -m bench.contacts`: how many pages of 50,000 contacts a second the API answers: first, filtered, searched, deep.

On PostgreSQL alone, whose indexes it is about: DATABASE_URL names an empty database.
"""

import os
import sys
from tempfile import TemporaryDirectory
from typing import Any

from bench.load import asked, served
from bench.world import World, compared

CONTACTS, REQUESTS, ROUNDS, GOAL, CALM = 50_000, 300, 2, 0.3, 40.0
PATH = "/api/list-contacts"


def main() -> int:
    """Exit 0 when the goals are met by every kind of page."""
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        sys.exit("Set DATABASE_URL to an empty PostgreSQL database: this is about its indexes.")
    with TemporaryDirectory() as directory:
        world = World(directory)
        world.fill(CONTACTS)
        kinds = _kinds(world)
        met = [_met(world, kind, bodies) for kind, bodies in kinds.items()]
        return 0 if all(met) else 1


def _kinds(world: World) -> dict[str, Any]:
    """Kind of page → the body of a request, by its number."""
    with served("crmsync.wsgi", world.environment) as (port, _):
        key = asked(port, world.called(PATH, {"skip": CONTACTS - 5_000, "limit": 1}))["pagination_key"]

    def field(number: int) -> dict[str, Any]:
        value = f"value 3 of {number * 7919 % CONTACTS}"
        return {
            "filter_criteria": {
                "custom_fields": [{"key": "field_3", "type": "string", "op": "eq", "value": value}]
            }
        }

    return {
        "first page": lambda _: {},
        "custom field": field,
        "search": lambda number: {"search_query": f"lovelace {number * 7919 % CONTACTS}"},
        "deep page": lambda _: {"pagination_key": key},
    }


def _met(world: World, kind: str, body: Any) -> bool:
    print(f"--- {kind}")

    def make(_run: str, count: int) -> list[bytes]:
        return [world.called(PATH, body(number)) for number in range(count)]

    return compared(
        world,
        make,
        goal=GOAL,
        requests=REQUESTS,
        rounds=ROUNDS,
        bare="bench.bare_contacts:application",
        calm_goal=CALM,
    )


if __name__ == "__main__":
    sys.exit(main())
