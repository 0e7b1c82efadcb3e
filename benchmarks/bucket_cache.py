"""How long it takes to know which of a million rows a cache in a bucket lacks.

    python benchmarks/bucket_cache.py s3://BUCKET/FOLDER [--parts 1000] [--asks 4]

Parts of a thousand rows are written. Then processes of their own ask the store about all of these rows and one more:
the first has no local copies of heads, the others have those that it made. Imports are not counted.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.keys import BaseId, FeatureKey, InputTransform
from featx.storage.paths import CachePath, parse_cache
from featx.store.store import FeatureStore

KEY = FeatureKey(BaseId("resnet50", "ab" * 32, InputTransform(256, 224)), "layer4")
ROWS = 1000
"""Rows of a part."""

WIDTH = 64


def make_digests(count: int) -> NDArray[np.uint8]:
    """Draw digests (count, 32), the same each time."""
    return np.random.default_rng(count).integers(0, 256, (count, 32), dtype=np.uint8)


def write_parts(cache: CachePath, parts: int) -> float:
    """Write parts of made rows; give the seconds that it took."""
    store = FeatureStore(cache)
    digests = make_digests(parts * ROWS)
    started = time.perf_counter()
    for first in range(0, len(digests), ROWS):
        some = digests[first : first + ROWS]
        store.add(KEY, some, np.repeat(some[:, :1].astype(np.float32), WIDTH, axis=1), {"created": 0.0, "seconds": 1.0})
    return time.perf_counter() - started


def ask(cache: CachePath, parts: int) -> str:
    """Ask which rows are missing, and say how long that took."""
    digests = np.vstack([make_digests(parts * ROWS), np.zeros((1, 32), np.uint8)])
    started = time.perf_counter()
    missing = FeatureStore(cache).missing(KEY, digests)
    seconds = time.perf_counter() - started
    assert np.flatnonzero(missing).tolist() == [parts * ROWS]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{len(digests):,} rows, {parts:,} parts: missing rows known after {seconds:.2f} s, {memory:.0f} MB at most"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache")
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--asks", type=int, default=4)
    parser.add_argument("--copies", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.copies:
        print(ask(parse_cache(options.cache, options.copies), options.parts))
        return
    with tempfile.TemporaryDirectory() as copies:
        print(f"written in {write_parts(parse_cache(options.cache, Path(copies) / 'of writer'), options.parts):.0f} s")
        for _ in range(options.asks):
            call = [sys.executable, __file__, options.cache, "--parts", str(options.parts)]
            subprocess.run([*call, "--copies", str(Path(copies) / "of readers")], check=True)


if __name__ == "__main__":
    main()
