"""`python -m bench.variables`: how many inbound calls a second are told what is known, with 100,000 contacts."""

import sys
from tempfile import TemporaryDirectory

from bench.world import START_NUMBER, World, compared

CONTACTS, REQUESTS, ROUNDS, GOAL = 100_000, 3_000, 3, 0.4


def run(world: World) -> bool:
    """Whether the goals are met."""
    world.fill(CONTACTS)

    def make(run: str, count: int) -> list[bytes]:
        # One in twenty is unknown.
        numbers = (START_NUMBER + (number * 7919) % int(CONTACTS * 1.05) for number in range(count))
        calls = [
            {"event": "call_inbound", "call_inbound": {
                "call_id": f"call_{run}_{position}", "from_number": f"+1{number}", "to_number": "+14155550199",
            }} for position, number in enumerate(numbers)
        ]  # fmt: skip
        return [world.signed("/webhooks/retell/inbound/", call) for call in calls]

    return compared(world, make, goal=GOAL, requests=REQUESTS, rounds=ROUNDS)


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        sys.exit(0 if run(World(directory)) else 1)
