"""The demo proves the whole loop, and would notice if any part of it were missing."""

import re
import subprocess
from pathlib import Path

import pytest

from crmsync.management.commands.demo import STEPS
from tests.conftest import ROOT, new_installation

pytestmark = pytest.mark.once


def run_demo(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`bin/demo --check` with 100 contacts a CRM, in a directory of its own."""
    environment = new_installation(tmp_path).environment | {"CRMSYNC_DEMO_DIR": str(tmp_path)}
    return subprocess.run(
        ["bin/demo", "--check", "--count", "100", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


# What is left out together concerns different lines: none of them would name a step for the sake of another.
LEFT_OUT = [
    ("salesforce-import",),
    ("hubspot-import",),
    ("approval",),
    ("call",),
    ("chat",),
    ("overwrite",),
    ("fill_if_empty",),
    ("merge", "salesforce-activity", "hubspot-activity"),
    ("salesforce-push", "hubspot-push", "variables"),
]


def test_the_demo_finds_everything_as_expected_twice_in_a_row_and_leaves_no_process_behind(tmp_path: Path):
    for _ in range(2):
        outcome = run_demo(tmp_path)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert "Everything is as expected." in outcome.stderr
        assert "WRONG" not in outcome.stdout
        assert "HubSpot Communication" in outcome.stdout
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in running
    assert not (tmp_path / "demo.lock").exists()


def test_every_step_of_the_demo_is_left_out_once():
    assert sorted(step for steps in LEFT_OUT for step in steps) == sorted(STEPS)


@pytest.mark.parametrize("steps", LEFT_OUT, ids=" ".join)
def test_the_demo_names_the_lines_of_steps_that_did_not_happen(tmp_path: Path, steps: tuple[str, ...]):
    outcome = run_demo(tmp_path, *(word for step in steps for word in ("--without", step)))
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert [line for line in outcome.stdout.splitlines() if line.startswith("WRONG")]
    named = {step for names in re.findall(r"\(step ([^)]+)\)", outcome.stderr) for step in names.split()}
    assert named >= set(steps)
    assert "Everything is as expected." not in outcome.stderr
