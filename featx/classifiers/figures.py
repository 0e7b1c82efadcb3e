"""Figures of labels and probabilities: those of a result, and those by which hyper-parameters may be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import f1_score, recall_score

from featx.classifiers.temperature import fit_inverse_temperature
from featx.linear.fit import choose_codes
from featx.requests import SelectedFigure
from featx.types import Codes

SMALLEST_PROBABILITY = 1e-300
"""A probability of 0 counts as this in a log-loss, which is then large and not infinite."""


def balanced_accuracy(truth: Codes, predicted: Codes) -> float:
    """Average the recall of the classes that occur; both (n,) int."""
    # Not balanced_accuracy_score, which warns of every class that is predicted and does not occur.
    return float(recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0))


def macro_f1(truth: Codes, predicted: Codes) -> float:
    """Average F1 over the classes that occur in either; both (n,) int."""
    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def rank_class(is_of_class: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Say how well scores rank the rows of a class above all others.

    Held to scikit-learn's `roc_auc_score` and `average_precision_score` by the tests. Those take a millisecond a class,
    which for a hundred classes is as long as all else that evaluates a classifier.

    Parameters
    ----------
    is_of_class : (n,) bool
    scores : (n,) float64

    Returns
    -------
    roc_auc : float
        Area under the ROC curve; NaN where all rows are of the class, or none.
    average_precision : float
        NaN where none is.
    """
    positives = int(is_of_class.sum())
    negatives = len(is_of_class) - positives
    if not positives:
        return np.nan, np.nan
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Equal scores are one threshold: its last row.
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    found = np.cumsum(is_of_class[order])[ends]
    called = ends + 1
    gained = np.diff(found, prepend=0)
    average_precision = float((gained * (found / called)).sum() / positives)
    if not negatives:
        return np.nan, average_precision
    mistaken = np.diff(called - found, prepend=0)
    area = float((mistaken * (found - gained / 2)).sum())
    return area / (positives * negatives), average_precision


@dataclass(frozen=True)
class Ranking:
    """How well probabilities rank the rows of each class above all others.

    Attributes
    ----------
    roc_auc, average_precision : (k,) float64
        NaN where not defined.
    """

    roc_auc: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def rank_classes(truth: Codes, probabilities: NDArray[np.float64]) -> Ranking:
    """Rank the rows of every class above all others: (n,) int and (n, k) float64."""
    pairs = [rank_class(truth == code, column) for code, column in enumerate(probabilities.T)]
    return Ranking(*np.array(pairs).T)


def pick_or_average(of_classes: NDArray[np.float64], positive: int) -> float:
    """Give the figure of the positive class of two, or the mean over more classes as far as it is defined.

    Parameters
    ----------
    of_classes : (k,) float64
    positive : int
        Place of the positive class.
    """
    if len(of_classes) == 2:
        return float(of_classes[positive])
    defined = of_classes[~np.isnan(of_classes)]
    return float(defined.mean()) if len(defined) else np.nan


def mean_log_loss(truth: Codes, probabilities: NDArray[np.float64]) -> float:
    """Average minus the logarithm of the true class's probability: (n,) int and (n, k) float64."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).mean())


@dataclass(frozen=True)
class Criterion:
    """The figure by which hyper-parameters are chosen, where the user named one.

    Attributes
    ----------
    figure : str
    positive : int
        Place of the positive class, where there are two.
    """

    figure: SelectedFigure
    positive: int = 1

    @property
    def needs_probabilities(self) -> bool:
        """Whether the figure is of probabilities, not of labels."""
        return self.figure in ("roc_auc", "log_loss", "average_precision")

    @property
    def sign(self) -> int:
        """-1 where less is better."""
        return -1 if self.figure == "log_loss" else 1

    def rate_labels(self, truth: NDArray[Any], predicted: NDArray[Any]) -> float:
        """Rate labels, (n,) both; the greatest rate is the best."""
        if self.figure == "accuracy":
            return float((truth == predicted).mean())
        return balanced_accuracy(truth, predicted) if self.figure == "balanced_accuracy" else macro_f1(truth, predicted)

    def rate(self, truth: NDArray[Any], classes: NDArray[Any], probabilities: NDArray[np.float64]) -> float:
        """Rate probabilities, the greatest rate being the best; NaN where the rows do not define the figure.

        Parameters
        ----------
        truth : (n,) int
            Rows of classes without probabilities are left out.
        classes : (k,) int
            Sorted.
        probabilities : (n, k) float64
        """
        if not self.needs_probabilities:
            return self.rate_labels(truth, classes[probabilities.argmax(axis=1)])
        is_known = np.isin(truth, classes)
        if not is_known.any():
            return np.nan
        codes = np.searchsorted(classes, truth[is_known])
        known = probabilities[is_known]
        if self.figure == "log_loss":
            return -mean_log_loss(codes, known)
        of_classes: NDArray[np.float64] = getattr(rank_classes(codes, known), self.figure)
        return pick_or_average(of_classes, int(np.searchsorted(classes, self.positive)))

    def rate_scores(self, kind: str, scores: NDArray[np.float64], classes: NDArray[Any], truth: NDArray[Any]) -> float:
        """Rate the scores of a linear classifier, (k, n) or, of two classes, (1, n).

        Margins of the SVM become probabilities by the inverse temperature that suits these rows best, since that is
        fitted in the end, too.
        """
        if not self.needs_probabilities:
            return self.rate_labels(truth, classes[choose_codes(scores)])
        if len(scores) == 1:
            scores = np.vstack([np.zeros_like(scores), scores])
        inverse_temperature = 1.0
        is_known = np.isin(truth, classes)
        if kind == "svm" and is_known.any():
            codes = np.searchsorted(classes, truth[is_known])
            inverse_temperature = fit_inverse_temperature(scores.T[is_known], codes)
        return self.rate(truth, classes, softmax(inverse_temperature * scores.T, axis=1))

    def to_figure(self, merit: float | None) -> float | None:
        """Give the figure itself, of which a rate may have another sign."""
        return merit if merit is None else self.sign * merit


def average_views(probabilities: NDArray[np.float64], val: NDArray[np.intp]) -> NDArray[np.float64]:
    """Average the probabilities of views: (m * v, k) of validation rows (m, v), or (m,), to (m, k)."""
    if val.ndim == 1:
        return probabilities
    return np.asarray(probabilities.reshape(*val.shape, -1).mean(axis=1))
