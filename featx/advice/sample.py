"""A few hundred training images that are run through the base: layers, poolings and views that are not cached.

Here torch is needed, so this module is imported only where a sample is drawn.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from featx.advice.cached import MOST_NUMBERS
from featx.advice.candidates import Candidate, Rung, Tried, climb
from featx.advice.pace import MeasuredPass, settle_pace
from featx.advice.wording import SAMPLE_IMAGES
from featx.base_choice import BaseChoice
from featx.bases.base import Base
from featx.bases.loading import load_base
from featx.bases.pooling import pooled_shape
from featx.bases.registry import resolve
from featx.bases.similarity import candidates, probe
from featx.classifiers.search import SearchOptions
from featx.engines.compute import PixelBatches, compute_features
from featx.engines.device import choose_device, forbid_tf32
from featx.engines.engine import LazyEngine, make_plan
from featx.errors import UnsupportedLayout
from featx.evaluation.layer_scores import LayerScore, choose_layer, cross_validate_layer, describe_layer
from featx.features.dataset import Dataset
from featx.features.group_splits import tabulate_groups
from featx.features.missing import complete_choice
from featx.features.scaling import join
from featx.features.splits import LabelledRows
from featx.images.views import FIXED_VIEWS
from featx.processes.machine import count_cores
from featx.selection.forward import select_forward
from featx.selection.trials import TrialOptions, cross_validate_repeatedly
from featx.storage.paths import CachePath
from featx.store.base_json import StoredBase
from featx.timing import Clock
from featx.types import Matrix, RowNumbers

SAMPLE_PER_CLASS = 4
"""Images of each class in the sample, at least, so that the folds of cross-validation hold every class."""

VIEWS = len(FIXED_VIEWS)
"""Views that are tried: those that nothing random decides on."""

LONGER_POOLING = "avg+max"
"""The pooling that is tried beside "avg"."""

LayerName = tuple[str, str]
"""Names of a layer and of a pooling."""


@dataclass(frozen=True)
class ScoredSample:
    """Scores of layers on a sample, and how like it is to what the base was trained on.

    Attributes
    ----------
    evidence : list of LayerScore
    features : dict of (layer, pooling) to (n, d) float32
        Features of the n images of the sample.
    rows : LabelledRows or None
        Their labels; None where no sample was drawn.
    similarity, confidence, distances
        See `featx.bases.similarity.Probe`.
    deepest : str, optional
        The deepest of the layers worth trying, scored here or not.
    """

    evidence: list[LayerScore] = field(default_factory=list)
    features: dict[LayerName, Matrix] = field(default_factory=dict)
    rows: LabelledRows | None = None
    similarity: float | None = None
    confidence: float | None = None
    distances: dict[str, float] = field(default_factory=dict)
    deepest: str | None = None


def label_rows(dataset: Dataset, rows: RowNumbers) -> LabelledRows:
    """Take the labels of some rows, as the data set numbers them: weights of classes go by these numbers."""
    return LabelledRows(dataset.y[rows], dataset.groups[rows])


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


def load_sample_base(choice: BaseChoice, stored_base: StoredBase | None) -> Base:
    """Load the base of a choice, as the cache has it where features of it are cached.

    Raises
    ------
    WeightsError
        If the weights cannot be had.
    """
    if stored_base is None:
        return load_base(resolve(choice))
    architecture = resolve(complete_choice(choice, stored_base))
    return load_base(replace(architecture, transform=stored_base.id.transform))


def score_sample(
    base: Base, dataset: Dataset, scored_layers: set[str], seed: int, options: SearchOptions, device: str
) -> ScoredSample:
    """Run the base over a sample of images, and score the layers that are not scored yet."""
    sample = draw_sample(dataset, seed)
    batches = PixelBatches(dataset.manifest.listing, sample.tolist(), base.id.transform)
    usual_layers = candidates(base)
    layers = [layer for layer in usual_layers if layer not in scored_layers]
    forbid_tf32()
    probed = probe(base, batches, layers, choose_device(device))
    given = np.array(batches.rows_given, np.intp)
    rows = label_rows(dataset, given)
    options = replace(options, weighting=options.weighting.take(given))
    evidence = []
    features = {}
    for layer, averages in probed.features.items():
        name = (layer, "avg")
        X = join([averages])
        scored = cross_validate_layer(X, rows, seed, options)
        evidence.append(describe_layer(name, X, rows, scored, cached=False))
        features[name] = X
    return ScoredSample(
        evidence, features, rows, probed.similarity, probed.confidence, probed.distances, usual_layers[-1]
    )


@dataclass(frozen=True)
class ViewsOfSample:
    """Features of all views of a sample, computed as an extraction computes them.

    Attributes
    ----------
    features : mapping of (layer, pooling) to (views * n, ...) float32
        View v of image i is row v * n + i; as the base gives them, not scaled.
    numbers : (n,) int
        Rows of the data set.
    seconds_per_view : float
        What one view of one image took.
    """

    features: Mapping[LayerName, Matrix]
    numbers: RowNumbers
    seconds_per_view: float


def compute_views(
    base: Base, dataset: Dataset, layers: Sequence[str], poolings: Sequence[str], seed: int, device: str
) -> ViewsOfSample:
    """Compute all views of a sample at some layers and poolings, and see how long it takes."""
    sample = draw_sample(dataset, seed)
    wanted = {layer: list(poolings) for layer in layers}
    clock = Clock()
    plan = make_plan(base, wanted, choose_device(device), None, count_cores())
    # What a larger run is done with, so that its time can be told from this one's.
    engine = LazyEngine("auto", plan, VIEWS * len(dataset.y), clock)
    started = time.perf_counter()
    numbers: list[int] = []
    parts: dict[LayerName, list[Matrix]] = {(layer, pooling): [] for layer in layers for pooling in poolings}
    listing = dataset.manifest.listing
    for batch in compute_features(engine, listing, sample.tolist(), always, every_view):
        places: dict[int, list[int]] = {}
        for member, (place, _) in enumerate(batch.members):
            places.setdefault(place, []).append(member)
        for place, members in places.items():
            numbers.append(batch.loaded[place].row)
            for name, of_name in parts.items():
                of_name.append(batch.features[name][members])
    seconds = time.perf_counter() - started - clock.seconds.get("engine", 0.0)
    # (n, views, ...) to view by view.
    features = {name: np.concatenate(np.stack(of_name).swapaxes(0, 1)) for name, of_name in parts.items()}
    return ViewsOfSample(features, np.array(numbers, np.intp), max(0.0, seconds) / max(1, VIEWS * len(numbers)))


def always(digest: bytes, row: int) -> bool:
    """Select every image."""
    return True


def every_view(digest: bytes) -> Sequence[int]:
    """Choose all views that are tried."""
    return range(VIEWS)


def supports(base: Base, layers: Sequence[str], pooling: str) -> bool:
    """Whether a pooling fits all of some layers, each of which has several places to pool."""
    for name in layers:
        layer = base.layer(name)
        try:
            pooled_shape(pooling, layer.shape, layer.layout)
            average = pooled_shape("avg", layer.shape, layer.layout)
        except UnsupportedLayout:
            return False
        if math.prod(layer.shape) <= math.prod(average):
            return False
    return True


def list_on_sample(sample: ScoredSample, chosen: LayerScore, seed: int) -> list[Candidate]:
    """List the best single layer of a sample, and the best set where that is another."""
    single = Candidate((chosen.layer,), chosen.pooling)
    if sample.rows is None or len(sample.features) < 2:
        return [single]
    blocks = {layer: X for (layer, _), X in sample.features.items()}
    steps = select_forward(blocks, sample.rows, seed)
    return list(dict.fromkeys([single, Candidate(steps[-1].names, chosen.pooling)]))


def list_not_cached(base: Base, evidence: Sequence[LayerScore], pooling: str) -> list[Candidate]:
    """List the best of the layers that are not cached, if there is one and a pooling suits it.

    Its accuracy on a sample says little beside one on all images; both are tried on the sample then.
    """
    if not evidence:
        return []
    layer = base.layer(choose_layer(evidence).layer)
    try:
        shape = pooled_shape(pooling, layer.shape, layer.layout)
    except UnsupportedLayout:
        return []
    return [Candidate((layer.name,), pooling)] if math.prod(shape) <= MOST_NUMBERS else []


@dataclass(frozen=True)
class Further:
    """What is asked of a sample beyond single layers.

    Attributes
    ----------
    candidates : sequence of Candidate
        Of one view; the cheapest first.
    clf : str
        What they are measured with.
    cached : Candidate or None
        The first one, where its features are cached of all images; those of the others are not.
    options : SearchOptions
        Of one view, with the weights of all images.
    seed : int
    cache : pathlib.Path
        Where it is kept how long a pass takes.
    device : str
        Where the base runs: "auto", or a name of `choose_device`.
    """

    candidates: Sequence[Candidate]
    clf: str
    cached: Candidate | None
    options: SearchOptions
    seed: int
    cache: CachePath
    device: str

    @property
    def layers(self) -> list[str]:
        """Every layer once."""
        return list(dict.fromkeys(layer for candidate in self.candidates for layer in candidate.layers))

    @property
    def pooling(self) -> str:
        """The pooling of all candidates."""
        return self.candidates[0].pooling


def measure_further(base: Base, dataset: Dataset, further: Further) -> tuple[list[Rung], Candidate]:
    """Say what layer sets, a longer pooling and more views are worth, on a sample, and what they would cost.

    Returns
    -------
    rungs : list of Rung
        The first one is the cheapest candidate.
    advised : Candidate
    """
    poolings = [further.pooling]
    if further.pooling == "avg" and supports(base, further.layers, LONGER_POOLING):
        poolings.append(LONGER_POOLING)
    sample = compute_views(base, dataset, further.layers, poolings, further.seed, further.device)
    images = len(sample.numbers)
    measured = MeasuredPass(base.id, further.layers, poolings, dataset.digests[sample.numbers])
    one_pass = settle_pace(further.cache, measured, sample.seconds_per_view) * len(dataset.y)
    first = []
    for each in further.candidates:
        cost = 0.0 if each == further.cached else one_pass
        first.append(try_candidate(sample, dataset, further, each, cost))
    rungs, advised = climb(first, images, cached=False)
    for pooling, views in [(LONGER_POOLING, 1), (further.pooling, VIEWS)]:
        if pooling not in poolings:
            continue
        candidate = replace(advised.candidate, views=views)
        # A longer pooling that was not worth it is not worth it with more views either.
        if views == 1:
            candidate = replace(candidate, pooling=pooling)
        is_there = further.cached == replace(candidate, views=1)
        tried = try_candidate(sample, dataset, further, candidate, one_pass * (views - is_there))
        steps, advised = climb([advised, tried], images, cached=False)
        rungs.append(steps[-1])
    return rungs, advised.candidate


def try_candidate(
    sample: ViewsOfSample, dataset: Dataset, further: Further, candidate: Candidate, seconds: float
) -> Tried:
    """Cross-validate a candidate on the sample; seconds are what its extraction would take."""
    rows = label_rows(dataset, sample.numbers)
    count = candidate.views * len(sample.numbers)
    X = join([sample.features[layer, candidate.pooling][:count] for layer in candidate.layers])
    options = TrialOptions(
        views=candidate.views,
        test_views=candidate.views,
        weighting=further.options.weighting.take(sample.numbers),
        criterion=further.options.criterion,
    )
    trial = cross_validate_repeatedly(X, rows, [further.clf], further.seed, options)[further.clf]
    return Tried(candidate, trial, None if candidate == further.cached else seconds)
