"""The text for SLURM in the documentation runs: here a function stands for `srun`, and variables for the scheduler."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.documents import list_blocks, use_bundled_base

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="a shell script")]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "cluster.md"
TASKS = 3


def read_script() -> str:
    """Take the text from the page."""
    (block,) = [block for block in list_blocks(PAGE.read_text(encoding="utf-8")) if block.needs == "SLURM"]
    return block.code


def make_runnable(script: str) -> str:
    """Let `srun featx` run this featx with the bundled base, and change nothing else."""
    run = f"{sys.executable} -c 'from featx.cli.main import run; run()'"
    words = use_bundled_base(["--base", "resnet50"])
    script = script.replace("--base resnet50", " ".join(words))
    return f'srun() {{ shift; {run} "$@"; }}\n{script}'


def test_it_is_a_batch_script_whose_array_counts_from_one() -> None:
    script = read_script()
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", script, re.MULTILINE))
    assert options["array"].startswith("1-")
    assert options["signal"].startswith("TERM@")
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_tasks_of_the_array_together_compute_all_once(
    photos: Path, cache: Path, tmp_path: Path, featx: Callable[..., Any]
) -> None:
    script = tmp_path / "extract.sbatch"
    script.write_text(make_runnable(read_script()))
    for task in range(1, TASKS + 1):
        variables = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(TASKS)}
        command = ["bash", script, photos, cache]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    whole = featx("extract", photos, "--base", "tiny", "-l", "layer3", "-l", "layer4", "--cache", cache, "-q")
    assert "36 cached, 0 extracted" in whole.stdout


def test_a_task_that_fails_fails_the_job(tmp_path: Path) -> None:
    script = tmp_path / "extract.sbatch"
    script.write_text(make_runnable(read_script()))
    variables = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "1"}
    command = ["bash", script, tmp_path / "nowhere", tmp_path / "cache"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
