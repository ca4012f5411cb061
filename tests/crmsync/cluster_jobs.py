"""Tasks for the worker's tests, imported by the worker processes under test by their dotted names."""

import os
import time
from pathlib import Path


def note(path: str) -> None:
    """Leave a line with this process's id."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")


def note_and_take(path: str, seconds: float) -> None:
    """Leave a line, take this long, leave another."""
    note(path)
    time.sleep(seconds)
    note(path)
