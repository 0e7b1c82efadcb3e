"""Measure candidates on rows of a data set, each once: what an earlier run measured is read from the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from featx.evaluation.comparison import COPIES, Comparison
from featx.evaluation.records import load_record, save_record
from featx.evaluation.result_cache import describe_grid
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset
from featx.features.group_splits import first_rows
from featx.features.splits import FOLDS, LabelledRows
from featx.ladder.candidates import USUAL_CLASSIFIERS, Candidate, FeatureChoice
from featx.ladder.kept import KeptShortlist, KeptTrial, keep_trial
from featx.linear.many_rows.cost import APART, Problem
from featx.linear.weighting import UNWEIGHTED
from featx.selection.forward import counts_classes_alike, select_forward
from featx.selection.sampling import draw_rows
from featx.selection.trials import Trial, TrialOptions, cross_validate_repeatedly
from featx.types import Matrix, RowNumbers

MOST_ROWS = 2000
"""Images that candidates are measured on, at most, or about: so many tell half a point from chance."""

JUDGED = 2000
"""Images that are judged in all repeats of a cross-validation together, if possible."""

MOST_REPEATS = 3

TRIAL = "trial"
SHORTLIST = "shortlist"
"""Kinds of records."""


@dataclass(frozen=True)
class Rows:
    """Images of a data set that a choice may look at.

    Attributes
    ----------
    numbers : (n,) int
        Row numbers of the data set; a sample where there are many.
    labelled : LabelledRows
        Their labels and groups.
    repeats : int
        Cross-validations, each with folds of its own.
    digest : str
        Of pictures, labels, weights and groups: 64 hex characters.
    """

    numbers: RowNumbers
    labelled: LabelledRows
    repeats: int
    digest: str

    def count_repeats(self, views: int) -> int:
        """Count the cross-validations of so many views: half of them where several views take their time."""
        return self.repeats if views == 1 else max(1, self.repeats // 2)


def take_rows(dataset: Dataset, numbers: RowNumbers, seed: int) -> Rows:
    """Take rows of a data set to choose on: a sample where there are many.

    Parameters
    ----------
    dataset : Dataset
    numbers : (m,) int
        The rows that may be looked at.
    seed : int
        Of the sample.
    """
    labelled = LabelledRows(dataset.y[numbers], dataset.groups[numbers])
    drawn = draw_rows(labelled, MOST_ROWS, seed)
    labelled = labelled.take(drawn)
    numbers = numbers[drawn]
    repeats = min(MOST_REPEATS, max(1, -(-JUDGED // len(numbers))))
    return Rows(numbers, labelled, repeats, digest_rows(dataset, numbers))


def digest_rows(dataset: Dataset, numbers: RowNumbers) -> str:
    """Digest pictures, labels, weights and groups of some rows, in their order, and of no others."""
    facts: list[Any] = [dataset.y[numbers].tolist()]
    if dataset.weights is not None:
        facts.append(dataset.weights[numbers].tolist())
    if dataset.has_groups:
        _, place = first_rows(dataset.groups[numbers])
        facts.append(["groups", place.tolist()])
    return hashlib.sha256(dataset.digests[numbers].tobytes() + json.dumps(facts).encode()).hexdigest()


@dataclass
class Bench:
    """Measures candidates on rows of one data set.

    Attributes
    ----------
    comparisons : dict of (base, pooling, views) to Comparison
        What is cached: one layer set for each single layer. All are of the same images.
    layers : dict of base to list of str
        The layers to choose among, in each base's order.
    measured : list of (int, float)
        Work and seconds of every trial, in the order in which they were asked for.
    """

    comparisons: dict[tuple[int, str, int], Comparison] = field(default_factory=dict)
    layers: dict[int, list[str]] = field(default_factory=dict)
    measured: list[tuple[float, float]] = field(default_factory=list)

    @property
    def dataset(self) -> Dataset:
        """The images, their labels and split."""
        return next(iter(self.comparisons.values())).dataset

    def poolings(self, base: int) -> list[str]:
        """List the poolings of one view that are cached of a base, the usual one first."""
        return [pooling for place, pooling, views in self.comparisons if place == base and views == 1]

    def find_comparison(self, features: FeatureChoice) -> Comparison:
        """Find the comparison that holds the layers of some features."""
        return self.comparisons[features.base, features.pooling, features.views]

    def find_layer_set(self, features: FeatureChoice) -> LayerSet:
        """Put together the layer set of some features."""
        by_name = {each.name: each for each in self.find_comparison(features).layer_sets}
        parts = [by_name[layer] for layer in features.layers]
        first = tuple(layer_set.parts[0] for layer_set in parts)
        further = tuple(part for layer_set in parts for part in layer_set.further)
        return LayerSet(first, further, max(layer_set.ms_per_image for layer_set in parts))

    def count_work(self, features: FeatureChoice, rows: Rows, views: int) -> float:
        """Say how much a trial of linear classifiers on so many views has to do; only ratios mean anything.

        Solvers go through rows times the shorter side of the matrix, for each repeat. The features need not be those
        of so many views: one view of them says how long they are.
        """
        images = len(rows.numbers) * views
        side = min(images, self.find_layer_set(features).dim)
        return float(images) * side * rows.count_repeats(views)

    def fits_memory(self, features: FeatureChoice, rows: Rows) -> bool:
        """Whether trials on some features of some rows stay within the memory that the request allows."""
        numbers = len(rows.numbers) * features.views * self.find_layer_set(features).dim
        return COPIES * 4 * numbers <= self.find_comparison(features).memory

    def load(self, features: FeatureChoice, rows: Rows) -> Matrix:
        """Read features of some rows: view v of image i is row v * n + i; (views * n, d) float32."""
        comparison = self.find_comparison(features)
        whole = comparison.dataset
        reader = replace(comparison.unloaded(self.find_layer_set(features)), digests=whole.digests[rows.numbers])
        return reader.take(reader.rows(np.arange(len(rows.numbers)), features.views))

    def state(self, features: FeatureChoice, clf: str, rows: Rows) -> dict[str, Any]:
        """State everything that a trial depends on. Names and values decide which trials are found: leave them."""
        request = self.find_comparison(features).request
        stated: dict[str, Any] = {
            "keys": [json.loads(key.to_json()) for key in self.find_layer_set(features).keys],
            "rows": rows.digest,
            "repeats": rows.count_repeats(features.views),
            "views": features.views,
            "clf": clf,
            "grid": describe_grid(clf, request.seed),
            "seed": request.seed,
        }
        numbers = len(rows.numbers) * features.views
        problem = Problem(numbers, self.find_layer_set(features).dim, len(self.dataset.classes), FOLDS)
        if clf in USUAL_CLASSIFIERS and problem.is_large:
            stated["folds"] = APART
        if request.class_weight != "none":
            stated["class_weight"] = request.class_weight
        if request.select is not None:
            stated["select"] = request.select
            stated["positive"] = request.positive
        return stated

    def measure(self, features: FeatureChoice, classifiers: Sequence[str], rows: Rows) -> dict[Candidate, Trial]:
        """Cross-validate classifiers on some features of some rows, unless an earlier run has done so."""
        cache = self.find_comparison(features).request.cache
        trials: dict[str, Trial] = {}
        for clf in classifiers:
            kept = load_record(cache, TRIAL, self.state(features, clf, rows), KeptTrial)
            if kept is not None:
                trials[clf] = kept.to_trial(clf)
        if len(trials) < len(classifiers):
            trials = self.measure_now(features, classifiers, rows)
            for clf, trial in trials.items():
                save_record(cache, TRIAL, self.state(features, clf, rows), keep_trial(trial))
        seconds = sum(trial.seconds for trial in trials.values())
        self.measured.append((self.count_work(features, rows, features.views), seconds))
        return {Candidate(features, clf): trials[clf] for clf in classifiers}

    def measure_now(self, features: FeatureChoice, classifiers: Sequence[str], rows: Rows) -> dict[str, Trial]:
        """Cross-validate classifiers on some features of some rows."""
        comparison = self.find_comparison(features)
        weighting = comparison.dataset.weighting(comparison.request.class_weight) or UNWEIGHTED
        options = TrialOptions(
            rows.count_repeats(features.views),
            features.views,
            features.views,
            weighting.take(rows.numbers),
            comparison.criterion,
        )
        X = self.load(features, rows)
        return cross_validate_repeatedly(X, rows.labelled, classifiers, comparison.request.seed, options)

    def shortlist(self, base: int, pooling: str, views: int, rows: Rows) -> list[tuple[str, ...]]:
        """List the layer sets that forward selection goes through, the best single layer first.

        Of several views the mean of each image's rows stands in for them.
        """
        comparison = self.comparisons[base, pooling, views]
        request = comparison.request
        is_balanced = counts_classes_alike(request.class_weight, request.select)
        all_layers = FeatureChoice(base, tuple(self.layers[base]), pooling, views)
        stated = {
            "keys": [json.loads(key.to_json()) for key in self.find_layer_set(all_layers).keys],
            "rows": rows.digest,
            "views": views,
            "balanced": is_balanced,
            "seed": request.seed,
        }
        kept = load_record(request.cache, SHORTLIST, stated, KeptShortlist)
        if kept is not None:
            return [tuple(names) for names in kept.sets]
        blocks = {}
        for layer in all_layers.layers:
            X = self.load(replace(all_layers, layers=(layer,)), rows)
            blocks[layer] = X.reshape(views, len(rows.numbers), -1).mean(axis=0)
        steps = select_forward(blocks, rows.labelled, request.seed, balanced=is_balanced)
        sets = [step.names for step in steps]
        save_record(request.cache, SHORTLIST, stated, KeptShortlist([list(names) for names in sets]))
        return sets
