"""A Ray cluster: connects to one or starts it here, says what nodes it has, and runs actors and tasks on them.

The only module that knows Ray. What goes wrong with Ray is a `ClusterError` of one line; what goes wrong with a worker
is `WorkerEnded`, and its work may be handed out again; what a call raises is raised as it is.
"""

from __future__ import annotations

import copy
import logging
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, first_line
from featx.log import note
from featx.processes.signals import stop_remembered
from featx.processes.workers import WorkerEnded

log = logging.getLogger(__name__)

ADDRESS = "RAY_ADDRESS"
"""Variable that names the cluster, as for Ray itself."""

USAGE_STATISTICS = "RAY_USAGE_STATS_ENABLED"
"""Variable that tells Ray whether to report its use to its makers."""

MANY_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable that tells Ray, on any system, whether others reach it; 0: its processes listen on 127.0.0.1 only."""

LEAST_RAY = (2, 49)
"""The oldest Ray that was tried."""

HOW_TO_INSTALL = "Run: pip install 'featx[ray]'"

CONNECT_SECONDS = 10.0
"""Until a cluster that does not answer counts as gone."""


class ClusterError(FeatxError, RuntimeError):
    """Ray that is missing or too old, or a cluster that cannot be used."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes
    ----------
    id : str
    name : str
        Its name and address.
    cpus, gpus : float
        What Ray may give to tasks, used or not.
    """

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Share:
    """What an actor or a task gets of a node.

    Attributes
    ----------
    cpus, gpus : float
    node : str or None
        Id of the node that it must be on; None: any.
    """

    cpus: float = 1
    gpus: float = 0
    node: str | None = None


class Cluster:
    """A connection to a Ray cluster; made by `open_cluster`."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray

    def list_nodes(self) -> list[Node]:
        """List the nodes that are alive, by name."""
        nodes = []
        for node in self.ray.nodes():
            if not node["Alive"]:
                continue
            resources = node["Resources"]
            address = node["NodeManagerAddress"]
            # Ray names a node by its address where nobody has named it.
            own_name = node.get("NodeName") or address
            name = node["NodeManagerHostname"] if own_name == address else own_name
            label = f"'{name}' ({address})"
            nodes.append(Node(node["NodeID"], label, resources.get("CPU", 0.0), resources.get("GPU", 0.0)))
        return sorted(nodes, key=lambda node: (node.name, node.id))

    def start(self, kind: type, share: Share, *arguments: Any) -> Any:
        """Start an actor, an object in a process of its own, whose methods two threads may call side by side."""
        options = self.make_options(share)
        remote = self.ray.remote(kind).options(max_concurrency=2, max_restarts=0, max_task_retries=0, **options)
        return remote.remote(*arguments)

    def call(self, function: Callable[..., Any], share: Share, *arguments: Any) -> Any:
        """Call a function of a module somewhere; if the system ends its process, again elsewhere."""
        return self.ray.remote(function).options(**self.make_options(share)).remote(*arguments)

    def make_options(self, share: Share) -> dict[str, Any]:
        """Word a share as Ray takes it."""
        options: dict[str, Any] = {"num_cpus": share.cpus, "num_gpus": share.gpus}
        if share.node is not None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(share.node, soft=False)
        return options

    def keep(self, value: Any) -> Any:
        """Keep a value for several calls, which get it by this reference: it travels once to each node."""
        return self.ray.put(value)

    def wait(self, calls: Sequence[Any], seconds: float | None) -> list[Any]:
        """Wait until at least one of some calls is done or has failed; give those that are, in their order."""
        done, _ = self.ray.wait(list(calls), num_returns=1, timeout=seconds)
        if done and len(calls) > 1:
            # Others may be done by now, too.
            done, _ = self.ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return done

    def result(self, call: Any) -> Any:
        """Give what a call returned; it is waited for.

        Raises
        ------
        WorkerEnded
            If its process or node is gone.
        BaseException
            What it raised.
        """
        errors = self.ray.exceptions
        try:
            # Ray's arrays cannot be written to, and lie in memory that it shares while it is connected.
            return copy.deepcopy(self.ray.get(call))
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else None
            if isinstance(cause, FeatxError | KeyboardInterrupt):
                raise cause from None
            raise
        except errors.RayError as error:
            raise WorkerEnded(first_line(error)) from error

    def end(self, actor: Any) -> None:
        """End an actor at once."""
        with suppress(Exception):
            self.ray.kill(actor, no_restart=True)


kept_open: list[ExitStack] = []
"""What closes the connection of `one_cluster`, in a block of it: Ray itself has one connection in a process."""


@contextmanager
def one_cluster() -> Iterator[None]:
    """Have all of a block use one connection: the first `open_cluster` in it makes it, the end of the block closes it.

    A block that asks for no cluster opens none.
    """
    if kept_open:
        yield
        return
    with ExitStack() as stack:
        kept_open.append(stack)
        # Before the connection is closed.
        stack.callback(kept_open.clear)
        yield


@contextmanager
def open_cluster() -> Iterator[Cluster]:
    """Connect to the cluster that `RAY_ADDRESS` names ("auto": the one on this machine), else start Ray here.

    Who has called `ray.init` already gets that connection, which stays; others are closed at the end, or at that of
    `one_cluster` around it, and a Ray that was started here is ended.

    Raises
    ------
    ClusterError
        If Ray is missing or too old, or the cluster cannot be had.
    """
    address = os.environ.get(ADDRESS, "")
    is_here = address in ("", "local")
    ray = import_ray(is_here)
    if ray.is_initialized():
        yield Cluster(ray)
        return
    with ExitStack() as own:
        stack = kept_open[0] if kept_open else own
        stack.enter_context(stop_remembered())
        if not is_here:
            check_address(address)
        folder = Path(tempfile.mkdtemp(prefix="featx-ray-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(shut_down, ray)
        initialise(ray, "local" if is_here else address, folder)
        cluster = Cluster(ray)
        where = "started on this machine, for this command" if is_here else f"connected to {address}"
        nodes = cluster.list_nodes()
        note(log, f"Ray: {where}; nodes: {len(nodes)}, cores: {sum(node.cpus for node in nodes):.0f}")
        yield cluster


def import_ray(is_here: bool) -> Any:
    """Import Ray, which then reports its use to nobody.

    Parameters
    ----------
    is_here : bool
        Whether it is to be started for this machine alone.

    Raises
    ------
    ClusterError
        If it is missing or too old.
    """
    # Both are asked for when it is imported.
    os.environ.setdefault(USAGE_STATISTICS, "0")
    if is_here:
        os.environ.setdefault(MANY_MACHINES, "0")
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"'--runner ray' needs Ray, which is not installed. {HOW_TO_INSTALL}") from error
    check_version(ray.__version__)
    return ray


def check_version(version: str) -> None:
    """Raise ClusterError if a Ray is older than any that was tried."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers < LEAST_RAY:
        least = ".".join(map(str, LEAST_RAY))
        raise ClusterError(f"Ray {version} is too old: featx needs {least} or newer. {HOW_TO_INSTALL}")


def check_address(address: str) -> None:
    """Refuse an address that is none, or where nothing answers: Ray itself would ask for a minute.

    Raises
    ------
    ClusterError
    """
    if "://" in address:
        raise ClusterError(
            f"{ADDRESS} is '{address}', but featx runs on a node of the cluster: Ray's client (ray://) and others are "
            "not supported. Submit the command there: ray job submit -- featx ..."
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        if not port.isdecimal():
            raise OSError("expected HOST:PORT")
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            return
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise ClusterError(f"there is no Ray cluster at {ADDRESS} '{address}': {reason}") from error


def initialise(ray: Any, address: str, folder: Path) -> None:
    """Call `ray.init`, which neither logs nor handles signals here.

    Parameters
    ----------
    ray : module
    address : str
        "local" starts Ray for this machine alone.
    folder : pathlib.Path
        An empty one, for what such a Ray writes.

    Raises
    ------
    ClusterError
        If there is no cluster, it is of another version, or Ray cannot be started.
    """
    options: dict[str, Any] = {"address": address}
    if address == "local":
        options |= {"include_dashboard": False, "_temp_dir": str(folder)}
    try:
        # Its workers look for modules in what is the current folder now, where anything may lie.
        with signal_handlers_kept(), chdir(folder):
            ray.init(logging_level=logging.CRITICAL, log_to_driver=False, **options)
    except Exception as error:
        text = " ".join(str(error).split())
        raise ClusterError(f"Ray cannot be used: {text or type(error).__name__}") from error


@contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Keep what handles SIGTERM, which Ray would replace."""
    is_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main_thread and before is not None:
            signal.signal(signal.SIGTERM, before)


def shut_down(ray: Any) -> None:
    """Close the connection, and end what was started here."""
    with suppress(Exception):
        ray.shutdown()
