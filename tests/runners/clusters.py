"""Ray clusters of several nodes on this machine, for tests."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from featx.processes.cluster import open_cluster

TRIES = 3

START_NODE = """
import sys, time
from ray._private.node import Node
from ray._private.parameter import RayParams
address, name = sys.argv[1:]
params = RayParams(gcs_address=address, node_ip_address="127.0.0.1", num_cpus=1, node_name=name)
params.update_if_absent(include_log_monitor=False)
node = Node(params, head=False, shutdown_at_exit=True, spawn_reaper=False)
time.sleep(600)
"""
"""What a process is told that is to be a node; `ray start` refuses to start one beside others on 127.0.0.1."""

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
    of_test = None
    try:
        of_test = start_patiently(utilities.Cluster, name)
        for _ in range(nodes - 1):
            of_test.add_node()
        os.environ["RAY_ADDRESS"] = of_test.cluster.address
        yield of_test
    finally:
        if of_test is not None:
            with suppress(Exception):
                of_test.cluster.shutdown()
        end_processes(name)
        os.environ.clear()
        os.environ.update(before)


def start_patiently(kind: Any, name: str) -> TestCluster:
    """Start the first node; Ray gives up after half a minute, which a busy machine may take: then tests skip."""
    for attempt in range(TRIES):
        try:
            return TestCluster(
                kind(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}), name
            )
        except Exception as error:
            end_processes(name)
            if attempt == TRIES - 1:
                pytest.skip(f"Ray cannot start a node here: {error}")
    raise AssertionError


def list_processes(name: str, title: bytes = b"") -> list[int]:
    """Processes of a cluster, but for this one and those it is run by, whose title begins in some way."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={name}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            if (folder / "cmdline").read_bytes().startswith(title):
                found.append(int(folder.name))
    return [process for process in found if process != os.getpid()]


def end_processes(name: str) -> None:
    """End what is left of a cluster."""
    for process in list_processes(name):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait_for_node(name: str) -> None:
    """Wait until a node has joined the cluster that `RAY_ADDRESS` names."""
    deadline = time.monotonic() + 60
    with open_cluster() as connection:
        while not any(f"'{name}'" in node.name for node in connection.list_nodes()):
            assert time.monotonic() < deadline
            time.sleep(0.2)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Have a process and those that it starts while the block runs."""
    node = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


class TestCluster:
    """A cluster that a test may damage."""

    __test__ = False

    def __init__(self, cluster: Any, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1)

    @contextmanager
    def blind_node(self, name: str, hidden: Path) -> Iterator[None]:
        """Have a node that does not see a folder, since an empty one is mounted there; skips where that is refused."""
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            pytest.skip("folders cannot be hidden from processes here")
        start = [sys.executable, "-c", START_NODE, self.cluster.address, name]
        script = f"mount -t tmpfs none {shlex.quote(str(hidden))} && exec {shlex.join(start)}"
        with running(["unshare", "-m", "sh", "-c", script], dict(os.environ)):
            yield

    @contextmanager
    def node_with(self, name: str, environment: dict[str, str | None]) -> Iterator[None]:
        """Have a node whose environment differs in some variables; None: it lacks them."""
        changed = {**os.environ, **environment}
        own = {variable: value for variable, value in changed.items() if value is not None}
        with running([sys.executable, "-c", START_NODE, self.cluster.address, name], own):
            yield

    def remove_node(self, node: Any) -> None:
        """Kill all processes of a node."""
        self.cluster.remove_node(node, allow_graceful=False)

    def list_workers(self) -> list[int]:
        """Processes of featx's workers on all nodes."""
        return list_processes(self.name, b"ray::ClusterWorker")

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
