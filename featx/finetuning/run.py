"""One fine-tuning run: the rows, the divided base, and the two phases."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.engines.device import choose_device
from featx.errors import DataError
from featx.evaluation.error_analysis import take_held_out
from featx.evaluation.fit_report import FitReport, report_fit
from featx.evaluation.protocol import (
    ModelBase,
    Subject,
    Training,
    describe_groups,
    locate_weights,
    make_evaluation,
    make_model,
    state_class_weight,
)
from featx.evaluation.result import Evaluation, spread_predictions
from featx.evaluation.result_cache import save_result
from featx.features.dataset import Dataset, load_dataset
from featx.features.scaling import join
from featx.features.splits import split_parts
from featx.files import remove_given_up_beside
from featx.finetuning.batches import BatchSource, CachedBatches, ImageBatches, SplitBatches, compute_pooled_views
from featx.finetuning.checkpoint import Checkpoint
from featx.finetuning.head import Head
from featx.finetuning.head_training import FrozenFeatures, Heads
from featx.finetuning.schedule import BatchReport, EpochReport, TrainingSchedule, TrainingState
from featx.finetuning.trainer import Trainer
from featx.finetuning.unfreeze import TrainablePart, UnfreezePlan
from featx.keys import FeatureKey, list_fields
from featx.models.array_classifier import ArrayClassifier
from featx.models.model import Model
from featx.processes.machine import count_cores, half_the_memory
from featx.requests import CompareRequest, FinetuneRequest
from featx.store.store import FeatureStore
from featx.types import RowNumbers

WARM_UP_BATCHES = 50
"""Batches in which learning rates rise, if an epoch has fewer: Adam's first steps are the coarsest, since its estimates
of the gradients' variance rest on few batches."""

HEAD_OPTIONS = ("head", "hidden", "dropout", "views", "test_views", "epochs_head", "patience", "lr_head", "whole")
"""Fields of a request that the head on the frozen base depends on."""

PART_OPTIONS = ("augment", "from_cache", "epochs", "lr", "lr_decay", "thaw_batchnorm", "batch_size", "keep")
"""Fields of a request that what is trained after it depends on, too."""

PROTOCOL_WORDS = (
    "a head trained on the frozen base, then the stages from the cut on with it; the epoch was chosen on "
    "a stratified validation part of the training part, split by digest; the held-out part read once"
)
"""The protocol, as model files state it."""


class FinetuningRun:
    """One run: the rows, the base and where it is cut, and the two phases.

    Parameters
    ----------
    request : FinetuneRequest
    plan : UnfreezePlan

    Raises
    ------
    FeatxError
        If the data set cannot be used, features are not cached, or those of the head exceed half of the memory.
    """

    def __init__(self, request: FinetuneRequest, plan: UnfreezePlan) -> None:
        self.request = request
        self.plan = plan
        self.store = FeatureStore(request.cache)
        self.device = choose_device(request.device)
        self.dataset = self.load_dataset()
        self.parts = split_parts(self.dataset.y, self.dataset.groups, self.dataset.test, request.seed)
        self.features = self.open_features()
        self.images = self.make_image_batches()
        self.batches: BatchSource = self.make_cached_batches() if request.from_cache else self.images

    @property
    def digests(self) -> NDArray[np.uint8]:
        """Of all rows: (n, 32)."""
        return self.dataset.manifest.digests

    def keys(self, layer: str | None, pooling: str) -> list[FeatureKey]:
        """List the keys of a layer of the frozen base, one a view; none without a layer."""
        if layer is None:
            return []
        views = range(max(self.request.views, self.request.test_views))
        return [FeatureKey(self.plan.base.id, layer, pooling, view=view) for view in views]

    @property
    def head_keys(self) -> list[FeatureKey]:
        """Keys of the features that the head is trained on."""
        return self.keys(self.plan.deepest, "avg")

    @property
    def cut_keys(self) -> list[FeatureKey]:
        """Keys of the activations at the cut, if epochs run on those."""
        return self.keys(self.plan.cut, "flat") if self.request.from_cache else []

    def load_dataset(self) -> Dataset:
        """Join the data set and what must be cached of it."""
        request = self.request
        poolings = ("avg", "flat") if request.from_cache else ("avg",)
        cached = CompareRequest(
            request.data,
            request.base,
            poolings=poolings,
            seed=request.seed,
            rehash=request.rehash,
            cache=request.cache,
            views=len(self.head_keys),
            path_column=request.path_column,
            label_column=request.label_column,
            **request.group_fields(),
        )
        return load_dataset(cached, self.store, [*self.head_keys, *self.cut_keys])

    def open_features(self) -> FrozenFeatures:
        """Make what the head's features are read from, if they fit into memory."""
        dataset = self.dataset
        features = FrozenFeatures(
            self.store,
            self.head_keys,
            self.digests,
            dataset.y,
            dataset.groups,
            len(dataset.classes),
            dataset.weighting(self.request.class_weight),
        )
        train = self.parts.train_val if self.request.whole else self.parts.train
        features.check_memory(len(train), self.request.views, half_the_memory())
        features.check_memory(len(self.parts.test), self.request.test_views, half_the_memory())
        return features

    def make_image_batches(self) -> ImageBatches:
        """Make what reads images and runs them through the frozen stages."""
        request = self.request
        return ImageBatches(
            self.plan,
            self.dataset.manifest.listing,
            self.digests,
            self.device,
            request.workers or count_cores(),
            request.batch_size,
            request.augment,
            request.seed,
        )

    def make_cached_batches(self) -> CachedBatches:
        """Make what reads activations at the cut from the store."""
        request = self.request
        return CachedBatches(self.store, self.cut_keys, self.digests, request.views, request.batch_size, request.seed)

    def train_part(
        self, heads: Heads, report: EpochReport | None = None, after_batch: BatchReport | None = None
    ) -> tuple[TrainablePart, TrainingState]:
        """Train the stages from the cut on, and their head.

        With validation first; then, if the request asks for it, once more on all rows for as many epochs.

        Parameters
        ----------
        heads : Heads
        report : callable, optional
            Called after each validated epoch.
        after_batch : callable, optional
            Called after each batch.
        """
        validated, blind = self.checkpoints
        part = self.make_part(heads.on_train)
        pretrained = copy.deepcopy(part.stages.state_dict())
        state = self.make_trainer(part, self.parts.train, validated, after_batch).run(report)
        if not self.request.whole or state.stopped:
            return part, state
        # Training with validation has changed the stages in place: the second training begins where the first did.
        part.stages.load_state_dict(pretrained)
        part = self.make_part(heads.final)
        trainer = self.make_trainer(part, self.parts.train_val, blind, after_batch)
        state.stopped = trainer.run_blind(state.best_epoch).stopped
        return part, state

    def make_part(self, head: Head) -> TrainablePart:
        """Put a copy of a head on the stages that are unfrozen."""
        plan = self.plan
        plan.to(self.device)
        layout = plan.base.layers[plan.last].layout
        return TrainablePart(plan.stages, layout, copy.deepcopy(head), self.request.thaw_batchnorm)

    def make_trainer(
        self, part: TrainablePart, rows: RowNumbers, checkpoint: Path, after_batch: BatchReport | None
    ) -> Trainer:
        """Make what trains the trainable part on rows."""
        request = self.request
        remove_given_up_beside(checkpoint)
        weights = self.features.weigh_losses(rows)
        data = SplitBatches(self.batches, self.features.labels, rows, self.parts.val, request.batch_size, weights)
        schedule = TrainingSchedule(
            request.epochs,
            request.patience,
            request.seed,
            warm_up=max(1.0, WARM_UP_BATCHES / data.steps),
            keep_if_significant=request.keep == "proven",
        )
        return Trainer(
            part,
            list(part.param_groups(request.lr, request.lr_decay)),
            data,
            schedule,
            self.device,
            Checkpoint(checkpoint, repr(self.facts("finetuned"))),
            after_batch,
        )

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """Files beside the model that an interrupted run goes on from: for training with validation, and without."""
        out = self.request.out
        return out.with_name(f"{out.name}.checkpoint"), out.with_name(f"{out.name}.checkpoint-2")

    def facts(self, clf: str) -> dict[str, Any]:
        """State everything that the result of a phase depends on."""
        options = [*HEAD_OPTIONS]
        if clf == "finetuned":
            options += PART_OPTIONS
        recipe = {option: getattr(self.request, option) for option in options}
        if clf == "finetuned":
            recipe["from"] = self.plan.unfrozen
        # Only stated where it is asked for, so that checkpoints and results from before are found.
        if self.request.class_weight != "none":
            recipe["class_weight"] = self.request.class_weight
        return {
            "clf": clf,
            "base": list_fields(self.plan.base.id),
            "rows": self.dataset.digest,
            "seed": self.request.seed,
            "recipe": recipe,
        }

    def read_head_features(self) -> NDArray[np.float32]:
        """Read the features of the frozen base that the head is evaluated on: (m, v, d) of the held-out rows."""
        return self.features.read_by_image(self.parts.test, self.request.test_views)

    def compute_features(self, part: TrainablePart) -> tuple[RowNumbers, NDArray[np.float32]]:
        """Run the held-out rows through the fine-tuned network: those that could be read, and (m, v, d) features.

        Raises
        ------
        DataError
            If none of them can be read any more.
        """
        rows, pooled = compute_pooled_views(self.batches, part, self.parts.test, self.request.test_views)
        if not len(rows):
            raise DataError(f"none of the {len(self.parts.test)} held-out images can be read any more")
        return rows, np.stack([join([features]) for features in pooled], axis=1)

    def evaluate(
        self,
        clf: str,
        rows: RowNumbers,
        X: NDArray[np.float32],
        head: Head,
        progress: TrainingState,
        params: dict[str, float],
    ) -> FitReport:
        """Evaluate a head on (m, v, d) features of the held-out rows that can be read, and make its model."""
        request = self.request
        dataset = self.dataset
        classifier = ArrayClassifier(*head.arrays())
        subject = Subject(
            base=self.plan.base.id.architecture,
            layer=self.plan.deepest if clf == "head" else self.plan.unfrozen,
            pooling="avg",
            clf=clf,
            dim=X.shape[2],
            views=request.views,
            test_views=request.test_views,
            class_weight=state_class_weight(request.class_weight),
            weighted_images=dataset.weights is not None,
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
        frozen = self.plan.base
        if clf == "finetuned":
            tensors = self.plan.tensors()
            name = self.request.out.name
            key = FeatureKey(self.plan.finetuned_base(tensors).id, self.plan.deepest)
            base = ModelBase((key,), name, name, tensors)
        else:
            key = FeatureKey(frozen.id, self.plan.deepest)
            base = ModelBase((key,), frozen.source, locate_weights(self.request.base, frozen.source))
        protocol = {"words": PROTOCOL_WORDS, **self.facts(clf), **describe_groups(self.dataset)}
        return make_model(evaluation, base, self.dataset.classes, protocol)
