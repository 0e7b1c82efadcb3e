"""Heads on a frozen base: what is put on cached features before any stage is unfrozen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from featx.classifiers.search import SearchOptions, search
from featx.engines.threads import one_torch_thread
from featx.errors import RequestError
from featx.features.scaling import join
from featx.features.splits import Parts, make_search_folds, with_views
from featx.finetuning.batches import PooledBatches
from featx.finetuning.head import Head
from featx.finetuning.schedule import EpochReport, TrainingSchedule, TrainingState
from featx.finetuning.trainer import Trainer
from featx.keys import FeatureKey
from featx.linear.spaces import encode_labels
from featx.linear.weighting import UNWEIGHTED, Weighting, price_errors, weigh_targets
from featx.requests import FinetuneRequest
from featx.store.store import FeatureStore
from featx.types import Matrix, RowNumbers

BATCH = 64
"""Rows a step in training a head: large enough that one step is arithmetic rather than overhead."""


@dataclass(frozen=True)
class FrozenFeatures:
    """What heads are made from: cached features of the frozen base, read for the rows that are needed at a time.

    Attributes
    ----------
    store : FeatureStore
    keys : sequence of FeatureKey
        One a view.
    digests : (n, 32) uint8
    y, groups : (n,) int
        Codes of classes; equal groups mark rows that show the same image.
    classes : int
        How many there are.
    weighting : Weighting or None
        How much rows and classes count in training.
    """

    store: FeatureStore
    keys: Sequence[FeatureKey]
    digests: NDArray[np.uint8]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    classes: int
    weighting: Weighting | None = None

    @cached_property
    def labels(self) -> torch.Tensor:
        """Codes of the classes: (n,) int64."""
        return torch.from_numpy(self.y.astype(np.int64))

    @cached_property
    def dim(self) -> int:
        """Numbers a row."""
        return self.store.get(self.keys[0], self.digests[:1]).shape[1]

    def weigh_losses(self, train: RowNumbers) -> torch.Tensor | None:
        """Say what the losses of all rows are multiplied by where these are trained on: (n,) float32; None for 1.

        Over the rows that are trained on their mean is 1, so that the size of steps stays as it is.
        """
        if self.weighting is None:
            return None
        weighting = self.weighting.take(train)
        targets = weigh_targets(encode_labels(self.y[train]), weighting, weighting.rows)
        prices = price_errors(targets, self.y, self.weighting.rows)
        return None if prices is None else torch.from_numpy((prices / prices[train].mean()).astype(np.float32))

    def read(self, rows: RowNumbers, views: int) -> NDArray[np.float32]:
        """Read views of some rows, view by view: (views * m, d), each row of unit length."""
        pooled = np.empty((views * len(rows), self.dim), np.float32)
        for view, key in enumerate(self.keys[:views]):
            start = view * len(rows)
            pooled[start : start + len(rows)] = join([self.store.get(key, self.digests[rows])])
        return pooled

    def read_by_image(self, rows: RowNumbers, views: int) -> NDArray[np.float32]:
        """Read views of some rows, image by image: (m, views, d)."""
        return self.read(rows, views).reshape(views, len(rows), self.dim).swapaxes(0, 1)

    def check_memory(self, images: int, views: int, limit: int) -> None:
        """Refuse to read more features at a time than fit into memory.

        Parameters
        ----------
        images, views : int
            How many are read at a time, at most.
        limit : int
            Bytes.

        Raises
        ------
        RequestError
            If they take more.
        """
        needed = images * views * self.dim * np.dtype(np.float32).itemsize
        if needed > limit:
            raise RequestError(
                f"the head needs '{self.keys[0].layer}' of {images:,} images in {views} views at a time, "
                f"{needed / 1e9:.1f} GB: more than half of this machine's memory ({limit / 1e9:.1f} GB). Ask for fewer "
                "views, or for a part of the images"
            )


@dataclass(frozen=True)
class Heads:
    """Heads on a frozen base.

    Attributes
    ----------
    on_train : Head
        Trained without the validation part: fine-tuning with validation begins with it.
    final : Head
        The one that is evaluated: trained on the validation part as well if the request asks for that, else the same.
    progress : TrainingState
        Of the former.
    params : dict of str to float
        The hyper-parameters that were chosen.
    """

    on_train: Head
    final: Head
    progress: TrainingState
    params: dict[str, float]


@dataclass(frozen=True)
class HeadMaker:
    """Makes the two heads of a fine-tuning.

    Attributes
    ----------
    request : FinetuneRequest
    features : FrozenFeatures
    parts : Parts
    device : torch.device
    """

    request: FinetuneRequest
    features: FrozenFeatures
    parts: Parts
    device: torch.device

    def make(self, report: EpochReport | None = None) -> Heads:
        """Make them, of the kind that the request names.

        Parameters
        ----------
        report : callable, optional
            Called after each epoch of training by gradients.
        """
        # Batches of a head are small: several threads would wait for one another more than they compute.
        with one_torch_thread(torch.device("cpu")):
            if self.request.head == "linear":
                return self.solve_heads()
            return self.train_heads(report)

    def solve_heads(self) -> Heads:
        """Make linear heads: the logistic regression that `fit` trains, C by cross-validation, solved exactly.

        So fine-tuning begins where training on frozen features ends (Kumar et al., 2022, Fine-Tuning can Distort
        Pretrained Features and Underperform Out-of-Distribution).
        """
        started = time.perf_counter()
        pooled = self.read(self.parts.train)
        head, params = self.solve_head(self.parts.train, pooled)
        validation = self.make_trainer(head, self.parts.train, pooled).evaluate()
        # Let go of these before others are read.
        del pooled
        final = head
        if self.request.whole:
            final, params = self.solve_head(self.parts.train_val, self.read(self.parts.train_val))
        state = TrainingState(
            best_loss=validation.loss,
            best_accuracy=validation.accuracy,
            seconds=[round(time.perf_counter() - started, 3)],
        )
        return Heads(head, final, state, params)

    def solve_head(self, rows: RowNumbers, pooled: Matrix) -> tuple[Head, dict[str, float]]:
        """Fit a linear head on rows, whose features are given view by view; tell what cross-validation chose."""
        y = self.features.y[rows]
        views = self.request.views
        folds = make_search_folds(y, self.features.groups[rows], self.request.seed)
        folds = with_views(folds, len(rows), views, min(views, self.request.test_views))
        weighting = self.features.weighting or UNWEIGHTED
        options = SearchOptions(views, weighting=weighting.take(rows).tile(views))
        fitted = search(["logreg"], pooled, np.tile(y, views), folds, self.request.seed, options)["logreg"]
        head = self.make_untrained(pooled)
        model = fitted.model
        head.init_from_linear(model.mean, model.scale, model.weights, model.intercept)
        return head, fitted.params

    def train_heads(self, report: EpochReport | None) -> Heads:
        """Make heads by gradients, the number of epochs chosen on the validation part."""
        pooled = self.read(self.parts.train)
        head = self.make_untrained(pooled)
        state = self.make_trainer(head, self.parts.train, pooled).run(report)
        del pooled
        final = head
        if self.request.whole:
            pooled = self.read(self.parts.train_val)
            final = self.make_untrained(pooled)
            self.make_trainer(final, self.parts.train_val, pooled).run_blind(state.best_epoch)
        params = {"lr": self.request.lr_head, "epoch": float(state.best_epoch)}
        return Heads(head, final, state, params)

    def read(self, rows: RowNumbers) -> NDArray[np.float32]:
        """Read the features that a head is trained on, view by view: (views * m, d)."""
        return self.features.read(rows, self.request.views)

    def make_untrained(self, pooled: Matrix) -> Head:
        """Create an untrained head; only its standardisation is fitted."""
        request = self.request
        torch.manual_seed(request.seed)
        head = Head(request.head, pooled, self.features.classes, request.hidden, request.dropout)
        return head.to(self.device)

    def make_trainer(self, head: Head, rows: RowNumbers, pooled: Matrix) -> Trainer:
        """Make what trains a head on rows, whose features are given, and evaluates it on the validation part."""
        request = self.request
        labels = self.features.labels
        weights = self.features.weigh_losses(rows)
        data = PooledBatches(
            torch.from_numpy(pooled),
            labels[rows].repeat(request.views),
            torch.from_numpy(self.read(self.parts.val)),
            labels[self.parts.val].repeat(request.views),
            BATCH,
            request.seed,
            None if weights is None else weights[rows].repeat(request.views),
            None if weights is None else weights[self.parts.val].repeat(request.views),
        )
        schedule = TrainingSchedule(request.epochs_head, request.patience, request.seed)
        groups = [{"params": list(head.parameters()), "lr": request.lr_head}]
        return Trainer(head, groups, data, schedule, self.device)
