"""What the interval of nested cross-validation covers, with a classifier that costs a millisecond a data set.

    python benchmarks/interval.py --sims 1000 --out benchmarks/results/interval.txt

Data sets are made as in `nested.py`, and judged by ridge regression on class indicators, in five folds, with no choice
inside. Nothing of featx takes part but the interval, so thousands of data sets take seconds; `nested.py` goes through
all of featx, a second and more each. True is the accuracy, on 2,000 fresh images, of the model of all images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from nested import SCENARIOS, Made, Scenario, draw
from numpy.typing import NDArray

from featx.evaluation.nested.interval import Resampling, corrected_interval
from featx.linear.lapack import one_thread

SEED = 42
FOLDS = 5
FRESH = 2000
PENALTY = 1.0

STRONG_AND_NARROW = Scenario("strong rule", 100, 5, 2, 0.1)
"""All columns are informative: the rule is learnt soonest."""


def fit(X: NDArray[np.float64], y: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
    """Fit ridge regression on class indicators: weights of the columns and, last, intercepts; (d + 1, k)."""
    indicators = (y[:, None] == np.arange(classes)).astype(np.float64)
    mean = X.mean(axis=0)
    centred = X - mean
    moments = centred.T @ centred + PENALTY * np.eye(X.shape[1])
    weights = np.linalg.solve(moments, centred.T @ (indicators - indicators.mean(axis=0)))
    return np.vstack([weights, indicators.mean(axis=0) - mean @ weights])


def rate(model: NDArray[np.float64], X: NDArray[np.float64], y: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Say which rows a model judges rightly, (n,)."""
    return np.asarray((X @ model[:-1] + model[-1]).argmax(axis=1) == y)


def run_trial(scenario: Scenario, number: int) -> tuple[float, float]:
    """Judge one data set: the accuracy by cross-validation, and that of the model of all images."""
    rng = np.random.default_rng([SEED, number])
    weights = rng.standard_normal((5, scenario.classes)) / 5**0.5
    made = draw(scenario, weights, scenario.images, rng)
    X, y = made.X.astype(np.float64), made.y
    fold = np.empty(len(y), np.intp)
    for code in range(scenario.classes):
        of_class = rng.permutation(np.flatnonzero(y == code))
        fold[of_class] = np.arange(len(of_class)) % FOLDS
    right = 0
    for place in range(FOLDS):
        is_out = fold == place
        right += int(rate(fit(X[~is_out], y[~is_out], scenario.classes), X[is_out], y[is_out]).sum())
    if scenario.noise is None:
        return right / len(y), 1 / scenario.classes
    fresh: Made = draw(scenario, weights, FRESH, rng)
    truth = rate(fit(X, y, scenario.classes), fresh.X.astype(np.float64), fresh.y).mean()
    return right / len(y), float(truth)


def describe(scenario: Scenario, sims: int) -> str:
    """Write one line of the table."""
    trials = np.array([run_trial(scenario, number) for number in range(sims)])
    resampling = Resampling(scenario.images, 1 / scenario.classes, FOLDS)
    bounds = np.array([corrected_interval(accuracy, resampling) for accuracy in trials[:, 0]])
    truth = trials[:, 1]
    below, above = truth < bounds[:, 0], truth > bounds[:, 1]
    covered = 100 * (1 - below.mean() - above.mean())
    name = f"{scenario.name}, {scenario.images} x {scenario.columns}, {scenario.classes}"
    bias = 100 * (trials[:, 0] - truth).mean()
    half = 50 * (bounds[:, 1] - bounds[:, 0]).mean()
    misses = f"{100 * below.mean():.1f} + {100 * above.mean():.1f}"
    return f"{name:30}   {truth.mean():.3f}   {bias:+5.1f}   {covered:5.1f} %   {misses:>11}   {half:5.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000, help="data sets of each scenario")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    scenarios = [STRONG_AND_NARROW, *(each for each in SCENARIOS if each.repeats == 1)]
    with one_thread():
        rows = [describe(scenario, options.sims) for scenario in scenarios]
    lines = [
        f"{options.sims} data sets a scenario, ridge regression, 5 folds; bias and half-width of the 95 % interval in",
        "points, misses in percent: truths below + above it",
        "labels, images x columns, classes   truth   bias   coverage      misses       +-",
        *rows,
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
