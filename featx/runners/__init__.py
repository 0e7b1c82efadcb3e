"""Runners: who computes the features that a request asks for and the store lacks.

A runner takes a request with its architecture and listing, and returns an `ExtractSummary` (`summary.py`). `local.py`
computes in this process: read it first. It asks `claims.py` which images are to be computed, `tally.py` what each row
was, and hands features to `feature_writers.py`. `devices.py` starts a process for each device of this machine, which
does the same for its `Shard` of the images (`shard.py`). `cluster.py` has a Ray cluster compute: its `Crew` (`crew.py`)
hands items of a `WorkQueue` (`work_items.py`) to workers (`cluster_worker.py`) on nodes that were asked what they see
(`node_check.py`). `RUNNERS` lists them.

That every shard is disjoint, and that neither interruptions nor the number of processes change a stored bit, is proven
by tests/runners/ and tests/workflows/test_extract.py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from featx.bases.architecture import Architecture
    from featx.data.listing import Listing
    from featx.requests import ExtractRequest
    from featx.runners.summary import ExtractSummary
    from featx.types import Progress

# By name, so that whoever only parses a shard does not wait for torch.
RUNNERS = {
    "local": ("featx.runners.local", "run_here"),
    "devices": ("featx.runners.devices", "run_on_devices"),
    # A task of a job array is an extraction in one process that leaves the other shards' images out.
    "shard": ("featx.runners.local", "run_here"),
    "ray": ("featx.runners.cluster", "run_on_cluster"),
}
"""Name of a runner: its module and function."""


class Runner(Protocol):
    """Carries out an extraction."""

    def __call__(
        self,
        request: ExtractRequest,
        architecture: Architecture,
        listing: Listing,
        progress: Progress | None = None,
    ) -> ExtractSummary:
        """Compute and store the features that a request asks for and the store lacks."""


def find_runner(name: str) -> Runner:
    """Import the runner that a name in `RUNNERS` stands for."""
    module, function = RUNNERS[name]
    runner: Runner = getattr(importlib.import_module(module), function)
    return runner
