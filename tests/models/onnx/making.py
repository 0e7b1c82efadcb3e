"""Models of `tiny` with classifiers of random numbers: what an export has to carry, without training anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.bases.base import Base
from featx.bases.pooling import pooled_shape
from featx.keys import FeatureKey
from featx.models.array_classifier import ArrayClassifier, Arrays
from featx.models.model import Model

HIDDEN = 12
PICTURES = 20
NEIGHBOURS = 5


def count_numbers(base: Base, layers: Sequence[str], pooling: str) -> int:
    chosen = [base.layer(layer) for layer in layers]
    return sum(int(np.prod(pooled_shape(pooling, layer.shape, layer.layout))) for layer in chosen)


def make_arrays(clf: str, d: int, classes: int) -> Arrays:
    random = np.random.default_rng(0)
    rows = 1 if classes == 2 else classes
    scaling = {"mean": random.normal(size=d) / d, "scale": random.uniform(0.5, 1.5, d) / np.sqrt(d)}
    if clf == "knn":
        neighbours = random.normal(size=(PICTURES, d))
        neighbours /= np.linalg.norm(neighbours, axis=1, keepdims=True)
        labels = np.arange(PICTURES) % classes
        return {**scaling, "neighbours": neighbours.astype(np.float32), "labels": labels, "k": np.array([NEIGHBOURS])}
    if clf == "mlp":
        return {
            **scaling,
            "hidden_weights": (random.normal(size=(HIDDEN, d)) / np.sqrt(d)).astype(np.float32),
            "hidden_intercept": random.normal(size=HIDDEN).astype(np.float32),
            "weights": random.normal(size=(classes, HIDDEN)).astype(np.float32),
            "intercept": random.normal(size=classes).astype(np.float32),
        }
    return {**scaling, "weights": random.normal(size=(rows, d)) / np.sqrt(d), "intercept": random.normal(size=rows)}


def make_model(
    base: Base, clf: str, pooling: str = "avg", layers: Sequence[str] = ("layer4",), classes: int = 3, views: int = 1
) -> Model:
    d = count_numbers(base, layers, pooling)
    dtype = "float16" if pooling == "flat" else "float32"
    classifier = ArrayClassifier(clf, make_arrays(clf, d, classes), 1.7 if clf == "svm" else 1.0)
    keys = tuple(FeatureKey(base.id, base.layer(layer).name, pooling, dtype) for layer in layers)
    names = tuple(f"class {number}" for number in range(classes))
    return Model(keys, "CIFAR100", "CIFAR100", names, classifier, views=views)
