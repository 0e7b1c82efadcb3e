"""The record of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """The record of one evaluation.

    Attributes
    ----------
    base, layer, pooling, clf : str
    dim : int
        Numbers in a feature.
    n_train, n_test : int
        Images trained on and held out.
    cv_accuracy : float
        Of the chosen hyper-parameters, over the folds of the training part.
    test_accuracy, ci_low, ci_high : float
        On the held-out part, with its 95 % interval (Wilson).
    macro_f1 : float
        On the held-out part, the mean over classes.
    fit_seconds : float
        Search and refit together.
    params : dict
        The hyper-parameters that were chosen.
    """

    base: str
    layer: str
    pooling: str
    clf: str
    dim: int
    n_train: int
    n_test: int
    cv_accuracy: float
    test_accuracy: float
    ci_low: float
    ci_high: float
    macro_f1: float
    fit_seconds: float
    params: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def best(results: Sequence[Result]) -> Result:
    """Pick the winner by cross-validated accuracy: the held-out part judges, it does not choose."""
    return max(results, key=lambda result: result.cv_accuracy)
