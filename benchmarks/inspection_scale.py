"""`featx inspect` on many small pictures with generated rows: seconds of the whole process, and its largest memory.

    python benchmarks/inspection_scale.py ../shared/data --weights ../shared/weights --work scale --rows 10000

Pictures are those of CIFAR-100 at 128 x 128, and from the 60,001st on blends of two of them, so that all differ. Rows
of 1,280 columns in ten classes are drawn, and lie in the cache as if MobileNetV2 had computed them. The command runs in
a process of its own; the resident memory of it and of the processes that it starts is read ten times a second.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

import featx
from featx.keys import FeatureKey
from featx.store.store import FeatureStore

BASE = "mobilenet_v2"
WEIGHTS = "mobilenet_v2-imagenet.safetensors"
LAYER = "features.18"
COLUMNS = 1280
CLASSES = 10
SIDE = 128
APART = 0.3
"""Deviation of the classes' centres over that of rows within a class: with so many columns every class can be told."""

SEED = 42
PART_ROWS = 20_000
STRIDE = 7919
"""A prime, so that the second picture of a blend is another one each time."""

SAMPLE_SECONDS = 0.1

RUN = "import sys; sys.argv[0] = 'featx'; from featx.cli.main import run; run()"


class Measured(NamedTuple):
    """What a command took: seconds, and gigabytes at its largest, its children included."""

    seconds: float
    gigabytes: float
    output: str


def draw_rows(rows: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Draw features (n, 1280) of unit length and their classes (n,)."""
    rng = np.random.default_rng(SEED)
    y = np.arange(rows) % CLASSES
    centres = APART * rng.standard_normal((CLASSES, COLUMNS), dtype=np.float32)
    X = rng.standard_normal((rows, COLUMNS), dtype=np.float32) + centres[y]
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X, y


def write_picture(data: Path, place: int, pictures: Sequence[bytes]) -> bytes:
    """Write one picture into the folder of its class, and give the digest of its file."""
    picture = open_picture(pictures[place % len(pictures)])
    if place >= len(pictures):
        other = open_picture(pictures[(place * STRIDE + 1) % len(pictures)])
        picture = Image.blend(picture, ImageOps.mirror(other), 0.5)
    file = data / f"class{place % CLASSES}" / f"{place:06}.jpg"
    picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, quality=90)
    return hashlib.sha256(file.read_bytes()).digest()


def open_picture(data: bytes) -> Image.Image:
    """Decode one small picture."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def load_pictures(file: Path) -> list[bytes]:
    """Load the pictures of CIFAR-100, 60,000 of 32 x 32, as they are encoded."""
    pictures = []
    with np.load(file) as arrays:
        for part in ("train", "test"):
            joined = arrays[f"{part}_webp"].tobytes()
            offsets = arrays[f"{part}_offsets"].tolist()
            pictures += [joined[low:high] for low, high in pairwise(offsets)]
    return pictures


def make_material(data: Path, weights: Path, work: Path, rows: int) -> tuple[Path, Path]:
    """Make pictures and a cache of generated rows, where they are not there yet: the folder, and the cache."""
    pictures = work / f"pictures-{rows}"
    cache = work / f"cache-{rows}"
    if cache.exists():
        return pictures, cache
    cifar = load_pictures(data / "cifar100" / "cifar100.npz")
    for code in range(CLASSES):
        (pictures / f"class{code}").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda place: write_picture(pictures, place, cifar), range(rows)))
    first = work / f"first-{rows}"
    for code in range(2):
        (first / str(code)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), 50 + code, np.uint8)).save(first / str(code) / "grey.png")
    # What writes base.json and states the key.
    featx.extract(first, base=BASE, weights=str(weights / WEIGHTS), layers=LAYER, cache=cache)
    header = next(cache.rglob("part-*.h5"))
    store = FeatureStore(cache)
    key = read_key(header)
    X, _ = draw_rows(rows)
    of_files = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    for low in range(0, rows, PART_ROWS):
        store.add(key, of_files[low : low + PART_ROWS], X[low : low + PART_ROWS], {"host": "generated"})
    return pictures, cache


def read_key(part: Path) -> FeatureKey:
    """Read the key of a part's features."""
    from featx.store.part import Part

    with Part.open(part) as opened:
        return FeatureKey.from_json(opened.header.key)


def measure_command(arguments: Sequence[str]) -> Measured:
    """Run `featx` in a process of its own."""
    started = time.perf_counter()
    largest = 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=output)
        while process.poll() is None:
            largest = max(largest, measure_memory(process.pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"featx {' '.join(arguments)} ended with {process.returncode}")
    return Measured(seconds, largest / 1e9, text)


def measure_memory(pid: int) -> int:
    """Add up the resident memory of a process and of those that it started, in bytes; of one that has just ended 0."""
    folder = Path("/proc") / str(pid)
    try:
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [child for task in folder.glob("task/*/children") for child in task.read_text().split()]
    except OSError:
        return 0
    return resident + sum(measure_memory(int(child)) for child in children)


def measure_inspect(data: Path, weights: Path, work: Path, rows: int) -> Measured:
    """Measure `featx inspect --json` on so many pictures, which are made in `work` where they are not there yet."""
    pictures, cache = make_material(data, weights, work, rows)
    arguments = ["inspect", str(pictures), "--base", BASE, "--weights", str(weights / WEIGHTS), "--layer", LAYER]
    return measure_command([*arguments, "--cache", str(cache), "--json", "--quiet"])


def describe_measured(measured: Measured, rows: int) -> str:
    """Write a line of what was measured."""
    beyond = measured.gigabytes - rows * COLUMNS * 4 / 1e9
    return f"{rows:7} rows: {measured.seconds:.1f} s, {measured.gigabytes:.2f} GB, {beyond:.2f} GB beyond the rows"


def main() -> None:
    """Measure each number of rows that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--only-make", action="store_true", help="make pictures and rows, and measure nothing")
    parser.add_argument("--json", type=Path, help="keep what the last run printed")
    arguments = parser.parse_args()
    for rows in arguments.rows:
        if arguments.only_make:
            make_material(arguments.data, arguments.weights, arguments.work, rows)
            continue
        measured = measure_inspect(arguments.data, arguments.weights, arguments.work, rows)
        print(describe_measured(measured, rows))
        if arguments.json:
            arguments.json.write_text(json.dumps(json.loads(measured.output), indent=1))


if __name__ == "__main__":
    main()
