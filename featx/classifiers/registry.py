"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from featx.classifiers.grids import LOGREG_C, SVM_C
from featx.classifiers.mlp import MLP
from featx.errors import unknown


@dataclass(frozen=True)
class Linear:
    """A linear classifier that `featx.linear` solves; C, the inverse strength of its penalty, is searched.

    Attributes
    ----------
    values : sequence of float
        Values of C to try, rising.
    """

    values: Sequence[float]


@dataclass(frozen=True)
class Estimator:
    """Any scikit-learn estimator; it sees standardised features of length one, and nothing of it is searched.

    Attributes
    ----------
    make : callable
        Takes a seed, returns an estimator.
    """

    make: Callable[[int], Any]


Classifier = Linear | Estimator

CLASSIFIERS: dict[str, Classifier] = {
    "logreg": Linear(LOGREG_C),
    "svm": Linear(SVM_C),
    "mlp": Estimator(lambda seed: MLP(seed=seed)),
}
"""Name of a classifier (`--clf`): how it is made."""


def find_classifier(name: str) -> Classifier:
    """Look up a classifier by name.

    Raises
    ------
    UnknownName
        Listing the classifiers, with the nearest match.
    """
    if name not in CLASSIFIERS:
        raise unknown("classifier", name, CLASSIFIERS)
    return CLASSIFIERS[name]
