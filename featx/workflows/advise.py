"""Measured advice: which layer of a base suits a data set, and what to do next."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.registry import resolve
from featx.bases.similarity import candidates, probe
from featx.engines.compute import PixelBatches
from featx.errors import MissingFeatures, WeightsError
from featx.evaluation.layer_scores import LayerScore, choose_layer, learning_curve, score_layer
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset, join_dataset, join_selections, list_dataset, select_of_dataset
from featx.features.group_splits import tabulate_groups
from featx.features.missing import complete_choice
from featx.features.scaling import join
from featx.features.splits import LabelledRows
from featx.requests import CompareRequest, column_flags, default_cache
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.types import Matrix, Progress, RowNumbers

log = logging.getLogger(__name__)

SAMPLE_IMAGES = 300
"""Images that are run through the base, at most, unless there are many classes: some seconds on two cores."""

SAMPLE_PER_CLASS = 4
"""Images of each class in the sample, at least, so that the folds of cross-validation hold every class."""

LARGE = 5000
"""Training images from which on a data set counts as large."""

SIMILAR = 0.45
"""Similarity from which on a data set counts as similar to what the base was trained on."""

MOST_NUMBERS = 20000
"""Numbers in a feature, at most, for a layer to be scored: cross-validation of more would take minutes."""

MUCH_TO_GAIN = 0.95
"""Accuracy below which fine-tuning may be worth its time."""

CURVE_IS_FLAT = 0.01
"""Accuracy gained by the last doubling of the training images, below which more images help little."""

CASES = {
    (False, True): "small and similar: train a linear classifier on the last layer",
    (True, True): "large and similar: fine-tune all of the base",
    (False, False): "small and dissimilar: take an earlier layer and train a linear SVM",
    (True, False): "large and dissimilar: fine-tune all of the base",
}
"""(large, similar) to what is commonly advised (CS231n, "Transfer Learning")."""

LayerName = tuple[str, str]
"""Names of a layer, or of several joined by "+", and of a pooling."""


@dataclass(frozen=True)
class Advice:
    """What `advise` gives.

    Attributes
    ----------
    layer : str
        The layer to take features of.
    strategy : str
        "linear" (a linear classifier on the last layer), "shallow" (on an earlier one) or "finetune".
    command : str
        What to do next.
    reasons : list of str
        Why, in plain words.
    images, classes : int
        Images and classes of the training part.
    split : str
        What is held out, and so not read for advice, in words.
    similarity, confidence : float or None
        See `featx.bases.similarity.Probe`; None if they cannot be estimated.
    case : str
        What is commonly advised for data of this size and similarity.
    distances : dict of stage to float
        How far activations lie from the statistics in the stage's batch norms.
    learning_curve : list of (int, float)
        Images trained on, and cross-validated accuracy at the advised layer.
    layers : list of LayerScore
        In the base's order.
    """

    layer: str
    strategy: str
    command: str
    reasons: list[str]
    images: int
    classes: int
    split: str
    similarity: float | None
    confidence: float | None
    case: str
    distances: dict[str, float]
    learning_curve: list[tuple[int, float]]
    layers: list[LayerScore]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ScoredLayers:
    """Scores of several layers, and the features that were scored.

    Attributes
    ----------
    evidence : list of LayerScore
    features : dict of (layer, pooling) to ((n, d) float32, LabelledRows)
        Features of n images, and their labels.
    """

    evidence: list[LayerScore] = field(default_factory=list)
    features: dict[LayerName, tuple[Matrix, LabelledRows]] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredSample(ScoredLayers):
    """Scores of layers on a sample, and how like it is to what the base was trained on.

    Attributes
    ----------
    similarity, confidence, distances
        See `featx.bases.similarity.Probe`.
    """

    similarity: float | None = None
    confidence: float | None = None
    distances: dict[str, float] = field(default_factory=dict)


def advise_layer(request: CompareRequest, progress: Progress | None = None) -> Advice:
    """Advise which layer of a base to use for a data set, and what to do next.

    Cached layers are scored by cross-validation on all training images, and decide where there are any; others are
    scored on a sample that is run through the base. The held-out part is never read.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of cached layers scored and to be scored.

    Raises
    ------
    UnknownName
        If there is no such base, layer or pooling.
    DataError
        If the data set cannot be used.
    WeightsError
        If there are neither weights nor cached features.
    """
    store = FeatureStore(request.cache)
    dataset, stored_base, layer_sets = join_cached(store, request)
    cached = score_cached(request, layer_sets, dataset, progress)
    scored_layers = {layer for evidence in cached.evidence for layer in evidence.layer.split("+")}
    try:
        base = load_sample_base(request, stored_base)
    except WeightsError as error:
        if not cached.evidence:
            raise
        log.warning("similarity is not measured: %s", error)
        sample = ScoredSample()
    else:
        sample = score_sample(request, base, dataset, scored_layers)
    return conclude(request, dataset, cached, sample)


def join_cached(store: FeatureStore, request: CompareRequest) -> tuple[Dataset, StoredBase | None, Sequence[LayerSet]]:
    """Join the data set with what the cache holds of it: data set, base and layer sets.

    That nothing is cached, or not for all images, is not an error here: then there is no base and no layer set.

    Raises
    ------
    DataError
        If the data set cannot be used.
    """
    manifest = list_dataset(request)
    try:
        selection = select_of_dataset(manifest, store, request)
        return join_selections(manifest, store, [selection]), selection.base, selection.layer_sets
    except MissingFeatures as error:
        log.info("no cached layer is scored: %s", error)
        return join_dataset(request, manifest), None, []


def label_rows(dataset: Dataset, rows: RowNumbers) -> LabelledRows:
    """Take the labels of some rows; classes are numbered anew, since a sample may lack some."""
    _, y = np.unique(dataset.y[rows], return_inverse=True)
    return LabelledRows(y, dataset.groups[rows])


def score_cached(
    request: CompareRequest, layer_sets: Sequence[LayerSet], dataset: Dataset, progress: Progress | None
) -> ScoredLayers:
    """Score cached layers on all training images."""
    store = FeatureStore(request.cache)
    train = np.flatnonzero(~dataset.test)
    digests = dataset.manifest.digests[train]
    labels = label_rows(dataset, train)
    scores = ScoredLayers()
    for number, layer_set in enumerate(layer_sets, 1):
        X = join([store.get(key, digests) for key in layer_set.keys])
        if X.shape[1] <= MOST_NUMBERS:
            name = (layer_set.name, layer_set.keys[0].pooling)
            scores.evidence.append(score_layer(name, X, labels, request.seed, cached=True))
            scores.features[name] = (X, labels)
        if progress:
            progress(number, len(layer_sets))
    return scores


def draw_sample(dataset: Dataset, seed: int) -> RowNumbers:
    """Draw a sample of the training part: the classes in turn, each as long as it has images, up to a size in all.

    Of a class, one image of each group comes first, then a second one, so that groups can be divided here, too.
    """
    train = np.random.default_rng(seed).permutation(np.flatnonzero(~dataset.test))
    if dataset.has_groups:
        train = order_by_group(dataset, train)
    turn = np.empty(len(train), np.intp)
    for code in np.unique(dataset.y):
        is_of_class = dataset.y[train] == code
        turn[is_of_class] = np.arange(is_of_class.sum())
    size = max(SAMPLE_IMAGES, SAMPLE_PER_CLASS * len(dataset.classes))
    chosen = train[np.argsort(turn, kind="stable")][:size]
    return np.sort(chosen)


def order_by_group(dataset: Dataset, rows: RowNumbers) -> RowNumbers:
    """Order rows of a data set so that the groups of each class take turns; groups that may validate begin."""
    table = tabulate_groups(dataset.y[rows], dataset.groups[rows])
    of_class_and_group = table.place * len(dataset.classes) + table.y
    turn = np.empty(len(rows), np.intp)
    seen: Counter[int] = Counter()
    for place, number in enumerate(of_class_and_group.tolist()):
        turn[place] = seen[number]
        seen[number] += 1
    always_trains = ~np.isin(table.place, table.free)
    return rows[np.lexsort((always_trains, turn))]


def load_sample_base(request: CompareRequest, stored_base: StoredBase | None) -> Base:
    """Load the base that the request names, as the cache has it where features of it are cached.

    Raises
    ------
    WeightsError
        If the weights cannot be had.
    """
    if stored_base is None:
        return load_base(resolve(request.base))
    architecture = resolve(complete_choice(request.base, stored_base))
    return load_base(replace(architecture, transform=stored_base.id.transform))


def score_sample(request: CompareRequest, base: Base, dataset: Dataset, scored_layers: set[str]) -> ScoredSample:
    """Run the base over a sample of images, and score the layers that are not scored yet."""
    sample = draw_sample(dataset, request.seed)
    batches = PixelBatches(dataset.manifest.listing, sample.tolist(), base.id.transform)
    layers = [layer for layer in candidates(base) if layer not in scored_layers]
    probed = probe(base, batches, layers)
    labels = label_rows(dataset, np.array(batches.rows_given, np.intp))
    evidence = []
    features = {}
    for layer, averages in probed.features.items():
        name = (layer, "avg")
        X = join([averages])
        evidence.append(score_layer(name, X, labels, request.seed, cached=False))
        features[name] = (X, labels)
    return ScoredSample(evidence, features, probed.similarity, probed.confidence, probed.distances)


def conclude(request: CompareRequest, dataset: Dataset, cached: ScoredLayers, sample: ScoredSample) -> Advice:
    """Draw the conclusion from what was measured."""
    evidence = [*cached.evidence, *sample.evidence]
    chosen = choose_layer(evidence)
    scored_with = cached if chosen.cached else sample
    X, labels = scored_with.features[chosen.layer, chosen.pooling]
    curve = learning_curve(X, labels, chosen.clf, request.seed)
    images = int((~dataset.test).sum())
    is_large = images >= LARGE
    deepest = [layer.layer for layer in evidence if layer.cached == chosen.cached][-1]
    strategy = decide(chosen, deepest, curve, is_large)
    case = ""
    if sample.similarity is not None:
        case = CASES[is_large, sample.similarity >= SIMILAR]
    return Advice(
        layer=chosen.layer,
        strategy=strategy,
        command=next_command(request, chosen, strategy, evidence),
        reasons=give_reasons(chosen, curve, evidence),
        images=images,
        classes=len(dataset.classes),
        split=dataset.split,
        similarity=round_if_known(sample.similarity),
        confidence=round_if_known(sample.confidence),
        case=case,
        distances={name: round(value, 4) for name, value in sample.distances.items() if np.isfinite(value)},
        learning_curve=curve,
        layers=evidence,
    )


def round_if_known(value: float | None) -> float | None:
    """Round to four digits; None stays None, and so does what is no number."""
    return None if value is None or not np.isfinite(value) else round(value, 4)


def gain_of_last_doubling(curve: Sequence[tuple[int, float]]) -> float:
    """Accuracy gained by the last doubling of the training images."""
    return curve[-1][1] - curve[-2][1]


def decide(chosen: LayerScore, deepest: str, curve: Sequence[tuple[int, float]], is_large: bool) -> str:
    """Choose a strategy by what was measured.

    Fine-tuning is advised where there is much left to gain, more images would not bring it, and there are enough of
    them to fine-tune on; else a linear classifier at the layer with the best scores.
    """
    if is_large and chosen.best < MUCH_TO_GAIN and gain_of_last_doubling(curve) < CURVE_IS_FLAT:
        return "finetune"
    return "linear" if chosen.layer == deepest else "shallow"


def give_reasons(chosen: LayerScore, curve: Sequence[tuple[int, float]], evidence: Sequence[LayerScore]) -> list[str]:
    """Say in plain words what the advice rests on."""
    images = f"all {chosen.images} training images" if chosen.cached else f"a sample of {chosen.images} images"
    reasons = [f"{chosen.layer} with {chosen.clf} reaches {chosen.best:.3f}, cross-validated on {images}"]
    others = [layer for layer in evidence if layer is not chosen and layer.cached == chosen.cached]
    if others:
        reasons.append(compare_with_second(chosen, max(others, key=lambda layer: layer.best)))
    gain = gain_of_last_doubling(curve)
    outlook = "more images would help" if gain >= CURVE_IS_FLAT else "more images would help little"
    reasons.append(f"the last doubling of the training images brought {100 * gain:+.1f} points: {outlook}")
    return reasons


def compare_with_second(chosen: LayerScore, second: LayerScore) -> str:
    """Say how far behind the second layer is: within one standard error of the difference it counts as tied."""
    error = np.sqrt(2 * chosen.best * (1 - chosen.best) / chosen.images)
    rank = "statistically tied" if second.best >= chosen.best - error else "runner-up"
    return f"{rank}: {second.layer} ({second.pooling}), {second.best:.3f}"


def next_command(request: CompareRequest, chosen: LayerScore, strategy: str, evidence: Sequence[LayerScore]) -> str:
    """Write the command that the advice comes to."""
    columns = [*column_flags(request.path_column, request.label_column), *request.group_flags()]
    if strategy == "finetune":
        words = ["featx", "finetune", request.data, *columns, *request.base.flags(), "--from", chosen.layer]
        words += ["--out", "model.featx"]
    elif not chosen.cached:
        best_two = sorted(evidence, key=lambda layer: layer.best, reverse=True)[:2]
        layers = [layer.layer for layer in evidence if layer in best_two or layer is chosen]
        return request.extraction(layers, ()).command()
    else:
        words = ["featx", "fit", request.data, *columns, *request.base.flags()]
        words += ["--layer", chosen.layer, "--clf", chosen.clf]
        words += ["--pooling", chosen.pooling, "--out", "model.featx"]
    if request.cache != default_cache():
        words += ["--cache", str(request.cache)]
    return shlex.join(words)
