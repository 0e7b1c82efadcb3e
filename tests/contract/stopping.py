"""Stops commands by signals at random moments, and looks at what is left: processes, files, and what is made next.

python tests/contract/stopping.py FOLDER TRIALS SEED: prints a report as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.files import TEMPORARY
from featx.models.model import load_model
from featx.store.clean import clean
from featx.store.store import FeatureStore

MARK = "FEATX_STOPPED_TRIAL"
"""Variable by which all processes of a trial are known, whatever their parent or group."""

PATIENCE = 20.0
"""Seconds within which a command that was asked to stop has ended: it commits what it has computed."""

MOMENT = 5.0
"""Seconds after the end of a command within which all its processes have ended."""

TORCHS_OWN = "torchinductor_"
"""Folder that torch keeps for good, for what its compiler makes."""

STOPPED = "stopped; what was committed is kept"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)

START = """
import signal, sys
# Who runs these trials may have started them in the background, or by nohup.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.argv[0] = "featx"
from featx.cli.main import run
run()
"""

RANDOM = ("--base", "tiny", "--weights", "random")
FINETUNING = ("--from", "layer4", "--out", "out/tuned.featx", "--views", "1", "--epochs", "4", "--patience", "4")
EXPERIMENT = """
data = "photos"
base = "tiny"
weights = "random"
layers = ["layer2", "layer4"]
poolings = ["avg", "pyramid"]
classifiers = ["logreg", "mlp"]

[finetune]
from = "layer4"
views = 1
epochs = 3
patience = 3
"""


def make_photos(root: Path, of_a_class: int) -> Path:
    """Make two classes of pictures that take a while to decode."""
    generator = np.random.default_rng(0)
    for hue, label in enumerate(("a", "b")):
        (root / label).mkdir(parents=True)
        noise = generator.integers(0, 160, (240, 240, 3))
        noise[:, :, hue] += 90
        for number in range(of_a_class):
            noise[0, 0] = (number % 256, number // 256, hue)
            Image.fromarray(noise.astype(np.uint8)).save(root / label / f"{number:03}.png", compress_level=1)
    return root


def list_processes(mark: str) -> list[str]:
    """Name the living processes of a trial."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # A dead process whose parent has not asked for its exit code yet is no process any more.
        if state != "Z":
            found.append(f"{folder.name} {b' '.join(words)[-80:].decode(errors='replace')}")
    return found


def list_unfinished(folder: Path) -> set[Path]:
    """List unfinished files."""
    return set(folder.rglob(f"{TEMPORARY}*"))


def read_store(cache: Path) -> dict[str, bytes]:
    """Read all features of a cache: by key, in the order of their digests."""
    store = FeatureStore(cache)
    contents = {}
    for summary in store.keys():
        digests = np.unique(np.concatenate([header.digests for header in store.headers(summary.key)]), axis=0)
        contents[summary.key.folder] = digests.tobytes() + store.get(summary.key, digests).tobytes()
    return contents


def read_model(file: Path) -> dict[str, bytes]:
    """Read all arrays of a model."""
    if not file.exists():
        return {}
    model = load_model(file)
    arrays = {**model.classifier.arrays, **model.base_tensors}
    return {name: np.asarray(array).tobytes() for name, array in arrays.items()}


class Trials:
    """Commands on one data set, what they make when nobody stops them, and what went wrong so far.

    Parameters
    ----------
    folder : pathlib.Path
        Empty or missing.
    of_a_class : int
        Pictures of each class.
    """

    def __init__(self, folder: Path, of_a_class: int) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        make_photos(self.folder / "photos", of_a_class)
        (self.folder / "experiment.toml").write_text(EXPERIMENT)
        self.violations: list[str] = []
        self.outcomes: list[dict[str, Any]] = []
        self.commands = {
            "extract": ("extract", "photos", *RANDOM, "-l", "layer2", "-l", "layer4", "--device", "cpu,cpu"),
            "compare": ("compare", "photos", *RANDOM, "--clf", "mlp", "--clf", "logreg"),
            "finetune": ("finetune", "photos", *RANDOM, *FINETUNING),
            "run": ("run", "experiment.toml"),
        }
        self.expected: dict[str, tuple[dict[str, bytes], dict[str, bytes]]] = {}
        self.seconds: dict[str, float] = {}
        self.extracted = self.folder / "extracted"
        words = ("extract", "photos", *RANDOM, "--pooling", "avg", "--pooling", "pyramid")
        layers = ("-l", "layer1", "-l", "layer2", "-l", "layer3", "-l", "layer4")
        line = [*self.line(*words, *layers, "-q"), "--cache", "extracted"]
        done = subprocess.run(line, cwd=self.folder, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0
        for name in self.commands:
            place = self.prepare(name, "whole")
            started = time.monotonic()
            self.finish(name, place)
            self.seconds[name] = time.monotonic() - started
            self.expected[name] = self.read(place)
        assert not self.violations, self.violations

    def line(self, *words: str) -> list[str]:
        """Write a command line."""
        return [sys.executable, "-c", START, *words]

    def prepare(self, name: str, trial: str) -> Path:
        """Make the folder of a trial: with links to the photos, and features where the command needs them."""
        place = self.folder / f"{name}-{trial}"
        (place / "tmp").mkdir(parents=True)
        (place / "photos").symlink_to(self.folder / "photos")
        shutil.copy(self.folder / "experiment.toml", place)
        if name == "compare":
            shutil.copytree(self.extracted, place / "cache")
        return place

    def read(self, place: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Read what a command made: features, and a model."""
        models = {}
        for file in sorted(place.rglob("*.featx")):
            models |= {f"{file.name}:{name}": array for name, array in read_model(file).items()}
        return read_store(place / "cache"), models

    def start(self, name: str, place: Path, mark: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own."""
        environment = {**os.environ, MARK: mark, "TMPDIR": str(place / "tmp"), "FEATX_CACHE": str(place / "cache")}
        return subprocess.Popen(
            self.line(*self.commands[name]),
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self, name: str, place: Path) -> None:
        """Run a command to its end."""
        process = self.start(name, place, f"{place.name}-again")
        out, err = process.communicate(timeout=600)
        if process.returncode or b"Traceback" in err:
            self.violations.append(
                f"{place.name}: the next run ends with {process.returncode}: {err[-2000:]!r} {out!r}"
            )

    def stop(self, name: str, trial: int, number: signal.Signals, moment: float, to_group: bool) -> None:
        """Start a command, send it a signal at some share of its time, look at what is left, and run it again."""
        place = self.prepare(name, str(trial))
        seconds = moment * self.seconds[name]
        blame = f"{place.name}, {number.name}{' to all' if to_group else ''} after {seconds:.2f} s"

        def complain(text: str) -> None:
            self.violations.append(f"{blame}: {text}")

        process = self.start(name, place, place.name)
        time.sleep(seconds)
        if process.poll() is None:
            (os.killpg if to_group else os.kill)(process.pid, number)
        code, took = self.wait_for_end(process, place.name, number, complain)
        unfinished = list_unfinished(place)
        in_cache = {path for path in unfinished if place / "cache" in path.parents}
        removed = {Path(path) for path in clean(place / "cache").removed} if (place / "cache").exists() else set()
        if in_cache != removed:
            complain(f"clean leaves {in_cache - removed}")
        strangers = [path for path in (place / "tmp").iterdir() if not path.name.startswith(TORCHS_OWN)]
        if strangers:
            complain(f"temporary files {strangers}")
        self.finish(name, place)
        if list_unfinished(place):
            complain(f"after the next run there are still {list_unfinished(place)}")
        if self.read(place) != self.expected[name]:
            complain("the next run makes something else")
        outcome = {"command": name, "signal": number.name, "after": round(seconds, 2), "code": code}
        outcome |= {"took": round(took, 2), "unfinished": len(unfinished), "to_group": to_group}
        self.outcomes.append(outcome)
        shutil.rmtree(place)

    def wait_for_end(
        self, process: subprocess.Popen[bytes], mark: str, number: signal.Signals, complain: Callable[[str], None]
    ) -> tuple[int, float]:
        """Wait until a command has ended and its pipes are closed; give its exit code and the seconds it took."""
        started = time.monotonic()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            complain(f"is still there after {PATIENCE:.0f} s: {list_processes(mark)}")
            process.kill()
        took = time.monotonic() - started
        try:
            _, err = process.communicate(timeout=MOMENT)
        except subprocess.TimeoutExpired:
            complain(f"a pipe is held by {list_processes(mark)}")
            err = b""
        end = time.monotonic() + MOMENT
        while (left := list_processes(mark)) and time.monotonic() < end:
            time.sleep(0.05)
        if left:
            complain(f"leaves {left}")
            for words in left:
                os.kill(int(words.split()[0]), signal.SIGKILL)
        code = process.returncode
        # 0: it was done by then; -number: Python itself had hardly started.
        if code not in (0, 128 + number, -number):
            complain(f"exit code {code}: {err[-500:]!r}")
        if code == 128 + number and not err.decode().rstrip().endswith(STOPPED):
            complain(f"says {err[-500:]!r}")
        if b"Traceback" in err and code != -number:
            complain(f"says {err[-2000:]!r}")
        return code, took


def main(folder: str, trials: str, seed: str) -> None:
    """Carry out all trials: commands and signals in turn, so that each pair comes up."""
    chance = random.Random(int(seed))
    all_trials = Trials(Path(folder).absolute(), 150 if int(trials) > 10 else 60)
    names = list(all_trials.commands)
    for trial in range(int(trials)):
        name = names[trial % 4]
        number = SIGNALS[(trial + trial // 4) % 4]
        # A terminal sends Ctrl-C and the news of its end to all processes.
        to_group = number != signal.SIGKILL and chance.random() < 0.5
        all_trials.stop(name, trial, number, chance.uniform(0.03, 1.0), to_group)
        sys.stderr.write(f"{all_trials.outcomes[-1]}\n")
    report = {"violations": all_trials.violations, "outcomes": all_trials.outcomes, "seconds": all_trials.seconds}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
