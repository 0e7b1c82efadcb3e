"""What may be chosen: layers of a base, their pooling and views, and the classifier on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from featx.images.views import FIXED_VIEWS
from featx.selection.wording import describe_features, join_layers

VIEWS = len(FIXED_VIEWS)
"""Views that are tried beside one: the image, its mirror image and its corners; further ones are random."""

USUAL_CLASSIFIERS = ("logreg", "svm")
"""Classifiers that every step tries: they share their factorisations."""

LATE_CLASSIFIER = "mlp"
"""Classifier that is tried once features are chosen, since it takes many times as long."""

POOLINGS_OF_MAPS = ("avg", "avg+max", "pyramid")
"""Poolings of layers that give maps, the first the usual one; one pass computes all of them."""

LONG_POOLINGS = ("pyramid",)
"""Poolings so long that several views of them are a step of their own, lest they keep shorter ones from being tried."""

POOLINGS_OF_TOKENS = ("avg", "cls")
"""Likewise of layers that give tokens."""


@dataclass(frozen=True)
class FeatureChoice:
    """Features that a classifier may be trained on.

    Attributes
    ----------
    base : int
        Place of the base among those that the request names.
    layers : tuple of str
        Exact names, in the base's order.
    pooling : str
    views : int
        Views of each image, in training and in evaluation.
    """

    base: int
    layers: tuple[str, ...]
    pooling: str
    views: int = 1

    @property
    def layer_set(self) -> str:
        """The layers as `--layer` takes them."""
        return join_layers(self.layers)


@dataclass(frozen=True)
class Candidate:
    """Features and a classifier.

    Attributes
    ----------
    features : FeatureChoice
    clf : str
    """

    features: FeatureChoice
    clf: str

    def describe(self) -> str:
        """Name the candidate in words, without its base."""
        features = self.features
        return f"{describe_features(features.layers, features.pooling, features.views)}, {self.clf}"

    def to_dict(self, bases: Sequence[str]) -> dict[str, Any]:
        """Give plain values for JSON, the base by its name."""
        features = asdict(self.features)
        return {**features, "base": bases[self.features.base], "layers": list(self.features.layers), "clf": self.clf}


def list_poolings(layouts: Sequence[str]) -> tuple[str, ...]:
    """List the poolings to be tried on layers of these layouts, the usual one first.

    Parameters
    ----------
    layouts : sequence of str
        As `featx.bases.pooling.Layout`, one a layer.
    """
    if all(layout == "vector" for layout in layouts):
        return POOLINGS_OF_MAPS[:1]
    if all(layout == "tokens" for layout in layouts):
        return POOLINGS_OF_TOKENS
    return POOLINGS_OF_MAPS
