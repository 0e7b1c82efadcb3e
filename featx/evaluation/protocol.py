"""What the rows of one table share, and how each of them is trained and judged."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.weights import is_file_name
from featx.classifiers.calibration import calibrate
from featx.classifiers.registry import CLASSIFIERS, Linear, find_classifier
from featx.classifiers.search import Fitted, search
from featx.classifiers.search_out_of_core import RowBlocks, search_out_of_core
from featx.classifiers.to_arrays import as_classifier
from featx.errors import ModelError, RequestError
from featx.evaluation.metrics import figures
from featx.evaluation.result import TUNED, Result
from featx.evaluation.result_cache import (
    PROTOCOL,
    STATED,
    Evaluation,
    grid_of,
    load_finetuned_results,
    load_result,
    save_result,
)
from featx.features.catalog import LayerSet, choose_layer_sets, find_base
from featx.features.dataset import Rows, load_dataset
from featx.features.matrix import Features
from featx.features.splits import make_folds, with_views
from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.models.model import Model
from featx.requests import CompareRequest, half_the_memory
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore

log = logging.getLogger(__name__)

Trained = tuple[Fitted, ArrayClassifier | Opaque]

WORDS = (
    "features scaled to length one, layer by layer, "
    "then columns centred and divided by the root of their deviation (MLP: by it); "
    "hyper-parameters chosen by stratified cross-validation inside the training part, folds grouped by digest, "
    "everything fitted inside the fold; refitted on the whole training part; the held-out part read once"
)
"""The protocol, as model files state it."""


COPIES = 8
"""Fitting takes about so many times the memory of its features, with a fold a core at work."""


@dataclass(frozen=True)
class Comparison:
    """What all rows of a table share: the data set joined with the store.

    Attributes
    ----------
    request : CompareRequest
    names : list of str
        Of classifiers.
    store : FeatureStore
    base : StoredBase
    cuts : list of LayerSet
    rows : Rows
    trained : dict of str to pair
        What was fitted last, by classifier.
    """

    request: CompareRequest
    names: list[str]
    store: FeatureStore
    base: StoredBase
    cuts: list[LayerSet]
    rows: Rows
    trained: dict[str, Trained] = field(default_factory=dict)

    @classmethod
    def open(cls, request: CompareRequest) -> Comparison:
        """Find everything that a request names.

        Raises
        ------
        FeatxError
            If names are unknown, features are not cached or the data set cannot be used.
        """
        if not 1 <= request.test_views <= request.views:
            views = f"{request.test_views} test views of {request.views} views"
            raise RequestError(f"{views} are asked for: --test-views is from 1 to --views, which are trained on")
        asked = [name for name in dict.fromkeys(request.classifiers) if name not in TUNED]
        names = asked if request.classifiers else list(CLASSIFIERS)
        for name in names:
            find_classifier(name)
        store = FeatureStore(request.cache)
        base = find_base(store, request)
        cuts = choose_layer_sets(store, base, request)
        keys = list(dict.fromkeys(key for cut in cuts for key in cut.every_key))
        experiment = cls(request, names, store, base, cuts, load_dataset(request, store, keys))
        if not request.classifiers and not all(map(experiment.features_fit, cuts)):
            names = [name for name in names if isinstance(CLASSIFIERS[name], Linear)]
            log.warning("features are larger than --memory allows at once: only %s are fitted", " and ".join(names))
            return replace(experiment, names=names)
        return experiment

    def facts(self, cut: LayerSet, name: str) -> dict[str, Any]:
        """State everything that the result of one row depends on."""
        keys = [json.loads(key.to_json()) for key in cut.keys]
        grid, seed = grid_of(name, self.request.seed), self.request.seed
        shown = (self.request.views, self.request.test_views)
        views = {"views": shown} if shown != (1, 1) else {}
        passes = {} if self.features_fit(cut) else {"passes": 1}
        return {"keys": keys, "rows": self.rows.digest, "clf": name, "grid": grid, "seed": seed, **views, **passes}

    def features_fit(self, cut: LayerSet) -> bool:
        """Whether fitting on all features of a cut stays within the memory that the request allows."""
        needed = COPIES * 4 * len(self.rows.y) * self.request.views * cut.dim
        return needed <= (self.request.memory or half_the_memory())

    def features(self, cut: LayerSet) -> Features:
        """Find the features of all views and rows of a cut; loaded unless they are too many for memory."""
        features = Features(self.store, cut.keys, self.rows.manifest.digests, self.request.views, cut.dim)
        return features.loaded() if self.features_fit(cut) else features

    def train(self, names: Sequence[str], features: Features) -> dict[str, Trained]:
        """Choose, refit and calibrate classifiers on all views of the training rows."""
        train, seed, views = ~self.rows.test, self.request.seed, self.request.views
        folds = make_folds(self.rows.y[train], self.rows.groups[train], seed)
        folds = with_views(folds, int(train.sum()), views, self.request.test_views)
        y, rows = np.tile(self.rows.y[train], views), features.rows(np.flatnonzero(train), views)
        if features.array is None:
            return search_out_of_core(names, RowBlocks(features.take, rows, features.block), y, folds[0])
        X = features.take(rows)
        found: dict[str, Trained] = {}
        for name, fitted in search(names, X, y, folds, seed).items():
            started = time.perf_counter()
            inverse_temperature = calibrate(name, fitted.params["C"], X, y, folds) if name == "svm" else 1.0
            seconds = fitted.seconds + time.perf_counter() - started
            found[name] = replace(fitted, seconds=seconds), as_classifier(fitted.model, inverse_temperature)
        return found

    def judge(self, cut: LayerSet, name: str, trained: Trained, features: Features) -> Evaluation:
        """Judge one classifier on the held-out rows, and keep the record."""
        fitted, classifier = trained
        truth = self.rows.y[self.rows.test]
        predicted, probabilities = self.predict(classifier, features)
        result = Result(
            base=self.base.id.architecture,
            layer=cut.name,
            pooling=cut.keys[0].pooling,
            clf=name,
            dim=cut.dim,
            n_train=len(self.rows.y) - len(truth),
            cv_accuracy=round(fitted.cv_accuracy, 6),
            fit_seconds=round(fitted.seconds, 3),
            params=fitted.params,
            views=self.request.views,
            test_views=self.request.test_views,
            **figures(truth, predicted, probabilities),
        )
        judged = Evaluation(result, predicted, probabilities[np.arange(len(truth)), predicted].round(6))
        save_result(self.request.cache, self.facts(cut, name), judged)
        return judged

    def predict(
        self, classifier: ArrayClassifier | Opaque, features: Features
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Classify the held-out rows, scores of their views averaged, as many at a time as a block of memory holds."""
        held, views = np.flatnonzero(self.rows.test), self.request.test_views
        found = []
        for first in range(0, len(held), features.block):
            rows = held[first : first + features.block]
            X = features.take(features.rows(rows, views))
            found.append(classifier.predict(X if views == 1 else X.reshape(views, len(rows), -1).swapaxes(0, 1)))
        chosen, probabilities = zip(*found, strict=True)
        return np.concatenate(chosen), np.concatenate(probabilities)

    def recalled(self, cut: LayerSet) -> dict[str, Evaluation]:
        """Find what earlier runs left of one cut, by classifier."""
        if self.request.refit:
            return {}
        images = int(self.rows.test.sum())
        records = {name: load_result(self.request.cache, self.facts(cut, name), images) for name in self.names}
        return {name: record for name, record in records.items() if record is not None}

    def work(self, cut: LayerSet) -> int:
        """Count the numbers that judging a cut has to go through; none where an earlier run left all of it."""
        is_known = len(self.recalled(cut)) == len(self.names)
        return 0 if is_known else len(self.rows.y) * self.request.views * cut.dim

    def evaluate(self, cut: LayerSet) -> list[Evaluation]:
        """Judge every classifier on one cut, fitting only what no earlier run has left."""
        found = self.recalled(cut)
        lacking = [name for name in self.names if name not in found]
        if lacking:
            features = self.features(cut)
            self.trained.clear()
            self.trained.update(self.train(lacking, features))
            for name, trained in self.trained.items():
                found[name] = self.judge(cut, name, trained, features)
        size, cost = round(cut.megabytes, 3), round(cut.ms_per_image, 3)
        results = [replace(found[name].result, megabytes=size, ms_per_image=cost) for name in self.names]
        return [replace(found[name], result=result) for name, result in zip(self.names, results, strict=True)]

    def tuned(self) -> list[Evaluation]:
        """Find what fine-tuning of this base left on these very rows, if all classifiers or those are asked for."""
        facts = {"base": asdict(self.base.id), "rows": self.rows.digest}
        found = load_finetuned_results(self.request.cache, facts, int(self.rows.test.sum()))
        asked = self.request.classifiers or TUNED
        return [one for one in found if one.result.clf in asked]

    def model(self, cut: LayerSet, name: str, result: Result) -> Model:
        """Join a classifier of the last cut to all that prediction needs; fit it if an earlier run did.

        Raises
        ------
        ModelError
            If it is of a kind that no file can hold.
        """
        _, classifier = self.trained.get(name) or self.train([name], self.features(cut))[name]
        if isinstance(classifier, Opaque):
            raise ModelError(f"no model file can hold a classifier of the kind '{name}': choose logreg, svm or mlp")
        weights = self.request.base.weights or self.base.source
        if self.request.base.weights and is_file_name(weights):
            weights = str(Path(weights).expanduser().resolve())
        scores = {key: value for key, value in result.to_dict().items() if key not in (*STATED, "fit_seconds")}
        protocol = {"version": PROTOCOL, "words": WORDS, "seed": self.request.seed, "rows": self.rows.digest}
        classes, views = tuple(self.rows.classes), self.request.test_views
        return Model(cut.keys, self.base.source, weights, classes, classifier, result.params, protocol, scores, views)
