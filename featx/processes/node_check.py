"""Asks a node of a cluster whether it sees what all of them must see: the cache and the images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import featx
from featx.errors import FeatxError
from featx.files import open_unfinished
from featx.processes.cluster import Cluster, Share
from featx.processes.machine import Machine, describe_machine
from featx.processes.workers import WorkerEnded
from featx.storage.interface import storage_of
from featx.storage.paths import CachePath, ObjectPath

SAMPLED = 16
"""Images that each node is asked for."""


class Sized(Protocol):
    """A file that knows its size, wherever it lies."""

    def find_size(self) -> int:
        """Say how many bytes it has; 0 where it is not there. Never raises."""
        ...


@runtime_checkable
class FarFile(Protocol):
    """A file that is read by a request, for which a node may lack credentials, a way or a package."""

    def check_access(self) -> None:
        """Make a small request of the kind that reads it.

        Raises
        ------
        FeatxError
            If what it lies in refuses, or cannot be reached.
        OSError
            If there is something wrong with this file alone.
        """
        ...


class NodeError(FeatxError, OSError):
    """A node that does not see what it must."""


@dataclass(frozen=True)
class NodeCheck:
    """What a node is asked for.

    Attributes
    ----------
    version : str
        Of featx.
    folder : str
        The current folder, from which relative paths count.
    cache : pathlib.Path or ObjectPath
    token : str
        Name of a file that lies in a cache that is a folder while nodes are asked.
    images : sequence of (path, file, bytes)
        Some of the images, and how many bytes each has.
    far_images : sequence of (place, file)
        An image of each bucket, with the bucket's URL.
    """

    version: str
    folder: str
    cache: CachePath
    token: str
    images: Sequence[tuple[str, Sized, int]]
    far_images: Sequence[tuple[str, FarFile]] = ()

    def list_problems(self) -> list[str]:
        """List what this machine does not see, in words that go on from its name."""
        if featx.__version__ != self.version:
            return [f"has featx {featx.__version__}, not {self.version}"]
        with suppress(OSError):
            os.chdir(self.folder)
        problems = self.check_cache()
        for path, file, size in self.images:
            found = file.find_size()
            if found != size:
                seen = f"sees {found} bytes of" if found else "does not see"
                problems.append(f"{seen} the image '{path}'")
                break
        return problems + self.check_places()

    def check_places(self) -> list[str]:
        """Say of the first bucket whose images cannot be read why not; others would mostly take as long to fail."""
        for place, file in self.far_images:
            try:
                file.check_access()
            except FeatxError as error:
                return [f"cannot read images in '{place}': {error}"]
            # An image that went or changed is no fault of this node, and fails when it is read.
            except OSError:
                continue
        return []

    def check_cache(self) -> list[str]:
        """Say whether the cache is the driver's, and can be written; of a bucket whether it can be read."""
        if isinstance(self.cache, ObjectPath):
            return self.check_bucket(self.cache)
        if not self.cache.is_dir():
            return [f"does not see the cache '{self.cache}'"]
        if not (self.cache / self.token).exists():
            return [f"has a folder of its own at '{self.cache}', which is not the cache"]
        try:
            with unfinished_file(self.cache):
                return []
        except OSError as error:
            return [f"cannot write to the cache '{self.cache}': {error.strerror or error}"]

    def check_bucket(self, cache: ObjectPath) -> list[str]:
        """Say whether a bucket can be read; its name is the same everywhere."""
        try:
            storage_of(cache).list_entries(cache)
        # Where obstore is missing the error is none of the system.
        except (OSError, FeatxError) as error:
            return [f"cannot read the cache: {error}"]
        return []


@contextmanager
def unfinished_file(folder: CachePath) -> Iterator[str]:
    """Have a file in a folder while the block runs; give its name. If this process is killed, cleaning removes it.

    In a bucket nothing is needed: give nothing.
    """
    if isinstance(folder, ObjectPath):
        yield ""
        return
    handle, path = open_unfinished(folder / "seen")
    try:
        yield path.name
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


def look_around(check: NodeCheck) -> tuple[list[str], Machine]:
    """List what this machine does not see, and say which it is; called on each node."""
    return check.list_problems(), describe_machine()


def check_nodes(cluster: Cluster, check: NodeCheck) -> dict[str, Machine]:
    """Ask each node whether it sees the cache and the images.

    Returns
    -------
    dict of str to Machine
        By the ids of the nodes, of which several may be one machine.

    Raises
    ------
    NodeError
        Naming every node that does not.
    """
    calls = [(node, cluster.call(look_around, Share(0, 0, node.id), check)) for node in cluster.list_nodes()]
    found: list[str] = []
    machines: dict[str, Machine] = {}
    for node, call in calls:
        try:
            problems, machines[node.id] = cluster.result(call)
        except WorkerEnded as end:
            if node not in cluster.list_nodes():
                # It has left the cluster meanwhile.
                continue
            problems = [f"does not answer ({end})"]
        if problems:
            found.append(f"node {node.name} {' and '.join(problems)}")
    if found:
        raise NodeError(
            f"{'; '.join(found)}. Every node must see data and cache under the same path, such as on a network file "
            "system, or be able to read their buckets; nothing was computed"
        )
    return machines
