"""Choose the best of several values of a hyper-parameter by their scores in cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.errors import RequestError
from featx.linear.val_scores import CVScores

# Means that agree to so many digits are equal: they differ by the rounding of their sum only.
ACCURACY_DIGITS = 12

Edge = Literal["lowest", "highest"]


@dataclass(frozen=True)
class Fitted:
    """A refitted classifier.

    Attributes
    ----------
    model : Any
        Has `predict`, which takes unscaled features.
    params : dict
        The values that were chosen.
    cv_accuracy : float
        Mean accuracy over the folds, with these values.
    seconds : float
        Search and refit; time spent for several classifiers at once is divided among them.
    cv_merit : float or None
        Mean over the folds of the figure that was asked for, its sign changed where less is better.
    at_edge : bool
        Whether the best value of the usual grid lies at its edge.
    edge : {"lowest", "highest"} or None
        Where the chosen value is the lowest or the highest of all that were tried.
    """

    model: Any
    params: dict[str, float]
    cv_accuracy: float
    seconds: float
    cv_merit: float | None = None
    at_edge: bool = False
    edge: Edge | None = None


def average_folds(merits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average a figure over the folds that define it: (folds, values) to (values,).

    Raises
    ------
    RequestError
        If none does.
    """
    is_defined = ~np.isnan(merits)
    counts = is_defined.sum(axis=0)
    if not counts.all():
        raise RequestError(
            "the figure of `--select` is not defined in any fold, since none validates on two classes: "
            "choose by accuracy, or add images"
        )
    return np.asarray(np.where(is_defined, merits, 0).sum(axis=0) / counts)


def rate_values(name: str, scores: CVScores) -> NDArray[np.float64]:
    """Rate the values of C of a linear classifier, the greatest best: the figure asked for, or what it is trained for.

    Logistic regression: minus the log-loss. It moves smoothly with C, where accuracy moves by whole images and ties.
    SVM: accuracy. All of them are weighted where training is: chosen by plain figures, C would undo what the weights
    ask for.
    """
    if scores.merit is not None:
        return average_folds(scores.merit if scores.weighted_merit is None else scores.weighted_merit)
    if name == "logreg":
        return -scores.loss.mean(axis=0)
    return (scores.accuracy if scores.weighted_accuracy is None else scores.weighted_accuracy).mean(axis=0)


def choose_middle(rates: NDArray[np.float64]) -> int:
    """Choose the greatest of some rates; of equally great ones the middle one, the farthest from doing worse."""
    rounded = rates.round(ACCURACY_DIGITS)
    best = np.flatnonzero(rounded == rounded.max())
    return int(best[len(best) // 2])


def choose_value(name: str, scores: CVScores) -> int:
    """Choose the index of the best C of a linear classifier."""
    rates = rate_values(name, scores)
    if name == "logreg" and scores.merit is None:
        return int(rates.argmax())
    return choose_middle(rates)


def find_edge(place: int, count: int) -> Edge | None:
    """Say at which edge of so many rising values a place lies, if at any."""
    if place == count - 1:
        return "highest"
    return "lowest" if place == 0 else None


def is_worth_extending(rates: NDArray[np.float64], edge: Edge | None) -> bool:
    """Whether the value at an edge is better than its neighbour, so that one beyond may be better still."""
    if edge is None or len(rates) < 2:
        return False
    ends = rates[::-1] if edge == "highest" else rates
    return bool(ends[0] > ends[1])
