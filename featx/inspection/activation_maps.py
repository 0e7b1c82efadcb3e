"""Where in a picture the evidence for a class lies: maps of what a base's layer adds to a classifier's score.

For a linear classifier on averaged features the map is exact (Zhou et al., "Learning Deep Features for Discriminative
Localization", 2016): the score is a sum over channels of weights times means over places, so it is a mean over places
of weights times activations. For all other poolings and for the MLP it is the gradient of the score times the
activation, which adds up to the score only to first order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featx.bases.base import Base
from featx.bases.pooling import POOLINGS, Layout, as_map
from featx.errors import ModelError
from featx.keys import FeatureKey
from featx.models.array_classifier import ArrayClassifier

EXACT = "evidence"
GRADIENT = "gradient times activation"
"""How a map was made."""

MOST_PLACES = 24
"""Places a side of the map of a channel: more are not seen in a picture on a page."""

LINEAR_KINDS = ("logreg", "svm", "dummy")


@dataclass(frozen=True)
class EvidenceMap:
    """Where the evidence for a class lies.

    Attributes
    ----------
    values : (h, w) float64
        What each place adds. The mean of an exact map plus the intercept is the score.
    intercept : float
    score : float
        Of two classes the difference of their scores.
    method : str
        `EXACT` or `GRADIENT`.
    """

    values: NDArray[np.float64]
    intercept: float
    score: float
    method: str


def run_layers(base: Base, images: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Run a base up to the deepest of some layers, and keep what each of them gives: (n, ...) float32."""
    deepest = max(layer.index for layer in base.layers if layer.name in names)
    kept: dict[str, Tensor] = {}
    x = images
    with torch.no_grad():
        for stage in base.stages[: deepest + 1]:
            x = stage.module(x)
            if stage.name in names:
                # A copy: the next stage may work in place.
                kept[stage.name] = x.float().clone()
    return kept


def map_channels(
    base: Base, image: Tensor, channels: Mapping[str, Sequence[int]]
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Map how strongly channels answer to each place of a picture, at most `MOST_PLACES` a side.

    Parameters
    ----------
    base : Base
    image : (1, 3, crop, crop) float32 tensor
    channels : mapping of str to sequence of int
        Channels of each layer.

    Returns
    -------
    dict of (str, int) to (h, w) float64
        By layer and channel; nothing of layers that have no places.
    """
    maps = {}
    for name, activation in run_layers(base, image, list(channels)).items():
        layout = base.layer(name).layout
        if layout == "vector":
            continue
        places = as_map(activation, layout)[:, list(channels[name])]
        height, width = places.shape[2:]
        smaller = torch.nn.functional.adaptive_avg_pool2d(places, (min(height, MOST_PLACES), min(width, MOST_PLACES)))
        maps.update(
            {(name, number): values for number, values in zip(channels[name], smaller[0].double().numpy(), strict=True)}
        )
    return maps


def map_evidence(
    classifier: ArrayClassifier,
    keys: Sequence[FeatureKey],
    layouts: Sequence[Layout],
    activations: Sequence[Tensor],
    code: int,
) -> EvidenceMap:
    """Map the evidence for one class in one picture.

    Parameters
    ----------
    classifier : ArrayClassifier
    keys : sequence of FeatureKey
        The layers that it takes.
    layouts : sequence of Layout
    activations : sequence of (1, ...) tensor
        What each layer gives.
    code : int
        Place of the class.

    Raises
    ------
    ModelError
        If the classifier has no gradient, or a layer no places.
    """
    if classifier.kind == "knn":
        raise ModelError("votes of neighbours have no map: fit logreg, svm or mlp to see where the evidence lies")
    if all(layout == "vector" for layout in layouts):
        raise ModelError("the model takes layers that have no places, so nothing can be mapped: take an earlier layer")
    is_exact = classifier.kind in LINEAR_KINDS and all(
        key.pooling == "avg" or layout == "vector" for key, layout in zip(keys, layouts, strict=True)
    )
    if is_exact:
        return map_exactly(classifier, layouts, activations, code)
    return map_by_gradient(classifier, keys, layouts, activations, code)


def read_linear(classifier: ArrayClassifier, code: int) -> tuple[NDArray[np.float64], float]:
    """Give what the score of a class takes of each feature, (d,), and what it begins with.

    Where there are two classes, the score is that of the second one, and its negative for the first.
    """
    arrays = classifier.arrays
    is_single = len(arrays["weights"]) == 1
    sign = -1.0 if is_single and code == 0 else 1.0
    row = 0 if is_single else code
    weights = sign * arrays["weights"][row] / arrays["scale"]
    return weights, float(sign * arrays["intercept"][row] - weights @ arrays["mean"])


def map_exactly(
    classifier: ArrayClassifier, layouts: Sequence[Layout], activations: Sequence[Tensor], code: int
) -> EvidenceMap:
    """Map the evidence of a linear classifier on averaged layers; layers without places add to the intercept."""
    weights, intercept = read_linear(classifier, code)
    maps = []
    first = 0
    for layout, activation in zip(layouts, activations, strict=True):
        if layout == "vector":
            features = activation[0].double().numpy()
            own = weights[first : first + len(features)]
            intercept += float(own @ features) / max(float(np.linalg.norm(features)), np.finfo(np.float64).tiny)
            first += len(features)
            continue
        places = as_map(activation, layout)[0].double().numpy()
        own = weights[first : first + len(places)]
        length = float(np.linalg.norm(places.mean(axis=(1, 2))))
        # Features have length one: a picture without any answer adds nothing.
        maps.append(np.tensordot(own, places, axes=1) / (length if length > 0 else 1.0))
        first += len(places)
    values = add_maps(maps)
    return EvidenceMap(values, intercept, float(values.mean()) + intercept, EXACT)


def map_by_gradient(
    classifier: ArrayClassifier,
    keys: Sequence[FeatureKey],
    layouts: Sequence[Layout],
    activations: Sequence[Tensor],
    code: int,
) -> EvidenceMap:
    """Multiply the gradient of a score by the activations, and add up channels."""
    leaves = [activation.detach().clone().requires_grad_() for activation in activations]
    parts = []
    for key, layout, leaf in zip(keys, layouts, leaves, strict=True):
        pooled = POOLINGS[key.pooling](leaf, layout).flatten(1)
        parts.append(pooled / pooled.norm(dim=1, keepdim=True).clamp(min=torch.finfo(pooled.dtype).tiny))
    score = score_class(classifier, torch.cat(parts, 1).double(), code)
    torch.autograd.backward(score)
    maps = []
    for layout, leaf in zip(layouts, leaves, strict=True):
        if layout == "vector" or leaf.grad is None:
            continue
        places = as_map((leaf.grad * leaf).detach(), layout)[0]
        values = places.sum(0).double().numpy()
        maps.append(values * values.size)
    values = add_maps(maps)
    total = float(score.detach())
    return EvidenceMap(values, total - float(values.mean()), total, GRADIENT)


def score_class(classifier: ArrayClassifier, X: Tensor, code: int) -> Tensor:
    """Score one class as `ArrayClassifier.scores` does, in torch: (1, d) float64 to a tensor of one number."""
    arrays = {name: torch.from_numpy(np.array(array, np.float64)) for name, array in classifier.arrays.items()}
    inputs = (X - arrays["mean"]) / arrays["scale"]
    if classifier.kind == "mlp":
        inputs = (inputs @ arrays["hidden_weights"].T + arrays["hidden_intercept"]).clamp(min=0)
    scores = inputs @ arrays["weights"].T + arrays["intercept"]
    if scores.shape[1] == 1:
        return scores[0, 0] if code else -scores[0, 0]
    return scores[0, code]


def add_maps(maps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add maps of several sizes, at the largest one; the mean of the sum is the sum of their means."""
    height = max(len(values) for values in maps)
    width = max(values.shape[1] for values in maps)
    total = np.zeros((height, width))
    for values in maps:
        rows = np.arange(height) * len(values) // height
        columns = np.arange(width) * values.shape[1] // width
        enlarged = values[rows][:, columns]
        # Where sides do not divide, some places are repeated more often than others.
        total += enlarged + (values.mean() - enlarged.mean())
    return total


@dataclass(frozen=True)
class ChannelEffect:
    """How much a channel speaks for a class: its weight times its deviation over the training pictures."""

    label: str
    layer: str
    channel: int
    effect: float


def rank_channels(
    classifier: ArrayClassifier,
    classes: Sequence[str],
    columns: Sequence[tuple[str, int]],
    most: int,
) -> list[ChannelEffect]:
    """List the channels that speak most for each class.

    Parameters
    ----------
    classifier : ArrayClassifier
        A linear one.
    classes : sequence of str
    columns : sequence of (layer, channel)
        What each feature is.
    most : int
        Channels of each class.

    Raises
    ------
    ModelError
        If it is not linear.
    """
    if classifier.kind not in LINEAR_KINDS:
        raise ModelError(f"channels speak for classes in linear classifiers only, and this is '{classifier.kind}'")
    effects = []
    for code, label in enumerate(classes):
        weights, _ = read_linear(classifier, code)
        # The scale is the root of the deviation.
        of_columns = weights * classifier.arrays["scale"] ** 2
        for place in np.argsort(-of_columns, kind="stable")[:most].tolist():
            layer, channel = columns[place]
            effects.append(ChannelEffect(label, layer, channel, float(of_columns[place])))
    return effects
