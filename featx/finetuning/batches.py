"""What fine-tuning is fed with: images through the frozen stages, cached activations at the cut, or cached features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from featx.data.listing import Listing
from featx.data.loader import Loader, Prepare
from featx.data.rows import Loaded
from featx.finetuning.unfreeze import TrainablePart, UnfreezePlan
from featx.images.augment import PRESETS, Preset, augment, make_views, stream
from featx.images.normalise import to_input
from featx.keys import FeatureKey, InputTransform
from featx.store.store import FeatureStore
from featx.timing import Clock
from featx.types import Pixels, RowNumbers

ActivationBatches = Iterator[tuple[Tensor, RowNumbers]]
"""Activations at the cut, (n, ...) float32, each batch with the (n,) rows that it belongs to."""

LabelledBatches = Iterator[tuple[Tensor, ...]]
"""Inputs of a network, (n, ...) float32, each batch with its (n,) int64 labels and, where images are weighted, with the
(n,) float32 weights of their losses."""

BATCHES_PER_READ = 8
"""Each read opens every part that holds one of the rows: a few batches at a time spread that cost."""


class BatchSource(Protocol):
    """Gives activations at the cut, in batches with the rows that they belong to."""

    def train_batches(self, rows: RowNumbers, epoch: int) -> ActivationBatches:
        """Give the rows in the order of an epoch, augmented."""

    def eval_batches(self, rows: RowNumbers, view: int) -> ActivationBatches:
        """Give one view of the rows, in their order."""


def shuffle(rows: RowNumbers, seed: int, epoch: int) -> RowNumbers:
    """Put rows into the order of an epoch; the same seed and epoch give the same order."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def augment_once(
    picture: Image.Image, digest: bytes, transform: InputTransform, preset: Preset, seed: int, epoch: int
) -> dict[int, Pixels]:
    """Augment a picture as seed, epoch and digest say; the result stands in for view 0."""
    return {0: augment(picture, transform, preset, stream(seed, epoch, digest))}


def make_one_view(picture: Image.Image, digest: bytes, transform: InputTransform, view: int) -> dict[int, Pixels]:
    """Make one view of a picture; the result stands in for view 0."""
    return {0: make_views(picture, transform, digest, [view])[view]}


def want_every_image(digest: bytes, row: int) -> bool:
    """Tell a loader to decode every image: nothing that is trained on is cached."""
    return True


@dataclass
class ImageBatches:
    """Reads, augments and runs images through the frozen stages, every epoch anew.

    Attributes
    ----------
    plan : UnfreezePlan
    listing : Listing
    digests : (n, 32) uint8
        Of the images as they were listed.
    device : torch.device
    workers : int
        Threads that read and decode.
    batch_size : int
    preset : str
        Name in `PRESETS`.
    seed : int
    skipped : dict of int to str
        Rows that could not be read, and the reason.
    """

    plan: UnfreezePlan
    listing: Listing
    digests: NDArray[np.uint8]
    device: torch.device
    workers: int
    batch_size: int
    preset: str
    seed: int
    skipped: dict[int, str] = field(default_factory=dict)

    @property
    def transform(self) -> InputTransform:
        """How the base wants its images."""
        return self.plan.base.id.transform

    def train_batches(self, rows: RowNumbers, epoch: int) -> ActivationBatches:
        """Give the rows in the order of an epoch, each augmented as seed, epoch and digest say."""
        preset = PRESETS[self.preset]
        prepare = partial(augment_once, transform=self.transform, preset=preset, seed=self.seed, epoch=epoch)
        yield from self.run(shuffle(rows, self.seed, epoch), prepare)

    def eval_batches(self, rows: RowNumbers, view: int) -> ActivationBatches:
        """Give one view of the rows, in their order."""
        yield from self.run(rows, partial(make_one_view, transform=self.transform, view=view))

    def run(self, rows: RowNumbers, prepare: Prepare) -> ActivationBatches:
        """Load rows, pass over those that cannot be read, and run the others through the frozen stages."""
        loader = Loader(
            self.listing,
            want_every_image,
            prepare,
            self.workers,
            Clock(),
            value_range=self.transform.value_range,
            least_side=self.transform.least_side,
        )
        batch: list[Loaded] = []
        for loaded in loader.decoded(rows.tolist()):
            if reason := self.find_fault(loaded):
                self.skipped[loaded.row] = reason
            else:
                batch.append(loaded)
            if len(batch) == self.batch_size:
                yield self.compute_activations(batch)
                batch = []
        if batch:
            yield self.compute_activations(batch)

    def find_fault(self, loaded: Loaded) -> str | None:
        """Say why an image cannot be used, if so."""
        if not loaded.pixels:
            return loaded.reason or "unreadable"
        # The split goes by digest: other bytes under the same path may show an image of the held-out part.
        if loaded.digest != self.digests[loaded.row].tobytes():
            return "it changed after training began"
        return None

    def compute_activations(self, batch: Sequence[Loaded]) -> tuple[Tensor, RowNumbers]:
        """Run pixels through the frozen stages."""
        pixels = np.stack([loaded.pixels[0] for loaded in batch])
        rows = np.array([loaded.row for loaded in batch])
        images = to_input(torch.from_numpy(pixels).to(self.device), self.transform)
        return self.plan.run_prefix(images), rows


@dataclass
class CachedBatches:
    """Reads activations at the cut that an extraction has stored.

    Attributes
    ----------
    store : FeatureStore
    keys : sequence of FeatureKey
        Of the activations at the cut, one a view.
    digests : (n, 32) uint8
        Of all rows.
    views : int
        Views that are trained on: each epoch shows one of them of each image, the next epoch the next one.
    batch_size : int
    seed : int
    """

    store: FeatureStore
    keys: Sequence[FeatureKey]
    digests: NDArray[np.uint8]
    views: int
    batch_size: int
    seed: int

    def train_batches(self, rows: RowNumbers, epoch: int) -> ActivationBatches:
        """Give the rows in the order of an epoch, each with the view whose turn it is."""
        rows = shuffle(rows, self.seed, epoch)
        # By its digest each image begins with another view, so that every epoch mixes the views.
        first_views = self.digests[rows, 0].astype(int)
        yield from self.read(rows, (first_views + epoch) % self.views)

    def eval_batches(self, rows: RowNumbers, view: int) -> ActivationBatches:
        """Give one view of the rows, in their order."""
        yield from self.read(rows, np.full(len(rows), view))

    def read(self, rows: RowNumbers, views: NDArray[np.intp]) -> ActivationBatches:
        """Read activations of rows, each of its own view, in batches."""
        rows_per_read = BATCHES_PER_READ * self.batch_size
        for start in range(0, len(rows), rows_per_read):
            some_rows = rows[start : start + rows_per_read]
            activations = torch.from_numpy(self.get(some_rows, views[start : start + rows_per_read]))
            for low in range(0, len(some_rows), self.batch_size):
                x = activations[low : low + self.batch_size]
                if x.ndim == 4:
                    # The stages that are trained are in channels_last memory, too.
                    x = x.contiguous(memory_format=torch.channels_last)
                yield x, some_rows[low : low + self.batch_size]

    def get(self, rows: RowNumbers, views: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read activations of rows, each of its own view: (m, ...)."""
        activations: NDArray[np.float32] | None = None
        for view in np.unique(views):
            places = np.flatnonzero(views == view)
            stored = self.store.get(self.keys[int(view)], self.digests[rows[places]])
            if activations is None:
                activations = np.empty((len(rows), *stored.shape[1:]), np.float32)
            activations[places] = stored
        if activations is None:
            raise ValueError("no rows to read")
        return activations


@dataclass(frozen=True)
class SplitBatches:
    """The training and the validation rows of a batch source, with labels.

    Attributes
    ----------
    source : BatchSource
    labels : (n,) int64
        Of all rows of the data set.
    train, val : (m,) int
    batch_size : int
        As that of the source.
    weights : (n,) float32 or None
        What the losses of all rows are multiplied by.
    """

    source: BatchSource
    labels: Tensor
    train: RowNumbers
    val: RowNumbers
    batch_size: int
    weights: Tensor | None = None

    @property
    def steps(self) -> int:
        """Batches of an epoch, if every image can be read."""
        return count_batches(len(self.train), self.batch_size)

    def train_batches(self, epoch: int) -> LabelledBatches:
        """Give the training rows in the order of an epoch."""
        for x, rows in self.source.train_batches(self.train, epoch):
            yield x, *self.take(rows)

    def eval_batches(self) -> LabelledBatches:
        """Give the validation rows as they are, without augmentation."""
        for x, rows in self.source.eval_batches(self.val, 0):
            yield x, *self.take(rows)

    def take(self, rows: RowNumbers) -> tuple[Tensor, ...]:
        """Give the labels of rows, and their weights if they have any."""
        return (self.labels[rows],) if self.weights is None else (self.labels[rows], self.weights[rows])


@dataclass(frozen=True)
class PooledBatches:
    """Features of the frozen base for the head alone: all views of each image in every epoch.

    Attributes
    ----------
    X : (n, d) float32
        Training rows, views and all.
    y : (n,) int64
    X_val : (m, d) float32
        Validation rows, views and all: a small part says more by all its views.
    y_val : (m,) int64
    batch_size : int
    seed : int
    weights, val_weights : (n,) and (m,) float32, or None
        What the losses are multiplied by.
    """

    X: Tensor
    y: Tensor
    X_val: Tensor
    y_val: Tensor
    batch_size: int
    seed: int
    weights: Tensor | None = None
    val_weights: Tensor | None = None

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return count_batches(len(self.y), self.batch_size)

    def train_batches(self, epoch: int) -> LabelledBatches:
        """Give the training rows in the order of an epoch."""
        order = shuffle(np.arange(len(self.y)), self.seed, epoch)
        for low in range(0, len(order), self.batch_size):
            rows = order[low : low + self.batch_size]
            weights = () if self.weights is None else (self.weights[rows],)
            yield self.X[rows], self.y[rows], *weights

    def eval_batches(self) -> LabelledBatches:
        """Give the validation rows in one batch."""
        weights = () if self.val_weights is None else (self.val_weights,)
        yield self.X_val, self.y_val, *weights


def count_batches(rows: int, batch_size: int) -> int:
    """Count the batches that so many rows make, the last one perhaps smaller."""
    return -(-rows // batch_size)


def compute_pooled_views(
    source: BatchSource, part: TrainablePart, rows: RowNumbers, views: int
) -> tuple[RowNumbers, list[NDArray[np.float32]]]:
    """Run views of rows through a fine-tuned network, up to its pooling.

    Returns
    -------
    rows : (m,) int
        Those that could be read in every view, in their order.
    pooled : list of (m, d) float32
        One a view.
    """
    pooled = [compute_pooled(source, part, rows, view) for view in range(views)]
    # An image may break between one view and the next.
    read = [row for row in rows.tolist() if all(row in by_row for by_row in pooled)]
    return np.array(read, np.intp), [stack_rows(by_row, read) for by_row in pooled]


def stack_rows(by_row: dict[int, NDArray[np.float32]], rows: Sequence[int]) -> NDArray[np.float32]:
    """Make an array of some rows, in their order: (m, d)."""
    return np.array([by_row[row] for row in rows])


def compute_pooled(
    source: BatchSource, part: TrainablePart, rows: RowNumbers, view: int
) -> dict[int, NDArray[np.float32]]:
    """Run one view of rows through a fine-tuned network: row to (d,) float32, of the rows that could be read."""
    device = next(part.parameters()).device
    by_row: dict[int, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for x, chosen in source.eval_batches(rows, view):
            pooled = part.compute_pooled(x.to(device)).float().cpu().numpy()
            by_row.update(zip(chosen.tolist(), pooled, strict=True))
    return by_row
