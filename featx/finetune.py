"""Fine-tuning: a head is trained on the frozen base, then the stages from one on with it, and both are judged."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.choice import plan
from featx.bases.device import choose_device
from featx.bases.engine import cores
from featx.bases.feeds import CachedFeed, Feed, ImageFeed, LoadedRow, Prepare, Rows, pooled_views
from featx.bases.recipe import Progress, Recipe
from featx.bases.training import Trainer
from featx.bases.tuning import Division, Head, Suffix
from featx.classifiers.models import ArrayClassifier, Model, join
from featx.classifiers.outcome import HeldOut, Outcome, describe
from featx.classifiers.records import PROTOCOL, STATED, Judged, keep
from featx.classifiers.results import Result
from featx.classifiers.scores import figures
from featx.classifiers.splits import cut_parts
from featx.data.loader import Loader
from featx.errors import DataError
from featx.files import remove_given_up_beside
from featx.heads import EpochReport, FrozenFeatures, HeadMaker, Heads
from featx.keys import FeatureKey
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest
from featx.store.store import FeatureStore
from featx.table import load_rows
from featx.timing import Clock

log = logging.getLogger(__name__)

Report = Callable[[str, Progress, float, float], None]
WARM_UP = 50
"""Batches in which learning rates rise, if an epoch has fewer: Adam's first steps are the coarsest."""

WORDS = (
    "a head trained on the frozen base, then the stages from the cut on with it; the epoch was chosen on "
    "a stratified validation part of the training part, split by digest; the held-out part read once"
)
"""The protocol, as model files state it."""


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning did.

    Attributes
    ----------
    head, finetuned : Outcome
        Before and after the stages were unfrozen; the latter's model can be saved.
    progress_head, progress : Progress
        Of the two phases.
    skipped : dict of str to str
        Paths of images that could not be read any more, and the reasons.
    """

    head: Outcome
    finetuned: Outcome
    progress_head: Progress
    progress: Progress
    skipped: dict[str, str]

    @property
    def stopped(self) -> str | None:
        """Why training ended before its time, if something went wrong."""
        return self.progress_head.stopped or self.progress.stopped

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of `fit`, and what belongs to fine-tuning."""
        return {
            **self.finetuned.to_dict(),
            "head_accuracy": self.head.result.test_accuracy,
            "head": self.head.to_dict(),
            "epochs": self.progress.epoch,
            "epochs_head": self.progress_head.epoch,
            "best_epoch": self.progress.best_epoch,
            "doubted_epoch": self.progress.doubted or None,
            "epoch_seconds": self.progress.seconds,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "stopped": self.stopped,
        }


def extractions(request: FinetuneRequest, division: Division) -> list[ExtractRequest]:
    """List the extractions whose features a fine-tuning needs: for the head, and of the cut if epochs run on those."""
    needed = [request.extraction(division.deepest, "avg")]
    if request.from_cache and division.cut is not None:
        needed.append(request.extraction(division.cut, "flat"))
    return needed


class Tuning:
    """One run: the rows, the divided base, and the two phases."""

    def __init__(self, request: FinetuneRequest, division: Division) -> None:
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
        self.table = load_rows(asked, self.store, [*self.keys, *cut_keys])
        self.parts = cut_parts(self.table.y, self.table.groups, self.table.test, request.seed)
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

    def load(self, rows: Rows, prepare: Prepare) -> Iterator[LoadedRow]:
        """Read and decode images in threads."""
        listing, workers = self.table.manifest.listing, self.request.workers or cores()
        yield from Loader(listing, lambda name, row: True, prepare, workers, Clock()).decoded(rows.tolist())

    def suffix_trainer(self, head: Head, rows: Rows, checkpoint: Path) -> tuple[Suffix, Trainer]:
        """Make the part that is unfrozen, and what trains it together with the head."""
        request, division, labels = self.request, self.division, self.features.labels
        division.to(self.device)
        layout = division.base.layers[division.last].layout
        suffix = Suffix(division.stages, layout, head, request.thaw_batchnorm)
        remove_given_up_beside(checkpoint)
        steps = -(-len(rows) // request.batch_size)
        warm_up, is_doubtful = max(1.0, WARM_UP / steps), request.keep == "proven"
        return suffix, Trainer(
            suffix,
            list(suffix.groups(request.lr, request.lr_decay)),
            lambda epoch: ((x, labels[chosen]) for x, chosen in self.feed.drawn(rows, epoch)),
            steps,
            lambda: ((x, labels[chosen]) for x, chosen in self.feed.seen(self.parts.chosen, 0)),
            Recipe(request.epochs, request.patience, request.seed, warm_up, is_doubtful=is_doubtful),
            self.device,
            checkpoint,
            repr(self.facts("finetuned")),
        )

    def train_suffix(self, heads: Heads, report: EpochReport | None) -> tuple[Suffix, Progress]:
        """Train the stages from the cut on: validated, then if asked once more on all rows for as many epochs."""
        suffix, trainer = self.suffix_trainer(copy.deepcopy(heads.validated), self.parts.learned, self.checkpoints[0])
        before = copy.deepcopy(suffix.stages.state_dict())
        progress = trainer.run(report)
        if not self.request.whole or progress.stopped:
            return suffix, progress
        suffix.stages.load_state_dict(before)
        suffix, trainer = self.suffix_trainer(copy.deepcopy(heads.judged), self.parts.trained, self.checkpoints[1])
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

    def tuned_features(self, suffix: Suffix) -> tuple[Rows, NDArray[np.float32]]:
        """Run the held-out rows through the tuned network: rows that could be read, (m, v, d) features."""
        rows, pooled = pooled_views(self.feed, suffix, self.parts.judged, self.request.test_views)
        if not len(rows):
            raise DataError(f"none of the {len(self.parts.judged)} held-out images can be read any more")
        return rows, np.stack([join([one]) for one in pooled], axis=1)

    def judge(
        self, clf: str, rows: Rows, X: NDArray[np.float32], head: Head, progress: Progress, params: dict[str, float]
    ) -> Outcome:
        """Judge a head on (m, v, d) features of held-out rows, keep the record, and make the model."""
        request, parts, table = self.request, self.parts, self.table
        classifier = ArrayClassifier(*head.arrays())
        predicted, probabilities = classifier.predict(X)
        result = Result(
            base=self.division.base.id.architecture,
            layer=self.division.deepest if clf == "head" else self.division.unfrozen,
            pooling="avg",
            clf=clf,
            dim=X.shape[2],
            n_train=len(parts.trained),
            cv_accuracy=round(progress.best_accuracy, 6),
            fit_seconds=round(sum(progress.seconds), 3),
            params=params,
            views=request.views,
            test_views=request.test_views,
            **figures(table.y[rows], predicted, probabilities),
        )
        confidence = probabilities[np.arange(len(rows)), predicted].round(6)
        # An image that cannot be read any more counts as wrong where rows of a table are compared image by image.
        places = np.searchsorted(parts.judged, rows)
        every, sure = np.full(len(parts.judged), -1), np.zeros(len(parts.judged))
        every[places], sure[places] = predicted, confidence
        keep(request.cache, self.facts(clf), Judged(result, every, sure))
        held_out = HeldOut([table.manifest.listing.paths[row] for row in rows], table.y[rows], table.classes)
        return describe(Judged(result, predicted, confidence), held_out, partial(self.model, classifier, result))

    def model(self, classifier: ArrayClassifier, result: Result) -> Model:
        """Join a head to all that prediction needs, the tensors of the base among it if they were changed."""
        is_tuned, base = result.clf == "finetuned", self.division.base
        tensors = self.division.tensors() if is_tuned else {}
        key = FeatureKey(self.division.tuned(tensors).id if is_tuned else base.id, self.division.deepest)
        source = self.request.out.name if is_tuned else base.source
        weights = source if is_tuned else self.request.base.weights or source
        protocol = {"version": PROTOCOL, "words": WORDS, **self.facts(result.clf)}
        scores = {key: value for key, value in result.to_dict().items() if key not in (*STATED, "fit_seconds")}
        classes, views = tuple(self.table.classes), self.request.test_views
        return Model((key,), source, weights, classes, classifier, result.params, protocol, scores, views, tensors)


def finetune(request: FinetuneRequest, report: Report | None = None) -> Tuned:
    """Train a head on a frozen base, then the stages from one on; judge both, and write the model.

    Features of the frozen base must be in the store: `extractions` says which.

    Parameters
    ----------
    request : FinetuneRequest
    report : callable, optional
        Called after each epoch with the phase, the progress, and loss and accuracy on the validation part.

    Raises
    ------
    FeatxError
        If the request cannot be carried out, or features are not cached.
    """
    tuning = Tuning(request, plan(request))
    heads = HeadMaker(request, tuning.features, tuning.parts, tuning.device).make(
        partial(report, "head") if report else None
    )
    X = tuning.features.X[: request.test_views, tuning.parts.judged].swapaxes(0, 1)
    before = tuning.judge("head", tuning.parts.judged, X, heads.judged, heads.progress, heads.params)
    suffix, progress = tuning.train_suffix(heads, partial(report, "finetuned") if report else None)
    params = {"lr": request.lr, "epoch": float(progress.best_epoch)}
    after = tuning.judge("finetuned", *tuning.tuned_features(suffix), suffix.head, progress, params)
    after.model.save(request.out)
    for checkpoint in tuning.checkpoints:
        checkpoint.unlink(missing_ok=True)
    paths = tuning.table.manifest.listing.paths
    skipped = {paths[row]: reason for row, reason in sorted(tuning.images.skipped.items())}
    return Tuned(before, after, heads.progress, progress, skipped)
