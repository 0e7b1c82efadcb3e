"""Calls of functions on the nodes of a Ray cluster, which all see one cache."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

import featx
from featx.processes.cluster import Node, Share, open_cluster
from featx.processes.log_collector import LogCollector
from featx.processes.node_check import NodeCheck, check_nodes, unfinished_file
from featx.processes.workers import log_record
from featx.storage.paths import CachePath

R = TypeVar("R")

Call = tuple[Any, tuple[Any, ...]]
"""Arguments: the first one, which several calls may share, and the others."""


def call_on_cluster(function: Callable[..., R], calls: Sequence[Call], cache: CachePath) -> Generator[R, None, None]:
    """Call a function on the nodes of a cluster; yield what it returns as it comes.

    A first argument that several calls share travels once. What the system ends is begun again elsewhere.

    Parameters
    ----------
    function : callable
        Of a module. Its last argument is the number of threads that it may use.
    calls : sequence of (first, others)
        In the order in which they begin; one at least.
    cache : pathlib.Path or ObjectPath
        The cache that every node must see.

    Raises
    ------
    ClusterError
        If there is no cluster.
    NodeError
        If a node does not see the cache.
    FeatxError
        What a call raised.
    """
    folder = str(Path.cwd())
    level = logging.getLogger("featx").getEffectiveLevel()
    with open_cluster() as cluster, unfinished_file(cache) as token:
        check_nodes(cluster, NodeCheck(featx.__version__, folder, cache, token, ()))
        threads = choose_threads(cluster.list_nodes(), len(calls))
        kept: dict[int, Any] = {}
        pending = []
        for first, others in calls:
            if id(first) not in kept:
                kept[id(first)] = cluster.keep(first)
            arguments = (*others, threads)
            pending.append(cluster.call(call_here, Share(threads), function, kept[id(first)], arguments, folder, level))
        while pending:
            for done in cluster.wait(pending, None):
                pending.remove(done)
                result, messages = cluster.result(done)
                for message in messages:
                    log_record(message)
                yield result


def call_here(
    function: Callable[..., R], first: Any, others: tuple[Any, ...], folder: str, log_level: int
) -> tuple[R, list[tuple[str, int, str]]]:
    """Carry out one call, in a process of a node; what is logged meanwhile comes with the result."""
    with suppress(OSError):
        # Relative paths count from the driver's folder.
        os.chdir(folder)
    log = LogCollector()
    log.begin(log_level)
    with threadpool_limits(others[-1]):
        result = function(first, *others)
    return result, log.take()


def choose_threads(nodes: Sequence[Node], calls: int) -> int:
    """Choose the cores of each call: all that there are among few calls, within what every node has."""
    cpus = [int(node.cpus) for node in nodes if node.cpus >= 1]
    return max(1, min(sum(cpus) // max(1, calls), min(cpus, default=1)))
