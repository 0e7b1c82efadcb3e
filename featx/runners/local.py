"""Extraction in this process: run a frozen base over the images whose features the store lacks."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from featx.bases.architecture import Architecture
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.bases.weights import absolute_path
from featx.data.digest_cache import KnownDigests, load_digests, save_digests
from featx.data.listing import Listing
from featx.data.loader import Batch
from featx.engines.compute import compute_features
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, group_poolings, make_plan
from featx.errors import unknown
from featx.keys import FeatureKey
from featx.processes.machine import count_cores
from featx.requests import ExtractRequest
from featx.runners.claims import Claims
from featx.runners.feature_writers import FeatureWriters
from featx.runners.pass_costs import PassCost, find_network_share, measure_depths
from featx.runners.shard import Shard
from featx.runners.summary import ExtractSummary
from featx.runners.tally import RowOutcome, Tally
from featx.storage.paths import side_folder
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.timing import Clock, describe_decoding, format_shares
from featx.types import NotedProgress, Progress

log = logging.getLogger(__name__)

LEAST_TO_JUDGE = 3.0
"""Seconds after which the bar names a bottleneck: at first there is little else than decoding."""


def run_here(
    request: ExtractRequest, architecture: Architecture, listing: Listing, progress: Progress | None = None
) -> ExtractSummary:
    """Compute and store the features that a request asks for and the store lacks.

    Parameters
    ----------
    request : ExtractRequest
        Its `device` is one device.
    architecture : Architecture
        What the request's base was resolved to.
    listing : Listing
        The request's data set.
    progress : callable, optional
        Called with the number of rows done and to be done.

    Returns
    -------
    ExtractSummary

    Raises
    ------
    FeatxError
        If the request cannot be carried out at all; nothing is half-written then.
    """
    return run_with_base(request, load_base(architecture), architecture, listing, progress)


def run_with_base(
    request: ExtractRequest,
    base: Base,
    architecture: Architecture,
    listing: Listing,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Do what `run_here` does, with a base that is already loaded."""
    keys = list_feature_keys(base, request)
    device = choose_device(request.device)
    workers = request.workers or count_cores()
    started = time.perf_counter()
    clock = Clock()
    plan = make_plan(base, group_poolings(keys), device, request.batch_size, workers)
    engine = LazyEngine(request.engine, plan, len(listing), clock)
    store = FeatureStore(request.cache)
    depths = measure_depths(architecture, {key.layer for key in keys})
    writers = FeatureWriters(store, keys, len(listing), lambda: describe_provenance(engine), clock, depths)
    shard = Shard(*request.shard) if request.shard else Shard()
    tally = Tally(Claims(writers), base.id.transform)

    stored_base = describe_base(base, architecture)
    store.describe(stored_base)
    known = load_digests(side_folder(request.cache), listing, request.rehash)
    rows = find_rows_to_visit(known, shard.select(listing), writers, tally)
    if rows:
        visit = Visit(side_folder(request.cache), listing, engine, writers, tally, known, started)
        visit.run(rows, progress)
    # Again: somebody may have removed the folder meanwhile.
    store.describe(stored_base)

    seconds_by_step = clock.with_idle(workers, time.perf_counter() - started)
    if engine.name:
        log.info("time of %d threads: %s", workers, format_shares(seconds_by_step))
        if remark := describe_decoding(seconds_by_step):
            log.info("%s of the time", remark)
    return ExtractSummary(
        images=len(listing) - tally.counts[RowOutcome.OTHER_SHARD],
        extracted=tally.counts[RowOutcome.EXTRACTED],
        cached=tally.counts[RowOutcome.CACHED],
        duplicates=tally.counts[RowOutcome.DUPLICATE],
        failed=tally.failed,
        skipped=list(listing.skipped),
        notes=list(listing.notes),
        layers=[key.layer for key in keys if not key.view],
        device=str(device),
        engine=engine.name,
        time=seconds_by_step,
        pictures=tally.ranges,
        large_jpegs=tally.large_jpegs,
    )


@dataclass(frozen=True)
class Visit:
    """One pass over rows of a listing: each is read and counted, and new features go to the writers.

    Attributes
    ----------
    cache : pathlib.Path
        Where digests are remembered.
    listing : Listing
    engine : LazyEngine
    writers : FeatureWriters
    tally : Tally
    known : KnownDigests
        Completed on the way.
    started : float
        Time of `time.perf_counter` from which the cost of features is counted.
    """

    cache: Path
    listing: Listing
    engine: LazyEngine
    writers: FeatureWriters
    tally: Tally
    known: KnownDigests
    started: float

    def run(self, rows: Sequence[int], progress: Progress | None) -> None:
        """Go through the rows; what is computed before an error or an interruption is committed all the same."""
        with ExitStack() as stack:
            stack.callback(save_digests, self.cache, self.listing, self.known)
            stack.callback(self.writers.close)
            self.compute(rows, progress)

    def compute(self, rows: Sequence[int], progress: Progress | None) -> None:
        """Go through the rows, and leave it to the caller to commit what the writers collect."""
        done = 0
        paid = self.started
        claim = self.tally.claims.claim
        for batch in compute_features(self.engine, self.listing, rows, claim, self.writers.missing_views):
            new_places = self.count(batch)
            now = time.perf_counter()
            if new_places:
                cost = PassCost((now - paid) / len(new_places), find_network_share(self.engine.clock.seconds))
                self.writers.append(batch, new_places, cost)
                paid = now
            done += len(batch.loaded)
            if isinstance(progress, NotedProgress):
                progress.note(self.remark())
            if progress:
                progress(done, len(rows))

    def count(self, batch: Batch) -> set[int]:
        """Count the rows of a batch and remember their digests; give the places of those whose features are new."""
        new_places = set()
        for place, loaded in enumerate(batch.loaded):
            path = self.listing.paths[loaded.row]
            if loaded.digest is not None and remember_digest(self.known, loaded.row, loaded.digest):
                log.warning("'%s' changed since it was last read: its new contents are used", path)
            if self.tally.count(path, loaded) is RowOutcome.EXTRACTED:
                new_places.add(place)
        return new_places

    def remark(self) -> str:
        """Say in a few words that decoding is the bottleneck, if it has been so far and for long enough to tell."""
        engine = self.engine
        elapsed = time.perf_counter() - self.started
        if elapsed < LEAST_TO_JUDGE:
            return ""
        return describe_decoding(engine.clock.with_idle(engine.plan.workers, elapsed))


def list_feature_keys(base: Base, request: ExtractRequest) -> list[FeatureKey]:
    """List the keys that a request asks for, aliases resolved and repetitions dropped.

    Raises
    ------
    UnknownName
        If a layer or pooling does not exist.
    UnsupportedLayout
        If a pooling does not fit a layer.
    """
    for pooling in request.poolings:
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
    keys: list[FeatureKey] = []
    for name in request.layers:
        layer = base.layer(name)
        for pooling in request.poolings:
            # Raises if the pooling does not fit the layer.
            pooled_shape(pooling, layer.shape, layer.layout)
            first = FeatureKey(base.id, layer.name, pooling, request.store_dtype)
            keys.extend(replace(first, view=view) for view in range(request.views))
    return list(dict.fromkeys(keys))


def describe_base(base: Base, architecture: Architecture) -> StoredBase:
    """Describe a base as the store keeps it beside its features."""
    layers = tuple(
        {"name": layer.name, "alias": layer.alias, "shape": list(layer.shape), "stride": layer.stride}
        for layer in base.layers
    )
    is_default_transform = architecture.input == architecture.native_transform
    return StoredBase(base.id, base.source, layers, is_default_transform, absolute_path(architecture.weights))


def describe_provenance(engine: LazyEngine) -> dict[str, str]:
    """Describe where and with what features are computed; parts note it, and nothing depends on it."""
    return {
        "host": platform.node(),
        "device": str(engine.plan.device),
        "torch": torch.__version__,
        "weights": engine.plan.base.source,
        "engine": engine.name,
    }


def find_rows_to_visit(
    known: KnownDigests, is_in_shard: NDArray[np.bool_], writers: FeatureWriters, tally: Tally
) -> list[int]:
    """Find the rows that have to be read, and count the others.

    A row of the shard is read if its digest is not known, or if the store lacks its image.
    """
    must_be_read = is_in_shard & ~known.known
    known_rows = np.flatnonzero(is_in_shard & known.known)
    is_missing = writers.find_missing(known.digests[known_rows])
    must_be_read[known_rows] = is_missing
    tally.add(RowOutcome.CACHED, int((~is_missing).sum()))
    tally.add(RowOutcome.OTHER_SHARD, int((~is_in_shard).sum()))
    rows: list[int] = np.flatnonzero(must_be_read).tolist()
    return rows


def remember_digest(known: KnownDigests, row: int, digest: bytes) -> bool:
    """Note the digest that a row was read with; whether another one was remembered."""
    read = np.frombuffer(digest, np.uint8)
    has_changed = bool(known.known[row]) and not np.array_equal(known.digests[row], read)
    known.digests[row] = read
    known.known[row] = True
    return has_changed
