"""Computes the rows of one work item after the other, with a base, an engine and writers of its own."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.registry import resolve
from featx.data.digest_cache import KnownDigests
from featx.data.exclusion import leave_out
from featx.data.listing import ImageFile, ImageFiles, Listing
from featx.data.loader import Batch
from featx.data.sources import ColumnChoice, list_images
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, group_poolings, make_plan
from featx.keys import FeatureKey
from featx.processes.log_collector import LogCollector
from featx.processes.node_check import NodeError
from featx.requests import ExtractRequest
from featx.runners.claims import Claims
from featx.runners.feature_writers import FeatureWriters
from featx.runners.local import Visit, describe_provenance, list_feature_keys
from featx.runners.pass_costs import measure_depths
from featx.runners.tally import Tally
from featx.runners.work_items import ItemReport, Stopped, WorkItem
from featx.storage.paths import side_folder
from featx.store.store import FeatureStore
from featx.timing import Clock
from featx.types import Progress


class ItemFiles:
    """The images of an item, by their paths.

    Parameters
    ----------
    paths : sequence of n str
    files : sequence of n ImageFile
    are_far : bool
        What the listing says that they are of.
    """

    are_stored = True
    are_shareable = True

    def __init__(self, paths: Sequence[str], files: Sequence[ImageFile], are_far: bool) -> None:
        self.by_path = dict(zip(paths, files, strict=True))
        self.are_far = are_far

    def find(self, path: str) -> ImageFile:
        """Give what the driver has found."""
        return self.by_path[path]

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Only the driver remembers digests, and takes the stamps itself: (n, 4) int64, all -1."""
        return np.full((len(paths), 4), -1, np.int64)


@dataclass(frozen=True)
class ItemVisit(Visit):
    """A pass over the rows of an item; which of them were computed is remembered."""

    extracted_rows: list[int] = field(default_factory=list)

    def count(self, batch: Batch) -> set[int]:
        """Count the rows of a batch as `Visit` does, and remember those that are new."""
        new_places = super().count(batch)
        self.extracted_rows.extend(batch.loaded[place].row for place in new_places)
        return new_places


class ItemExtractor:
    """Computes items of one extraction.

    Parameters
    ----------
    request : ExtractRequest
    keys : sequence of FeatureKey
        What the driver's base gives.
    images : int
        Rows of the whole data set, which decide on the engine and on the size of parts.
    log : LogCollector
        Its messages go into reports.

    Attributes
    ----------
    device : str

    Raises
    ------
    NodeError
        If the base here gives other features than the driver's.
    FeatxError
        As `run_here` does, before anything is computed.
    """

    def __init__(self, request: ExtractRequest, keys: Sequence[FeatureKey], images: int, log: LogCollector) -> None:
        self.request = request
        self.log = log
        architecture = resolve(request.base)
        self.base: Base = load_base(architecture)
        if list_feature_keys(self.base, request) != list(keys):
            raise NodeError(f"node '{platform.node()}' has other weights of '{request.base.name}' than the driver")
        device = choose_device(request.device)
        self.device = str(device)
        self.clock = Clock()
        plan = make_plan(self.base, group_poolings(keys), device, request.batch_size, request.workers or 1)
        self.engine = LazyEngine(request.engine, plan, images, self.clock)
        self.writers = FeatureWriters(
            FeatureStore(request.cache),
            keys,
            images,
            lambda: describe_provenance(self.engine),
            self.clock,
            measure_depths(architecture, {key.layer for key in keys}),
        )
        self.files: ImageFiles | None = None
        self.log.take()

    def extract(self, item: WorkItem, progress: Progress) -> ItemReport:
        """Compute the rows of an item, and commit them; or those until `progress` raises `Stopped`.

        Raises
        ------
        FeatxError
            As `run_here` does.
        """
        self.clock.seconds.clear()
        started = time.perf_counter()
        # Of this item alone, so that a long life of the worker takes no more memory than a short one.
        tally = Tally(Claims(self.writers), self.base.id.transform)
        count = len(item)
        known = KnownDigests(
            np.zeros((count, 32), np.uint8), np.zeros(count, bool), np.full((count, 4), -1, np.int64), 0
        )
        cache = side_folder(self.request.cache)
        visit = ItemVisit(cache, self.make_listing(item), self.engine, self.writers, tally, known, started)
        with suppress(Stopped):
            visit.compute(range(count), progress)
        self.writers.commit()
        workers = self.engine.plan.workers
        return ItemReport(
            digests=known.digests,
            known=known.known,
            extracted=np.isin(np.arange(count), visit.extracted_rows),
            counts=tally.counts,
            failed=tally.failed,
            pictures=tally.ranges,
            large_jpegs=tally.large_jpegs,
            seconds=self.clock.with_idle(workers, time.perf_counter() - started),
            engine=self.engine.name,
            messages=self.log.take(),
        )

    def make_listing(self, item: WorkItem) -> Listing:
        """Make a listing of an item's rows."""
        nothing = [""] * len(item)
        files = self.list_files() if item.files is None else ItemFiles(item.paths, item.files, item.are_far)
        return Listing(self.request.data, item.paths, nothing, nothing, files)

    def list_files(self) -> ImageFiles:
        """List the data set, once, where images cannot be read without."""
        if self.files is None:
            request = self.request
            columns = ColumnChoice(request.path_column, request.label_column)
            self.files = leave_out(
                list_images(request.data, side_folder(request.cache), request.strict, columns), request.exclude
            ).files
            # The driver has said what there is to say of the data set.
            self.log.take()
        return self.files
