"""Measured advice: which layers of a base suit a data set, with what pooling and views, and what to do next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from featx.advice.cached import Curve, Material, MeasuredLayers, draw_images, measure_cached
from featx.advice.candidates import Candidate, Rung
from featx.advice.depth import covers_usual_layers, find_deepest
from featx.advice.wording import (
    CURVE_IS_FLAT,
    describe_not_measured,
    describe_rungs,
    error_of_difference,
    gain_of_last_doubling,
    give_reasons,
    next_command,
)
from featx.classifiers.figures import Criterion
from featx.classifiers.search import SearchOptions
from featx.errors import MissingFeatures, WeightsError
from featx.evaluation.layer_scores import LayerScore, choose_layer, learning_curve
from featx.evaluation.result import choose_positive
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset, join_dataset, join_selections, list_dataset, select_of_dataset
from featx.features.splits import LabelledRows
from featx.linear.weighting import UNWEIGHTED
from featx.requests import CompareRequest
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.types import Progress

log = logging.getLogger(__name__)

LARGE = 5000
"""Training images from which on a data set counts as large."""

SIMILAR = 0.45
"""Similarity from which on a data set counts as similar to what the base was trained on."""

MUCH_TO_GAIN = 0.95
"""Accuracy below which fine-tuning may be worth its time."""

CASES = {
    (False, True): "small and similar: train a linear classifier on the last layer",
    (True, True): "large and similar: fine-tune all of the base",
    (False, False): "small and dissimilar: take an earlier layer and train a linear SVM",
    (True, False): "large and dissimilar: fine-tune all of the base",
}
"""(large, similar) to what is commonly advised (CS231n, "Transfer Learning")."""


@dataclass(frozen=True)
class Advice:
    """What `advise` gives.

    Attributes
    ----------
    layer : str
        The layer to take features of, or several joined by "+".
    strategy : str
        "linear" (a linear classifier on the base's deepest layer of features), "shallow" (on another one), "mix" (on
        several) or "finetune".
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
        Images trained on, and cross-validated accuracy at the best single layer: of cached ones, where there are any.
    layers : list of LayerScore
        In the base's order.
    pooling : str
    views : int
        Views of each image to train on, and to average the scores of.
    clf : str
    rungs : list of Rung
        What layer sets, poolings and views are worth.
    not_measured : str
        What was not measured, and how it would be; empty where nothing was left out.
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
    pooling: str = "avg"
    views: int = 1
    clf: str = "logreg"
    rungs: list[Rung] = field(default_factory=list)
    not_measured: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class OnSample:
    """What was measured on a sample of images.

    Attributes
    ----------
    evidence : list of LayerScore
        Of layers that are not cached.
    curve : list of (int, float)
        Learning curve of the best of them; empty where a cached layer is better known.
    rungs : list of Rung
    advised : Candidate or None
    similarity, confidence, distances
        See `featx.bases.similarity.Probe`.
    deepest : str, optional
        The deepest of the layers worth trying, cached or not.
    """

    evidence: list[LayerScore] = field(default_factory=list)
    curve: Curve = field(default_factory=list)
    rungs: list[Rung] = field(default_factory=list)
    advised: Candidate | None = None
    similarity: float | None = None
    confidence: float | None = None
    distances: dict[str, float] = field(default_factory=dict)
    deepest: str | None = None


def advise_layer(
    request: CompareRequest,
    progress: Progress | None = None,
    sample: bool | None = None,
    before_torch: Callable[[], object] | None = None,
) -> Advice:
    """Advise which layers of a base to use for a data set, and what to do next.

    Cached layers are measured by cross-validation on all training images, or as many as `draw_images` takes, and decide
    where there are any, unless another one gains beyond noise on a sample that is run through the base. The held-out
    part is never read.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of cached layers measured and to be measured.
    sample : bool, optional
        Whether a sample is run through the base; None: where not every usual layer is cached.
    before_torch : callable, optional
        Called before torch is imported, which is only where a sample is run through the base.

    Raises
    ------
    UnknownName
        If there is no such base, layer, pooling or class.
    DataError
        If the data set cannot be used.
    WeightsError
        If there are neither weights nor cached features.
    MissingFeatures
        If nothing is cached and no sample is to be run.
    """
    store = FeatureStore(request.cache)
    dataset, stored_base, layer_sets = join_cached(store, request, needs_features=sample is False)
    options = choose_options(request, dataset)
    train = np.flatnonzero(~dataset.test)
    drawn = train[draw_images(LabelledRows(dataset.y[train], dataset.groups[train]), request.seed)]
    digests = dataset.manifest.digests
    of_drawn = replace(options, weighting=options.weighting.take(drawn))
    rows = LabelledRows(dataset.y[drawn], dataset.groups[drawn])
    material = Material(request.cache, digests[drawn], rows, request.seed, of_drawn)
    cached = measure_cached(material, layer_sets, digests, progress) if layer_sets else None
    if sample is None:
        sample = cached is None or stored_base is None or not covers_usual_layers(stored_base, cached.scores)
    measured = OnSample()
    if sample:
        if before_torch is not None:
            before_torch()
        try:
            measured = measure_sample(request, dataset, stored_base, cached, options)
        except WeightsError as error:
            if cached is None:
                raise
            log.warning("no sample is run through the base: %s", error)
    not_measured = "" if sample else describe_not_measured(layer_sets, dataset)
    advice = conclude(request, dataset, cached, measured, find_deepest(stored_base) if stored_base else None)
    return replace(advice, not_measured=not_measured)


def join_cached(
    store: FeatureStore, request: CompareRequest, needs_features: bool = False
) -> tuple[Dataset, StoredBase | None, Sequence[LayerSet]]:
    """Join the data set with what the cache holds of it: data set, base and layer sets.

    That nothing is cached, or not for all images, is an error only where features are needed: else there is no base and
    no layer set.

    Raises
    ------
    DataError
        If the data set cannot be used.
    MissingFeatures
        If features are needed and there are none.
    """
    manifest = list_dataset(request)
    try:
        selection = select_of_dataset(manifest, store, request)
        return join_selections(manifest, store, [selection]), selection.base, selection.layer_sets
    except MissingFeatures as error:
        if needs_features:
            raise
        log.info("no cached layer is scored: %s", error)
        return join_dataset(request, manifest), None, []


def choose_options(request: CompareRequest, dataset: Dataset) -> SearchOptions:
    """Say how classes and images of the data set count, and which figure judges."""
    positive = choose_positive(dataset.classes, request.positive)
    criterion = None
    if request.select is not None:
        criterion = Criterion(request.select, positive.place if positive else 1)
    return SearchOptions(criterion=criterion, weighting=dataset.weighting(request.class_weight) or UNWEIGHTED)


def measure_sample(
    request: CompareRequest,
    dataset: Dataset,
    stored_base: StoredBase | None,
    cached: MeasuredLayers | None,
    options: SearchOptions,
) -> OnSample:
    """Run the base over a sample: layers that are not cached, and what poolings and views are worth.

    Raises
    ------
    WeightsError
        If the weights cannot be had.
    """
    # Torch takes seconds to import, as long as all measurements on a small cache.
    from featx.advice.sample import (
        Further,
        list_not_cached,
        list_on_sample,
        load_sample_base,
        measure_further,
        score_sample,
    )

    base = load_sample_base(request.base, stored_base)
    scored_layers = {score.layer for score in cached.scores} if cached else set()
    sample = score_sample(base, dataset, scored_layers, request.seed, options, request.device)
    curve: Curve = []
    if cached is not None:
        clf = cached.chosen.clf
        candidates = [cached.advised, *list_not_cached(base, sample.evidence, cached.advised.pooling)]
    else:
        chosen = choose_layer(sample.evidence)
        clf = chosen.clf
        candidates = list_on_sample(sample, chosen, request.seed)
        if sample.rows is not None:
            curve = learning_curve(sample.features[chosen.layer, chosen.pooling], sample.rows, clf, request.seed)
    rungs: list[Rung] = []
    advised = candidates[0]
    if advised.views == 1:
        of_cache = cached.advised if cached else None
        further = Further(candidates, clf, of_cache, options, request.seed, request.cache, request.device)
        rungs, advised = measure_further(base, dataset, further)
        # A cached candidate was measured on more images already.
        rungs = rungs[1:] if cached else rungs
    return OnSample(
        sample.evidence,
        curve,
        rungs,
        advised,
        sample.similarity,
        sample.confidence,
        sample.distances,
        sample.deepest,
    )


def conclude(
    request: CompareRequest,
    dataset: Dataset,
    cached: MeasuredLayers | None,
    sample: OnSample,
    deepest: Collection[str] | None,
) -> Advice:
    """Draw the conclusion from what was measured; deepest names the layers that count as deepest, if the cache says."""
    evidence = [*(cached.scores if cached else []), *sample.evidence]
    chosen = cached.chosen if cached else choose_layer(sample.evidence)
    curve = cached.curve if cached else sample.curve
    advised = sample.advised or (cached.advised if cached else Candidate((chosen.layer,), chosen.pooling))
    rungs = [*(cached.rungs if cached else []), *sample.rungs]
    images = int((~dataset.test).sum())
    is_large = images >= LARGE
    if deepest is None:
        deepest = [] if sample.deepest is None else [sample.deepest]
    strategy = decide(chosen, deepest, curve, is_large)
    if strategy != "finetune":
        strategy = "mix" if len(advised.layers) > 1 else "linear" if advised.layer in deepest else "shallow"
    if strategy == "finetune":
        advised = Candidate((chosen.layer,), chosen.pooling)
    is_cached = cached is not None and advised in (cached.advised, Candidate((chosen.layer,), chosen.pooling))
    case = ""
    if sample.similarity is not None:
        case = CASES[is_large, sample.similarity >= SIMILAR]
    return Advice(
        layer=advised.layer,
        strategy=strategy,
        command=next_command(request, advised, (strategy, chosen.clf), is_cached),
        reasons=[
            *give_reasons(chosen, curve, evidence, images),
            *describe_rungs(rungs, images),
            *name_promising(cached, sample),
        ],
        images=images,
        classes=len(dataset.classes),
        split=dataset.split,
        similarity=round_if_known(sample.similarity),
        confidence=round_if_known(sample.confidence),
        case=case,
        distances={name: round(value, 4) for name, value in sample.distances.items() if np.isfinite(value)},
        learning_curve=curve,
        layers=evidence,
        pooling=advised.pooling,
        views=advised.views,
        clf=chosen.clf,
        rungs=rungs,
    )


def round_if_known(value: float | None) -> float | None:
    """Round to four digits; None stays None, and so does what is no number."""
    return None if value is None or not np.isfinite(value) else round(value, 4)


def decide(chosen: LayerScore, deepest: Collection[str], curve: Sequence[tuple[int, float]], is_large: bool) -> str:
    """Choose a strategy by what was measured.

    Fine-tuning is advised where there is much left to gain, more images would not bring it, and there are enough of
    them to fine-tune on; else a linear classifier at the layer with the best scores.
    """
    if is_large and chosen.best < MUCH_TO_GAIN and gain_of_last_doubling(curve) < CURVE_IS_FLAT:
        return "finetune"
    return "linear" if chosen.layer in deepest else "shallow"


def name_promising(cached: MeasuredLayers | None, sample: OnSample) -> list[str]:
    """Name the best layer that is not cached, where it looks better and was not tried beside what is advised.

    Several views that are cached are not computed again for a sample, so nothing is tried beside them.
    """
    if cached is None or cached.advised.views == 1 or not sample.evidence:
        return []
    best = choose_layer(sample.evidence)
    if best.best <= cached.chosen.best + error_of_difference(best):
        return []
    return [
        f"{best.layer} ({best.pooling}) looks better, {best.best:.3f} on a sample of {best.images} images: extract it"
    ]
