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


def test_the_demo_finds_everything_as_expected_twice_in_a_row(tmp_path: Path):
    for _ in range(2):
        outcome = run_demo(tmp_path)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        assert "Everything is as expected." in outcome.stderr
        assert "WRONG" not in outcome.stdout
        assert "HubSpot Communication" in outcome.stdout


@pytest.mark.parametrize("step", STEPS)
def test_the_demo_names_the_line_of_a_step_that_did_not_happen(tmp_path: Path, step: str):
    outcome = run_demo(tmp_path, "--without", step)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    wrong = [line for line in outcome.stdout.splitlines() if line.startswith("WRONG")]
    assert wrong
    assert any(step in name for name in re.findall(r"\(step ([^)]+)\)", outcome.stderr))
    assert "Everything is as expected." not in outcome.stderr


def test_the_demo_leaves_no_process_behind(tmp_path: Path):
    run_demo(tmp_path)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in running
    assert not (tmp_path / "demo.lock").exists()
