"""Whether classes can be told from the form of the files alone: size, shape, kind, compression, border, mean colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from featx.evaluation.metrics import adjust_by_holm, mcnemar
from featx.features.splits import make_folds
from featx.inspection.picture_facts import PictureFacts
from featx.types import Fold

LEAVES = 64
LEAST_LEAF = 5
"""Leaves of the tree that tells classes, and rows of each: on three columns at most a forest tells hardly more."""

MOST_ROWS = 5000
"""Of more pictures so many are drawn: a classifier on three columns needs no more."""

SIGNIFICANT = 0.001
"""p value, adjusted for the number of facts that are tried (Holm), below which a fact tells more than the dummy."""

LEAST_GAIN = {"form": 0.25, "colour": 0.6}
"""Share of the dummy's mistakes that a fact must save to be warned of. The form of a file should say nothing; colours
are part of what pictures show: yellow flowers may be told by them, and nothing is wrong with that."""


@dataclass(frozen=True)
class Shortcut:
    """How well the class can be told from one kind of fact alone.

    Attributes
    ----------
    fact : str
        In words, such as "size in pixels".
    accuracy, dummy : float
        In cross-validation, and that of the most frequent class.
    p_value : float
        Of McNemar's test between the two, adjusted.
    is_warned : bool
        Whether it is worth a warning.
    """

    fact: str
    accuracy: float
    dummy: float
    p_value: float
    is_warned: bool


def tabulate_facts(facts: Sequence[PictureFacts]) -> dict[str, tuple[str, NDArray[np.float64]]]:
    """Put facts into columns: what they are called, whether of form or colour, and (n, c) float64."""
    kinds = sorted({fact.kind for fact in facts})
    modes = sorted({fact.mode for fact in facts})
    columns: dict[str, tuple[str, list[tuple[float, ...]]]] = {
        "size in pixels": ("form", [(fact.width, fact.height) for fact in facts]),
        "shape": ("form", [(fact.width / fact.height,) for fact in facts]),
        "file size": ("form", [(fact.file_bytes,) for fact in facts]),
        "kind of file": ("form", [(kinds.index(fact.kind), modes.index(fact.mode)) for fact in facts]),
        "compression": ("form", [(fact.quality, fact.file_bytes / (fact.width * fact.height)) for fact in facts]),
        "border": ("colour", [fact.border for fact in facts]),
        "mean colour": ("colour", [fact.colour for fact in facts]),
    }
    return {name: (group, np.array(rows, np.float64)) for name, (group, rows) in columns.items()}


def find_shortcuts(
    facts: Mapping[int, PictureFacts], y: NDArray[np.intp], groups: NDArray[np.intp], seed: int
) -> list[Shortcut]:
    """Try to tell classes from the facts of pictures alone.

    Parameters
    ----------
    facts : mapping of int to PictureFacts
        By row; rows without are left out.
    y, groups : (n,) int
    seed : int

    Returns
    -------
    list of Shortcut
        The best first; none where there is one class.
    """
    rows = np.array(sorted(facts), np.intp)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    classes, codes = np.unique(y[rows], return_inverse=True)
    if len(classes) < 2:
        return []
    folds = make_folds(codes, groups[rows], seed)
    dummy = predict_majority(codes, folds)
    tried = []
    for name, (kind, columns) in tabulate_facts([facts[row] for row in rows.tolist()]).items():
        if (columns == columns[0]).all():
            continue
        tried.append((name, kind, predict_by(columns, codes, folds, seed)))
    p_values = adjust_by_holm([mcnemar(dummy == codes, predicted == codes) for _, _, predicted in tried])
    found = []
    for (name, kind, predicted), p_value in zip(tried, p_values, strict=True):
        accuracy = float((predicted == codes).mean())
        of_dummy = float((dummy == codes).mean())
        gain = (accuracy - of_dummy) / max(1 - of_dummy, 1e-9)
        is_warned = p_value < SIGNIFICANT and gain >= LEAST_GAIN[kind]
        found.append(Shortcut(name, accuracy, of_dummy, p_value, is_warned))
    return sorted(found, key=lambda shortcut: -shortcut.accuracy)


def predict_majority(codes: NDArray[np.intp], folds: Sequence[Fold]) -> NDArray[np.intp]:
    """Give the most frequent class of the other folds for each row."""
    predicted = np.full(len(codes), -1, np.intp)
    for train, val in folds:
        predicted[val] = np.bincount(codes[train]).argmax()
    return predicted


def predict_by(
    columns: NDArray[np.float64],
    codes: NDArray[np.intp],
    folds: Sequence[Fold],
    seed: int,
) -> NDArray[np.intp]:
    """Predict each row's class by a tree of the other folds."""
    predicted = np.full(len(codes), -1, np.intp)
    for train, val in folds:
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_LEAF, random_state=seed)
        predicted[val] = tree.fit(columns[train], codes[train]).predict(columns[val])
    return predicted
