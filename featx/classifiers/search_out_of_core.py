"""Choose and fit linear classifiers on more features than memory holds, a block of rows at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.calibration import fit_inverse_temperature
from featx.classifiers.registry import Linear, find_classifier
from featx.classifiers.search import Fitted, choose_value
from featx.classifiers.to_arrays import to_arrays
from featx.errors import RequestError
from featx.linear.cross_validation import CVScores, log_loss
from featx.linear.fit import LinearModel, choose_codes
from featx.linear.out_of_core import fit_out_of_core
from featx.linear.spaces import encode_labels
from featx.linear.weighting import Weighting, average_weighted, price_errors, take_positive, weigh_targets
from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.types import Fold, RowNumbers

# Values of C that are fitted up to the chosen one, itself included: at two a decade each is a good start for the next.
WARM_STARTS = 3


@dataclass(frozen=True)
class RowBlocks:
    """Training rows that are read a block at a time.

    Attributes
    ----------
    read : callable
        Takes (m,) row numbers, returns their features, (m, d) float32.
    rows : (n,) int
        The training rows, as `read` numbers them.
    block : int
        Rows that are read at a time.
    """

    read: Callable[[RowNumbers], NDArray[np.float32]]
    rows: RowNumbers
    block: int

    def iterate(
        self, places: NDArray[np.intp], y: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
        """Yield features (m, d) and labels (m,) of training rows, block by block.

        Parameters
        ----------
        places : (p,) int
            Indices into the training rows, in the order wanted.
        y : (n,) int
            Labels of all training rows.
        """
        for first in range(0, len(places), self.block):
            block = places[first : first + self.block]
            yield self.read(self.rows[block]), y[block]


def search_out_of_core(
    names: Sequence[str], blocks: RowBlocks, y: NDArray[np.intp], fold: Fold, weighting: Weighting | None = None
) -> dict[str, tuple[Fitted, ArrayClassifier | Opaque]]:
    """Choose C on one fold, and refit on all rows, reading features again and again instead of keeping them.

    The objectives, the values of C and the rule of choice are those of `search`; what differs is that one fold
    validates instead of five. With so many rows that is precise enough: the standard error of an accuracy shrinks with
    the root of their number.

    Parameters
    ----------
    names : sequence of str
        Names of linear classifiers.
    blocks : RowBlocks
        The training rows.
    y : (n,) int
    fold : pair of (train rows, validation rows)
    weighting : Weighting, optional
        How much rows and classes count, as in `search`.

    Returns
    -------
    dict of str to (Fitted, ArrayClassifier)

    Raises
    ------
    UnknownName
        If a name is not in `CLASSIFIERS`.
    RequestError
        If a classifier needs all rows in memory.
    """
    return {name: _search_classifier(name, blocks, y, fold, weighting or Weighting()) for name in names}


def _search_classifier(
    name: str, blocks: RowBlocks, y: NDArray[np.intp], fold: Fold, weighting: Weighting
) -> tuple[Fitted, ArrayClassifier | Opaque]:
    classifier = find_classifier(name)
    if not isinstance(classifier, Linear):
        raise RequestError(
            f"classifier '{name}' needs all features in memory, which --memory does not allow: "
            "choose logreg or svm, or allow more"
        )
    started = time.perf_counter()
    train, val = fold
    # Rows of weight 0 need not even be read.
    train = take_positive(np.sort(train), weighting)
    of_train = weighting.take(train)
    models = fit_out_of_core(partial(blocks.iterate, train, y), name, classifier.values, weighting=of_train)
    scores = [score_val_images(model, blocks, val, y) for model in models]
    images = val if val.ndim == 1 else val[:, 0]
    truth = y[images]
    val_weights = weighting.take(images).rows
    targets = weigh_targets(encode_labels(y[train]), of_train, of_train.rows)
    cv_scores = score_models(models, scores, truth, price_errors(targets, truth, val_weights))
    winner = choose_value(name, cv_scores)
    C = classifier.values[winner]
    values = [value for value in classifier.values if value <= C][-WARM_STARTS:]
    every_row = take_positive(np.arange(len(y)), weighting)
    of_rows = weighting.take(every_row)
    model = fit_out_of_core(partial(blocks.iterate, every_row, y), name, values, weighting=of_rows)[-1]
    inverse_temperature = 1.0
    if name == "svm":
        inverse_temperature = fit_val_inverse_temperature(models[winner], scores[winner], truth, val_weights)
    accuracy = float(cv_scores.accuracy[0, winner])
    fitted = Fitted(model, {"C": C}, accuracy, time.perf_counter() - started)
    return fitted, to_arrays(model, inverse_temperature)


def score_val_images(
    model: LinearModel, blocks: RowBlocks, val: NDArray[np.intp], y: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Score rows, (m,), or views of them, (m, v), which are averaged: (k, m), or (1, m) for two classes."""
    row_scores = [model.decision_function(x) for x, _ in blocks.iterate(val.reshape(-1), y)]
    scores = np.concatenate(row_scores).T
    if val.ndim == 1:
        return scores
    return np.asarray(scores.reshape(len(scores), *val.shape).mean(axis=-1))


def score_models(
    models: Sequence[LinearModel],
    scores: Sequence[NDArray[np.float64]],
    truth: NDArray[np.intp],
    prices: NDArray[np.float64] | None = None,
) -> CVScores:
    """Score the models of all values of C on the validation rows of one fold; prices (m,) are those of their errors."""
    accuracies = []
    weighted_accuracies = []
    losses = []
    for model, model_scores in zip(models, scores, strict=True):
        is_right = model.classes[choose_codes(model_scores)] == truth
        accuracies.append(np.mean(is_right))
        weighted_accuracies.append(average_weighted(is_right, prices))
        losses.append(log_loss(model_scores, model.classes, truth, prices))
    weighted = None if prices is None else np.array([weighted_accuracies])
    return CVScores(np.array([accuracies]), np.array([losses]), weighted)


def fit_val_inverse_temperature(
    model: LinearModel,
    scores: NDArray[np.float64],
    truth: NDArray[np.intp],
    row_weights: NDArray[np.float64] | None = None,
) -> float:
    """Fit the inverse temperature of an SVM on the margins of rows that it was not trained on."""
    is_trained = np.isin(truth, model.classes)
    if not is_trained.any():
        return 1.0
    if len(scores) == 1:
        scores = np.vstack([np.zeros_like(scores), scores])
    codes = np.searchsorted(model.classes, truth[is_trained])
    return fit_inverse_temperature(
        scores[:, is_trained].T, codes, None if row_weights is None else row_weights[is_trained]
    )
