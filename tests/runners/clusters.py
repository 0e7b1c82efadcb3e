"""Ray clusters of several nodes on this machine, for tests."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

MARK = "FEATX_TEST_CLUSTER"
"""Variable by which the processes of one cluster are told from those of others."""


@contextmanager
def started(nodes: int) -> Iterator[TestCluster]:
    """Start a cluster of nodes with one core each, which `RAY_ADDRESS` names meanwhile."""
    before = dict(os.environ)
    name = uuid.uuid4().hex
    # Asked for when Ray is imported: its nodes listen on 127.0.0.1 only, and report nothing to anybody.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", MARK: name}
    utilities = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    cluster = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        of_test = TestCluster(cluster, name)
        for _ in range(nodes - 1):
            of_test.add_node()
        os.environ["RAY_ADDRESS"] = cluster.address
        yield of_test
    finally:
        with suppress(Exception):
            cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


class TestCluster:
    """A cluster that a test may damage."""

    __test__ = False

    def __init__(self, cluster: Any, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1)

    def remove_node(self, node: Any) -> None:
        """Kill all processes of a node."""
        self.cluster.remove_node(node, allow_graceful=False)

    def list_workers(self) -> list[int]:
        """Processes of featx's workers on all nodes."""
        workers = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                title = (folder / "cmdline").read_bytes()
                if title.startswith(b"ray::ClusterWorker") and self.name.encode() in (folder / "environ").read_bytes():
                    workers.append(int(folder.name))
        return workers

    def kill_worker(self) -> bool:
        """Kill one of the workers, if there is any."""
        for worker in self.list_workers():
            os.kill(worker, signal.SIGKILL)
            return True
        return False

    def wait_for_no_worker(self) -> None:
        deadline = time.monotonic() + 30
        while self.list_workers() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.list_workers() == []
