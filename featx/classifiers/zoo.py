"""Every classifier that stage two knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from featx.classifiers.mlp import MLP
from featx.errors import unknown


@dataclass(frozen=True)
class Classifier:
    """How a classifier is made and what is searched.

    Attributes
    ----------
    make : callable
        Seed to a scikit-learn estimator, which will see standardised features.
    grid : mapping of parameter name to values
        Searched by cross-validation; empty if there is nothing to choose.
    """

    make: Callable[[int], Any]
    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)


CLASSIFIERS: dict[str, Classifier] = {
    "logreg": Classifier(
        lambda seed: LogisticRegression(max_iter=2000, random_state=seed), {"C": np.logspace(-5, 1, 7).tolist()}
    ),
    "svm": Classifier(lambda seed: LinearSVC(random_state=seed, max_iter=5000), {"C": np.logspace(-6, 0, 7).tolist()}),
    "mlp": Classifier(lambda seed: MLP(seed=seed)),
}
"""Name of a classifier (`--clf`): how it is made."""


def classifier_of(name: str) -> Classifier:
    """Look up a classifier by name.

    Raises
    ------
    UnknownName
        Listing the classifiers, with the nearest match.
    """
    if name not in CLASSIFIERS:
        raise unknown("classifier", name, CLASSIFIERS)
    return CLASSIFIERS[name]
