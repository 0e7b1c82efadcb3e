"""What fine-tuning is fed with: images through the frozen stages, or activations at the cut that were kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from featx.finetuning.unfreeze import TrainablePart, UnfreezePlan
from featx.images.augment import PRESETS, augment, make_views, stream
from featx.images.transform import to_input
from featx.types import Pixels, RowNumbers

Prepare = Callable[[Image.Image, bytes], dict[int, Pixels]]
Seen = Iterator[tuple[Tensor, RowNumbers]]

CHUNK = 8
"""Batches that are read from the store at a time."""


class LoadedRow(Protocol):
    """A row after reading, as a loader gives it."""

    @property
    def row(self) -> int: ...  # noqa: D102

    @property
    def digest(self) -> bytes | None: ...  # noqa: D102

    @property
    def pixels(self) -> dict[int, Pixels]: ...  # noqa: D102

    @property
    def reason(self) -> str | None: ...  # noqa: D102


class Feed(Protocol):
    """Gives activations at the cut, in batches with the rows that they belong to."""

    def train_batches(self, rows: RowNumbers, epoch: int) -> Seen:
        """Give the rows in the order of an epoch, augmented."""

    def eval_batches(self, rows: RowNumbers, view: int) -> Seen:
        """Give one view of the rows, in their order."""


def shuffled(rows: RowNumbers, seed: int, epoch: int) -> RowNumbers:
    """Put rows into the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


@dataclass(frozen=True)
class PooledFeed:
    """Features of the frozen base for the head alone: all views of each image in every epoch.

    Attributes
    ----------
    X : (v, n, d) float32
    labels : (n,) int64
    views : int
        Views that are trained on.
    batch_size : int
    seed : int
    """

    X: Tensor
    labels: Tensor
    views: int
    batch_size: int
    seed: int

    def steps(self, rows: RowNumbers) -> int:
        """Count the batches of an epoch."""
        return -(-self.views * len(rows) // self.batch_size)

    def train_batches(self, rows: RowNumbers, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give every view of the rows in the order of an epoch, with labels."""
        order = shuffled(np.arange(self.views * len(rows)), self.seed, epoch)
        for low in range(0, len(order), self.batch_size):
            places = order[low : low + self.batch_size]
            chosen = rows[places % len(rows)]
            yield self.X[places // len(rows), chosen], self.labels[chosen]

    def eval_batches(self, rows: RowNumbers) -> Iterator[tuple[Tensor, Tensor]]:
        """Give every view of the rows, with labels, in one batch: a small part says more by all its views."""
        yield self.X[: self.views, rows].reshape(-1, self.X.shape[2]), self.labels[rows].repeat(self.views)


@dataclass
class ImageFeed:
    """Reads, augments and runs images through the frozen stages, every epoch anew.

    Attributes
    ----------
    division : UnfreezePlan
    load : callable
        RowNumbers and what to make of a picture to rows as they were read, in order.
    digests : (n, 32) uint8
        Of the images as they were listed.
    device : torch.device
    batch_size : int
    preset : str
        Name in `PRESETS`.
    seed : int
    skipped : dict of int to str
        RowNumbers that could not be read, and the reason.
    """

    division: UnfreezePlan
    load: Callable[[RowNumbers, Prepare], Iterator[LoadedRow]]
    digests: NDArray[np.uint8]
    device: torch.device
    batch_size: int
    preset: str
    seed: int
    skipped: dict[int, str] = field(default_factory=dict)

    def train_batches(self, rows: RowNumbers, epoch: int) -> Seen:
        """Give the rows in the order of an epoch, each changed as seed, epoch and digest say."""
        transform, preset = self.division.base.id.transform, PRESETS[self.preset]

        def prepare(picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
            return {0: augment(picture, transform, preset, stream(self.seed, epoch, digest))}

        yield from self.run(shuffled(rows, self.seed, epoch), prepare)

    def eval_batches(self, rows: RowNumbers, view: int) -> Seen:
        """Give one view of the rows, in their order."""
        transform = self.division.base.id.transform
        yield from self.run(rows, lambda picture, digest: {0: make_views(picture, transform, digest, [view])[view]})

    def run(self, rows: RowNumbers, prepare: Prepare) -> Seen:
        """Load rows, pass over those that cannot be read, and run the others through the frozen stages."""
        batch: list[tuple[int, Pixels]] = []
        for loaded in self.load(rows, prepare):
            if not loaded.pixels:
                self.skipped[loaded.row] = loaded.reason or "unreadable"
            elif loaded.digest != self.digests[loaded.row].tobytes():
                self.skipped[loaded.row] = "it changed after training began"
            else:
                batch.append((loaded.row, loaded.pixels[0]))
            if len(batch) == self.batch_size:
                yield self.activations(batch)
                batch = []
        if batch:
            yield self.activations(batch)

    def activations(self, batch: Sequence[tuple[int, Pixels]]) -> tuple[Tensor, RowNumbers]:
        """Run pixels through the frozen stages."""
        pixels = torch.from_numpy(np.stack([pixels for _, pixels in batch])).to(self.device)
        x = self.division.prefix(to_input(pixels, self.division.base.id.transform))
        return x, np.array([row for row, _ in batch])


@dataclass
class CachedFeed:
    """Reads activations at the cut that stage one has kept.

    Attributes
    ----------
    get : callable
        View and (n, 32) uint8 digests to (n, ...) activations.
    digests : (n, 32) uint8
        Of all rows.
    views : int
        Views that are trained on: each epoch shows one of them of each image, the next epoch the next one.
    batch_size : int
    seed : int
    """

    get: Callable[[int, NDArray[np.uint8]], NDArray[Any]]
    digests: NDArray[np.uint8]
    views: int
    batch_size: int
    seed: int

    def train_batches(self, rows: RowNumbers, epoch: int) -> Seen:
        """Give the rows in the order of an epoch, each with the view whose turn it is."""
        rows = shuffled(rows, self.seed, epoch)
        yield from self.read(rows, (self.digests[rows, 0].astype(int) + epoch) % self.views)

    def eval_batches(self, rows: RowNumbers, view: int) -> Seen:
        """Give one view of the rows, in their order."""
        yield from self.read(rows, np.full(len(rows), view))

    def read(self, rows: RowNumbers, views: NDArray[np.intp]) -> Seen:
        """Read activations of rows, each of its own view, in batches."""
        for start in range(0, len(rows), CHUNK * self.batch_size):
            chosen, numbers = (
                rows[start : start + CHUNK * self.batch_size],
                views[start : start + CHUNK * self.batch_size],
            )
            out: NDArray[Any] | None = None
            for view in np.unique(numbers):
                places = np.flatnonzero(numbers == view)
                found = self.get(int(view), self.digests[chosen[places]])
                out = np.empty((len(chosen), *found.shape[1:]), np.float32) if out is None else out
                out[places] = found
            whole = torch.from_numpy(out)
            for low in range(0, len(chosen), self.batch_size):
                x = whole[low : low + self.batch_size]
                yield (
                    x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x,
                    chosen[low : low + self.batch_size],
                )


def pooled_views(
    feed: Feed, suffix: TrainablePart, rows: RowNumbers, views: int
) -> tuple[RowNumbers, list[NDArray[np.float32]]]:
    """Run views of rows through a tuned network.

    Returns
    -------
    rows : (m,) int
        Those that could be read, in their order.
    pooled : list of (m, d) float32
        One a view.
    """
    device = next(suffix.parameters()).device
    found: list[dict[int, NDArray[np.float32]]] = [{} for _ in range(views)]
    with torch.inference_mode():
        for view, pooled in enumerate(found):
            for x, chosen in feed.eval_batches(rows, view):
                outputs = suffix.pooled(x.to(device)).float().cpu().numpy()
                pooled.update(zip(chosen.tolist(), outputs, strict=True))
    read = [row for row in rows.tolist() if all(row in pooled for pooled in found)]
    return np.array(read, np.intp), [np.array([pooled[row] for row in read]) for pooled in found]
