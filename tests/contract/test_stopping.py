"""Whatever stops a command when, no process is left, no file that `clean` does not know, and the next run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

IS_LONG = bool(os.environ.get("FEATX_STRESS"))
TRIALS = 40 if IS_LONG else 6
SECONDS = 7200 if IS_LONG else 900


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_no_signal_at_any_moment_leaves_a_process_or_changes_what_comes_out(tmp_path: Path) -> None:
    script = Path(__file__).with_name("stopping.py")
    command = [sys.executable, str(script), str(tmp_path / "trials"), str(TRIALS), "1"]
    environment = os.environ | {"PYTHONPATH": str(script.parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["violations"] == []
    assert len(report["outcomes"]) == TRIALS
