"""Stage one: run a frozen base over the images whose features the store lacks."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.bases.registry import resolve
from featx.bases.weights import absolute_path
from featx.data.digest_cache import KnownDigests, load_digests, save_digests
from featx.data.listing import FailedImage, Listing
from featx.data.loader import Batch, Loaded, Loader
from featx.data.sources import list_images
from featx.engines.device import choose_device
from featx.engines.engine import LazyEngine, Plan
from featx.engines.threads import cores, one_thread_each
from featx.errors import RequestError, unknown
from featx.keys import STORED_DTYPES, FeatureKey
from featx.requests import ExtractRequest
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.store.writer import PartWriter, rows_a_part
from featx.timing import Clock, shares
from featx.types import Pixels, Progress

log = logging.getLogger(__name__)


@dataclass
class ExtractSummary:
    """What an extraction did; `images` counts every row of the data set, or of the share asked for.

    `engine` is empty where nothing had to be computed; `time` holds seconds by step, added up over all threads.
    """

    images: int = 0
    extracted: int = 0
    cached: int = 0
    duplicates: int = 0
    failed: list[FailedImage] = field(default_factory=list)
    skipped: list[FailedImage] = field(default_factory=list)
    seconds: float = 0.0
    layers: list[str] = field(default_factory=list)
    device: str = "cpu"
    engine: str = ""
    time: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Images extracted a second, everything included."""
        return round(self.extracted / self.seconds, 2) if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "images_per_second": self.images_per_second}


def feature_keys(base: Base, request: ExtractRequest) -> list[FeatureKey]:
    """List the keys that a request asks for, aliases resolved and repetitions dropped.

    Raises
    ------
    UnknownName
        If a layer, pooling or stored dtype does not exist.
    UnsupportedLayout
        If a pooling does not fit a layer.
    RequestError
        If no view is asked for.
    """
    if request.views < 1:
        raise RequestError(f"{request.views} views of each image are asked for: 1 is the image as it is, ask for more")
    for pooling in request.poolings:
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
    layers = [base.layer(name).name for name in request.layers]
    if request.store_dtype not in STORED_DTYPES:
        raise unknown("stored dtype", request.store_dtype, STORED_DTYPES)
    for layer in map(base.layer, layers):
        for pooling in request.poolings:
            pooled_shape(pooling, layer.shape, layer.layout)
    keys = [
        FeatureKey(base.id, layer, pooling, request.store_dtype, view)
        for layer in layers
        for pooling in request.poolings
        for view in range(request.views)
    ]
    return list(dict.fromkeys(keys))


class Extraction:
    """One run over a listing: which rows to visit, images through the engine, parts into the store."""

    def __init__(self, request: ExtractRequest, listing: Listing, base: Base, keys: Sequence[FeatureKey]) -> None:
        self.request, self.listing, self.base = request, listing, base
        self.device = choose_device(request.device)
        self.workers = request.workers or cores()
        self.clock = Clock()
        self.summary = ExtractSummary(
            images=len(listing), layers=[key.layer for key in keys if not key.view], device=str(self.device)
        )
        self.summary.skipped = list(listing.skipped)
        store, rows = FeatureStore(request.cache), rows_a_part(len(listing))
        self.provenance = {
            "host": platform.node(),
            "device": str(self.device),
            "torch": torch.__version__,
            "weights": base.source,
        }
        self.writers = {
            (key.layer, key.pooling, key.view): PartWriter(store, key, rows, self.provenance, self.clock)
            for key in keys
        }
        wanted: dict[str, list[str]] = {}
        for layer, pooling in dict.fromkeys((layer, pooling) for layer, pooling, _ in self.writers):
            wanted.setdefault(layer, []).append(pooling)
        self.plan = Plan(base, wanted, self.device, request.batch_size, self.workers)
        self.claims: dict[bytes, int] = {}
        self.broken: dict[bytes, str] = {}
        self.started = time.perf_counter()

    def is_mine(self, digest: bytes) -> bool:
        """Whether an image belongs to the share of the data set that this run has to compute."""
        if self.request.shard is None:
            return True
        share, shares = self.request.shard
        return int.from_bytes(digest[:8], "big") % shares == share - 1

    def is_missing(self, digest: bytes) -> bool:
        """Whether any key lacks this image, and this run has to compute it."""
        return self.is_mine(digest) and any(digest not in writer.index for writer in self.writers.values())

    def claim(self, digest: bytes, row: int) -> bool:
        """Whether a row's image is to be computed for it: it is missing, and no earlier row shows the same image.

        Threads may ask for a later row first; then both are computed, and the later one is dropped when it is taken.
        """
        return self.is_missing(digest) and self.claims.setdefault(digest, row) >= row

    def prepare(self, picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
        """Make the views of a picture that any key lacks."""
        lacking = sorted({view for (_, _, view), writer in self.writers.items() if digest not in writer.index})
        return self.plan.prepare(picture, digest, lacking)

    def doubtful_rows(self, known: KnownDigests) -> list[int]:
        """Find the rows that have to be read: of unknown digest, or known to be missing."""
        rows = np.flatnonzero(known.known)
        digests = known.digests[rows]
        lacking = np.any([writer.index.find(digests) < 0 for writer in self.writers.values()], axis=0)
        mine = np.ones(len(rows), bool)
        if self.request.shard is not None:
            mine[:] = [self.is_mine(digest.tobytes()) for digest in digests]
        doubtful = ~known.known
        doubtful[rows] = lacking & mine
        self.summary.images -= int((~mine).sum())
        self.summary.cached += int((mine & ~lacking).sum())
        return np.flatnonzero(doubtful).tolist()

    def visit(self, known: KnownDigests, progress: Progress | None) -> None:
        """Go through every row that is not known to be cached."""
        rows, done = self.doubtful_rows(known), 0
        if not rows:
            return
        engine = LazyEngine(self.request.engine, self.plan, len(self.listing), self.clock, self.provenance)
        loader = Loader(self.listing, self.claim, self.prepare, self.workers, self.clock, self.plan.device_batch)
        with ExitStack() as finally_:  # every writer is closed, also when another one fails
            finally_.enter_context(one_thread_each(self.device))
            finally_.callback(save_digests, self.request.cache, self.listing, known)
            for writer in self.writers.values():
                finally_.callback(self.close, writer)
            for batch in loader(rows, engine.start, engine.build):
                self.take(batch, known)
                done += len(batch.loaded)
                if progress:
                    progress(done, len(rows))

    def close(self, writer: PartWriter) -> None:
        """Commit what a writer still holds."""
        writer.close(self.seconds_an_image())

    def take(self, batch: Batch, known: KnownDigests) -> None:
        """Count the rows of a batch, and hand what was computed of them to the writers."""
        fresh = {place for place, loaded in enumerate(batch.loaded) if self.count(loaded, known)}
        by_view: dict[int, list[int]] = {}
        for row, (place, view) in enumerate(batch.members):
            if place in fresh:
                by_view.setdefault(view, []).append(row)
        for view, rows in by_view.items():
            digests = [batch.loaded[batch.members[row][0]].digest or b"" for row in rows]
            for (layer, pooling), features in batch.features.items():
                chosen = features if len(rows) == len(batch.members) else features[rows]
                self.writers[layer, pooling, view].append(digests, chosen, self.seconds_an_image())

    def count(self, loaded: Loaded, known: KnownDigests) -> bool:
        """Count one row; say whether its features are new."""
        path, name, summary = self.listing.paths[loaded.row], loaded.digest, self.summary
        if name is None:
            summary.failed.append(FailedImage(path, loaded.reason or "unreadable"))
            return False
        digest = np.frombuffer(name, np.uint8)
        if known.known[loaded.row] and (known.digests[loaded.row] != digest).any():
            log.warning("'%s' changed since it was last read: its new contents are used", path)
        known.digests[loaded.row], known.known[loaded.row] = digest, True
        is_first = self.claims.get(name, -1) >= loaded.row
        if is_first:
            self.claims[name] = loaded.row
        if is_first and loaded.reason is not None:
            self.broken[name] = loaded.reason
        if name in self.broken:
            summary.failed.append(FailedImage(path, self.broken[name]))
        elif is_first:
            summary.extracted += 1
        elif name in self.claims:
            summary.duplicates += 1
        else:
            is_mine = self.is_mine(name)
            summary.cached += is_mine
            summary.images -= not is_mine
        return is_first and loaded.reason is None

    def seconds_an_image(self) -> float:
        """Seconds that one image and key cost so far, everything included."""
        elapsed = time.perf_counter() - self.started
        return elapsed / max(1, self.summary.extracted) / len(self.writers)


def extract(request: ExtractRequest, progress: Progress | None = None) -> ExtractSummary:
    """Compute and store the features that a request asks for and the store lacks.

    Parameters
    ----------
    request : ExtractRequest
    progress : callable, optional
        Called with the number of rows done and to be done.

    Returns
    -------
    ExtractSummary
        Images that failed are named in it; they cost nothing but themselves.

    Raises
    ------
    FeatxError
        If the request cannot be carried out at all; nothing is half-written then.
    """
    started = time.perf_counter()
    listing = list_images(request.data)
    architecture = resolve(request.base)
    base = load_base(architecture)
    keys = feature_keys(base, request)
    layers = tuple(
        {"name": layer.name, "alias": layer.alias, "shape": list(layer.shape), "stride": layer.stride}
        for layer in base.layers
    )
    own = architecture.input == architecture.native_transform
    extraction = Extraction(request, listing, base, keys)
    store = FeatureStore(request.cache)
    described = StoredBase(base.id, base.source, layers, own, absolute_path(request.base.weights))
    store.describe(described)
    extraction.visit(load_digests(request.cache, listing, request.rehash), progress)
    store.describe(described)  # again, in case the folder was removed meanwhile
    extraction.summary.engine = extraction.provenance.get("engine", "")
    extraction.summary.time = extraction.clock.with_idle(extraction.workers, time.perf_counter() - extraction.started)
    if extraction.summary.engine:
        log.info("time of %d threads: %s", extraction.workers, shares(extraction.summary.time))
    extraction.summary.seconds = round(time.perf_counter() - started, 3)
    return extraction.summary
