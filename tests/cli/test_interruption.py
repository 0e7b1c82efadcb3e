"""Ctrl-C and SIGTERM end a command and its processes with one line; what was committed is kept. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.base_choice import BaseChoice
from featx.requests import ExtractRequest
from featx.workflows.extract import extract_features

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")]

STOPPED = "stopped; what was committed is kept"
START = """
import signal
from featx.cli.main import run
# A shell starts jobs in the background with Ctrl-C ignored, and so these tests, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
run()
"""

RANDOM = ["--base", "tiny", "--weights", "random"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two classes of 300 pictures that take a while to decode."""
    root = tmp_path / "many"
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(300):
            noise[0, 0] = (number % 256, number // 256, ord(label))
            Image.fromarray(noise).save(root / label / f"{number:03}.png", compress_level=1)
    return root


def list_processes(group: int) -> list[str]:
    """Names of the living processes of a group."""
    names = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, its_group = rest.split()[:3]
        if int(its_group) == group and state != "Z":
            names.append(name)
    return names


def stop(words: list[Any], wait_for: Any, number: int, to_group: bool) -> tuple[int, str]:
    """Start a command in a session of its own, wait for a condition, send a signal, and give exit code and stderr."""
    command = [sys.executable, "-c", START, *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while not wait_for() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[1]
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        stderr = process.communicate(timeout=60)[1]
        end = time.monotonic() + 10
        while list_processes(process.pid) and time.monotonic() < end:
            time.sleep(0.1)
        assert list_processes(process.pid) == []
        return process.returncode, stderr
    finally:
        if list_processes(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143)],
)
def test_an_extraction_is_stopped(many: Path, cache: Path, device: str, number: int, to_group: bool, code: int) -> None:
    words = ["extract", many, *RANDOM, "--layer", "layer4", "--cache", cache, "--device", device, "--workers", 1, "-q"]

    def has_begun() -> bool:
        begun = any(cache.rglob("base.json"))
        time.sleep(0.1 if begun else 0)
        return begun

    found_code, stderr = stop(words, has_begun, number, to_group)
    assert stderr == f"{STOPPED}\n"
    assert found_code == code


@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143)],
)
def test_a_comparison_with_worker_processes_is_stopped(
    many: Path, cache: Path, number: int, to_group: bool, code: int
) -> None:
    layers = ("layer1", "layer2", "layer3", "layer4")
    extract_features(ExtractRequest(str(many), BaseChoice("tiny", "random"), layers, ("avg", "pyramid"), cache=cache))
    words = ["compare", many, *RANDOM, "--cache", cache, "--clf", "mlp", "-q"]

    def has_result() -> bool:
        return any((cache / "results").glob("*.json"))

    found_code, stderr = stop(words, has_result, number, to_group)
    assert stderr == f"{STOPPED}\n"
    assert found_code == code
    assert any((cache / "results").glob("*.json"))


@pytest.mark.parametrize(("number", "to_group", "code"), [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)])
def test_fine_tuning_is_stopped_and_keeps_its_checkpoint(
    many: Path, cache: Path, tmp_path: Path, number: int, to_group: bool, code: int
) -> None:
    words = ["finetune", many, *RANDOM, "--from", "layer4", "--out", tmp_path / "m.featx", "--cache", cache]
    words += ["--views", 1, "--epochs", 500, "--patience", 500, "-q"]
    checkpoint = tmp_path / "m.featx.checkpoint"
    found_code, stderr = stop(words, checkpoint.exists, number, to_group)
    assert stderr == f"{STOPPED}\n"
    assert found_code == code
    assert checkpoint.exists()
