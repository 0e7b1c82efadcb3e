"""The record of one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

TUNED = ("head", "finetuned")
"""What fine-tuning calls its two phases in the column of classifiers."""


@dataclass(frozen=True)
class Result:
    """The record of one evaluation.

    Attributes
    ----------
    base, layer, pooling, clf : str
    dim : int
        Numbers in a feature.
    n_train, n_test : int
        Images trained on and held out.
    cv_accuracy : float
        Of the chosen hyper-parameters, over the folds of the training part; for what was fine-tuned, on the part of
        it that chose the epoch.
    test_accuracy, ci_low, ci_high : float
        On the held-out part, with its 95 % interval (Wilson).
    macro_f1 : float
        On the held-out part, the mean over classes.
    fit_seconds : float
        Search and refit together.
    params : dict
        The hyper-parameters that were chosen.
    balanced_accuracy : float
        The mean over classes of the share that was found.
    top5_accuracy : float or None
        Where there are ten classes or more.
    calibration_error : float
        Expected calibration error, 15 bins: how far probabilities lie from the share that is right.
    p_value : float or None
        Exact McNemar test against the best row on the same held-out images; None where nothing was compared.
    megabytes : float or None
        Room on disk of the layer's features, in 10^6 bytes.
    ms_per_image : float or None
        What an image cost to extract: the share of this layer among those that were extracted together.
    views, test_views : int
        Views of each image that were trained on, and averaged to judge one.
    recalled : bool
        Whether this is the record of an earlier run.
    """

    base: str
    layer: str
    pooling: str
    clf: str
    dim: int
    n_train: int
    n_test: int
    cv_accuracy: float
    test_accuracy: float
    ci_low: float
    ci_high: float
    macro_f1: float
    fit_seconds: float
    params: dict[str, float]
    balanced_accuracy: float
    top5_accuracy: float | None
    calibration_error: float
    p_value: float | None = None
    megabytes: float | None = None
    ms_per_image: float | None = None
    views: int = 1
    test_views: int = 1
    recalled: bool = field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def best(results: Sequence[Result]) -> Result:
    """Pick the winner by cross-validated accuracy: the held-out part judges, it does not choose.

    Rows of fine-tuning are passed over where there are others: they are validated on one small part that also chose
    the epoch, which flatters them.
    """
    crossed = [result for result in results if result.clf not in TUNED]
    return max(crossed or results, key=lambda result: result.cv_accuracy)
