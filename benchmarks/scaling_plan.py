"""What 10^9 pictures take: bytes, objects, requests, money, memory of the driver, time, and work that failures repeat.

    python benchmarks/scaling_plan.py
    python benchmarks/scaling_plan.py --images 100000000 --workers 16 --gpu-price 2.5

Prints the tables of docs/scaling.md; a test compares them. What goes in was measured (`MEASURED`) or is a stated price
(`PRICES`); the rest follows. Failures are drawn: workers pull items from one queue, and end at random.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tabulate import tabulate

MIB = 2**20


class Measured(NamedTuple):
    """Figures that were measured; where, says docs/scaling.md."""

    digest_bytes: int = 32
    """Of a row, in a part."""

    part_overhead: int = 8_000
    """Bytes of a part beside features and digests: HDF5, key, checksums."""

    part_rows: int = 1_024
    """Rows of a part as extraction writes it."""

    part_bytes: int = 32 * MIB
    """Features of a part at most, and after `featx cache clean --compact`."""

    path_bytes: int = 128
    """Of a path in the driver: a string of some 35 characters, and places in the lists of paths, labels and splits."""

    known_bytes: int = 65
    """Of a row in the driver: digest, stamp, and whether both are known."""

    index_bytes: int = 49
    """Of a row and key in an index: the digest, its head and its place."""

    find_ms: float = 0.25
    """To look a part's rows up, on a local disk, each part opened once."""

    images_per_second: float = 1_673
    """Of one GPU (H200, 16 cores): resnet50 in bfloat16, photos of 500 x 375."""

    start_seconds: float = 20
    """Until a worker that was started computes."""


class Prices(NamedTuple):
    """Stated prices in dollars: S3 Standard, US East (N. Virginia); and what is assumed for a GPU."""

    put: float = 0.005 / 1000
    listing: float = 0.005 / 1000
    get: float = 0.0004 / 1000
    gpu_hour: float = 4.0

    def store_month(self, size: float) -> float:
        """Price of so many bytes for a month: by steps of 50 and 500 TB."""
        gigabytes = size / 1e9
        steps = ((50_000.0, 0.023), (450_000.0, 0.022), (float("inf"), 0.021))
        price = 0.0
        for step, of_gigabyte in steps:
            taken = min(gigabytes, step)
            price += taken * of_gigabyte
            gigabytes -= taken
        return price


MEASURED = Measured()
PRICES = Prices()

LAYERS = {"resnet50 layer3": 1024, "resnet50 layer4": 2048, "mobilenet_v2 layer4": 320, "tiny layer4": 256}
"""Length of the features, pooled by their mean."""

ITEM_ROWS = 2_048
LISTED = 1_000
"""Objects that one request lists at most."""


@dataclass(frozen=True)
class Plan:
    """What is planned.

    Attributes
    ----------
    images : int
    workers : int
        GPUs.
    hours_between_failures : float
        Of one worker, on average.
    """

    images: int = 10**9
    workers: int = 64
    hours_between_failures: float = 24.0

    def count_rows_compacted(self, dim: int, number_bytes: int) -> int:
        """Count the rows of a compacted part."""
        return max(1, MEASURED.part_bytes // (dim * number_bytes))

    def tabulate_bytes(self, prices: Prices = PRICES) -> str:
        """Show bytes, objects, requests and money by layer and dtype."""
        rows = []
        for name, dim in LAYERS.items():
            for dtype, number_bytes in (("float32", 4), ("float16", 2)):
                written = -(-self.images // min(MEASURED.part_rows, self.count_rows_compacted(dim, number_bytes)))
                objects = -(-self.images // self.count_rows_compacted(dim, number_bytes))
                plain = self.images * (dim * number_bytes + MEASURED.digest_bytes)
                size = plain + objects * MEASURED.part_overhead
                # Compaction reads each part as it was written, and writes each that it makes.
                requests = written * prices.put + written * prices.get + objects * prices.put
                reading = objects * prices.get + -(-objects // LISTED) * prices.listing
                rows.append(
                    (
                        f"{name}, {dim}",
                        dtype,
                        f"{size / 1e12:.2f} TB",
                        f"{written:,}",
                        f"{objects:,}",
                        f"{-(-objects // LISTED):,}",
                        f"${prices.store_month(size):,.0f}",
                        f"${requests:,.2f}",
                        f"${reading:,.2f}",
                    )
                )
        head = (
            "layer, length",
            "dtype",
            "bytes",
            "parts written",
            "compacted",
            "listings",
            "a month",
            "writing",
            "reading",
        )
        return table(rows, head)

    def tabulate_memory(self) -> str:
        """Show what the driver and a worker hold, by the number of images."""
        rows = []
        for images in (10**6, 10**7, 10**8, 10**9):
            listing = images * (MEASURED.path_bytes + MEASURED.known_bytes)
            index = images * MEASURED.index_bytes
            heads = images * 8
            rows.append(
                (
                    f"{images:,}",
                    f"{listing / 1e9:.2f} GB",
                    f"{index / 1e9:.2f} GB",
                    f"{heads / 1e9:.2f} GB",
                    f"{images * 10 / 8 / 1e9:.2f} GB",
                    f"{images / MEASURED.part_rows * MEASURED.find_ms / 1e3:,.1f} s",
                )
            )
        head = ("images", "listing", "index of a key", "heads only", "filter, 10 bits", "looking up, parts as written")
        return table(rows, head)

    def tabulate_time(self, prices: Prices = PRICES) -> str:
        """Show time and money of the GPUs, and what failures repeat."""
        rows = []
        for workers in (8, self.workers, 8 * self.workers):
            run = simulate(self.images, workers, self.hours_between_failures)
            rows.append(
                (
                    f"{workers}",
                    f"{run.hours:.1f} h",
                    f"{run.failures:,}",
                    f"{run.repeated:,}",
                    f"{run.repeated / self.images:.6%}",
                    f"${run.hours * workers * prices.gpu_hour:,.0f}",
                )
            )
        return table(rows, ("GPUs", "time", "workers that ended", "images repeated", "share", "GPUs cost"))


class Run(NamedTuple):
    """What a simulated extraction took.

    Attributes
    ----------
    hours : float
    failures : int
        Workers that ended.
    repeated : int
        Images that were computed once more.
    """

    hours: float
    failures: int
    repeated: int


def simulate(images: int, workers: int, hours_between_failures: float, seed: int = 0) -> Run:
    """Let workers pull items from a queue, and end at random; each is replaced at once, and its item is repeated."""
    draw = random.Random(seed)
    mean = hours_between_failures * 3600
    item_seconds = ITEM_ROWS / MEASURED.images_per_second
    items = -(-images // ITEM_ROWS)
    # When each worker is free, and when it ends.
    free = [(MEASURED.start_seconds, draw.expovariate(1 / mean)) for _ in range(workers)]
    heapq.heapify(free)
    failures = 0
    repeated = 0
    last = 0.0
    while items:
        now, end = heapq.heappop(free)
        done = now + item_seconds
        if done > end:
            failures += 1
            repeated += round(max(0.0, end - now) / item_seconds * ITEM_ROWS)
            born = max(now, end)
            heapq.heappush(free, (born + MEASURED.start_seconds, born + draw.expovariate(1 / mean)))
            continue
        items -= 1
        last = max(last, done)
        heapq.heappush(free, (done, end))
    return Run(last / 3600, failures, repeated)


def table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> str:
    """Write rows as Markdown, numbers as they are."""
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=Plan.images)
    parser.add_argument("--workers", type=int, default=Plan.workers, help="GPUs")
    parser.add_argument("--hours-between-failures", type=float, default=Plan.hours_between_failures, help="of a worker")
    parser.add_argument("--gpu-price", type=float, default=PRICES.gpu_hour, help="dollars an hour")
    options = parser.parse_args()
    plan = Plan(options.images, options.workers, options.hours_between_failures)
    prices = PRICES._replace(gpu_hour=options.gpu_price)
    print(plan.tabulate_bytes(prices), plan.tabulate_memory(), plan.tabulate_time(prices), sep="\n\n")


if __name__ == "__main__":
    main()
