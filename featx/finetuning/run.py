"""One fine-tuning run: the rows, the divided base, and the two phases."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.loader import Loader
from featx.engines.device import choose_device
from featx.engines.threads import cores
from featx.errors import DataError
from featx.evaluation.error_analysis import FitReport, report_fit, take_held_out
from featx.evaluation.protocol import ModelBase, Subject, Training, locate_weights, make_evaluation, make_model
from featx.evaluation.result import Evaluation, spread_predictions
from featx.evaluation.result_cache import save_result
from featx.features.dataset import load_dataset
from featx.features.scaling import join
from featx.features.splits import split_parts
from featx.files import remove_given_up_beside
from featx.finetuning.batches import CachedFeed, Feed, ImageFeed, LoadedRow, Prepare, pooled_views
from featx.finetuning.head import Head
from featx.finetuning.head_training import EpochReport, FrozenFeatures, Heads
from featx.finetuning.schedule import TrainingSchedule, TrainingState
from featx.finetuning.trainer import Trainer
from featx.finetuning.unfreeze import TrainablePart, UnfreezePlan
from featx.keys import FeatureKey
from featx.models.array_classifier import ArrayClassifier
from featx.models.model import Model
from featx.requests import CompareRequest, FinetuneRequest
from featx.store.store import FeatureStore
from featx.timing import Clock
from featx.types import RowNumbers

WARM_UP = 50
"""Batches in which learning rates rise, if an epoch has fewer: Adam's first steps are the coarsest."""


WORDS = (
    "a head trained on the frozen base, then the stages from the cut on with it; the epoch was chosen on "
    "a stratified validation part of the training part, split by digest; the held-out part read once"
)
"""The protocol, as model files state it."""


class Tuning:
    """One run: the rows, the divided base, and the two phases."""

    def __init__(self, request: FinetuneRequest, division: UnfreezePlan) -> None:
        self.request, self.division = request, division
        self.store, self.device = FeatureStore(request.cache), choose_device(request.device)
        numbers = range(max(request.views, request.test_views))
        self.keys = [FeatureKey(division.base.id, division.deepest, "avg", view=view) for view in numbers]
        cut_keys = [
            FeatureKey(division.base.id, division.cut, "flat", view=view)
            for view in numbers
            if request.from_cache and division.cut is not None
        ]
        asked = CompareRequest(
            request.data, request.base, (), (), ("avg", "flat")[: 1 + request.from_cache], request.seed, request.rehash
        )
        asked = replace(asked, cache=request.cache, views=len(numbers))
        self.table = load_dataset(asked, self.store, [*self.keys, *cut_keys])
        self.parts = split_parts(self.table.y, self.table.groups, self.table.test, request.seed)
        self.digests = self.table.manifest.digests
        X = np.stack([join([self.store.get(key, self.digests)]) for key in self.keys])
        self.features = FrozenFeatures(X, self.table.y, self.table.groups, len(self.table.classes))
        self.images = ImageFeed(
            division, self.load, self.digests, self.device, request.batch_size, request.augment, request.seed
        )
        self.feed: Feed = self.images
        if request.from_cache:
            get = lambda view, digests: self.store.get(cut_keys[view], digests)  # noqa: E731
            self.feed = CachedFeed(get, self.digests, request.views, request.batch_size, request.seed)

    def load(self, rows: RowNumbers, prepare: Prepare) -> Iterator[LoadedRow]:
        """Read and decode images in threads."""
        listing, workers = self.table.manifest.listing, self.request.workers or cores()
        yield from Loader(listing, lambda name, row: True, prepare, workers, Clock()).decoded(rows.tolist())

    def suffix_trainer(self, head: Head, rows: RowNumbers, checkpoint: Path) -> tuple[TrainablePart, Trainer]:
        """Make the part that is unfrozen, and what trains it together with the head."""
        request, division, labels = self.request, self.division, self.features.labels
        division.to(self.device)
        layout = division.base.layers[division.last].layout
        suffix = TrainablePart(division.stages, layout, head, request.thaw_batchnorm)
        remove_given_up_beside(checkpoint)
        steps = -(-len(rows) // request.batch_size)
        warm_up, keep_if_significant = max(1.0, WARM_UP / steps), request.keep == "proven"
        return suffix, Trainer(
            suffix,
            list(suffix.groups(request.lr, request.lr_decay)),
            lambda epoch: ((x, labels[chosen]) for x, chosen in self.feed.train_batches(rows, epoch)),
            steps,
            lambda: ((x, labels[chosen]) for x, chosen in self.feed.eval_batches(self.parts.val, 0)),
            TrainingSchedule(
                request.epochs, request.patience, request.seed, warm_up, keep_if_significant=keep_if_significant
            ),
            self.device,
            checkpoint,
            repr(self.facts("finetuned")),
        )

    def train_suffix(self, heads: Heads, report: EpochReport | None) -> tuple[TrainablePart, TrainingState]:
        """Train the stages from the cut on: validated, then if asked once more on all rows for as many epochs."""
        suffix, trainer = self.suffix_trainer(copy.deepcopy(heads.validated), self.parts.train, self.checkpoints[0])
        before = copy.deepcopy(suffix.stages.state_dict())
        progress = trainer.run(report)
        if not self.request.whole or progress.stopped:
            return suffix, progress
        suffix.stages.load_state_dict(before)
        suffix, trainer = self.suffix_trainer(copy.deepcopy(heads.judged), self.parts.train_val, self.checkpoints[1])
        progress.stopped = trainer.run_blind(progress.best_epoch).stopped
        return suffix, progress

    @property
    def checkpoints(self) -> list[Path]:
        """Files beside the model that an interrupted run goes on from."""
        return [self.request.out.with_name(f"{self.request.out.name}.{end}") for end in ("checkpoint", "checkpoint-2")]

    def facts(self, clf: str) -> dict[str, Any]:
        """State everything that a result depends on."""
        own = ("head", "hidden", "dropout", "views", "test_views", "epochs_head", "patience", "lr_head", "whole")
        later = ("augment", "from_cache", "epochs", "lr", "lr_decay", "thaw_batchnorm", "batch_size", "keep")
        recipe = {name: getattr(self.request, name) for name in (*own, *(later if clf == "finetuned" else ()))}
        base, rows = asdict(self.division.base.id), self.table.digest
        cut = {"from": self.division.unfrozen} if clf == "finetuned" else {}
        return {"clf": clf, "base": base, "rows": rows, "seed": self.request.seed, "recipe": {**recipe, **cut}}

    def tuned_features(self, suffix: TrainablePart) -> tuple[RowNumbers, NDArray[np.float32]]:
        """Run the held-out rows through the tuned network: rows that could be read, (m, v, d) features."""
        rows, pooled = pooled_views(self.feed, suffix, self.parts.test, self.request.test_views)
        if not len(rows):
            raise DataError(f"none of the {len(self.parts.test)} held-out images can be read any more")
        return rows, np.stack([join([one]) for one in pooled], axis=1)

    def judge(
        self,
        clf: str,
        rows: RowNumbers,
        X: NDArray[np.float32],
        head: Head,
        progress: TrainingState,
        params: dict[str, float],
    ) -> FitReport:
        """Evaluate a head on (m, v, d) features of the held-out rows that can be read, and make its model."""
        request, dataset = self.request, self.table
        classifier = ArrayClassifier(*head.arrays())
        subject = Subject(
            base=self.division.base.id.architecture,
            layer=self.division.deepest if clf == "head" else self.division.unfrozen,
            pooling="avg",
            clf=clf,
            dim=X.shape[2],
            views=request.views,
            test_views=request.test_views,
        )
        training = Training(len(self.parts.train_val), progress.best_accuracy, sum(progress.seconds), params)
        evaluation = make_evaluation(subject, training, dataset.y[rows], classifier.predict(X), classifier)
        # Rows of a table are compared image by image, so the result that is kept has a prediction for each of them.
        places = np.searchsorted(self.parts.test, rows)
        of_every_row = spread_predictions(evaluation.predictions, places, len(self.parts.test))
        save_result(request.cache, self.facts(clf), replace(evaluation, predictions=of_every_row))
        return report_fit(evaluation, take_held_out(dataset, rows), self.model(evaluation))

    def model(self, evaluation: Evaluation) -> Model:
        """Join a head to all that prediction needs, the tensors of the base among it if they were changed."""
        clf = evaluation.result.clf
        frozen = self.division.base
        if clf == "finetuned":
            tensors = self.division.tensors()
            name = self.request.out.name
            key = FeatureKey(self.division.tuned(tensors).id, self.division.deepest)
            base = ModelBase((key,), name, name, tensors)
        else:
            key = FeatureKey(frozen.id, self.division.deepest)
            base = ModelBase((key,), frozen.source, locate_weights(self.request.base, frozen.source))
        return make_model(evaluation, base, self.table.classes, {"words": WORDS, **self.facts(clf)})
