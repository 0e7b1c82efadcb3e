"""Is nested cross-validation unbiased, and does its interval cover what it says? Beside it, one held-out quarter.

    python benchmarks/nested.py --sims 200 --out benchmarks/results/nested.txt
    python benchmarks/nested.py --sims 200 --clf svm --only 1 3

Data sets are made of normal numbers with as many images of each class. Their labels are shuffled, or the class with the
greatest of several linear scores, with noise. Two layers (all columns, and half of them) are judged with one
classifier, by the code of featx itself: folds, search, pooling, the procedure "let featx choose". True is the accuracy,
on 4,000 fresh images, of the row that is chosen and trained on all images, another one in every data set. The mean
truth of the models of the folds is given beside it; with labels that say nothing, both are chance.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.search import search
from featx.classifiers.to_arrays import as_classifier
from featx.data.listing import DigestedListing, Listing
from featx.data.sources.image_files import ON_DISK
from featx.evaluation.metrics import wilson
from featx.evaluation.nested.evaluations import NestedRow
from featx.evaluation.nested.folds import OuterFolds, make_outer_folds
from featx.evaluation.nested.procedure import judge_procedure
from featx.evaluation.protocol import Subject, Training, make_evaluation
from featx.evaluation.result import Evaluation, best
from featx.features.catalog import LayerSet
from featx.features.dataset import Dataset
from featx.features.splits import hold_out, make_folds
from featx.linear.lapack import one_thread

SEED = 42
FRESH = 4000
INFORMATIVE = 5
"""Columns that scores are made of."""


@dataclass(frozen=True)
class Scenario:
    """Made data sets of one kind: `noise` is None where labels are shuffled."""

    name: str
    images: int
    columns: int
    classes: int
    noise: float | None
    repeats: int = 1


SCENARIOS = (
    Scenario("shuffled labels", 100, 20, 2, None),
    Scenario("weak rule", 100, 20, 2, 1.5),
    Scenario("strong rule", 100, 20, 2, 0.1),
    Scenario("shuffled labels", 60, 30, 3, None),
    Scenario("strong rule", 60, 30, 3, 0.1),
    Scenario("strong rule", 300, 20, 4, 0.1),
    Scenario("shuffled labels", 60, 20, 2, None, repeats=5),
    Scenario("strong rule", 60, 20, 2, 0.1, repeats=5),
)


@dataclass(frozen=True)
class Made:
    """A made data set: X is (n, d) float32, y is (n,) int."""

    X: NDArray[np.float32]
    y: NDArray[np.intp]


def draw(scenario: Scenario, weights: NDArray[np.float64], images: int, rng: np.random.Generator) -> Made:
    """Draw images, as many of each class."""
    each = images // scenario.classes
    if scenario.noise is None:
        y = np.repeat(np.arange(scenario.classes), each)
        return Made(rng.standard_normal((len(y), scenario.columns)).astype(np.float32), y)
    parts: list[list[NDArray[np.float32]]] = [[] for _ in range(scenario.classes)]
    while min(map(len, parts)) < each:
        X = rng.standard_normal((images, scenario.columns)).astype(np.float32)
        scores = X[:, :INFORMATIVE] @ weights
        y = (scores + scenario.noise * rng.standard_normal(scores.shape)).argmax(axis=1)
        for row, code in zip(X, y, strict=True):
            parts[code].append(row)
    X = np.concatenate([np.array(part[:each]) for part in parts])
    return Made(X, np.repeat(np.arange(scenario.classes), each))


def as_dataset(made: Made) -> Dataset:
    """Give a made data set as featx lists one."""
    n = len(made.y)
    names = [str(row) for row in range(n)]
    listing = Listing("made", names, names, [""] * n, ON_DISK)
    manifest = DigestedListing(listing, np.zeros((n, 32), np.uint8))
    return Dataset(manifest, [str(code) for code in np.unique(made.y)], made.y, np.arange(n), np.zeros(n, bool))


def judge(
    clf: str, X: NDArray[np.float32], dataset: Dataset, seed: int, fresh: Made | None
) -> tuple[Evaluation, float]:
    """Train on the training rows as featx does; the evaluation of the held-out rows, and the accuracy on fresh ones."""
    train = dataset.train
    folds = make_folds(dataset.y[train], dataset.groups[train], seed)
    fitted = search([clf], X[train], dataset.y[train], folds, seed)[clf]
    classifier = as_classifier(fitted.model, 1.0)
    training = Training(int(train.sum()), fitted.cv_accuracy, fitted.seconds, fitted.params)
    subject = Subject("made", f"{X.shape[1]} columns", "avg", clf, X.shape[1])
    held_out = dataset.test if dataset.test.any() else train
    evaluation = make_evaluation(subject, training, dataset.y[held_out], classifier.predict(X[held_out]), None)
    if fresh is None:
        return evaluation, 1 / len(dataset.classes)
    return evaluation, float((classifier.predict(fresh.X[:, : X.shape[1]])[0] == fresh.y).mean())


@dataclass(frozen=True)
class Trial:
    """Of one data set: estimate, lower and upper bound by either way, and what is true of either."""

    nested: tuple[float, float, float]
    held_out: tuple[float, float, float]
    nested_truth: float
    folds_truth: float
    held_out_truth: float


def run_trial(scenario: Scenario, clf: str, number: int, fresh_images: int = FRESH) -> Trial:
    rng = np.random.default_rng([SEED, number])
    weights = rng.standard_normal((INFORMATIVE, scenario.classes)) / INFORMATIVE**0.5
    made = draw(scenario, weights, scenario.images, rng)
    fresh = None if scenario.noise is None else draw(scenario, weights, fresh_images, rng)
    dataset = as_dataset(made)
    layers = [made.X, made.X[:, : scenario.columns // 2]]
    outer = make_outer_folds(dataset, 5, scenario.repeats, SEED)
    of_layers = [[list(judge_folds(clf, X, outer, repeat, fresh)) for repeat in range(outer.repeats)] for X in layers]
    rows = [NestedRow(LayerSet(()), [[each for each, _ in folds] for folds in of_layer]) for of_layer in of_layers]
    # Each fold has a choice of its own.
    truths = [
        pick([of_layer[repeat][fold] for of_layer in of_layers])[1]
        for repeat in range(outer.repeats)
        for fold in range(len(of_layers[0][repeat]))
    ]
    procedure = judge_procedure(rows, outer)
    everything = [judge(clf, X, dataset, SEED, fresh) for X in layers]
    test = hold_out(made.y, dataset.groups, SEED)
    single = [judge(clf, X, replace(dataset, test=test), SEED, fresh) for X in layers]
    chosen, held_out_truth = pick(single)
    hits = round(chosen.result.test_accuracy * chosen.result.n_test)
    return Trial(
        (procedure.test_accuracy, procedure.ci_low, procedure.ci_high),
        (chosen.result.test_accuracy, *wilson(hits, chosen.result.n_test)),
        pick(everything)[1],
        float(np.mean(truths)),
        held_out_truth,
    )


def judge_folds(
    clf: str, X: NDArray[np.float32], outer: OuterFolds, repeat: int, fresh: Made | None
) -> Iterator[tuple[Evaluation, float]]:
    for mask in outer.list_masks(repeat):
        yield judge(clf, X, replace(outer.dataset, test=mask), SEED + repeat, fresh)


def pick(judged: Sequence[tuple[Evaluation, float]]) -> tuple[Evaluation, float]:
    """Pick the evaluation that is best by cross-validation, and its truth."""
    winner = best([evaluation.result for evaluation, _ in judged])
    return next(pair for pair in judged if pair[0].result is winner)


def describe(estimates: Sequence[tuple[float, float, float]], truths: NDArray[np.float64]) -> str:
    """Write bias with its standard error, coverage and half-width."""
    table = np.array(estimates)
    errors = table[:, 0] - truths
    covered = (table[:, 1] <= truths) & (truths <= table[:, 2])
    half = (table[:, 2] - table[:, 1]).mean() / 2
    bias = 100 * errors.mean()
    error = 100 * errors.std(ddof=1) / len(errors) ** 0.5
    return f"{bias:+5.1f} +- {error:.1f}   {100 * covered.mean():5.1f} %   {100 * half:5.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=200, help="data sets of each scenario")
    parser.add_argument("--clf", default="logreg")
    parser.add_argument("--only", type=int, nargs="*", help="places of scenarios, from 1")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [
        f"{options.sims} data sets a scenario, {options.clf}; bias and half-width of the 95 % interval in points",
        "labels, images x columns, classes          truth   judged by         bias          coverage  +-",
    ]
    print("\n".join(lines))
    for place, scenario in enumerate(SCENARIOS, start=1):
        if options.only and place not in options.only:
            continue
        started = time.perf_counter()
        with one_thread():
            trials = [run_trial(scenario, options.clf, number) for number in range(options.sims)]
        name = f"{scenario.name}, {scenario.images} x {scenario.columns}, {scenario.classes}"
        nested = [trial.nested for trial in trials]
        held_out = [trial.held_out for trial in trials]
        own = np.array([trial.nested_truth for trial in trials])
        of_folds = np.array([trial.folds_truth for trial in trials])
        single = np.array([trial.held_out_truth for trial in trials])
        lines += [
            f"{name:40}   {own.mean():.3f}   nested 5 x {scenario.repeats}       {describe(nested, own)}",
            f"{'':40}   {of_folds.mean():.3f}     of its folds     {describe(nested, of_folds)}",
            f"{'':40}   {single.mean():.3f}   held-out quarter {describe(held_out, single)}",
        ]
        print("\n".join(lines[-3:]), f"  ({time.perf_counter() - started:.0f} s)", flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
