"""Whatever is killed when, the store keeps what it promised (see `crashing.py` for what is done and checked)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

IS_LONG = bool(os.environ.get("FEATX_STRESS"))
KILLS = 240 if IS_LONG else 24


@pytest.mark.slow
@pytest.mark.stress
def test_no_kill_at_any_moment_loses_a_row_or_leaves_a_wrong_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("crashing.py")
    command = [sys.executable, str(script), str(tmp_path), str(KILLS), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600 if IS_LONG else 600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["violations"] == []
    assert set(report["finished"]) == {"extract", "export", "add", "add and compact", "compact"}
    assert sum(report["kills"].values()) >= KILLS
    if IS_LONG:
        assert min(report["kills"].values()) >= 5
    assert "Traceback" not in done.stderr
