"""How features are best scaled for linear classifiers: cross-validated in the training part, never on held-out images.

    python benchmarks/scaling.py DATA... --base B [--weights W] --cache DIR

The layers must be cached (pooling `avg`). Rows as they come and of length one, columns divided by powers of their
standard deviation; each way chooses C as `fit` does. Differences are points of accuracy to standardised columns of rows
as they come, a mean over all cuts with its standard error. Small data sets are gone through with several draws of the
folds. The table is printed and added to benchmarks/results/scaling.txt.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from featx.base_choice import BaseChoice
from featx.classifiers.choice import choose_value
from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.features.catalog import choose_layer_sets, find_base
from featx.features.dataset import list_dataset, load_dataset
from featx.features.scaling import unit_length
from featx.features.splits import make_folds
from featx.linear.cross_validation import cross_validate
from featx.linear.spaces import PARETO
from featx.linear.val_scores import CVScores
from featx.requests import CompareRequest
from featx.store.store import FeatureStore

POWERS = (1.0, 0.75, PARETO, 0.25)
GRID = {name: clf.values for name, clf in CLASSIFIERS.items() if isinstance(clf, Linear)}
ENOUGH = 1000
"""Images that validate for each layer set, over all draws of the folds."""

Ways = dict[tuple[bool, float], list[float]]


def cuts(request: CompareRequest) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]]:
    """Yield features (n, d), classes (n,) and groups (n,) of the training rows, cut by cut."""
    store = FeatureStore(request.cache)
    digests = list_dataset(request).digests
    found = choose_layer_sets(store, find_base(store, request, digests), request, digests)
    rows = load_dataset(request, store, [cut.keys[0] for cut in found])
    train = np.flatnonzero(~rows.test)
    for cut in found:
        yield store.get(cut.keys[0], rows.manifest.digests[train]), rows.y[train], rows.groups[train]


def score_ways(X: NDArray[np.float32], y: NDArray[np.intp], groups: NDArray[np.intp]) -> Ways:
    """Cross-validate every way to scale: points of accuracy of both classifiers, by (length one, power)."""
    ways: Ways = {}
    draws = [make_folds(y, groups, seed) for seed in range(math.ceil(ENOUGH / len(y)))]
    for is_unit in (False, True):
        rows = unit_length(X) if is_unit else X
        for power in POWERS:
            cv_scores = [cross_validate(rows, y, folds, GRID, power=power) for folds in draws]
            ways[is_unit, power] = [mean_points(name, [scores[name] for scores in cv_scores]) for name in GRID]
    return ways


def mean_points(name: str, draws: list[CVScores]) -> float:
    """Average the accuracy at the C chosen in each draw of the folds, in points."""
    accuracies = [scores.accuracy.mean(axis=0)[choose_value(name, scores)] for scores in draws]
    return 100 * float(np.mean(accuracies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--base", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    every: list[Ways] = []
    for data in options.data:
        request = CompareRequest(
            data, BaseChoice(options.base, options.weights), poolings=("avg",), cache=options.cache
        )
        every += [score_ways(*cut) for cut in cuts(request)]
    lines = []
    for way in every[0]:
        gains = np.array([ways[way] for ways in every]) - [ways[False, 1.0] for ways in every]
        errors = gains.std(axis=0) / len(gains) ** 0.5
        words = [f"{gain:+.2f} ± {error:.2f}" for gain, error in zip(gains.mean(axis=0), errors, strict=True)]
        lines.append(["of length one" if way[0] else "as they come", way[1], *words])
    names = ", ".join(Path(data).name for data in options.data)
    table = tabulate(lines, ["rows", "power", *GRID], tablefmt="github", disable_numparse=True)
    text = f"{options.base}; {names}; {len(every)} cuts\n{table}\n\n"
    print(text)
    with (Path(__file__).parent / "results" / "scaling.txt").open("a") as file:
        file.write(text)


if __name__ == "__main__":
    main()
