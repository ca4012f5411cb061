"""`python -m bench`: both doors in one run, each beside the yardstick; exit 0 when all goals are met."""

import sys
from tempfile import TemporaryDirectory

from bench import events, variables
from bench.world import World


def main() -> int:
    """Exit 0 when the goals are met."""
    with TemporaryDirectory() as directory:
        world = World(directory)
        met = []
        for name, door in (("events", events.run), ("dynamic variables", variables.run)):
            print(f"--- {name}")
            met.append(door(world))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
