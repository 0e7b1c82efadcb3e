"""Images a second on Ray clusters of one, two and four nodes of one core each, all of them on this machine.

    python benchmarks/ray_nodes.py ../shared/data/flowers17 --nodes 1
    python benchmarks/ray_nodes.py ../shared/data/flowers17 --nodes 2 --out benchmarks/results/ray-nodes.txt

Each worker has one thread. The rate beyond start-up is that between the moments at which a quarter and nine tenths of
the images were done: by the first all workers compute, until the second none has run out of items. Photos are copied
with a byte of their own behind their end, so that each copy is an image of its own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from featx.base_choice import BaseChoice
from featx.requests import ExtractRequest

BEGIN = 0.25
END = 0.9


def copy_photos(data: Path, target: Path, copies: int) -> None:
    """Copy class folders with photos so many times."""
    for path in sorted(data.rglob("*.jpg")):
        content = path.read_bytes()
        folder = target / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(copies):
            (folder / f"{path.stem}-{copy}.jpg").write_bytes(content + bytes([copy]))


def start_cluster(nodes: int) -> Any:
    """Start nodes of one core each that listen on 127.0.0.1 only."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    return cluster


def find_moment(events: list[tuple[float, int]], images: float) -> tuple[float, int]:
    """Find the first event at which so many images were done."""
    return next(event for event in events if event[1] >= images)


def measure(request: ExtractRequest) -> str:
    """Extract, and say how fast that was."""
    from featx.workflows.extract import extract_features

    events: list[tuple[float, int]] = []
    started = time.perf_counter()
    summary = extract_features(request, lambda done, total: events.append((time.perf_counter(), done)))
    first = find_moment(events, 1)
    begin = find_moment(events, BEGIN * summary.images)
    end = find_moment(events, END * summary.images)
    rate = (end[1] - begin[1]) / (end[0] - begin[0])
    return (
        f"{summary.device}: {summary.extracted} images, first after {first[0] - started:.1f} s, "
        f"{rate:.0f} images/s beyond start-up, {summary.seconds:.1f} s in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nodes", type=int, default=1, help="0: this process alone, with one thread")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--out", type=Path, help="append the line to a file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        copy_photos(options.data, photos, options.copies)
        cache = Path(folder) / "cache"
        request = ExtractRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache)
        if options.nodes:
            cluster = start_cluster(options.nodes)
            try:
                line = f"{options.nodes} nodes, {measure(replace(request, runner='ray'))}"
            finally:
                cluster.shutdown()
        else:
            line = f"local, {measure(replace(request, workers=1))}"
    print(line)
    if options.out:
        with options.out.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    main()
