"""What speaks for a layer: scores without training, cross-validated accuracy, and a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.evaluation.transferability import h_score, log_evidence, neighbour_accuracy
from featx.features.splits import make_folds
from featx.linear.cross_validation import cross_validate
from featx.types import Fold, Matrix

MARGIN = 0.005
"""Accuracies nearer than this, or than one standard error, are taken as equal."""

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
"""Of the training rows, for the learning curve."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for one layer.

    Attributes
    ----------
    layer, pooling : str
    dim, images : int
        Numbers in a feature, and images that were looked at.
    cached : bool
        Whether all training images were looked at, from the cache; else a sample of them.
    logme, h_score, knn_accuracy : float
        See `featx.evaluation.transferability`.
    cv_accuracy : dict of classifier to float
        Cross-validated on the images that were looked at.
    clf : str
        The better classifier.
    """

    layer: str
    pooling: str
    dim: int
    images: int
    cached: bool
    logme: float
    h_score: float
    knn_accuracy: float
    cv_accuracy: dict[str, float]
    clf: str

    @property
    def best(self) -> float:
        """Cross-validated accuracy of the better classifier."""
        return self.cv_accuracy[self.clf]

    @property
    def mean(self) -> float:
        """Mean of three held-out accuracies, of both classifiers and the neighbours: steadier than the best of them."""
        return float(np.mean([*self.cv_accuracy.values(), self.knn_accuracy]))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Rows to judge layers on: classes (n,) int, and groups (n,) int that copies of one image share."""

    y: NDArray[np.intp]
    groups: NDArray[np.intp]

    def folds(self, seed: int) -> Sequence[Fold]:
        """Make the folds of the evaluation protocol."""
        return make_folds(self.y, self.groups, seed)


def weigh(name: tuple[str, str], X: Matrix, rows: Labelled, seed: int, cached: bool) -> Evidence:
    """Judge the features of one layer.

    Parameters
    ----------
    name : (layer, pooling)
    X : (n, d) float
        Rows of length one.
    rows : Labelled
    """
    accuracies = linear_accuracies(X, rows.y, rows.folds(seed))
    best = {clf: round(max(means.values()), 6) for clf, means in accuracies.items()}
    return Evidence(
        *name,
        dim=X.shape[1],
        images=len(X),
        cached=cached,
        logme=round(log_evidence(X, rows.y), 6),
        h_score=round(h_score(X, rows.y), 6),
        knn_accuracy=round(neighbour_accuracy(X, rows.y, rows.groups), 6),
        cv_accuracy=best,
        clf=max(best, key=best.__getitem__),
    )


def linear_accuracies(X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> dict[str, dict[float, float]]:
    """Cross-validate the linear classifiers at every second C: classifier to C to accuracy."""
    grid = {name: one.values[::2] for name, one in CLASSIFIERS.items() if isinstance(one, Linear)}
    found = cross_validate(X, y, folds, grid, cpu_count())
    return {name: dict(zip(grid[name], found[name].accuracy.mean(axis=0).tolist(), strict=True)) for name in grid}


def choose(found: Sequence[Evidence]) -> Evidence:
    """Choose a layer: the best in cross-validation, or among its equals the one that all three accuracies favour."""
    cached = [one for one in found if one.cached] or list(found)
    top = max(cached, key=lambda one: one.best)
    error = (top.best * (1 - top.best) / top.images) ** 0.5
    equals = [one for one in cached if one.best >= top.best - max(MARGIN, error)]
    return max(equals, key=lambda one: (one.mean, one.logme))


def learning_curve(X: Matrix, rows: Labelled, clf: str, seed: int) -> list[tuple[int, float]]:
    """Cross-validate on growing shares of the training rows: pairs of images trained on and accuracy.

    Parameters
    ----------
    X : (n, d) float
    rows : Labelled
    clf : str
        "logreg" or "svm"; its C is chosen on all rows once.
    """
    folds = rows.folds(seed)
    chosen = linear_accuracies(X, rows.y, folds)[clf]
    grid = {clf: [max(chosen, key=chosen.__getitem__)]}
    points = []
    for share in FRACTIONS:
        parts = [(thin(learned, rows.y, share, seed), judged) for learned, judged in folds]
        accuracy = float(cross_validate(X, rows.y, parts, grid, cpu_count())[clf].accuracy.mean())
        points.append((round(float(np.mean([len(learned) for learned, _ in parts]))), round(accuracy, 6)))
    return points


def thin(rows: NDArray[np.intp], y: NDArray[np.intp], share: float, seed: int) -> NDArray[np.intp]:
    """Keep a share of rows, of each class at least one."""
    order = np.random.default_rng(seed).permutation(rows)
    kept = [order[y[order] == code] for code in np.unique(y[rows])]
    return np.sort(np.concatenate([part[: max(1, round(share * len(part)))] for part in kept]))
