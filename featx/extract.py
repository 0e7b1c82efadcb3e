"""Stage one: run a frozen base over the images whose features the store lacks."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featx.bases.base import Base
from featx.bases.engine import TorchEngine, choose_device
from featx.bases.pooling import POOLINGS, pooled_shape
from featx.bases.transform import to_pixels
from featx.bases.zoo import architecture_of, load_base
from featx.data.loader import Loaded, Loader
from featx.data.manifest import Listing
from featx.data.memory import KnownDigests, recall, remember
from featx.data.sources import list_images
from featx.errors import RequestError, unknown
from featx.keys import STORED_DTYPES, FeatureKey, InputTransform
from featx.requests import BaseChoice, ExtractRequest
from featx.store.bases import StoredBase
from featx.store.store import FeatureStore
from featx.store.writer import PartWriter, rows_a_part

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Failure:
    """An image without features: its path and the reason."""

    path: str
    reason: str


@dataclass
class ExtractSummary:
    """What an extraction did; `images` counts every row of the data set, or of the share asked for."""

    images: int = 0
    extracted: int = 0
    cached: int = 0
    duplicates: int = 0
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    layers: list[str] = field(default_factory=list)
    device: str = "cpu"

    @property
    def images_per_second(self) -> float:
        """Images extracted a second, everything included."""
        return round(self.extracted / self.seconds, 2) if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "images_per_second": self.images_per_second}


def transform_of(choice: BaseChoice) -> InputTransform:
    """Work out the input transform: the base's own, changed as the user asked.

    Raises
    ------
    RequestError
        If the crop is larger than the resized image, or a size is not positive.
    """
    own = architecture_of(choice.name, choice.weights).transform
    crop = choice.crop or own.crop
    resize = choice.resize or (own.resize if crop <= own.resize else crop)
    if not 0 < crop <= resize:
        raise RequestError(f"--crop {crop} does not fit into --resize {resize}: the crop must be the smaller")
    return replace(own, resize=resize, crop=crop)


def open_base(choice: BaseChoice) -> Base:
    """Load the base that a choice names."""
    return load_base(choice.name, choice.weights, transform_of(choice), choice.precision)


def feature_keys(base: Base, request: ExtractRequest) -> list[FeatureKey]:
    """List the keys that a request asks for, aliases resolved and repetitions dropped.

    Raises
    ------
    UnknownName
        If a layer, pooling or stored dtype does not exist.
    UnsupportedLayout
        If a pooling does not fit a layer.
    """
    for pooling in request.poolings:
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
    layers = [base.layer(name).name for name in request.layers]
    if request.store_dtype not in STORED_DTYPES:
        raise unknown("stored dtype", request.store_dtype, STORED_DTYPES)
    for layer in map(base.layer, layers):
        for pooling in request.poolings:
            pooled_shape(pooling, layer.shape, layer.layout)
    keys = [FeatureKey(base.id, name, pooling, request.store_dtype) for name in layers for pooling in request.poolings]
    return list(dict.fromkeys(keys))


class Extraction:
    """One run over a listing: which rows to visit, batches through the engine, parts into the store."""

    def __init__(self, request: ExtractRequest, listing: Listing, base: Base, keys: Sequence[FeatureKey]) -> None:
        self.request, self.listing, self.base = request, listing, base
        self.device = choose_device(request.device)
        self.batch_size = request.batch_size or (256 if self.device.type == "cuda" else 32)
        self.summary = ExtractSummary(images=len(listing), layers=[key.layer for key in keys], device=str(self.device))
        self.summary.skipped = [Failure(file.path, file.reason) for file in listing.skipped]
        store = FeatureStore(request.cache)
        provenance = {
            "host": platform.node(),
            "device": str(self.device),
            "engine": "torch",
            "torch": torch.__version__,
            "weights": base.source,
        }
        rows = rows_a_part(len(listing))
        self.writers = {(key.layer, key.pooling): PartWriter(store, key, rows, provenance) for key in keys}
        self.engine: TorchEngine | None = None
        self.taken: set[bytes] = set()
        self.batch: list[Loaded] = []
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

    def doubtful_rows(self, known: KnownDigests) -> NDArray[np.intp]:
        """Find the rows that have to be read: of unknown digest, or known to be missing."""
        rows = np.flatnonzero(known.known)
        digests = known.digests[rows]
        lacking = np.any([writer.index.find(digests) < 0 for writer in self.writers.values()], axis=0)
        doubtful = ~known.known
        for row, digest, is_lacking in zip(rows, digests, lacking, strict=True):
            is_mine = self.request.shard is None or self.is_mine(digest.tobytes())
            doubtful[row] = is_lacking and is_mine
            self.summary.images -= not is_mine
            self.summary.cached += is_mine and not is_lacking
        return np.flatnonzero(doubtful)

    def visit(self, known: KnownDigests, progress: Progress | None) -> None:
        """Go through every row that is not known to be cached."""
        rows = self.doubtful_rows(known)
        prepare = partial(to_pixels, transform=self.base.id.transform)
        workers = self.request.workers or os.cpu_count() or 1
        loader = Loader(self.listing, self.is_missing, prepare, workers, ahead=2 * self.batch_size + workers)
        with ExitStack() as finally_:  # every writer is closed, also when another one fails
            finally_.callback(remember, self.request.cache, self.listing, known)
            for writer in self.writers.values():
                finally_.callback(self.close, writer)
            for done, loaded in enumerate(loader(rows), 1):
                self.take(loaded, known)
                if progress:
                    progress(done, len(rows))
            self.run_batch()

    def close(self, writer: PartWriter) -> None:
        """Commit what a writer still holds."""
        writer.close(self.seconds_an_image())

    def take(self, loaded: Loaded, known: KnownDigests) -> None:
        """Count one row, and put it into the batch if it has pixels."""
        path = self.listing.paths[loaded.row]
        if loaded.digest is not None:
            name = np.frombuffer(loaded.digest, np.uint8)
            if known.known[loaded.row] and (known.digests[loaded.row] != name).any():
                log.warning("'%s' changed since it was last read: its new contents are used", path)
            known.digests[loaded.row], known.known[loaded.row] = name, True
        if loaded.reason is not None:
            self.summary.failed.append(Failure(path, loaded.reason))
        elif loaded.pixels is None:
            is_mine = loaded.digest is not None and self.is_mine(loaded.digest)
            self.summary.cached += is_mine
            self.summary.images -= not is_mine
        elif loaded.digest in self.taken:
            self.summary.duplicates += 1
        elif loaded.digest is not None:
            self.taken.add(loaded.digest)
            self.batch.append(loaded)
            if len(self.batch) == self.batch_size:
                self.run_batch()

    def run_batch(self) -> None:
        """Compute the features of the collected rows and hand them to the writers."""
        if not self.batch:
            return
        if self.engine is None:
            wanted: dict[str, list[str]] = {}
            for layer, pooling in self.writers:
                wanted.setdefault(layer, []).append(pooling)
            self.engine = TorchEngine(self.base, wanted, self.device, self.batch_size)
        batch, self.batch = self.batch, []
        outputs = self.engine(np.stack([loaded.pixels for loaded in batch if loaded.pixels is not None]))
        self.summary.extracted += len(batch)
        digests = [loaded.digest for loaded in batch if loaded.digest is not None]
        for name, features in outputs.items():
            self.writers[name].append(digests, features, self.seconds_an_image())

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
    base = open_base(request.base)
    keys = feature_keys(base, request)
    layers = tuple(
        {"name": layer.name, "alias": layer.alias, "shape": list(layer.shape), "stride": layer.stride}
        for layer in base.layers
    )
    own = base.id.transform == architecture_of(request.base.name, request.base.weights).transform
    extraction = Extraction(request, listing, base, keys)
    store, described = FeatureStore(request.cache), StoredBase(base.id, base.source, layers, own)
    store.describe(described)
    extraction.visit(recall(request.cache, listing, request.rehash), progress)
    store.describe(described)  # again, in case the folder was removed meanwhile
    extraction.summary.seconds = round(time.perf_counter() - started, 3)
    return extraction.summary
