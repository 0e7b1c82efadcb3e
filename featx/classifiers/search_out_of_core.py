"""Chooses and fits linear classifiers on more features than memory holds, by passes over blocks of rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.calibration import fit_inverse_temperature
from featx.classifiers.registry import Linear, find_classifier
from featx.classifiers.search import Fitted, choose_value
from featx.classifiers.to_arrays import to_arrays
from featx.errors import RequestError
from featx.linear.cross_validation import Scored, log_loss
from featx.linear.fit import LinearModel, choose
from featx.linear.out_of_core import fit_streamed
from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.types import Fold


@dataclass(frozen=True)
class Passes:
    """Training rows that are read a block at a time.

    Attributes
    ----------
    read : callable
        Takes (m,) row numbers, gives their features, (m, d) float32.
    rows : (n,) int
        What `read` calls the training rows.
    block : int
        Rows to be read at a time.
    """

    read: Callable[[NDArray[np.intp]], NDArray[np.float32]]
    rows: NDArray[np.intp]
    block: int

    def chunks(
        self, chosen: NDArray[np.intp], y: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp]]]:
        """Yield features and labels of chosen training rows, in the order of the rows."""
        for first in range(0, len(chosen), self.block):
            places = chosen[first : first + self.block]
            yield self.read(self.rows[places]), y[places]


def search_out_of_core(
    names: Sequence[str], passes: Passes, y: NDArray[np.intp], fold: Fold
) -> dict[str, tuple[Fitted, ArrayClassifier | Opaque]]:
    """Choose C on one fold, and refit on all rows, reading features again and again instead of keeping them.

    The objectives, the values of C and the way to choose are those of `search`; what differs is that one fold judges
    instead of five. With so many rows it judges as surely: the standard error of an accuracy shrinks with their root.

    Parameters
    ----------
    names : sequence of str
        Names of linear classifiers.
    passes : Passes
        The training rows.
    y : (n,) int
    fold : pair of (train rows, validation rows)

    Raises
    ------
    RequestError
        If a classifier is asked for that needs all rows in memory.
    """
    found: dict[str, tuple[Fitted, ArrayClassifier | Opaque]] = {}
    for name in names:
        classifier = find_classifier(name)
        if not isinstance(classifier, Linear):
            raise RequestError(
                f"classifier '{name}' needs all features in memory, which --memory does not allow: "
                "choose logreg or svm, or allow more"
            )
        started = time.perf_counter()
        learned, judged = fold
        models = fit_streamed(partial(passes.chunks, np.sort(learned), y), name, classifier.values)
        scores = [scores_of(model, passes, judged, y) for model in models]
        truth = y[judged if judged.ndim == 1 else judged[:, 0]]
        winner = choose_value(name, score(models, scores, truth))
        C = classifier.values[winner]
        # From zero by tens, since each solution starts from the one before.
        ladder = [value for value in classifier.values if value <= C][-3:]
        model = fit_streamed(partial(passes.chunks, np.arange(len(y)), y), name, ladder)[-1]
        accuracy = float(np.mean(models[winner].classes[choose(scores[winner])] == truth))
        inverse_temperature = inverse_temperature_of(models[winner], scores[winner], truth) if name == "svm" else 1.0
        seconds = time.perf_counter() - started
        found[name] = Fitted(model, {"C": C}, accuracy, seconds), to_arrays(model, inverse_temperature)
    return found


def scores_of(model: LinearModel, passes: Passes, judged: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[Any]:
    """Score rows, (m,), or views of them, (m, v), which are averaged: (k, m), or (1, m) for two classes."""
    parts = [model.decision(x) for x, _ in passes.chunks(judged.reshape(-1), y)]
    scores = np.concatenate(parts).T
    return scores if judged.ndim == 1 else scores.reshape(len(scores), *judged.shape).mean(axis=-1)


def score(models: Sequence[LinearModel], scores: Sequence[NDArray[Any]], truth: NDArray[np.intp]) -> Scored:
    """Judge the models of all values of C on one fold."""
    pairs = list(zip(models, scores, strict=True))
    accuracies = [np.mean(model.classes[choose(own)] == truth) for model, own in pairs]
    losses = [log_loss(own, model.classes, truth) for model, own in pairs]
    return Scored(np.array([accuracies]), np.array([losses]))


def inverse_temperature_of(model: LinearModel, scores: NDArray[Any], truth: NDArray[np.intp]) -> float:
    """Fit the inverse_temperature of an SVM on the margins of rows that it was not trained on."""
    known = np.isin(truth, model.classes)
    if not known.any():
        return 1.0
    both = np.vstack([np.zeros_like(scores), scores]) if len(scores) == 1 else scores
    return fit_inverse_temperature(both[:, known].T, np.searchsorted(model.classes, truth[known]))
