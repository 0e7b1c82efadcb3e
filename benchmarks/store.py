"""How fast the feature store writes and reads, beside numpy.save and numpy.load of the same array in the same run.

    python benchmarks/store.py [--folder DIR] [--rows 20480] [--million 1000000] [--repeats 5]

It prints a table and saves it under benchmarks/results/. Every figure is the median of the repeats, which take turns,
so that whatever else the machine does meets all of them; ratios are the median of the ratios within a turn.
`numpy.save` does not wait for the disk; so there is a second figure with an fsync after it, which is what the store
does for every part before it says that rows are committed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.keys import BaseId, FeatureKey, InputTransform
from featx.store.header import CHECKSUM_BLOCK_BYTES
from featx.store.part import BLOCKS_PER_READ, Part
from featx.store.paths import list_parts
from featx.store.store import FeatureStore
from featx.store.writer import PartWriter, RowCost, rows_per_part
from featx.timing import Clock

KEY = FeatureKey(BaseId("resnet50", "ab" * 32, InputTransform(256, 224)), "layer4")
BATCH = 256
WIDTH = 2048
READ_BYTES = BLOCKS_PER_READ * CHECKSUM_BLOCK_BYTES
Line = tuple[str, str, str]


def make_digests(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, 32), dtype=np.uint8)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Throughput:
    """Writes and reads of one array, each way once a turn."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.features = np.random.default_rng(0).standard_normal((rows, WIDTH), dtype=np.float32)
        self.digests = make_digests(rows)
        self.digest_list = [row.tobytes() for row in self.digests]
        self.file = folder / "plain.npy"
        self.seconds: dict[str, list[float]] = {}

    def save(self) -> None:
        np.save(self.file, self.features)

    def save_and_sync(self) -> None:
        np.save(self.file, self.features)
        sync(self.file)

    def write(self) -> None:
        """Do what extraction does: hand batches to a writer that commits parts of 1024 rows."""
        rows = rows_per_part(len(self.features))
        writer = PartWriter(FeatureStore(self.folder / "store"), KEY, rows, lambda: {"host": "here"}, Clock())
        for low in range(0, len(self.features), BATCH):
            writer.append(self.digest_list[low : low + BATCH], self.features[low : low + BATCH], RowCost(0, 0))
        writer.close()

    def add(self) -> None:
        """Commit a part for each batch, durable before the next one begins."""
        store = FeatureStore(self.folder / "store")
        for low in range(0, len(self.features), BATCH):
            store.add(KEY, self.digests[low : low + BATCH], self.features[low : low + BATCH], {"host": "here"})

    def load(self) -> None:
        assert np.load(self.file).shape == self.features.shape

    def get(self) -> None:
        assert FeatureStore(self.folder / "store").get(KEY, self.digests).shape == self.features.shape

    def turn(self) -> None:
        """Measure everything once; what reads follows what writes the files that it reads."""
        self.measure_writing("save", self.save)
        self.measure_writing("save and sync", self.save_and_sync)
        self.measure_reading("load", self.load)
        self.measure_writing("add", self.add)
        self.measure_reading("get small parts", self.get)
        self.measure_writing("write", self.write)
        self.measure_reading("load again", self.load)
        self.measure_reading("get", self.get)
        self.measure("checked", partial(self.read_parts, is_checked=True))
        self.measure("unchecked", partial(self.read_parts, is_checked=False))

    def measure(self, name: str, work: Callable[[], object]) -> None:
        self.seconds.setdefault(name, []).append(timed(work))

    def measure_writing(self, name: str, work: Callable[[], object]) -> None:
        target = self.folder / "store"
        if name.startswith("save"):
            target = self.file
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        # Nobody should pay for what was written before.
        os.sync()
        self.measure(name, work)

    def measure_reading(self, name: str, work: Callable[[], object]) -> None:
        # Once without measuring, so that the store and numpy both find their files in memory.
        work()
        self.measure(name, work)

    def read_parts(self, is_checked: bool) -> None:
        """Read every part in the same pieces as `get`, with or without checking the checksums."""
        out = np.empty((1024, WIDTH), np.float32)
        for path in list_parts(FeatureStore(self.folder / "store").folder(KEY)):
            with Part.open(path) as part:
                rows = out[: part.header.shape[0]]
                if is_checked:
                    part.read_blocks(0, rows)
                    continue
                view = rows.data.cast("B")
                for low in range(0, len(view), READ_BYTES):
                    os.preadv(part.file.handle, [view[low : low + READ_BYTES]], part.header.offset + low)

    def lines(self) -> list[Line]:
        megabytes = self.features.nbytes / 2**20
        median = {name: statistics.median(values) for name, values in self.seconds.items()}
        rate = {name: megabytes / seconds for name, seconds in median.items()}

        def compare(name: str, other: str) -> str:
            ratios = [a / b for a, b in zip(self.seconds[other], self.seconds[name], strict=True)]
            return f"{statistics.median(ratios):.2f} x {other.removesuffix(' again')} (goal 0.8)"

        checks = median["checked"] - median["unchecked"]
        share = f"{checks / median['checked']:.0%} of reading by one thread into memory that is there"
        return [
            ("numpy.save", f"{rate['save']:.0f} MiB/s", "not waiting for the disk"),
            ("numpy.save and fsync", f"{rate['save and sync']:.0f} MiB/s", ""),
            ("store, batches of 256 rows in parts of 1024", f"{rate['write']:.0f} MiB/s", compare("write", "save")),
            ("", "", compare("write", "save and sync")),
            ("store, each batch of 256 rows a part", f"{rate['add']:.0f} MiB/s", compare("add", "save and sync")),
            ("numpy.load", f"{rate['load']:.0f} MiB/s", ""),
            ("store.get from parts of 1024", f"{rate['get']:.0f} MiB/s", compare("get", "load again")),
            ("store.get from parts of 256", f"{rate['get small parts']:.0f} MiB/s", compare("get small parts", "load")),
            ("checking the checksums", f"{checks * 1e3:.0f} ms", share),
        ]


def fill_million(folder: Path, rows: int, width: int) -> tuple[FeatureStore, NDArray[np.uint8]]:
    store = FeatureStore(folder / "million")
    digests = make_digests(rows)
    for low in range(0, rows, 1024):
        some = digests[low : low + 1024]
        features = np.repeat(some[:, :1].astype(np.float32), width, axis=1)
        store.add(KEY, some, features, {"created": float(low), "seconds": 1.0})
    return store, digests


def measure_million(folder: Path, rows: int, width: int, repeats: int) -> list[Line]:
    """Measure listing and random reads of a large store."""
    store, digests = fill_million(folder, rows, width)
    some = digests[np.random.default_rng(1).choice(rows, min(rows, 10_000), replace=False)]
    listing = statistics.median(timed(lambda: [h.digests for h in store.headers(KEY)]) for _ in range(repeats))
    summing = statistics.median(timed(store.keys) for _ in range(repeats))
    missing = statistics.median(timed(lambda: store.missing(KEY, digests)) for _ in range(repeats))
    getting = [timed(lambda: store.get(KEY, some)) for _ in range(repeats)]
    assert np.array_equal(store.get(KEY, some)[:, 0], some[:, 0])
    parts = -(-rows // 1024)
    return [
        (f"digests of {rows:,} rows in {parts} parts", f"{listing:.2f} s", "goal 3 s"),
        ("featx cache ls of them", f"{summing:.2f} s", ""),
        ("missing: all of them", f"{missing:.2f} s", ""),
        (f"get of {len(some):,} random rows of {width} numbers", f"{statistics.median(getting):.2f} s", ""),
        *measure_peaks(folder / "million", rows),
    ]


PEAK = """
import sys
from pathlib import Path
import numpy as np
from featx.store.verify import verify
from featx.store.compact import compact
from featx.store.paths import list_parts
from featx.store.header import CHECKSUM_BLOCK_BYTES
from featx.store.part import BLOCKS_PER_READ, Part
from featx.store.store import FeatureStore
sys.path.insert(0, str(Path(sys.argv[3]).parent))
from store import KEY, make_digests, read_peak, restart_peak
store = FeatureStore(Path(sys.argv[1]))
rows = int(sys.argv[2])
if sys.argv[4] == "get":
    digests = make_digests(rows)[:: max(1, rows // 10_000)].copy()
    before = restart_peak()
    result = store.get(KEY, digests)
    print(read_peak() - before - result.nbytes / 2**20)
else:
    before = restart_peak()
    verify(store.root)
    print(read_peak() - before)
"""


def read_peak() -> float:
    """Largest memory of this process so far, in MiB."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def restart_peak() -> float:
    """Forget the peak so far; return the memory in use now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return read_peak()


def measure_peaks(store: Path, rows: int) -> list[Line]:
    """Measure the memory of a process that gets 10,000 rows, beyond the result, and of one that verifies everything."""
    megabytes = {}
    for work in ("get", "verify"):
        command = [sys.executable, "-c", PEAK, str(store), str(rows), __file__, work]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        megabytes[work] = float(done.stdout)
    return [
        ("memory of get beyond the result", f"{megabytes['get']:.0f} MiB", "one part has 8 MiB"),
        ("memory of verify", f"{megabytes['verify']:.0f} MiB", ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to write; its file system is what is measured")
    parser.add_argument("--rows", type=int, default=20_480)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--million-width", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    try:
        throughput = Throughput(folder, given.rows)
        for _ in range(given.repeats):
            throughput.turn()
        lines = throughput.lines()
        shutil.rmtree(folder / "store")
        if given.million:
            lines += measure_million(folder, given.million, given.million_width, given.repeats)
    finally:
        shutil.rmtree(folder)
    versions = f"{platform.machine()}, numpy {np.__version__}, h5py {h5py.__version__}"
    lines += [("machine", f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", versions)]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    text = "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in lines) + "\n"
    print(text, end="")
    results = Path(__file__).with_name("results")
    results.mkdir(exist_ok=True)
    (results / "store.txt").write_text(text)


if __name__ == "__main__":
    main()
