"""The classifiers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from featx.classifiers.grids import LOGREG_C, NEIGHBOURS_K, SVM_C
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


@dataclass(frozen=True)
class Neighbours:
    """Votes of the nearest training pictures by cosine, one a picture; how many vote is searched.

    Attributes
    ----------
    values : sequence of int
        Numbers of neighbours to try, rising.
    """

    values: Sequence[int]


@dataclass(frozen=True)
class Majority:
    """The most frequent class, whatever the features say: what any other classifier must beat."""


def make_mlp(seed: int) -> Any:
    """Make a multi-layer perceptron."""
    # What it is made of takes a second to import, and linear classifiers need none of it.
    from featx.classifiers.mlp import MLP

    return MLP(seed=seed)


Classifier = Linear | Estimator | Neighbours | Majority

CLASSIFIERS: dict[str, Classifier] = {
    "logreg": Linear(LOGREG_C),
    "svm": Linear(SVM_C),
    "mlp": Estimator(make_mlp),
    "knn": Neighbours(NEIGHBOURS_K),
    "dummy": Majority(),
}
"""Name of a classifier (`--clf`): how it is made."""

DEFAULT_CLASSIFIERS = ("logreg", "svm", "mlp")
"""Those that are compared where none is named; the others are rows to hold on to."""


def takes_class_weights(name: str) -> bool:
    """Whether what an error on a class costs makes a difference to a classifier."""
    return not isinstance(find_classifier(name), Neighbours | Majority)


def takes_row_weights(name: str) -> bool:
    """Whether a classifier takes weights of images; to a neighbour every image is one vote."""
    return not isinstance(find_classifier(name), Neighbours)


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
