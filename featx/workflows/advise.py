"""Measured advice: where to cut a base for a data set, and what to do next."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.loader import Loader
from featx.errors import MissingFeatures, WeightsError
from featx.evaluation.layer_scores import LabelledRows, LayerScore, choose_layer, learning_curve, score_layer
from featx.features.catalog import LayerSet, choose_layer_sets, find_base
from featx.features.dataset import Dataset, load_dataset
from featx.features.scaling import join
from featx.requests import CompareRequest, default_cache
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.timing import Clock
from featx.types import Progress

log = logging.getLogger(__name__)


SAMPLE = 300
"""Images that are run through the base, at most."""

LARGE = 5000
"""Training images from which on a data set counts as large."""

SIMILAR = 0.45
"""Similarity from which on a data set counts as similar to what the base was trained on."""

WIDEST = 20000
"""Numbers in a feature, at most, for a layer to be judged."""

CASES = {
    (False, True): "small and similar: train a linear classifier on the last layer",
    (True, True): "large and similar: fine-tune all of the base",
    (False, False): "small and dissimilar: cut shallower and train a linear SVM",
    (True, False): "large and dissimilar: fine-tune all of the base",
}
"""(large, similar) to what is commonly advised (CS231n, "Transfer Learning")."""


@dataclass(frozen=True)
class Advice:
    """What `advise` gives.

    Attributes
    ----------
    layer : str
        Where to cut.
    strategy : str
        "linear" (a linear classifier on the last layer), "shallow" (on an earlier one) or "finetune".
    command : str
        What to do next.
    reasons : list of str
        Why, in plain words.
    images, classes : int
        Of the training part.
    similarity, confidence : float or None
        See `featx.bases.similarity.Probe`; None if nothing tells them.
    case : str
        What is commonly advised for data of this size and similarity.
    distances : dict of stage to float
        From the statistics in batch norms.
    learning_curve : list of (int, float)
        Images trained on, and cross-validated accuracy at the layer advised.
    layers : list of LayerScore
        In the base's order.
    """

    layer: str
    strategy: str
    command: str
    reasons: list[str]
    images: int
    classes: int
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
class Findings:
    """What was measured: evidence and features by layer, and the look through the base if there was one."""

    evidence: list[LayerScore]
    features: dict[tuple[str, str], tuple[NDArray[Any], LabelledRows]]
    similarity: float | None = None
    confidence: float | None = None
    distances: dict[str, float] | None = None


def find_cached(request: CompareRequest, rows: Dataset) -> tuple[StoredBase | None, list[LayerSet]]:
    """Find what is cached of a base; nothing is no error here."""
    store = FeatureStore(request.cache)
    try:
        base = find_base(store, request, rows.digests)
        return base, choose_layer_sets(store, base, request, rows.digests)
    except MissingFeatures:
        return None, []


def labelled(rows: Dataset, chosen: NDArray[np.intp]) -> LabelledRows:
    """Take the labels of some rows; classes are counted anew, since a sample may lack some."""
    return LabelledRows(np.unique(rows.y[chosen], return_inverse=True)[1], rows.groups[chosen])


def complete(store: FeatureStore, cuts: Sequence[LayerSet], rows: Dataset) -> list[LayerSet]:
    """Keep the cuts that have features of every image."""
    digests = rows.manifest.digests
    return [cut for cut in cuts if not any(store.missing(key, digests).any() for key in cut.keys)]


def judge_cached(
    request: CompareRequest, cuts: Sequence[LayerSet], rows: Dataset, progress: Progress | None
) -> Findings:
    """Judge cached layers on all training images."""
    store, train = FeatureStore(request.cache), np.flatnonzero(~rows.test)
    truth = labelled(rows, train)
    found = Findings([], {})
    for number, cut in enumerate(cuts, 1):
        X = join([store.get(key, rows.manifest.digests[train]) for key in cut.keys])
        if X.shape[1] <= WIDEST:
            name = cut.name, cut.keys[0].pooling
            found.evidence.append(score_layer(name, X, truth, request.seed, cached=True))
            found.features[name] = X, truth
        if progress:
            progress(number, len(cuts))
    return found


def draw(rows: Dataset, seed: int) -> NDArray[np.intp]:
    """Draw a sample of the training part, of each class as many as there are, up to `SAMPLE` in all."""
    train = np.random.default_rng(seed).permutation(np.flatnonzero(~rows.test))
    rank = np.empty(len(train), np.intp)
    for code in np.unique(rows.y):
        mine = rows.y[train] == code
        rank[mine] = np.arange(mine.sum())
    chosen = train[np.argsort(rank, kind="stable")][: max(SAMPLE, 4 * len(rows.classes))]
    return np.sort(chosen)


def look(request: CompareRequest, stored: StoredBase | None, rows: Dataset, skip: set[str]) -> Findings:
    """Run the base over a sample of images, and judge the layers that are not cached.

    Raises
    ------
    WeightsError
        If the base's weights cannot be had.
    """
    from featx.bases.loading import load_base
    from featx.bases.registry import resolve
    from featx.bases.similarity import candidates, probe
    from featx.images.transform import to_pixels

    choice = request.base
    weights = choice.weights or (stored.source if stored else None)
    architecture = resolve(replace(choice, weights=weights))
    base = load_base(replace(architecture, transform=stored.id.transform) if stored else architecture)
    chosen = draw(rows, request.seed)
    loader = Loader(
        rows.manifest.listing,
        lambda name, row: True,
        lambda image, name: {0: to_pixels(image, base.id.transform)},
        2,
        Clock(),
    )
    kept: list[int] = []

    def batches() -> Iterator[NDArray[np.uint8]]:
        pixels = []
        for one in loader.decoded(chosen.tolist()):
            if one.pixels:
                kept.append(one.row)
                pixels.append(one.pixels[0])
            if len(pixels) == 16:
                yield np.stack(pixels)
                pixels = []
        if pixels:
            yield np.stack(pixels)

    names = [name for name in candidates(base) if name not in skip]
    seen = probe(base, batches(), names)
    truth = labelled(rows, np.array(kept, np.intp))
    features = {(name, "avg"): (join([X]), truth) for name, X in seen.features.items()}
    found = [score_layer(name, X, truth, request.seed, cached=False) for name, (X, _) in features.items()]
    return Findings(found, features, seen.similarity, seen.confidence, seen.distances)


def gain_of(curve: Sequence[tuple[int, float]]) -> float:
    """Accuracy gained by the last doubling of the training images."""
    return curve[-1][1] - curve[-2][1]


def decide(chosen: LayerScore, deepest: str, curve: Sequence[tuple[int, float]], large: bool) -> str:
    """Choose a strategy by what was measured.

    Fine-tuning is advised where there is much left to gain, more images would not bring it, and there are enough of
    them to fine-tune on; else a linear classifier at the layer that was measured best.
    """
    if large and chosen.best < 0.95 and gain_of(curve) < 0.01:
        return "finetune"
    return "linear" if chosen.layer == deepest else "shallow"


def explain(chosen: LayerScore, curve: Sequence[tuple[int, float]], others: Sequence[LayerScore]) -> list[str]:
    """Say in plain words what speaks for the advice."""
    where = f"all {chosen.images} training images" if chosen.cached else f"a sample of {chosen.images} images"
    reasons = [f"{chosen.layer} with {chosen.clf} reaches {chosen.best:.3f}, cross-validated on {where}"]
    rivals = [one for one in others if one is not chosen and one.cached == chosen.cached]
    if rivals:
        rival = max(rivals, key=lambda one: one.best)
        error = np.sqrt(2 * chosen.best * (1 - chosen.best) / chosen.images)
        word = "not to be told apart is" if rival.best >= chosen.best - error else "after it comes"
        reasons.append(f"{word} {rival.layer} ({rival.pooling}) with {rival.best:.3f}")
    gain = gain_of(curve)
    more = "more images would help" if gain >= 0.01 else "more images would help little"
    return [*reasons, f"the last doubling of the training images brought {100 * gain:+.1f} points: {more}"]


def next_command(request: CompareRequest, chosen: LayerScore, strategy: str, found: Sequence[LayerScore]) -> str:
    """Write the command that the advice comes to."""
    if strategy == "finetune":
        words = ["featx", "finetune", request.data, *request.base.flags(), "--from", chosen.layer]
        words += ["--out", "model.featx"]
    elif not chosen.cached:
        near = sorted(found, key=lambda one: one.best, reverse=True)[:2]
        layers = [one.layer for one in found if one in near or one is chosen]
        return request.extraction(layers, ()).command()
    else:
        words = ["featx", "fit", request.data, *request.base.flags(), "--layer", chosen.layer, "--clf", chosen.clf]
        words += ["--pooling", chosen.pooling, "--out", "model.featx"]
    return shlex.join(words + (["--cache", str(request.cache)] if request.cache != default_cache() else []))


def advise(request: CompareRequest, progress: Progress | None = None) -> Advice:
    """Advise where to cut a base for a data set.

    Cached layers are judged by cross-validation on all training images, and decide where there are any; others on a
    sample that is run through the base. The held-out part is never read.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of cached layers judged and to be judged.

    Raises
    ------
    FeatxError
        If names are unknown, the data set cannot be used, or there are neither weights nor cached features.
    """
    rows = load_dataset(request, FeatureStore(request.cache), [])
    stored, cuts = find_cached(request, rows)
    cuts = complete(FeatureStore(request.cache), cuts, rows)
    cached = judge_cached(request, cuts, rows, progress)
    skip = {part for one in cached.evidence for part in one.layer.split("+")}
    try:
        seen = look(request, stored, rows, skip)
    except WeightsError as error:
        if not cached.evidence:
            raise
        log.warning("similarity is not measured: %s", error)
        seen = Findings([], {})
    return conclude(request, rows, cached, seen)


def conclude(request: CompareRequest, rows: Dataset, cached: Findings, seen: Findings) -> Advice:
    """Put together what was measured, and draw the conclusion."""
    found = [*cached.evidence, *seen.evidence]
    chosen = choose_layer(found)
    X, truth = {**seen.features, **cached.features}[chosen.layer, chosen.pooling]
    curve = learning_curve(X, truth, chosen.clf, request.seed)
    images = int((~rows.test).sum())
    large = images >= LARGE
    deepest = [one.layer for one in found if one.cached == chosen.cached][-1]
    strategy = decide(chosen, deepest, curve, large)
    similarity = seen.similarity
    case = "" if similarity is None else CASES[large, similarity >= SIMILAR]
    return Advice(
        layer=chosen.layer,
        strategy=strategy,
        command=next_command(request, chosen, strategy, found),
        reasons=explain(chosen, curve, found),
        images=images,
        classes=len(rows.classes),
        similarity=None if similarity is None else round(similarity, 4),
        confidence=None if seen.confidence is None else round(seen.confidence, 4),
        case=case,
        distances={name: round(value, 4) for name, value in (seen.distances or {}).items()},
        learning_curve=curve,
        layers=found,
    )
