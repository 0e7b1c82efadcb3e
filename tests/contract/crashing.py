"""Kill writers at random moments and check after each kill what the store promises; print one line of JSON.

    python crashing.py FOLDER KILLS SEED

Everything runs in forks of one process that has imported torch but never used it: a fork starts at once.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from featx.base_choice import BaseChoice
from featx.requests import CompareRequest, ExportRequest, ExtractRequest
from featx.store.clean import clean
from featx.store.compact import compact
from featx.store.part import Part
from featx.store.store import FeatureStore
from featx.store.verify import verify
from featx.workflows.export import export
from featx.workflows.extract import extract_features
from tests.store.samples import KEY, features_of, fill, make_digests

IMAGES = 128
ROWS = make_digests(200)
Report = Callable[[str, NDArray[np.uint8]], None]
Work = Callable[[Path, Report], object]
"""Works on a cache, and reports the folder and the digests of rows that it has committed."""

Truth = dict[str, dict[bytes, bytes]]
"""Folder of a key: digest to the feature's bytes, as an undisturbed run stored them."""


@dataclass
class Child:
    """A fork that does some work, and the pipe through which it reports what it has committed."""

    pid: int
    pipe: int
    report: bytes = b""

    def listen(self) -> None:
        """Read what has been reported so far, to the end if the fork is dead."""
        while more := os.read(self.pipe, 2**16):
            self.report += more
        os.close(self.pipe)


def start(work: Work, cache: Path) -> Child:
    reading_end, writing_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing_end)
        return Child(pid, reading_end)

    def report(folder: str, digests: NDArray[np.uint8]) -> None:
        os.write(writing_end, f"{folder} {digests.tobytes().hex()}\n".encode())

    code = 1
    try:
        torch.set_num_threads(1)
        work(cache, report)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class Committed(logging.Handler):
    """Reports each part that the store says is committed."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "committed %s":
            (path,) = record.args  # type: ignore[misc]
            with Part.open(path) as part:
                self.report("/".join(path.parts[-4:-1]), part.header.digests)


def run_extract(cache: Path, report: Report) -> None:
    log = logging.getLogger("featx.store.store")
    log.setLevel(logging.DEBUG)
    log.addHandler(Committed(report))
    data = str(cache.parent / "photos")
    layers = ("layer2", "layer4")
    extract_features(ExtractRequest(data, BaseChoice("tiny", "random"), layers, cache=cache, batch_size=16, workers=2))


def run_add(cache: Path, report: Report) -> None:
    store = FeatureStore(cache)
    for some in np.split(ROWS, 20):
        if store.missing(KEY, some).any():
            store.add(KEY, some, features_of(some), {"created": float(some[0, 0])})
            report(KEY.folder, some)


def run_compact(cache: Path, report: Report) -> None:
    compact(cache)


def run_export(cache: Path, report: Report) -> None:
    data = str(cache.parent / "photos")
    request = CompareRequest(data, BaseChoice("tiny", "random"), ("layer2",), cache=cache)
    export(ExportRequest(request, cache.parent / f"{cache.name}.h5"))


@dataclass
class Scenario:
    """Two works on one cache, how the cache begins, and what it must hold in the end.

    `seconds` is what one work takes undisturbed, `exported` the file that an undisturbed export writes.
    """

    name: str
    works: tuple[Work, Work]
    begin: Callable[[Path], object]
    truth: Truth
    seconds: float = 0.0
    exported: bytes = b""


@dataclass
class Tally:
    kills: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    finished: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    violations: list[str] = field(default_factory=list)
    unfinished_files: int = 0


def read_contents(cache: Path) -> Truth:
    """Read everything in a cache: folder to digest to bytes."""
    store = FeatureStore(cache)
    by_folder = {}
    for summary in store.keys():
        every = [header.digests.copy() for header in store.headers(summary.key)]
        digests = np.unique(np.concatenate(every), axis=0)
        by_folder[summary.key.folder] = pair_bytes(digests, store.get(summary.key, digests))
    return by_folder


def pair_bytes(digests: NDArray[np.uint8], features: NDArray[Any]) -> dict[bytes, bytes]:
    return {digest.tobytes(): row.tobytes() for digest, row in zip(digests, features, strict=True)}


def run(work: Work, cache: Path) -> float:
    """Let a work finish in a fork; return how long it took."""
    started = time.perf_counter()
    child = start(work, cache)
    child.listen()
    assert os.waitpid(child.pid, 0)[1] == 0
    return time.perf_counter() - started


def check(cache: Path, scenario: Scenario, committed: dict[str, set[bytes]], tally: Tally, when: str) -> None:
    """Every part is readable, every number right, no committed row absent."""
    wrong = [f"{problem.path}: {problem.problem}" for problem in verify(cache).problems]
    contents = read_contents(cache)
    for folder, rows in contents.items():
        truth = scenario.truth[folder]
        wrong += [f"a wrong number in {folder}" for digest, row in rows.items() if truth.get(digest) != row]
    for folder, digests in committed.items():
        if digests - set(contents.get(folder, {})):
            wrong.append(f"a lost row in {folder}")
    out = cache.parent / f"{cache.name}.h5"
    if scenario.exported and out.exists() and out.read_bytes() != scenario.exported:
        wrong.append("a torn export")
    tally.violations += [f"{scenario.name}, {when}: {problem}" for problem in wrong]


def collect_report(child: Child, committed: dict[str, set[bytes]]) -> None:
    child.listen()
    for line in child.report.split(b"\n")[:-1]:
        folder, rows = line.split(b" ")
        data = bytes.fromhex(rows.decode())
        committed[folder.decode()] |= {data[i : i + 32] for i in range(0, len(data), 32)}


@contextmanager
def suspend(children: Sequence[Child]) -> Iterator[None]:
    """Stop living writers for a while in the middle of whatever they do."""
    for child in children:
        os.kill(child.pid, signal.SIGSTOP)
    yield
    for child in children:
        os.kill(child.pid, signal.SIGCONT)


def disturb(cache: Path, scenario: Scenario, dice: random.Random, tally: Tally) -> None:
    """Kill both writers again and again until they get done, then compare."""
    scenario.begin(cache)
    committed: defaultdict[str, set[bytes]] = defaultdict(set)
    for folder, rows in read_contents(cache).items():
        committed[folder] |= set(rows)
    # Writers live for a share of the time that they need, longer each time: they are killed often, and get done.
    patience = 0.4
    is_done = False
    while not is_done:
        children = [start(work, cache) for work in scenario.works]
        is_done = True
        for place, child in enumerate(children):
            time.sleep(dice.uniform(0, scenario.seconds * patience))
            os.kill(child.pid, signal.SIGKILL)
            status = os.waitpid(child.pid, 0)[1]
            with suspend(children[place + 1 :]):
                if os.WIFSIGNALED(status):
                    tally.kills[scenario.name] += 1
                    is_done = False
                elif status:
                    tally.violations.append(f"{scenario.name}: a writer failed by itself")
                collect_report(child, committed)
                check(cache, scenario, committed, tally, "after a kill")
        patience *= 1.1
    for work in scenario.works:
        run(work, cache)
    tally.unfinished_files += len(clean(cache).removed)
    check(cache, scenario, committed, tally, "in the end")
    if read_contents(cache) != scenario.truth:
        tally.violations.append(f"{scenario.name}: the finished cache is not the undisturbed one")
    if list(cache.rglob(".tmp-*")):
        tally.violations.append(f"{scenario.name}: unfinished files are left after cleaning")
    tally.finished[scenario.name] += 1


def make_photos(folder: Path) -> None:
    for number in range(IMAGES):
        path = folder / "ab"[number % 2] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, compress_level=0)


def make_scenarios(root: Path) -> Iterator[Scenario]:
    """Run each work undisturbed once, and keep its result and how long it took."""
    undisturbed = root / "undisturbed"
    seconds = run(run_extract, undisturbed)
    extracted = read_contents(undisturbed)
    yield Scenario("extract", (run_extract, run_extract), lambda cache: None, extracted, seconds)

    seconds = run(run_export, undisturbed)
    exported = (root / "undisturbed.h5").read_bytes()
    yield Scenario(
        "export",
        (run_export, run_export),
        lambda cache: shutil.copytree(undisturbed, cache),
        extracted,
        seconds,
        exported,
    )
    added = {KEY.folder: pair_bytes(ROWS, features_of(ROWS))}
    seconds = run(run_add, root / "added")
    yield Scenario("add", (run_add, run_add), lambda cache: fill(cache, 1, 10), added, seconds)
    yield Scenario("add and compact", (run_add, run_compact), lambda cache: fill(cache, 10, 2), added, seconds)

    fill(root / "merged", 100, 2)
    seconds = run(run_compact, root / "merged")
    yield Scenario("compact", (run_compact, run_compact), lambda cache: fill(cache, 100, 2), added, seconds)


def main(root: Path, kills: int, seed: int) -> dict[str, Any]:
    dice = random.Random(seed)
    tally = Tally()
    make_photos(root / "photos")
    scenarios = list(make_scenarios(root))
    number = 0
    while sum(tally.kills.values()) < kills or min(tally.kills[scenario.name] for scenario in scenarios) < 1:
        rarest = min(scenarios, key=lambda scenario: tally.kills[scenario.name])
        disturb(root / f"cache{number}", rarest, dice, tally)
        number += 1
    return {
        "kills": dict(tally.kills),
        "finished": dict(tally.finished),
        "unfinished_files": tally.unfinished_files,
        "violations": tally.violations[:20],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
