"""`python -m bench.events`: how many signed events a second are verified, stored and acknowledged."""

import sys
from tempfile import TemporaryDirectory

from bench.world import START_NUMBER, World, compared

REQUESTS, ROUNDS, GOAL = 3_000, 3, 0.5
TRANSCRIPT = "Agent: How can I help?\nUser: I would like to move my appointment, please.\n" * 40


def run(world: World) -> bool:
    """Whether the goals are met."""

    def make(run: str, count: int) -> list[bytes]:
        events = [
            {"event": "call_ended", "call": {
                "call_id": f"call_{run}_{number}", "call_type": "phone_call", "direction": "inbound",
                "from_number": f"+1{START_NUMBER + number}", "to_number": "+14155550199", "transcript": TRANSCRIPT,
            }} for number in range(count)
        ]  # fmt: skip
        return [world.signed("/webhooks/retell/", event) for event in events]

    return compared(world, make, goal=GOAL, requests=REQUESTS, rounds=ROUNDS)


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        sys.exit(0 if run(World(directory)) else 1)
