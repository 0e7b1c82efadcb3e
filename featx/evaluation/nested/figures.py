"""The records of nested cross-validation: what a row and the whole say beyond the figures of any result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class NestedFigures:
    """What is known of a row beyond its figures, which are means over the repeats.

    Attributes
    ----------
    folds, repeats : int
    repeat_accuracies : tuple of float
        Share of the images that each repeat judges correctly.
    fold_accuracies : tuple of tuples of float
        The same of each fold, by repeat.
    spread : float or None
        Standard deviation of the accuracy between repeats; None where there is one.
    nadeau_bengio : tuple of two floats, or None
        Their interval of 95 % as it is often used, far too wide with one repeat; None where there is one fold.
    fold_params : tuple of tuples of dict
        The hyper-parameters that were chosen in each fold, by repeat.
    """

    folds: int
    repeats: int
    repeat_accuracies: tuple[float, ...]
    fold_accuracies: tuple[tuple[float, ...], ...]
    spread: float | None
    nadeau_bengio: tuple[float, float] | None = None
    fold_params: tuple[tuple[dict[str, float], ...], ...] = ()


@dataclass(frozen=True)
class Choice:
    """A row, and in how many outer folds it was chosen."""

    base: str
    layer: str
    pooling: str
    clf: str
    folds: int


@dataclass(frozen=True)
class Procedure:
    """The figures of "let featx choose": in each outer fold the row that is best by cross-validation inside judges it.

    Attributes
    ----------
    n_test : int
        Images judged.
    cv_accuracy : float
        What cross-validation inside said of the rows that it chose; the winner of several looks better than it is.
    test_accuracy, ci_low, ci_high : float
        Accuracy of the procedure, with its 95 % interval.
    balanced_accuracy, macro_f1, calibration_error : float
    chosen : tuple of Choice
        The most frequent ones first.
    nested : NestedFigures
    """

    n_test: int
    cv_accuracy: float
    test_accuracy: float
    ci_low: float
    ci_high: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    chosen: tuple[Choice, ...]
    nested: NestedFigures


@dataclass(frozen=True)
class NestedReport:
    """What nested cross-validation says beyond its rows.

    Attributes
    ----------
    folds, repeats, seed : int
    images : int
        Images judged in the first repeat.
    split : str
        What was divided, and how, in words.
    interval : str
        Which interval the rows have, in words.
    procedure : Procedure
    notes : tuple of str
        What else is to be known, a phrase each.
    """

    folds: int
    repeats: int
    seed: int
    images: int
    split: str
    interval: str
    procedure: Procedure
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: `procedure`, and under `nested` all else."""
        values = asdict(self)
        procedure = values.pop("procedure")
        return {"procedure": procedure, "nested": values}
