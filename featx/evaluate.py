"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.weights import is_file_name
from featx.classifiers.calibration import calibrate
from featx.classifiers.models import ArrayClassifier, Model, Opaque, join, to_arrays
from featx.classifiers.outcome import HeldOut, Outcome, describe
from featx.classifiers.records import PROTOCOL, STATED, Judged, grid_of, keep, recall, recall_tuned
from featx.classifiers.results import TUNED, Result, best
from featx.classifiers.scores import figures, mcnemar
from featx.classifiers.search import Fitted, search
from featx.classifiers.splits import make_folds, with_views
from featx.classifiers.zoo import CLASSIFIERS, classifier_of
from featx.data.rows import Rows
from featx.errors import MissingFeatures, ModelError, RequestError
from featx.requests import CompareRequest
from featx.store.bases import StoredBase
from featx.store.store import FeatureStore
from featx.table import Cut, choose_cuts, find_base, load_rows

Progress = Callable[[int, int], None]
Matrix = NDArray[np.floating[Any]]
Trained = tuple[Fitted, ArrayClassifier | Opaque]

WORDS = (
    "rows of features scaled to length one, each layer by itself; "
    "hyper-parameters chosen by stratified cross-validation inside the training part, folds grouped by digest, "
    "everything fitted inside the fold; refitted on the whole training part; the held-out part read once"
)
"""The protocol, as model files state it."""


@dataclass(frozen=True)
class Experiment:
    """What all rows of a table share: the data set joined with the store.

    Attributes
    ----------
    request : CompareRequest
    names : list of str
        Of classifiers.
    store : FeatureStore
    base : StoredBase
    cuts : list of Cut
    rows : Rows
    trained : dict of str to pair
        What was fitted last, by classifier.
    """

    request: CompareRequest
    names: list[str]
    store: FeatureStore
    base: StoredBase
    cuts: list[Cut]
    rows: Rows
    trained: dict[str, Trained] = field(default_factory=dict)

    @classmethod
    def open(cls, request: CompareRequest) -> Experiment:
        """Find everything that a request names.

        Raises
        ------
        FeatxError
            If names are unknown, features are not cached or the data set cannot be used.
        """
        if not 1 <= request.test_views <= request.views:
            asked = f"{request.test_views} test views of {request.views} views"
            raise RequestError(f"{asked} are asked for: --test-views is from 1 to --views, which are trained on")
        named = [name for name in dict.fromkeys(request.classifiers) if name not in TUNED]
        names = named if request.classifiers else list(CLASSIFIERS)
        for name in names:
            classifier_of(name)
        store = FeatureStore(request.cache)
        base = find_base(store, request)
        cuts = choose_cuts(store, base, request)
        keys = list(dict.fromkeys(key for cut in cuts for key in cut.every_key))
        return cls(request, names, store, base, cuts, load_rows(request, store, keys))

    @cached_property
    def rows_digest(self) -> str:
        """Digest of the rows: images, labels and split, in their order; 64 hex characters."""
        return self.rows.digest

    def facts(self, cut: Cut, name: str) -> dict[str, Any]:
        """State everything that the result of one row depends on."""
        keys = [json.loads(key.to_json()) for key in cut.keys]
        grid, seed = grid_of(name, self.request.seed), self.request.seed
        shown = (self.request.views, self.request.test_views)
        views = {"views": shown} if shown != (1, 1) else {}
        return {"keys": keys, "rows": self.rows_digest, "clf": name, "grid": grid, "seed": seed, **views}

    def features(self, cut: Cut) -> NDArray[np.float32]:
        """Read the features of all views and rows: (v, n, d) float32."""
        digests = self.rows.manifest.digests
        views = [[replace(key, view=view) for key in cut.keys] for view in range(self.request.views)]
        read = (join([self.store.get(key, digests) for key in keys]) for keys in views)
        return next(read)[None] if len(views) == 1 else np.stack(list(read))

    def train(self, names: Sequence[str], X: Matrix) -> dict[str, Trained]:
        """Choose, refit and calibrate classifiers on all views of the training rows of (v, n, d) features."""
        train, seed, views = ~self.rows.test, self.request.seed, self.request.views
        folds = make_folds(self.rows.y[train], self.rows.groups[train], seed)
        folds = with_views(folds, int(train.sum()), views, self.request.test_views)
        X, y = X[:, train].reshape(-1, X.shape[2]), np.tile(self.rows.y[train], views)
        found: dict[str, Trained] = {}
        for name, fitted in search(names, X, y, folds, seed).items():
            started = time.perf_counter()
            sharpness = calibrate(name, fitted.params["C"], X, y, folds) if name == "svm" else 1.0
            seconds = fitted.seconds + time.perf_counter() - started
            found[name] = replace(fitted, seconds=seconds), as_classifier(fitted.model, sharpness)
        return found

    def judge(self, cut: Cut, name: str, trained: Trained, X: Matrix) -> Judged:
        """Judge one classifier on the held-out rows of (v, n, d) features, and keep the record."""
        fitted, classifier = trained
        truth = self.rows.y[self.rows.test]
        predicted, probabilities = classifier.predict(self.held_out(X))
        result = Result(
            base=self.base.id.architecture,
            layer=cut.name,
            pooling=cut.keys[0].pooling,
            clf=name,
            dim=X.shape[2],
            n_train=len(self.rows.y) - len(truth),
            cv_accuracy=round(fitted.cv_accuracy, 6),
            fit_seconds=round(fitted.seconds, 3),
            params=fitted.params,
            views=self.request.views,
            test_views=self.request.test_views,
            **figures(truth, predicted, probabilities),
        )
        judged = Judged(result, predicted, probabilities[np.arange(len(truth)), predicted].round(6))
        keep(self.request.cache, self.facts(cut, name), judged)
        return judged

    def held_out(self, X: Matrix) -> Matrix:
        """Pick the held-out rows of (v, n, d) features: (m, d), or (m, v, d) where scores of views are averaged."""
        views = X[: self.request.test_views, self.rows.test]
        return views[0] if len(views) == 1 else views.swapaxes(0, 1)

    def recalled(self, cut: Cut) -> dict[str, Judged]:
        """Find what earlier runs left of one cut, by classifier."""
        if self.request.refit:
            return {}
        images = int(self.rows.test.sum())
        records = {name: recall(self.request.cache, self.facts(cut, name), images) for name in self.names}
        return {name: record for name, record in records.items() if record is not None}

    def evaluate(self, cut: Cut) -> list[Judged]:
        """Judge every classifier on one cut, fitting only what no earlier run has left."""
        found = self.recalled(cut)
        lacking = [name for name in self.names if name not in found]
        if lacking:
            X = self.features(cut)
            self.trained.clear()
            self.trained.update(self.train(lacking, X))
            for name, trained in self.trained.items():
                found[name] = self.judge(cut, name, trained, X)
        size, cost = round(cut.megabytes, 3), round(cut.ms_per_image, 3)
        results = [replace(found[name].result, megabytes=size, ms_per_image=cost) for name in self.names]
        return [replace(found[name], result=result) for name, result in zip(self.names, results, strict=True)]

    def tuned(self) -> list[Judged]:
        """Find what fine-tuning of this base left on these very rows, if all classifiers or those are asked for."""
        facts = {"base": asdict(self.base.id), "rows": self.rows_digest}
        found = recall_tuned(self.request.cache, facts, int(self.rows.test.sum()))
        asked = self.request.classifiers or TUNED
        return [one for one in found if one.result.clf in asked]

    def model(self, cut: Cut, name: str, result: Result) -> Model:
        """Join a classifier of the last cut to all that prediction needs; fit it if an earlier run did.

        Raises
        ------
        ModelError
            If it is of a kind that no file can hold.
        """
        _, classifier = self.trained.get(name) or self.train([name], self.features(cut))[name]
        if isinstance(classifier, Opaque):
            raise ModelError(f"no model file can hold a classifier of the kind '{name}': choose logreg, svm or mlp")
        asked = self.request.base.weights or self.base.source
        weights = (
            str(Path(asked).expanduser().resolve()) if self.request.base.weights and is_file_name(asked) else asked
        )
        scores = {key: value for key, value in result.to_dict().items() if key not in (*STATED, "fit_seconds")}
        protocol = {"version": PROTOCOL, "words": WORDS, "seed": self.request.seed, "rows": self.rows_digest}
        classes, views = tuple(self.rows.classes), self.request.test_views
        return Model(cut.keys, self.base.source, weights, classes, classifier, result.params, protocol, scores, views)


def as_classifier(fitted: Any, sharpness: float) -> ArrayClassifier | Opaque:
    """Take a fitted classifier apart, or wrap it where that is not possible."""
    try:
        return to_arrays(fitted, sharpness)
    except ModelError:
        return Opaque(fitted)


def with_p_values(judged: Sequence[Judged], truth: NDArray[np.intp]) -> list[Result]:
    """Compare every row with the best one, image by image."""
    winner = best([one.result for one in judged])
    right = next(one.predicted == truth for one in judged if one.result is winner)
    return [replace(one.result, p_value=round(mcnemar(right, one.predicted == truth), 6)) for one in judged]


def compare(request: CompareRequest, progress: Progress | None = None) -> list[Result]:
    """Judge every classifier on every layer that a request asks for.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    list of Result
        Layers in the base's order, classifiers as asked.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiment = Experiment.open(request)
    judged: list[Judged] = []
    for cut in experiment.cuts:
        judged += experiment.evaluate(cut)
        if progress:
            progress(len(judged), len(experiment.cuts) * len(experiment.names))
    judged += experiment.tuned()
    if not judged:
        raise MissingFeatures("nothing of it was fine-tuned on these images yet. Run: featx finetune --help")
    return with_p_values(judged, experiment.rows.y[experiment.rows.test])


def fit(request: CompareRequest) -> Outcome:
    """Train one classifier on one cached layer, or on a mix of layers, and judge it on the held-out part.

    Parameters
    ----------
    request : CompareRequest
        With one layer, one classifier and at most one pooling.

    Returns
    -------
    Outcome
        Its `model` can be saved, and labels new images.

    Raises
    ------
    RequestError
        If the request names several layers or classifiers.
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiment = Experiment.open(request)
    if len(experiment.cuts) != 1 or len(experiment.names) != 1:
        asked = f"{len(experiment.cuts)} layers or poolings and {len(experiment.names)} classifiers"
        raise RequestError(f"a fit takes one of each, but {asked} are asked for: choose, or use compare")
    (cut,), (name,), rows = experiment.cuts, experiment.names, experiment.rows
    (judged,) = experiment.evaluate(cut)
    paths = [path for path, held in zip(rows.manifest.listing.paths, rows.test, strict=True) if held]
    held_out = HeldOut(paths, rows.y[rows.test], rows.classes)
    return describe(judged, held_out, lambda: experiment.model(cut, name, judged.result))
