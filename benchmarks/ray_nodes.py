"""Images a second on Ray clusters of one, two and four nodes of one core each, all of them on this machine.

    python benchmarks/ray_nodes.py ../shared/data/flowers17
    python benchmarks/ray_nodes.py ../shared/data/flowers17 --nodes 2 4 --rounds 5 --out ray-nodes.txt

Each worker has one thread. Numbers of nodes take turns, each run in a process of its own, and the last lines compare
the medians. The rate beyond start-up is the slope of a line through what progress said between half and nine tenths
of the images: by the first all workers compute, until the second none has run out of items. Photos are copied with a
byte of their own behind their end, so that each copy is an image of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from featx.base_choice import BaseChoice
from featx.requests import ExtractRequest

BEGIN = 0.5
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


def find_rate(events: Sequence[tuple[float, int]], images: int) -> float:
    """Fit a line to what was done when, between BEGIN and END; give its slope, in images a second."""
    inner = [event for event in events if BEGIN * images <= event[1] <= END * images]
    seconds, done = zip(*inner, strict=True)
    return float(np.polyfit(seconds, done, 1)[0])


def extract(photos: Path, cache: Path, nodes: int) -> dict[str, Any]:
    """Extract on so many nodes, or with none in this process alone, and measure how fast that is."""
    from featx.workflows.extract import extract_features

    request = ExtractRequest(str(photos), BaseChoice("tiny"), ("layer4",), cache=cache)
    cluster = start_cluster(nodes) if nodes else None
    events: list[tuple[float, int]] = []
    try:
        started = time.perf_counter()
        summary = extract_features(
            replace(request, runner="ray") if nodes else replace(request, workers=1),
            lambda done, total: events.append((time.perf_counter(), done)),
        )
    finally:
        if cluster is not None:
            cluster.shutdown()
    return {
        "nodes": nodes,
        "images": summary.extracted,
        "first": next(moment for moment, done in events if done) - started,
        "rate": find_rate(events, summary.images),
        "seconds": summary.seconds,
    }


def measure(photos: Path, nodes: int) -> dict[str, Any]:
    """Measure in a process of its own, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        call = [sys.executable, __file__, str(photos), "--nodes", str(nodes), "--only", cache]
        run = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def describe(result: dict[str, Any]) -> str:
    """Say how fast a run was."""
    where = f"{result['nodes']} nodes" if result["nodes"] else "local"
    return (
        f"{where}: {result['images']} images, first after {result['first']:.1f} s, "
        f"{result['rate']:.0f} images/s beyond start-up, {result['seconds']:.1f} s in all"
    )


def compare(rates: dict[int, list[float]]) -> list[str]:
    """Compare the medians of two nodes with twice one, and of four with two."""
    middle = {nodes: median(found) for nodes, found in rates.items()}
    lines = []
    if {1, 2} <= set(middle):
        lines.append(f"two nodes: {middle[2] / (2 * middle[1]):.2f} of twice one")
    if {2, 4} <= set(middle):
        lines.append(f"four nodes: {middle[4] / middle[2]:.2f} of two, on {os.cpu_count()} cores")
    return lines


def run_in_turns(data: Path, node_counts: Sequence[int], copies: int, rounds: int, out: Path | None) -> None:
    """Measure each number of nodes once a round, and show every run and what they come to."""

    def show(line: str) -> None:
        print(line, flush=True)
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    rates: dict[int, list[float]] = {nodes: [] for nodes in node_counts}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder)
        copy_photos(data, photos, copies)
        for _ in range(rounds):
            for nodes in node_counts:
                result = measure(photos, nodes)
                rates[nodes].append(result["rate"])
                show(describe(result))
    for line in compare(rates):
        show(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4], help="0: one process with one thread")
    parser.add_argument("--copies", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="append the lines to a file")
    parser.add_argument("--only", type=Path, metavar="CACHE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(extract(options.data, options.only, options.nodes[0])))
    else:
        run_in_turns(options.data, options.nodes, options.copies, options.rounds, options.out)


if __name__ == "__main__":
    main()
