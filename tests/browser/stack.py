"""The real thing on free ports: sandbox CRMs, web server and worker over a database of their own, with some of everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crmsync.demo.processes import DemoProblem, Processes, answers, free_port, stopped_at_the_end, wait_for
from crmsync.settings import BASE_DIR
from sandbox.client import Control

GUNICORN = (
    "-m",
    "gunicorn",
    "crmsync.wsgi",
    "--worker-class",
    "gthread",
    "--threads",
    "4",
    "--no-control-socket",
)


@dataclass(frozen=True, slots=True)
class Stack:
    """Where everything answers. `places`: the addresses of pages by name; `facts`: what the seed has to tell, like a number."""

    base_url: str
    sandbox_url: str
    control: Control
    places: dict[str, str]
    facts: dict[str, str]


def environment_for(var_dir: Path, sandbox_url: str) -> dict[str, str]:
    """Settings of an installation in `var_dir`; nothing of the surroundings may lead it to a real database or service."""
    return {
        "CRMSYNC_VAR_DIR": str(var_dir),
        "CRMSYNC_ENV_FILE": os.devnull,
        "CRMSYNC_ALLOW_INSECURE_CRM_URLS": "1",
        "CRMSYNC_UNKNOWN_WAIT": "3",
        "CRMSYNC_WORKERS": "1",
        "OPENAI_BASE_URL": f"{sandbox_url}/v1",
        "OPENAI_API_KEY": "sandbox-llm-key",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "WARNING",
        **dict.fromkeys(
            ("DATABASE_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "CRMSYNC_HTTPS", "DEBUG"), ""
        ),
    }


@contextmanager
def running_stack(var_dir: Path, count: int = 40, *, bare: bool = False) -> Iterator[Stack]:
    """Everything started and seeded, `count` contacts in each CRM; stopped at the end. `bare`: with people and nothing else."""
    with stopped_at_the_end(var_dir) as processes:
        sandbox_url = start_sandbox(processes, count)
        environment = environment_for(var_dir, sandbox_url)
        told = _seed(environment, sandbox_url, "bare" if bare else "full")
        port = free_port()
        base_url = f"http://127.0.0.1:{port}"
        processes.start(
            "web", [*GUNICORN, "--bind", f"127.0.0.1:{port}", "--log-level", "warning"], environment
        )
        processes.start("worker", ["manage.py", "worker"], environment)
        wait_for("the web server", lambda: answers(f"{base_url}/healthz") or _alive(processes, var_dir))
        yield Stack(base_url, sandbox_url, Control(sandbox_url), told["places"], told["facts"])


def start_sandbox(processes: Processes, count: int) -> str:
    """The stand-in CRMs with `count` contacts each; returns their address."""
    port = free_port()
    processes.start("sandbox", ["-m", "sandbox", "--port", str(port), "--count", str(count), "--with-parent"])
    wait_for("the sandbox", lambda: answers(f"http://127.0.0.1:{port}/_sandbox/health"))
    return f"http://127.0.0.1:{port}"


def _seed(environment: dict[str, str], sandbox_url: str, what: str) -> dict[str, dict[str, str]]:
    """Run the seed in a process of its own, whose database is the installation's."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.seeding", sandbox_url, what],
        cwd=BASE_DIR, env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "crmsync.settings"},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise DemoProblem(f"The seed failed:\n{done.stderr[-3000:]}")
    told: dict[str, dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return told


def _alive(processes: Processes, var_dir: Path) -> bool:
    if dead := processes.dead():
        raise DemoProblem(f"Ended by itself: {', '.join(dead)}. Its log is in {var_dir}.")
    return False
