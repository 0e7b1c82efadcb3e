"""Chooses hyper-parameters by cross-validation inside the training part, and refits the winner on all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.splits import Fold
from featx.classifiers.zoo import Classifier


@dataclass(frozen=True)
class Fitted:
    """A refitted classifier.

    Attributes
    ----------
    model : Any
        scikit-learn pipeline: standardisation, then the classifier.
    params : dict
        The values that won.
    cv_accuracy : float
        Mean accuracy of the winner over the folds.
    """

    model: Any
    params: dict[str, float]
    cv_accuracy: float


def search(
    classifier: Classifier, X: NDArray[np.floating[Any]], y: NDArray[np.intp], folds: Sequence[Fold], seed: int
) -> Fitted:
    """Choose by cross-validation and refit on all rows; standardisation is fitted inside each fold.

    Parameters
    ----------
    X : (n, d) float
        Training rows only.
    y : (n,) int
    folds : sequence of (train rows, validation rows)
    """
    pipeline = make_pipeline(StandardScaler(), classifier.make(seed))
    step = pipeline.steps[-1][0]
    grid = {f"{step}__{name}": list(values) for name, values in classifier.grid.items()}
    found = GridSearchCV(pipeline, grid, scoring="accuracy", cv=list(folds), error_score="raise").fit(X, y)
    params = {name.split("__")[1]: value for name, value in found.best_params_.items()}
    return Fitted(found.best_estimator_, params, float(found.best_score_))
