"""How good the choice itself is: made again in outer folds, each of which judges images that it never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from joblib import cpu_count, parallel_config

from featx.evaluation.evaluate import evaluate_layer_set
from featx.evaluation.nested.interval import Resampling, corrected_interval, count_independent
from featx.features.splits import make_folds
from featx.ladder.bench import Bench, Rows, take_rows
from featx.ladder.candidates import Candidate
from featx.types import Progress, RowNumbers

FEW_IMAGES = 1000
"""Images below which a quarter of them says little, so that the procedure is estimated on all."""


@dataclass(frozen=True)
class ProcedureEstimate:
    """How often the choice, made again without some images, labels these right.

    Attributes
    ----------
    accuracy : float
        Share of all images that are labelled right, each once, by what was chosen without its fold.
    ci_low, ci_high : float
        95 % interval.
    images, folds : int
    chosen : dict of str to int
        What was chosen, in words, and in how many folds.
    seconds : float or None
    """

    accuracy: float
    ci_low: float
    ci_high: float
    images: int
    folds: int
    chosen: dict[str, int]
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def estimate_procedure(
    bench: Bench, seed: int, choose: Callable[[Rows], Candidate], progress: Progress | None = None
) -> ProcedureEstimate:
    """Choose anew in each of the outer folds over all images, fit there, and judge the images left out.

    Parameters
    ----------
    bench : Bench
    seed : int
        Of the folds.
    choose : callable
        The choice, as a function of rows.
    progress : callable, optional
        Called with the number of folds done and to be done.
    """
    dataset = bench.dataset
    folds = make_folds(dataset.y, dataset.groups, seed)
    is_right = np.zeros(len(dataset.y), bool)
    is_judged = np.zeros(len(dataset.y), bool)
    chosen: Counter[str] = Counter()
    for number, (train, val) in enumerate(folds, 1):
        candidate = choose(take_rows(dataset, train, seed))
        chosen[candidate.describe()] += 1
        is_right[val] = judge(bench, candidate, val)
        is_judged[val] = True
        if progress:
            progress(number, len(folds))
    right = is_right[is_judged]
    truth = dataset.y[is_judged]
    accuracy = float(right.mean())
    independent = count_independent(right, dataset.groups[is_judged])
    low, high = corrected_interval(accuracy, Resampling(independent, np.bincount(truth).max() / len(truth), len(folds)))
    return ProcedureEstimate(
        round(accuracy, 6), round(low, 6), round(high, 6), len(truth), len(folds), dict(chosen.most_common())
    )


def judge(bench: Bench, candidate: Candidate, held_out: RowNumbers) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Train a candidate on all images but some, by the protocol of `fit`, and say which of these it labels right.

    The result is kept as every evaluation is.
    """
    comparison = bench.find_comparison(candidate.features)
    test = np.zeros(len(comparison.dataset.y), bool)
    test[held_out] = True
    outer = replace(comparison, classifiers=[candidate.clf], dataset=replace(comparison.dataset, test=test))
    with parallel_config("threading", n_jobs=cpu_count()):
        (evaluation,) = evaluate_layer_set(outer, bench.find_layer_set(candidate.features))
    truth = comparison.dataset.y[test]
    return np.asarray(evaluation.predictions.classes == truth)


def predict_seconds(measured: Sequence[tuple[float, float]], folds: int) -> float:
    """Predict what the estimate takes: all trials once more in every fold, and a fit that takes as long as the longest.

    Parameters
    ----------
    measured : sequence of (work, seconds)
        Of every trial so far.
    folds : int
    """
    seconds = [of_trial for _, of_trial in measured]
    return folds * (sum(seconds) + max(seconds, default=0.0))
