"""What to know of a row before it is believed: chance, edges of a grid, classes of few images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.registry import takes_class_weights, takes_row_weights
from featx.errors import shorten
from featx.evaluation.metrics import SIGNIFICANCE, mcnemar
from featx.evaluation.result import TUNED, Evaluation
from featx.features.dataset import Dataset
from featx.features.splits import FOLDS, validates_once
from featx.requests import ClassWeight

FEW_IMAGES = 10
"""With fewer held-out images of a class, one of them moves its recall by more than ten points."""


def note_row(evaluation: Evaluation, dataset: Dataset, class_weight: ClassWeight = "none") -> tuple[str, ...]:
    """Say what is to be known of one evaluation, a phrase each.

    Parameters
    ----------
    class_weight : str
        What was asked for.
    """
    notes = [note_chance(evaluation, dataset), note_edge(evaluation), note_weights(evaluation, dataset, class_weight)]
    return tuple(note for note in notes if note)


def note_weights(evaluation: Evaluation, dataset: Dataset, class_weight: ClassWeight) -> str | None:
    """Say which weights that were asked for make no difference to a classifier."""
    clf = evaluation.result.clf
    if clf in TUNED:
        return None
    unused = []
    if class_weight != "none" and not takes_class_weights(clf):
        unused.append("class weights")
    if dataset.weights is not None and not takes_row_weights(clf):
        unused.append("weights of images")
    return f"{' and '.join(unused)} make no difference" if unused else None


def note_chance(evaluation: Evaluation, dataset: Dataset) -> str | None:
    """Say that a classifier is not better than the most frequent class of the training part, beyond chance.

    Both are evaluated on the same images, so that McNemar's exact test compares them (McNemar, 1947), as it compares
    rows of a table.
    """
    return compare_with_majority(evaluation, dataset, find_majority(dataset, dataset.train), "test")


def find_majority(dataset: Dataset, rows: NDArray[np.bool_]) -> int:
    """Find the most frequent class of some rows, (n,) bool, by their weights where there are any."""
    weights = None if dataset.weights is None else dataset.weights[rows]
    return int(np.bincount(dataset.y[rows], weights).argmax())


def compare_with_majority(evaluation: Evaluation, dataset: Dataset, majority: int, part: str) -> str | None:
    """Say that a classifier is not better than one class on the held-out rows, beyond chance.

    Parameters
    ----------
    majority : int
        Place of the class.
    part : str
        What accuracy on the held-out rows is called.
    """
    if evaluation.result.clf == "dummy":
        return None
    truth = dataset.y[dataset.test]
    is_right = evaluation.predictions.classes == truth
    is_majority = truth == majority
    accuracy = is_majority.mean()
    if is_right.mean() > accuracy and mcnemar(is_right, is_majority) < SIGNIFICANCE:
        return None
    named = f"'{dataset.classes[majority]}', {part} accuracy {accuracy:.3f}"
    return f"not better than the dummy ({named}) beyond chance, by McNemar's test"


def note_edge(evaluation: Evaluation) -> str | None:
    """Say that C was chosen at an edge of all values that were tried."""
    if evaluation.edge is None:
        return None
    C = evaluation.result.params["C"]
    return f"C = {C:.3g} is the {evaluation.edge} that was tried: one beyond it may do better"


def note_data(dataset: Dataset) -> tuple[str, ...]:
    """Say what is to be known of a data set, a phrase each."""
    notes = [*note_small_classes(dataset, "held-out"), *note_split(dataset)]
    if dataset.on_both_sides:
        notes.append(dataset.on_both_sides)
    if dataset.torn_groups:
        notes.append(dataset.torn_groups)
    return tuple(notes)


def note_split(dataset: Dataset) -> tuple[str, ...]:
    """Say that one split chooses hyper-parameters, and how exactly it tells an accuracy; nothing where folds do."""
    images = int(dataset.train.sum())
    if not validates_once(images):
        return ()
    validated = images // FOLDS
    # Of an accuracy of one half; the nearer to 0 or 1, the smaller.
    points = 50 / validated**0.5
    return (
        f"so many images are validated on one split, 80/20, instead of {FOLDS} folds: "
        f"{validated} images tell an accuracy to {points:.1f} points",
    )


def note_small_classes(dataset: Dataset, part: str) -> tuple[str, ...]:
    """Name the classes of few evaluated images in one phrase; none where there are no such classes.

    Parameters
    ----------
    part : str
        What the evaluated images are called.
    """
    counts = np.bincount(dataset.y[dataset.test], minlength=len(dataset.classes))
    few = [place for place in np.argsort(counts, kind="stable").tolist() if counts[place] < FEW_IMAGES]
    if not few:
        return ()
    named = shorten([f"'{dataset.classes[place]}' {counts[place]}" for place in few], 4)
    have = "1 class has" if len(few) == 1 else f"{len(few)} classes have"
    return (f"{have} fewer than {FEW_IMAGES} {part} images ({named}): what is said of them is rough",)
