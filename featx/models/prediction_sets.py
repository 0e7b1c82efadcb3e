"""Sets of classes that hold the true one with a stated probability: conformal prediction on out-of-fold scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError
from featx.models.array_classifier import Arrays

NAME = "sets.errors"
"""Name of the array in a model file."""

MOST_ERRORS = 10_000
"""Of more training pictures so many quantiles are kept."""


@dataclass(frozen=True)
class PredictionSets:
    """How improbable the true classes of training pictures were to classifiers that did not see them.

    Attributes
    ----------
    errors : (m,) float64
        1 less the probability of the true class, rising.
    """

    errors: NDArray[np.float64]

    @property
    def arrays(self) -> Arrays:
        """The array under the name that a model file gives it."""
        return {NAME: self.errors}

    @classmethod
    def of_arrays(cls, arrays: Arrays) -> PredictionSets | None:
        """Make it of the arrays of a model file; None where it holds none."""
        return cls(arrays[NAME]) if NAME in arrays else None

    @classmethod
    def calibrate(cls, probabilities: NDArray[np.float64], y: NDArray[np.intp]) -> PredictionSets | None:
        """Take the errors of out-of-fold probabilities (n, k); None where no row was judged.

        Rows of NaN were not judged.
        """
        errors = 1 - probabilities[np.arange(len(y)), y]
        errors = np.sort(errors[np.isfinite(errors)])
        if not len(errors):
            return None
        if len(errors) > MOST_ERRORS:
            errors = np.quantile(errors, np.linspace(0, 1, MOST_ERRORS), method="higher")
        return cls(np.clip(errors, 0, 1))

    def find_limit(self, coverage: float) -> float:
        """Give the error up to which a class belongs to a set.

        That of the ceil((m + 1) coverage)-th smallest of m (Vovk, Gammerman and Shafer, "Algorithmic Learning in a
        Random World", 2005); 1, which takes every class, where there are too few pictures for that.
        """
        rank = math.ceil((len(self.errors) + 1) * coverage - 1e-9)
        return float(self.errors[rank - 1]) if rank <= len(self.errors) else 1.0

    def choose(self, probabilities: NDArray[np.float64], coverage: float) -> NDArray[np.bool_]:
        """Choose the classes of each row, (n, k) bool, which hold the true one with a probability of `coverage`.

        All classes whose error is at most the limit, which gives the smallest sets on average (Sadinle, Lei and
        Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", 2019). Where a classifier is
        right more often than that, sets of pictures that it is least sure of are empty: with one class each they would
        hold the true one too often.
        """
        chosen: NDArray[np.bool_] = 1 - probabilities <= self.find_limit(coverage) + 1e-12
        return chosen


def check_errors(errors: NDArray[np.float64]) -> None:
    """Check the errors of a model file.

    Raises
    ------
    ModelError
        If they are not from 0 to 1, or do not rise.
    """
    if not ((errors >= 0).all() and (errors <= 1).all() and (np.diff(errors) >= 0).all()):
        raise ModelError(f"'{NAME}' holds numbers that are not from 0 to 1 in rising order")
