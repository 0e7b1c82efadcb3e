"""Candidates whose features are cached: measured on all training images, or many of them, by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.advice.candidates import Candidate, Rung, Tried, climb, join_repeats, narrow_values
from featx.advice.tasks import SideBySide, Task
from featx.classifiers.choice import choose_value
from featx.classifiers.search import ScoredValues, SearchOptions, join_values
from featx.evaluation.layer_scores import (
    LayerScore,
    choose_layer,
    choose_point,
    cross_validate_layer,
    describe_layer,
    measure_curve,
)
from featx.features.catalog import LayerSet
from featx.features.matrix import Features
from featx.features.splits import LabelledRows, divide_rows, with_views
from featx.keys import FeatureKey
from featx.linear.cross_validation import Scoring, score_folds
from featx.linear.weighting import WeightedLabels
from featx.processes.parallelism import count_numbers
from featx.selection.forward import ForwardStep, SampleOfRows, counts_classes_alike, draw_sample, select_on_sample
from featx.selection.sampling import draw_rows
from featx.storage.paths import CachePath
from featx.store.store import FeatureStore
from featx.types import Matrix, Progress, RowNumbers

REPEATS = 2
"""Cross-validations of each candidate. Of gains, ten differences tell nearly as much as fifteen: what they share is
their training rows, not their number, and a third one would take as long as all else."""

STEPS_OF_C = 1
"""Values of C below the best single layer's, a decade each, among which candidates choose theirs. More columns give
larger inner products, and more views more rows, so that the same fit takes a smaller C; larger ones take longest."""

MOST_LAYERS = 3
"""Layers in a set, at most: a fourth one gains little, and every step costs a factorisation a layer."""

MOST_IMAGES = 10_000
IMAGES_OF_CLASS = 20
"""Training images that candidates are measured on, about: so many, or so many of each class if that is more. They tell
accuracies to half a point, and differences between layers better; time grows with their number."""

MOST_NUMBERS = 20000
"""Numbers in a feature, at most, for a layer to be scored: cross-validation of more would take minutes."""

Curve = list[tuple[int, float]]
"""Images trained on, and cross-validated accuracy."""


@dataclass(frozen=True)
class Material:
    """What all measurements share.

    Attributes
    ----------
    cache : pathlib.Path
    digests : (n, 32) uint8
        The training images that are looked at.
    rows : LabelledRows
    seed : int
    options : SearchOptions
        Of one view: weights, and the figure to be judged by.
    """

    cache: CachePath
    digests: NDArray[np.uint8]
    rows: LabelledRows
    seed: int
    options: SearchOptions

    def read(self, layer_set: LayerSet, views: int = 1) -> Matrix:
        """Read the features of all views: (views * n, d) float32."""
        features = Features(FeatureStore(self.cache), layer_set.keys, self.digests, views, layer_set.dim)
        return features.take(features.rows(np.arange(len(self.digests)), views))


def draw_images(rows: LabelledRows, seed: int) -> RowNumbers:
    """Draw the training images that candidates are measured on: all, or of many a sample, each class by its share."""
    return draw_rows(rows, max(MOST_IMAGES, IMAGES_OF_CLASS * len(np.unique(rows.y))), seed)


@dataclass(frozen=True)
class MeasuredLayers:
    """What was measured on cached features.

    Attributes
    ----------
    scores : list of LayerScore
        In the base's order.
    chosen : LayerScore
        The best single layer.
    curve : list of (int, float)
        Its learning curve.
    rungs : list of Rung
        From the cheapest single layer to the candidate that is advised.
    advised : Candidate
    """

    scores: list[LayerScore]
    chosen: LayerScore
    curve: Curve
    rungs: list[Rung]
    advised: Candidate


def measure_layer(material: Material, layer_set: LayerSet, jobs: int) -> tuple[LayerScore, dict[str, ScoredValues]]:
    """Score one layer, and keep what cross-validation said of each C."""
    X = material.read(layer_set)
    scored = cross_validate_layer(X, material.rows, material.seed, material.options, jobs)
    return describe_layer((layer_set.name, layer_set.pooling), X, material.rows, scored, cached=True), scored


class Blocks(Mapping[str, Matrix]):
    """Features of several layers, read when they are asked for."""

    def __init__(self, material: Material, layer_sets: Sequence[LayerSet]) -> None:
        self.material = material
        self.layer_sets = {layer_set.name: layer_set for layer_set in layer_sets}

    def __getitem__(self, name: str) -> Matrix:
        return self.material.read(self.layer_sets[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.layer_sets)

    def __len__(self) -> int:
        return len(self.layer_sets)


def shortlist(material: Material, sample: SampleOfRows, layer_sets: Sequence[LayerSet], jobs: int) -> list[ForwardStep]:
    """Select among the layers of one pooling."""
    return select_on_sample(Blocks(material, layer_sets), sample, MOST_LAYERS, jobs)


@dataclass(frozen=True)
class Point:
    """A classifier and the values of C that a candidate is tried with."""

    clf: str
    values: list[float]


def try_once(material: Material, layer_set: LayerSet, views: int, point: Point, repeat: int, jobs: int) -> ScoredValues:
    """Cross-validate a candidate once, by the folds of one repeat."""
    X = material.read(layer_set, views)
    folds = with_views(material.rows.folds(material.seed + repeat), len(material.digests), views, views)
    weighting = material.options.weighting.tile(views)
    criterion = material.options.criterion
    scoring = Scoring({point.clf: point.values}, merit=criterion.rate_scores if criterion else None)
    labels = WeightedLabels(np.tile(material.rows.y, views), weighting)
    scored = score_folds(X, labels, folds, scoring, jobs)
    return join_values(point.clf, point.values, scored[point.clf], [], None)


def draw_curve(material: Material, layer_set: LayerSet, clf: str, whole: tuple[float, float], jobs: int) -> Curve:
    """Measure the learning curve of a layer at a C; whole is as `measure_curve` takes it."""
    return measure_curve(material.read(layer_set), material.rows, clf, material.seed, whole, jobs)


def measure_cached(
    material: Material, layer_sets: Sequence[LayerSet], every_digest: NDArray[np.uint8], progress: Progress | None
) -> MeasuredLayers | None:
    """Measure single layers, then the layer sets, poolings and views that could be better than the best of them.

    Parameters
    ----------
    material : Material
    layer_sets : sequence of LayerSet
        What is cached of single layers, each at a pooling.
    every_digest : (m, 32) uint8
        All images, held-out ones among them: views count as cached where all have them.
    progress : callable, optional
        Called with the number of first measurements done and to be done.

    Returns
    -------
    MeasuredLayers, or None
        None where no layer is narrow enough to be scored.
    """
    layer_sets = [layer_set for layer_set in layer_sets if layer_set.dim <= MOST_NUMBERS]
    if not layer_sets:
        return None
    by_pooling = group_by_pooling(layer_sets)
    numbers = sum(count_numbers(len(material.digests), layer_set.dim) for layer_set in layer_sets)
    with SideBySide(numbers) as side_by_side:
        side_by_side.import_early(measure_layer)
        # Made once and here, since what makes them takes each process a second to import.
        figure = material.options.criterion.figure if material.options.criterion else None
        is_balanced = counts_classes_alike(material.options.weighting.classes, figure)
        sample = draw_sample(material.rows, material.seed, is_balanced)
        seeds = [material.seed + repeat for repeat in range(REPEATS)]
        material = replace(material, rows=divide_rows(material.rows, seeds))
        # The widest first, and what takes about as long as one of them next: no process is left with either in the end.
        order = np.argsort([-layer_set.dim for layer_set in layer_sets], kind="stable").tolist()
        of_several = [pooling for pooling, members in by_pooling.items() if len(members) > 1]
        shortlists: list[Task] = [(shortlist, (material, sample, by_pooling[pooling])) for pooling in of_several]
        singles: list[Task] = [(measure_layer, (material, layer_sets[place])) for place in order]
        results = side_by_side.run([singles[0], *shortlists, *singles[1:]], progress)
        steps = dict(zip(of_several, results[1:], strict=False))
        of_singles = [results[0], *results[1 + len(shortlists) :]]
        measured = dict(zip(order, of_singles, strict=True))
        scores = [measured[place][0] for place in range(len(layer_sets))]
        scored = {(score.layer, score.pooling): measured[place][1] for place, score in enumerate(scores)}
        finals = Finals(material, layer_sets, scores, scored, side_by_side)
        return finals.measure(steps, every_digest)


def group_by_pooling(layer_sets: Sequence[LayerSet]) -> dict[str, list[LayerSet]]:
    """Group single layers by pooling, the shortest features first."""
    groups: dict[str, list[LayerSet]] = {}
    for layer_set in layer_sets:
        groups.setdefault(layer_set.pooling, []).append(layer_set)
    mean_dim = {pooling: np.mean([layer_set.dim for layer_set in members]) for pooling, members in groups.items()}
    return {pooling: groups[pooling] for pooling in sorted(groups, key=lambda name: (mean_dim[name], name))}


@dataclass(frozen=True)
class Finals:
    """The candidates that single layers and shortlists leave, measured several times over.

    Attributes
    ----------
    material : Material
    layer_sets : sequence of LayerSet
    scores : list of LayerScore
        Of each layer set.
    scored : mapping of (layer, pooling) to what cross-validation said of each classifier
    side_by_side : SideBySide
    """

    material: Material
    layer_sets: Sequence[LayerSet]
    scores: list[LayerScore]
    scored: Mapping[tuple[str, str], Mapping[str, ScoredValues]]
    side_by_side: SideBySide

    def measure(self, steps: Mapping[str, list[ForwardStep]], every_digest: NDArray[np.uint8]) -> MeasuredLayers:
        """Try the candidates, cheapest first, then the views that are cached of the best one."""
        chosen = choose_layer(self.scores)
        of_chosen = self.scored[chosen.layer, chosen.pooling][chosen.clf]
        candidates = self.list_candidates(chosen, steps)
        # The C of the classifier that is tried, by its own rule; sets have theirs close by.
        best = of_chosen.values[choose_value(chosen.clf, of_chosen.scores)]
        point = Point(chosen.clf, narrow_values(of_chosen.values, best, STEPS_OF_C))
        curve_task: Task = (draw_curve, (self.material, self.find([chosen.layer], chosen.pooling), chosen.clf))
        curve_task = (draw_curve, (*curve_task[1], choose_point(chosen.clf, of_chosen)))
        tried, (curve,) = self.try_all(candidates, point, [curve_task])
        rungs, advised = climb(tried, len(self.material.digests), cached=True)
        views = self.count_views(advised.candidate, every_digest)
        if views > 1:
            with_all, _ = self.try_all([replace(advised.candidate, views=views)], point, [])
            further, advised = climb([advised, *with_all], len(self.material.digests), cached=True)
            rungs += further[1:]
        return MeasuredLayers(self.scores, chosen, curve, rungs, advised.candidate)

    def list_candidates(self, chosen: LayerScore, steps: Mapping[str, list[ForwardStep]]) -> list[Candidate]:
        """List the best layer of the shortest pooling and of all, then the sets of each pooling, each once."""
        shortest = next(iter(group_by_pooling(self.layer_sets)))
        plain = choose_layer([score for score in self.scores if score.pooling == shortest])
        candidates = [Candidate((plain.layer,), plain.pooling), Candidate((chosen.layer,), chosen.pooling)]
        accuracy = 0.0
        for pooling, of_pooling in steps.items():
            # A longer pooling is worth trying only where its set promises more.
            if of_pooling[-1].accuracy > accuracy:
                candidates.append(Candidate(of_pooling[-1].names, pooling))
                accuracy = of_pooling[-1].accuracy
        return list(dict.fromkeys(candidates))

    def try_all(
        self, candidates: Sequence[Candidate], point: Point, others: Sequence[Task]
    ) -> tuple[list[Tried], list[Any]]:
        """Cross-validate candidates by the same folds, and do other tasks beside them."""
        tasks: list[Task] = []
        places: dict[tuple[int, int], int] = {}
        for number, candidate in enumerate(candidates):
            layer_set = self.find(candidate.layers, candidate.pooling)
            for repeat in range(REPEATS):
                if repeat or not self.recall(candidate, point):
                    places[number, repeat] = len(tasks)
                    tasks.append((try_once, (self.material, layer_set, candidate.views, point, repeat)))
        results = self.side_by_side.run([*tasks, *others])
        tried = []
        for number, candidate in enumerate(candidates):
            known = self.recall(candidate, point)
            repeats: list[ScoredValues] = [] if known is None else [known]
            repeats += [results[places[number, repeat]] for repeat in range(len(repeats), REPEATS)]
            tried.append(Tried(candidate, join_repeats(point.clf, repeats, point.values)))
        return tried, results[len(tasks) :]

    def recall(self, candidate: Candidate, point: Point) -> ScoredValues | None:
        """Give what the first cross-validation of a single layer has said already; None of what it has not."""
        if candidate.views > 1:
            return None
        of_layer = self.scored.get((candidate.layer, candidate.pooling))
        if of_layer is None or not set(point.values) <= set(of_layer[point.clf].values):
            return None
        return of_layer[point.clf]

    def find(self, layers: Sequence[str], pooling: str) -> LayerSet:
        """Join the cached layers of a candidate."""
        single = [each for each in self.layer_sets if each.pooling == pooling and each.name in layers]
        parts = tuple(each.parts[0] for each in single)
        return LayerSet(parts, ms_per_image=max(each.ms_per_image for each in single))

    def count_views(self, candidate: Candidate, digests: NDArray[np.uint8]) -> int:
        """Count the views that are cached of all images, from the first one without a gap."""
        store = FeatureStore(self.material.cache)
        keys = self.find(candidate.layers, candidate.pooling).keys
        views = 1
        while has_view(store, keys, views, digests):
            views += 1
        return views


def has_view(store: FeatureStore, keys: Sequence[FeatureKey], view: int, digests: NDArray[np.uint8]) -> bool:
    """Whether a view of all images is cached at all keys."""
    return not any(store.missing(replace(key, view=view), digests).any() for key in keys)
