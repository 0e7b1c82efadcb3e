"""What the interval of nested cross-validation covers, with a classifier that costs a millisecond a data set.

    python benchmarks/interval.py --sims 1000 --out benchmarks/results/interval.txt

Data sets are made as in `nested.py`, and judged by ridge regression on class indicators and by the nine nearest
neighbours, in five folds, with no choice inside. Nothing of featx takes part but the interval, so thousands of data
sets take minutes; `nested.py` goes through all of featx, a second and more each. True is the accuracy, on 2,000 fresh
images, of the model of all images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
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

NEIGHBOURS = 9

MORE_SCENARIOS = (
    # All columns are informative: the rule is learnt soonest.
    Scenario("strong rule", 100, 5, 2, 0.1),
    Scenario("strong rule", 300, 100, 4, 0.1),
    Scenario("strong rule", 400, 50, 10, 0.1),
    Scenario("strong rule", 800, 50, 4, 0.1),
    Scenario("weak rule", 200, 200, 2, 0.5),
    Scenario("weak rule", 400, 100, 2, 1.0),
    Scenario("shuffled labels", 300, 20, 4, None),
)

Judge = Callable[[Made, NDArray[np.float32], int], NDArray[np.intp]]
"""Training rows, rows to be judged and the number of classes in; the classes of those rows out."""


def judge_by_ridge(train: Made, X: NDArray[np.float32], classes: int) -> NDArray[np.intp]:
    """Judge rows by ridge regression on class indicators: the class of each, (n,)."""
    indicators = (train.y[:, None] == np.arange(classes)).astype(np.float64)
    mean = train.X.mean(axis=0)
    centred = (train.X - mean).astype(np.float64)
    moments = centred.T @ centred + PENALTY * np.eye(X.shape[1])
    weights = np.linalg.solve(moments, centred.T @ (indicators - indicators.mean(axis=0)))
    return np.asarray(((X - mean) @ weights + indicators.mean(axis=0)).argmax(axis=1))


def judge_by_neighbours(train: Made, X: NDArray[np.float32], classes: int) -> NDArray[np.intp]:
    """Judge rows by the nearest training rows by cosine, the closer ones first where classes have as many."""
    mean = train.X.mean(axis=0)
    known, asked = train.X - mean, X - mean
    known, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (known, asked))
    closeness = asked @ known.T
    nearest = np.argpartition(-closeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    votes = np.zeros((len(X), classes))
    for place in nearest.T:
        rows = np.arange(len(X))
        votes[rows, train.y[place]] += 1 + 1e-3 * closeness[rows, place]
    return np.asarray(votes.argmax(axis=1))


METHODS = {"ridge": judge_by_ridge, "neighbours": judge_by_neighbours}


def cross_validate(made: Made, judge: Judge, classes: int, rng: np.random.Generator) -> float:
    """Give the share of rows that models of the other folds judge rightly."""
    fold = np.empty(len(made.y), np.intp)
    for code in range(classes):
        of_class = rng.permutation(np.flatnonzero(made.y == code))
        fold[of_class] = np.arange(len(of_class)) % FOLDS
    right = 0
    for place in range(FOLDS):
        is_out = fold == place
        train = Made(made.X[~is_out], made.y[~is_out])
        right += int((judge(train, made.X[is_out], classes) == made.y[is_out]).sum())
    return right / len(made.y)


def run_trial(scenario: Scenario, judge: Judge, number: int) -> tuple[float, float]:
    """Judge one data set: the accuracy by cross-validation, and that of the model of all images."""
    rng = np.random.default_rng([SEED, number])
    weights = rng.standard_normal((5, scenario.classes)) / 5**0.5
    made = draw(scenario, weights, scenario.images, rng)
    repeats = [cross_validate(made, judge, scenario.classes, rng) for _ in range(scenario.repeats)]
    accuracy = float(np.mean(repeats))
    if scenario.noise is None:
        return accuracy, 1 / scenario.classes
    fresh: Made = draw(scenario, weights, FRESH, rng)
    return accuracy, float((judge(made, fresh.X, scenario.classes) == fresh.y).mean())


def describe(scenario: Scenario, method: str, sims: int) -> str:
    """Write one line of the table."""
    trials = np.array([run_trial(scenario, METHODS[method], number) for number in range(sims)])
    resampling = Resampling(scenario.images, 1 / scenario.classes, FOLDS, scenario.repeats)
    bounds = np.array([corrected_interval(accuracy, resampling) for accuracy in trials[:, 0]])
    truth = trials[:, 1]
    below, above = truth < bounds[:, 0], truth > bounds[:, 1]
    covered = 100 * (1 - below.mean() - above.mean())
    name = f"{scenario.name}, {scenario.images} x {scenario.columns}, {scenario.classes}"
    folds = f"{FOLDS} x {scenario.repeats}"
    bias = 100 * (trials[:, 0] - truth).mean()
    half = 50 * (bounds[:, 1] - bounds[:, 0]).mean()
    misses = f"{100 * below.mean():.1f} + {100 * above.mean():.1f}"
    row = f"{method:10}   {name:30}   {folds}   {truth.mean():.3f}   {bias:+5.1f}   {covered:5.1f} %"
    return f"{row}   {misses:>11}   {half:5.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000, help="data sets of each scenario")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    scenarios = [*SCENARIOS, *MORE_SCENARIOS]
    with one_thread():
        rows = [describe(scenario, method, options.sims) for method in METHODS for scenario in scenarios]
    lines = [
        f"{options.sims} data sets a scenario; bias and half-width of the 95 % interval in points, misses in percent:",
        "truths below + above it",
        "judged by    labels, images x columns, classes folds   truth    bias   coverage        misses      +-",
        *rows,
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
