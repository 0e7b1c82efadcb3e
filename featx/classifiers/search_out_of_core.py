"""Choose and fit linear classifiers on more features than memory holds, a block of rows at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.choice import Fitted
from featx.classifiers.figures import Criterion
from featx.classifiers.grids import WARM_STARTS, list_warm_values
from featx.classifiers.majority import search_majority
from featx.classifiers.registry import Linear, Majority, find_classifier
from featx.classifiers.search import DEFAULT_OPTIONS, SearchOptions, choose_c, list_values_beyond
from featx.classifiers.temperature import fit_inverse_temperature
from featx.classifiers.to_arrays import to_arrays
from featx.errors import RequestError
from featx.linear.fit import LinearModel, choose_codes
from featx.linear.out_of_core import fit_out_of_core
from featx.linear.spaces import encode_labels
from featx.linear.val_scores import CVScores, log_loss
from featx.linear.weighting import (
    UNWEIGHTED_ROWS,
    ValWeights,
    average_weighted,
    take_positive,
    weigh_targets,
    weigh_val_rows,
)
from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.types import Fold, RowNumbers


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
    names: Sequence[str],
    blocks: RowBlocks,
    y: NDArray[np.intp],
    fold: Fold,
    options: SearchOptions = DEFAULT_OPTIONS,
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
    options : SearchOptions
        Its weighting and its criterion.

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
    return {name: _search_classifier(name, blocks, y, fold, options) for name in names}


def _search_classifier(
    name: str, blocks: RowBlocks, y: NDArray[np.intp], fold: Fold, options: SearchOptions
) -> tuple[Fitted, ArrayClassifier | Opaque]:
    classifier = find_classifier(name)
    weighting = options.weighting
    if isinstance(classifier, Majority):
        length = blocks.read(blocks.rows[:1]).shape[1]
        majority = search_majority(y, length, [fold], options.criterion, weighting)
        return majority, to_arrays(majority.model)
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
    read_train = partial(blocks.iterate, train, y)
    images = val if val.ndim == 1 else val[:, 0]
    truth = y[images]
    targets = weigh_targets(encode_labels(y[train]), of_train, of_train.rows)
    val_weights = weigh_val_rows(targets, truth, weighting.take(images).rows)
    score = partial(score_models, truth=truth, criterion=options.criterion, val_weights=val_weights)
    models = fit_out_of_core(read_train, name, classifier.values, weighting=of_train)
    scores = [score_val_images(model, blocks, val, y) for model in models]
    usual = score(models, scores)
    beyond = list_values_beyond(name, classifier.values, usual)
    further = None
    if beyond:
        warm = list_warm_values(classifier.values, beyond)
        further_models = fit_out_of_core(read_train, name, warm, weighting=of_train)[-len(beyond) :]
        further_scores = [score_val_images(model, blocks, val, y) for model in further_models]
        further = score(further_models, further_scores)
        models = [*models, *further_models]
        scores = [*scores, *further_scores]
    choice = choose_c(name, classifier.values, usual, beyond, further)
    C = choice.params["C"]
    tried = [*classifier.values, *beyond]
    values = sorted(value for value in tried if value <= C)[-WARM_STARTS:]
    every_row = take_positive(np.arange(len(y)), weighting)
    of_rows = weighting.take(every_row)
    model = fit_out_of_core(partial(blocks.iterate, every_row, y), name, values, weighting=of_rows)[-1]
    inverse_temperature = 1.0
    if name == "svm":
        winner = tried.index(C)
        inverse_temperature = fit_val_inverse_temperature(models[winner], scores[winner], truth, val_weights.rows)
    fitted = replace(choice, model=model, seconds=time.perf_counter() - started)
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
    criterion: Criterion | None = None,
    val_weights: ValWeights = UNWEIGHTED_ROWS,
) -> CVScores:
    """Score the models of all values of C on the validation rows of one fold."""
    is_weighted = val_weights.prices is not None
    accuracies = []
    weighted_accuracies = []
    losses = []
    merits = []
    weighted_merits = []
    for model, model_scores in zip(models, scores, strict=True):
        is_right = model.classes[choose_codes(model_scores)] == truth
        accuracies.append(np.mean(is_right))
        weighted_accuracies.append(average_weighted(is_right, val_weights.prices))
        losses.append(log_loss(model_scores, model.classes, truth, val_weights.prices))
        if criterion:
            merits.append(criterion.rate_scores(model.kind, model_scores, model.classes, truth))
        if criterion and is_weighted:
            merit = criterion.rate_scores(model.kind, model_scores, model.classes, truth, val_weights)
            weighted_merits.append(merit)
    return CVScores(
        accuracy=np.array([accuracies]),
        loss=np.array([losses]),
        merit=np.array([merits]) if criterion else None,
        weighted_accuracy=np.array([weighted_accuracies]) if is_weighted else None,
        weighted_merit=np.array([weighted_merits]) if is_weighted and criterion else None,
    )


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
