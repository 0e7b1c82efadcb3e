"""`featx doctor` as a user meets it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.diagnosis.engines import Trial
from featx.workflows.doctor import diagnose

pytestmark = pytest.mark.slow

SCRIPT = "from featx.cli.main import run; run()"


def test_a_wrong_torchvision_is_found_in_a_real_installation(tmp_path: Path, cache: Path) -> None:
    # Metadata that are found before those of the installed one.
    folder = tmp_path / "site" / "torchvision-0.19.0.dist-info"
    folder.mkdir(parents=True)
    text = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.19.0\nRequires-Dist: torch (==2.4.0)\n"
    (folder / "METADATA").write_text(text)
    paths = os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "doctor", "--json", "--cache", str(cache)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    diagnosis = json.loads(done.stdout)
    problems = [found["text"] for found in diagnosis["findings"] if found["status"] == "problem"]
    assert any(text.startswith("torchvision 0.19.0 was built for torch 2.4.0") for text in problems)
    assert diagnosis["problems"] == len(problems)


def test_the_text_tells_neither_paths_nor_names(featx: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "secret-cache").mkdir()
    result = featx("doctor", "--cache", tmp_path / "secret-cache")
    assert str(tmp_path) not in result.stdout
    assert "secret" not in result.stdout
    assert platform.node() not in result.stdout.split()
    lines = result.stdout.splitlines()
    assert lines[0].startswith("featx ")
    assert all(line.startswith(("ok ", "note ", "problem ", " ")) for line in lines[1:-1])
    assert "tried on one picture" in result.stdout


def test_topics_are_all_there(cache: Path) -> None:
    topics = {found.topic for found in diagnose(cache, trial=Trial([], {"gpus": [], "mps": False})).findings}
    assert topics == {"python", "packages", "devices", "weights", "cache"}
