"""How promising a layer is: scores without training, cross-validated accuracy, and a learning curve.

Only training images are scored; the held-out part is never read for advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.evaluation.transferability import h_score, log_evidence, neighbour_accuracy
from featx.features.matrix import name_degenerate
from featx.features.splits import LabelledRows
from featx.linear.cross_validation import cross_validate
from featx.types import Fold, Matrix

EQUAL_WITHIN = 0.005
"""Accuracies that differ by less than this, or by less than one standard error, are taken as equal."""

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Shares of the training rows that the learning curve is measured on: each doubles the one before."""


@dataclass(frozen=True)
class LayerScore:
    """How well one layer tells the classes of a data set apart.

    Attributes
    ----------
    layer, pooling : str
    dim, images : int
        Length of a feature vector, and number of images that were scored.
    cached : bool
        Whether all training images were scored, from the cache; else a sample of them.
    logme, h_score, knn_accuracy : float
        See `featx.evaluation.transferability`.
    cv_accuracy : dict of classifier to float
        Cross-validated on the images that were scored.
    clf : str
        The better classifier.
    degenerate : str or None
        "all zero" or "constant" where the features tell no images apart.
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
    degenerate: str | None = None

    @property
    def best(self) -> float:
        """Cross-validated accuracy of the better classifier."""
        return self.cv_accuracy[self.clf]

    @property
    def mean(self) -> float:
        """Mean of three accuracies, of both classifiers and of nearest neighbours: steadier than the best of them."""
        return float(np.mean([*self.cv_accuracy.values(), self.knn_accuracy]))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def score_layer(name: tuple[str, str], X: Matrix, rows: LabelledRows, seed: int, cached: bool) -> LayerScore:
    """Score the features of one layer.

    Parameters
    ----------
    name : (layer, pooling)
    X : (n, d) float
        Rows of length one.
    rows : LabelledRows
    cached : bool
        Whether these are all training images.
    """
    accuracies = cross_validate_linear(X, rows.y, rows.folds(seed))
    best = {clf: round(max(by_C.values()), 6) for clf, by_C in accuracies.items()}
    return LayerScore(
        *name,
        dim=X.shape[1],
        images=len(X),
        cached=cached,
        logme=round(log_evidence(X, rows.y), 6),
        h_score=round(h_score(X, rows.y), 6),
        knn_accuracy=round(neighbour_accuracy(X, rows.y, rows.groups), 6),
        cv_accuracy=best,
        clf=max(best, key=best.__getitem__),
        degenerate=name_degenerate(X.min(axis=0), X.max(axis=0)),
    )


def cross_validate_linear(X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> dict[str, dict[float, float]]:
    """Cross-validate the linear classifiers at every second C: classifier to C to mean accuracy over the folds."""
    grid = {}
    for name, classifier in CLASSIFIERS.items():
        if isinstance(classifier, Linear):
            # Every second C is half the time, and moves the best accuracy by less than EQUAL_WITHIN.
            grid[name] = classifier.values[::2]
    scored = cross_validate(X, y, folds, grid, cpu_count())
    accuracies = {}
    for name, values in grid.items():
        means = scored[name].accuracy.mean(axis=0).tolist()
        accuracies[name] = dict(zip(values, means, strict=True))
    return accuracies


def choose_layer(scores: Sequence[LayerScore]) -> LayerScore:
    """Choose the layer that is best in cross-validation, or among its equals the one with the best mean accuracy.

    Layers scored on all training images are preferred to those scored on a sample.
    """
    candidates = [score for score in scores if score.cached] or list(scores)
    candidates = [score for score in candidates if not score.degenerate] or candidates
    top = max(candidates, key=lambda score: score.best)
    standard_error = (top.best * (1 - top.best) / top.images) ** 0.5
    floor = top.best - max(EQUAL_WITHIN, standard_error)
    equals = [score for score in candidates if score.best >= floor]
    return max(equals, key=lambda score: (score.mean, score.logme))


def learning_curve(X: Matrix, rows: LabelledRows, clf: str, seed: int) -> list[tuple[int, float]]:
    """Cross-validate on growing shares of the training rows: pairs of images trained on and accuracy.

    Parameters
    ----------
    X : (n, d) float
    rows : LabelledRows
    clf : str
        "logreg" or "svm"; its C is chosen once, on all rows.
    """
    folds = rows.folds(seed)
    accuracies = cross_validate_linear(X, rows.y, folds)[clf]
    grid = {clf: [max(accuracies, key=accuracies.__getitem__)]}
    points = []
    for share in SHARES:
        thinned = [(thin_rows(train, rows.y, share, seed), val) for train, val in folds]
        accuracy = float(cross_validate(X, rows.y, thinned, grid, cpu_count())[clf].accuracy.mean())
        images = float(np.mean([len(train) for train, _ in thinned]))
        points.append((round(images), round(accuracy, 6)))
    return points


def thin_rows(rows: NDArray[np.intp], y: NDArray[np.intp], share: float, seed: int) -> NDArray[np.intp]:
    """Keep a share of the rows of each class, and at least one row of each."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    kept = []
    for code in np.unique(y[rows]):
        of_class = shuffled[y[shuffled] == code]
        count = max(1, round(share * len(of_class)))
        kept.append(of_class[:count])
    return np.sort(np.concatenate(kept))
