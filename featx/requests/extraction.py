"""The request for extraction."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from featx.base_choice import BaseChoice, BatchSize, Count, ThreadCount
from featx.fields import CheckedFields
from featx.keys import StoredDtype
from featx.requests.values import EngineName, Names, RunnerName, default_cache
from featx.storage.paths import CachePath

CLUSTER_DEVICES = ("auto", "cpu", "cuda")
"""Devices of a worker of a cluster, which says itself which GPU is whose."""

GpuShare = Annotated[float, Meta(ge=0, le=1)]
"""Part of a GPU: a worker uses one, and several may share it."""


def repeat_flag(flag: str, values: Sequence[str]) -> list[str]:
    """Write a flag once before each of its values."""
    words = []
    for value in values:
        words += [flag, value]
    return words


def column_flags(path_column: str | None, label_column: str | None) -> list[str]:
    """Write the columns of a table that were chosen as command-line flags."""
    flags = []
    for flag, column in (("--path-column", path_column), ("--label-column", label_column)):
        if column is not None:
            flags += [flag, column]
    return flags


@dataclass(frozen=True)
class ExtractRequest(CheckedFields):
    """Extraction: the features of these images at these layers.

    Attributes
    ----------
    data : str
        A folder, a CSV or JSON Lines file, or the name of a built-in data set.
    layers, poolings : sequences of str
        Every layer with every pooling, all in one forward pass.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps"; several with commas between them; or "all" GPUs.
    batch_size, workers : int or None
        Images in a forward pass, and threads that decode; with the runner "ray", workers are processes of the cluster.
        None chooses.
    shard : tuple of (i, n) or None
        Only the i-th of n disjoint shares of the images, counted from 1.
    rehash : bool
        Read every file, also those that look unchanged.
    store_dtype : {"float32", "float16"}
        How features are stored, part of their key.
    engine : {"auto", "torch", "compile", "openvino", "eager"}
        What computes.
    views : int
        How many views of each image: 1 is the image as it is, further ones are augmentations of it.
    path_column, label_column : str or None
        Columns of a CSV or JSON Lines file; None finds them by their names.
    strict : bool
        Whether files in class folders that are not pictures count as images that failed; else they are passed over.
    exclude : pathlib.Path or None
        A list of paths that are left out, such as `featx inspect --drop-list` writes.
    runner : {"local", "ray"}
        Who computes: this machine, or the nodes of a Ray cluster.
    gpus_per_worker : float or None
        Part of a GPU that each worker of a cluster gets, at most 1; None: one where the cluster has any.
    cpus_per_worker : int or None
        Cores that each worker of a cluster gets; None: one, or a GPU's part of its node's.
    """

    data: str
    base: BaseChoice
    layers: Names
    poolings: Names = ("avg",)
    device: str = "auto"
    batch_size: BatchSize | None = None
    workers: ThreadCount | None = None
    shard: tuple[int, int] | None = None
    rehash: bool = False
    cache: CachePath = field(default_factory=default_cache)
    store_dtype: StoredDtype = "float32"
    engine: EngineName = "auto"
    views: Count = 1
    path_column: str | None = None
    label_column: str | None = None
    strict: bool = False
    exclude: Path | None = None
    runner: RunnerName = "local"
    gpus_per_worker: GpuShare | None = None
    cpus_per_worker: ThreadCount | None = None

    def contradictions(self) -> list[str]:
        """Report a shard number outside 1 to n, and choices that the runner does not have."""
        problems = self.check_runner()
        if self.shard is None:
            return problems
        share, shares = self.shard
        if not 1 <= share <= shares:
            problems.append(
                f"'shard' ({share}, {shares}) must be a share from 1 to the number of shares, such as (2, 8)"
            )
        return problems

    def check_runner(self) -> list[str]:
        """Report what only a cluster has, and a device that a cluster chooses itself."""
        if self.runner == "ray":
            if self.device in CLUSTER_DEVICES:
                return []
            return [f"'device' is '{self.device}', but the cluster chooses which GPU: give auto, cpu or cuda"]
        if self.gpus_per_worker is None and self.cpus_per_worker is None:
            return []
        return ["'gpus_per_worker' and 'cpus_per_worker' are for a cluster: add --runner ray"]

    def command(self) -> str:
        """Write the request as the command that computes the same features.

        Every choice that is part of a feature's identity is repeated. What only says how to compute them is left out,
        since another machine may carry the command out.
        """
        # A name that begins with a dash would be read as an option.
        data = f"./{self.data}" if self.data.startswith("-") else self.data
        words = ["featx", "extract", data, *column_flags(self.path_column, self.label_column)]
        words += [*self.base.flags(), *repeat_flag("--layer", self.layers)]
        if tuple(self.poolings) != ("avg",):
            words += repeat_flag("--pooling", self.poolings)
        if self.store_dtype != "float32":
            words += ["--store-dtype", self.store_dtype]
        if self.views != 1:
            words += ["--views", str(self.views)]
        if self.exclude is not None:
            words += ["--exclude", str(self.exclude)]
        # Compared now, not when the request was made: the command runs in today's environment.
        if self.cache != default_cache():
            words += ["--cache", str(self.cache)]
        return shlex.join(words)
