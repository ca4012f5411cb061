"""A worker is killed for real between every two of its steps, for both CRMs: the next one goes on, and nothing is twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection as database

ROOT = Path(__file__).resolve().parent.parent.parent


# Before the worker's first step the event is stored and no more.
NAMED = {
    "delivery": 1, "mapping": 2, "asking": 1, "before LLM": 1, "after LLM": 1, "merge": 1, "sending": 2, "logged": 2,
    "before Salesforce": 1, "after Salesforce": 1, "before HubSpot": 1, "after HubSpot": 1,
}  # fmt: skip


@pytest.fixture
def driven(sandbox, installation, transactional_db):
    """What was left after each kill, one line a step."""
    records = {system: sandbox.control.contacts(system)[0]["id"] for system in ("salesforce", "hubspot")}
    sandbox.world.llm.settings["mode"] = "normal"
    environment = installation.environment | {
        "DJANGO_SETTINGS_MODULE": "crmsync.settings",
        "PYTHONPATH": str(ROOT),
        "OPENAI_API_KEY": sandbox.world.llm.settings["key"],
        "OPENAI_BASE_URL": f"{sandbox.base_url}/v1",
        "CRMSYNC_UNKNOWN_WAIT": "0",
        "LOG_LEVEL": "ERROR",
    }
    parts = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    place = {name: database.settings_dict[name] for name in parts}
    database.close()
    driver = str(Path(__file__).with_name("crash_driver.py"))
    done = subprocess.run(
        [sys.executable, driver, sandbox.base_url, json.dumps(records), json.dumps(place, default=str)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], records


def test_after_every_kill_the_next_worker_goes_on_and_nothing_happens_twice(driven, sandbox):
    steps, records = driven
    died_at = Counter(step["place"] for step in steps)
    assert {name: died_at[name] for name in NAMED if died_at[name] < NAMED[name]} == {}, died_at
    assert [step["died"] for step in steps] == [True] * (len(steps) - 1) + [False]
    for step in steps:
        number = step["step"]
        assert step["count"] == number, step
        assert step["notes"] == f"Topic {number}.", step
        assert step["interests"].count(f"Fact {number}.") == 1, step
        assert step["applied"] == 3, step
        assert step["applied_reviews"] == 1, step
        assert step["changes"] == (3 if number == 1 else 2), step
        assert step["entries"] == ["logged", "logged"], step
        # An answer that came and was lost is in the books; what was kept is not asked for again.
        assert step["questions"] <= 2, step
    for system, record in records.items():
        told = Counter(_key_of(one, steps) for one in sandbox.control.activities(system, record))
        assert told == {step["key"]: 1 for step in steps}


def _key_of(activity, steps):
    text = json.dumps(activity)
    found = [
        step["key"] for step in steps if any(f"{step['key']}{end}" in text for end in ('"', "\\n", " ", "<"))
    ]
    return found[0] if found else text
