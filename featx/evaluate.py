"""Stage two: fit classifiers on cached features, and judge them once on the held-out part."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed, parallel_config
from numpy.typing import NDArray

from featx.bases.weights import is_file_name
from featx.classifiers.calibration import calibrate
from featx.classifiers.models import ArrayClassifier, Model, Opaque, as_classifier, join
from featx.classifiers.outcome import HeldOut, Outcome, describe, with_p_values
from featx.classifiers.records import PROTOCOL, STATED, TUNED, Judged, grid_of, keep, recall, recall_tuned
from featx.classifiers.results import Result
from featx.classifiers.scores import figures
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
    "features standardised (those of a mix of layers first scaled to length one, layer by layer); "
    "hyper-parameters chosen by stratified cross-validation inside the training part, folds grouped by digest, "
    "everything fitted inside the fold; refitted on the whole training part; the held-out part read once"
)
"""The protocol, as model files state it."""

WORTH_PROCESSES = 1_000_000
"""Numbers in all features to be judged, from which on a second process earns back the seconds of its start."""


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
            views = f"{request.test_views} test views of {request.views} views"
            raise RequestError(f"{views} are asked for: --test-views is from 1 to --views, which are trained on")
        asked = [name for name in dict.fromkeys(request.classifiers) if name not in TUNED]
        names = asked if request.classifiers else list(CLASSIFIERS)
        for name in names:
            classifier_of(name)
        store = FeatureStore(request.cache)
        base = find_base(store, request)
        cuts = choose_cuts(store, base, request)
        keys = list(dict.fromkeys(key for cut in cuts for key in cut.every_key))
        return cls(request, names, store, base, cuts, load_rows(request, store, keys))

    def facts(self, cut: Cut, name: str) -> dict[str, Any]:
        """State everything that the result of one row depends on."""
        keys = [json.loads(key.to_json()) for key in cut.keys]
        grid, seed = grid_of(name, self.request.seed), self.request.seed
        shown = (self.request.views, self.request.test_views)
        views = {"views": shown} if shown != (1, 1) else {}
        return {"keys": keys, "rows": self.rows.digest, "clf": name, "grid": grid, "seed": seed, **views}

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

    def work(self, cut: Cut) -> int:
        """Count the numbers that judging a cut has to go through; none where an earlier run left all of it."""
        is_known = len(self.recalled(cut)) == len(self.names)
        return 0 if is_known else len(self.rows.y) * self.request.views * cut.dim

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
        facts = {"base": asdict(self.base.id), "rows": self.rows.digest}
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
        weights = self.request.base.weights or self.base.source
        if self.request.base.weights and is_file_name(weights):
            weights = str(Path(weights).expanduser().resolve())
        scores = {key: value for key, value in result.to_dict().items() if key not in (*STATED, "fit_seconds")}
        protocol = {"version": PROTOCOL, "words": WORDS, "seed": self.request.seed, "rows": self.rows.digest}
        classes, views = tuple(self.rows.classes), self.request.test_views
        return Model(cut.keys, self.base.source, weights, classes, classifier, result.params, protocol, scores, views)


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
        Layers in the base's order, classifiers as asked; other bases after the first.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    experiments = [Experiment.open(request), *map(Experiment.open, request.others())]
    rows = experiments[0].rows
    if any(one.rows.digest != rows.digest for one in experiments):
        raise RequestError("the bases have features of different images: extract with all of them, then compare")
    tasks = [(experiment, cut) for experiment in experiments for cut in experiment.cuts]
    found: dict[int, list[Judged]] = {}
    for done, (place, judged) in enumerate(evaluate_side_by_side(tasks), 1):
        found[place] = judged
        if progress:
            progress(done * len(experiments[0].names), len(tasks) * len(experiments[0].names))
    judged = [one for place in range(len(tasks)) for one in found[place]]
    judged += [one for experiment in experiments for one in experiment.tuned()]
    if not judged:
        raise MissingFeatures("nothing of it was fine-tuned on these images yet. Run: featx finetune --help")
    return with_p_values(judged, rows.y[rows.test])


def evaluate_side_by_side(tasks: Sequence[tuple[Experiment, Cut]]) -> Iterator[tuple[int, list[Judged]]]:
    """Judge cuts, several at a time where that pays; yield place and rows as they come, the largest cut first.

    Small arrays keep Python busy more than linear algebra, so cuts go to processes, and only folds to threads.
    """
    sizes = [experiment.work(cut) for experiment, cut in tasks]
    order = np.argsort(sizes, kind="stable")[::-1].tolist()
    there = cpu_count()
    jobs = min(there, np.count_nonzero(sizes)) if sum(sizes) > WORTH_PROCESSES else 1
    if jobs < 2:
        yield from (evaluate_at(place, tasks[place], there) for place in order)
    else:
        calls = (delayed(evaluate_at)(place, tasks[place], there // jobs) for place in order)
        yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


def evaluate_at(place: int, task: tuple[Experiment, Cut], threads: int) -> tuple[int, list[Judged]]:
    """Judge one cut, folds in threads, and say where it belongs."""
    experiment, cut = task
    with parallel_config("threading", n_jobs=threads):
        return place, experiment.evaluate(cut)


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
    _, (judged,) = evaluate_at(0, (experiment, cut), cpu_count())
    paths = [path for path, held in zip(rows.manifest.listing.paths, rows.test, strict=True) if held]
    held_out = HeldOut(paths, rows.y[rows.test], rows.classes)
    return describe(judged, held_out, lambda: experiment.model(cut, name, judged.result))
