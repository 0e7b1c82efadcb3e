"""Heads on a frozen base: what is put on cached features before any stage is unfrozen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from featx.classifiers.search import search
from featx.engines.threads import one_torch_thread
from featx.errors import DataError
from featx.features.splits import Parts, make_folds, with_views
from featx.finetuning.batches import PooledFeed
from featx.finetuning.head import Head
from featx.finetuning.schedule import TrainingSchedule, TrainingState
from featx.finetuning.trainer import Trainer
from featx.requests import FinetuneRequest
from featx.types import RowNumbers

BATCH = 64

EpochReport = Callable[[TrainingState, float, float], None]


@dataclass(frozen=True)
class FrozenFeatures:
    """What heads are made from.

    Attributes
    ----------
    X : (v, n, d) float32
        Cached features of all rows and views, of unit length.
    y, groups : (n,) int
        Codes of classes; equal groups mark rows that show the same image.
    classes : int
    """

    X: NDArray[np.float32]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    classes: int

    @cached_property
    def labels(self) -> torch.Tensor:
        """Codes of the classes: (n,) int64."""
        return torch.from_numpy(self.y.astype(np.int64))

    def pooled(self, rows: RowNumbers, views: int) -> NDArray[np.float32]:
        """Give views of some rows, view by view: (views * m, d)."""
        return self.X[:views, rows].reshape(-1, self.X.shape[2])


@dataclass(frozen=True)
class Heads:
    """Heads on a frozen base.

    Attributes
    ----------
    validated, judged : Head
        Trained without the validation part, and the one that is judged: another one if it is to train on all rows.
    progress : TrainingState
        Of the former.
    params : dict of str to float
        What was chosen.
    """

    validated: Head
    judged: Head
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
        """Make them, of the kind that the request names."""
        with one_torch_thread(torch.device("cpu")):  # batches of a head are small
            return self.solved() if self.request.head == "linear" else self.trained(report)

    def solved(self) -> Heads:
        """Make linear heads: stage two's logistic regression, C by cross-validation, solved exactly.

        So fine-tuning begins where training on frozen features ends (Kumar et al., 2022, Fine-Tuning can Distort
        Pretrained Features and Underperform Out-of-Distribution).
        """
        started = time.perf_counter()
        head, params = self.solve(self.parts.train)
        loss, accuracy = self.trainer(head, self.parts.train).judge()
        whole, params = self.solve(self.parts.train_val) if self.request.whole else (head, params)
        seconds = [round(time.perf_counter() - started, 3)]
        return Heads(head, whole, TrainingState(best_loss=loss, best_accuracy=accuracy, seconds=seconds), params)

    def solve(self, rows: RowNumbers) -> tuple[Head, dict[str, float]]:
        """Fit a linear head on rows; tell what cross-validation chose.

        Raises
        ------
        DataError
            If a class has one image only.
        """
        features, views = self.features, self.request.views
        if np.bincount(features.y[rows], minlength=features.classes).min() < 2:
            raise DataError(
                "beside the held-out and the validation part a class has one image left to train on, too few to "
                "cross-validate the linear head: add images, or use --head mlp"
            )
        folds = make_folds(features.y[rows], features.groups[rows], self.request.seed)
        y = np.tile(features.y[rows], views)
        seen = with_views(folds, len(rows), views, min(views, self.request.test_views))
        fitted = search(["logreg"], features.pooled(rows, views), y, seen, self.request.seed)["logreg"]
        head, model = self.empty(rows), fitted.model
        head.adopt(model.mean, model.scale, model.weights, model.intercept)
        return head, fitted.params

    def trained(self, report: EpochReport | None) -> Heads:
        """Make heads by gradients, the number of epochs chosen on the validation part."""
        head = self.empty(self.parts.train)
        progress = self.trainer(head, self.parts.train).run(report)
        params, whole = {"lr": self.request.lr_head, "epoch": float(progress.best_epoch)}, head
        if self.request.whole:
            whole = self.empty(self.parts.train_val)
            self.trainer(whole, self.parts.train_val).run_blind(progress.best_epoch)
        return Heads(head, whole, progress, params)

    def empty(self, rows: RowNumbers) -> Head:
        """Make a head that has learned nothing but how features of rows spread."""
        request, features = self.request, self.features
        torch.manual_seed(request.seed)
        pooled = features.pooled(rows, request.views)
        return Head(request.head, pooled, features.classes, request.hidden, request.dropout).to(self.device)

    def trainer(self, head: Head, rows: RowNumbers) -> Trainer:
        """Make what trains a head on rows, and judges it on the validation part."""
        request, features = self.request, self.features
        feed = PooledFeed(torch.from_numpy(features.X), features.labels, request.views, BATCH, request.seed)
        return Trainer(
            head,
            [{"params": list(head.parameters()), "rate": request.lr_head}],
            partial(feed.train_batches, rows),
            feed.steps(rows),
            partial(feed.eval_batches, self.parts.val),
            TrainingSchedule(request.epochs_head, request.patience, request.seed),
            self.device,
        )
