"""`python -m tests.screenshots [PAGE ...]`: make docs/screenshots/ anew, or the pictures of the pages named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from crmsync.demo.processes import free_port, stopped_at_the_end
from crmsync.settings import BASE_DIR
from tests.browser.pages import LISTS
from tests.browser.stack import environment_for, start_sandbox
from tests.screenshots.take import take

FOLDER = BASE_DIR / "docs" / "screenshots"
PEOPLE = 110
# What is asked of a page for its picture, where that is more than its bare address.
SHOWN = {
    "login": "/login/",
    "agent-view": "/agent-view/",
    "contacts": "/contacts/?sort=conversation&column=phone_number&column=f.plan&column=tags&column=conversation_count"
    "&column=last_conversation_at",
}


def main(only: list[str]) -> int:
    """Start the stand-in CRMs and the story, take the pictures, tell what changed."""
    with TemporaryDirectory() as directory, stopped_at_the_end(Path(directory)) as processes:
        sandbox_url, port = start_sandbox(processes, PEOPLE), free_port()
        environment = environment_for(Path(directory), sandbox_url)
        command = [sys.executable, "-m", "tests.screenshots.world", sandbox_url, str(port)]
        world = subprocess.Popen(
            command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "crmsync.settings"},
        )  # fmt: skip
        try:
            line = world.stdout.readline() if world.stdout else ""
            if not line:
                sys.stderr.write("The story could not be told; its words are above.\n")
                return 1
            told = json.loads(line)
            pages = {**LISTS, **told["places"], **SHOWN}
            changed = take(f"http://127.0.0.1:{port}", told["password"], pages, FOLDER, only)
        finally:
            world.terminate()
            world.wait()
    size = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    sys.stdout.write(
        f"{len(changed)} changed, {len(list(FOLDER.glob('*.png')))} in all, {size / 1e6:.1f} MB\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
