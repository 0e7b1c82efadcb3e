"""Ctrl-C, SIGTERM and SIGHUP end a command and its processes with one line; what was committed is kept. Real processes.

SIGKILL, too, leaves no process. Trials at random moments are in `tests/contract/stopping.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.runners.clusters import MARK
from tests.runners.clusters import list_processes as list_marked

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")]

STOPPED = "stopped; what was committed is kept"
START = """
import signal
from featx.cli.main import run
# A shell starts jobs in the background with Ctrl-C ignored, nohup with SIGHUP ignored, and so these tests, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
run()
"""

WAYS = [
    (signal.SIGINT, True, 130),
    (signal.SIGINT, False, 130),
    (signal.SIGTERM, True, 143),
    (signal.SIGTERM, False, 143),
    (signal.SIGHUP, True, 129),
    (signal.SIGKILL, False, -9),
]
"""Signal, whether to all processes of the command as a terminal does it, and the exit code."""

RANDOM = ["--base", "tiny", "--weights", "random"]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two classes of 300 pictures that take a while to decode."""
    return make_photos(tmp_path / "many", 300)


def make_photos(root: Path, of_a_class: int) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(of_a_class):
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
        deadline = time.monotonic() + 300
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
@pytest.mark.parametrize(("number", "to_group", "code"), WAYS)
def test_an_extraction_is_stopped(many: Path, cache: Path, device: str, number: int, to_group: bool, code: int) -> None:
    words = ["extract", many, *RANDOM, "--layer", "layer4", "--cache", cache, "--device", device, "--workers", 1, "-q"]

    def has_begun() -> bool:
        begun = any(cache.rglob("base.json"))
        time.sleep(0.1 if begun else 0)
        return begun

    found_code, stderr = stop(words, has_begun, number, to_group)
    assert stderr == ("" if number == signal.SIGKILL else f"{STOPPED}\n")
    assert found_code == code


@pytest.mark.parametrize(("number", "to_group", "code"), WAYS[:4:3])
def test_an_extraction_on_a_ray_of_its_own_is_stopped(
    many: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, to_group: bool, code: int
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = ["extract", many, *RANDOM, "--layer", "layer4", "--cache", cache, "--runner", "ray", "-q"]
    found_code, stderr = stop(words, lambda: len(list(cache.rglob("*.h5"))) > 2, number, to_group)
    assert stderr == f"{STOPPED}\n"
    assert found_code == code
    # What the workers had of their items is committed, and the digests are remembered.
    assert list(cache.rglob("*.digests"))


@pytest.mark.parametrize(("number", "to_group", "code"), WAYS[:4:3])
def test_a_fit_on_a_ray_of_its_own_is_stopped(
    many: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, to_group: bool, code: int
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    name = uuid.uuid4().hex
    monkeypatch.setenv(MARK, name)
    extract_features(ExtractRequest(str(many), BaseChoice("tiny", "random"), ("layer4",), ("pyramid",), cache=cache))
    words = ["fit", many, *RANDOM, "--layer", "layer4", "--pooling", "pyramid", "--clf", "mlp", "--runner", "ray"]
    words += ["--out", tmp_path / "m.featx", "--cache", cache, "-q"]
    found_code, stderr = stop(words, lambda: list_marked(name, b"ray::call_here"), number, to_group)
    assert stderr == f"{STOPPED}\n"
    assert found_code == code
    assert not (tmp_path / "m.featx").exists()


@pytest.mark.parametrize(("number", "to_group", "code"), WAYS)
def test_a_comparison_with_worker_processes_is_stopped(
    many: Path, cache: Path, number: int, to_group: bool, code: int
) -> None:
    layers = ("layer1", "layer2", "layer3", "layer4")
    extract_features(ExtractRequest(str(many), BaseChoice("tiny", "random"), layers, ("avg", "pyramid"), cache=cache))
    words = ["compare", many, *RANDOM, "--cache", cache, "--clf", "mlp", "-q"]

    def has_result() -> bool:
        return any((cache / "results").glob("*.json"))

    found_code, stderr = stop(words, has_result, number, to_group)
    assert stderr == ("" if number == signal.SIGKILL else f"{STOPPED}\n")
    assert found_code == code
    assert any((cache / "results").glob("*.json"))


@pytest.mark.parametrize(("number", "to_group", "code"), WAYS[::2])
def test_fine_tuning_is_stopped_and_keeps_its_checkpoint(
    many: Path, cache: Path, tmp_path: Path, number: int, to_group: bool, code: int
) -> None:
    words = ["finetune", many, *RANDOM, "--from", "layer4", "--out", tmp_path / "m.featx", "--cache", cache]
    words += ["--views", 1, "--epochs", 500, "--patience", 500, "-q"]
    checkpoint = tmp_path / "m.featx.checkpoint"
    found_code, stderr = stop(words, checkpoint.exists, number, to_group)
    assert stderr == ("" if number == signal.SIGKILL else f"{STOPPED}\n")
    assert found_code == code
    assert checkpoint.exists()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Pictures, the cache of their features, and a model that was fitted on them."""
    folder = tmp_path_factory.mktemp("fitted")
    photos = make_photos(folder / "photos", 100)
    cache = folder / "cache"
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny"), ("layer3", "layer4"), cache=cache))
    report = fit_classifier(CompareRequest(str(photos), BaseChoice("tiny"), ("layer4",), ("logreg",), cache=cache))
    report.model.save(folder / "model.featx")
    return photos, cache, folder / "model.featx"


def handles_sigterm(process: int) -> bool:
    """Whether a process has set its own handler of SIGTERM."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


@pytest.mark.parametrize("delay", [0.1, 1.0])
@pytest.mark.parametrize(("number", "to_group", "code"), [WAYS[0], WAYS[3], WAYS[4]])
@pytest.mark.parametrize("command", ["predict", "score", "advise", "verify", "export"])
def test_other_commands_are_stopped_and_write_nothing_by_halves(
    fitted: tuple[Path, Path, Path], tmp_path: Path, command: str, number: int, to_group: bool, code: int, delay: float
) -> None:
    photos, cache, model = fitted
    words = {
        "predict": ["predict", model, photos, "--csv", tmp_path / "labels.csv", "--workers", 1],
        "score": ["score", model, photos, "--csv", tmp_path / "labels.csv", "--workers", 1, "--split", "all"],
        "advise": ["advise", photos, "--base", "tiny", "--cache", cache],
        "verify": ["cache", "verify", "--cache", cache],
        "export": ["cache", "export", photos, "-b", "tiny", "-l", "layer4", "--out", tmp_path / "f.h5", "--rehash"],
    }[command]
    words += ["--cache", cache] if command == "export" else []
    line = [sys.executable, "-c", START, *map(str, words), "-q"]
    process = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not handles_sigterm(process.pid):
        time.sleep(0.01)
    time.sleep(delay)
    # Nobody has asked for its exit code yet, so a process that has ended is still there.
    (os.killpg if to_group else os.kill)(process.pid, number)
    stderr = process.communicate(timeout=60)[1]
    # A command that was done before the signal came is done.
    assert (process.returncode, stderr) in ((code, f"{STOPPED}\n"), (0, ""))
    assert list_processes(process.pid) == []
    written = [path.name for path in tmp_path.iterdir()]
    if process.returncode:
        assert written == []
    else:
        assert len(written) == (command in ("predict", "score", "export"))


def test_nohup_is_respected(many: Path, cache: Path) -> None:
    start = START.replace("signal.SIGHUP, signal.SIG_DFL", "signal.SIGHUP, signal.SIG_IGN")
    words = ["extract", many, *RANDOM, "--layer", "layer4", "--cache", cache, "--device", "cpu,cpu", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-c", start, *map(str, words)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not any(cache.rglob("base.json")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(120) == 0


def test_what_reads_the_output_sees_its_end(many: Path, cache: Path) -> None:
    layers = ("layer1", "layer2", "layer3", "layer4")
    extract_features(ExtractRequest(str(many), BaseChoice("tiny", "random"), layers, ("avg", "pyramid"), cache=cache))
    words = ["compare", many, *RANDOM, "--cache", cache, "--clf", "mlp"]
    command = [sys.executable, "-c", START, *map(str, words)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not any((cache / "results").glob("*.json")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        # Both pipes end as soon as nobody holds them any more.
        assert process.communicate(timeout=10)[0] == b""
        for result in (cache / "results").glob("*.json"):
            result.unlink()


def test_a_signal_that_python_swallows_is_delivered_again() -> None:
    script = """
import signal, sys, time, weakref
from featx.cli import main
class Thing: pass
def work(args):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.{name}))
    del thing
    time.sleep(30)
main.run_command = work
main.run([])
"""
    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        line = [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            + script.replace("{name}", name),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=25, check=False)
        assert (done.returncode, done.stderr) == (code, f"{STOPPED}\n")


def test_a_signal_that_python_wraps_is_still_one() -> None:
    script = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from featx.cli import doctor, main
class Field:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.{name})
def work(**arguments):
    try:
        type("Made", (), {"field": Field()})
    except KeyboardInterrupt as stop:
        raise RuntimeError("as Python 3.11 does") from stop
doctor.command.callback = work
main.run(["doctor"])
"""
    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        line = [sys.executable, "-c", script.replace("{name}", name)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=25, check=False)
        assert (done.returncode, done.stderr) == (code, f"{STOPPED}\n")
