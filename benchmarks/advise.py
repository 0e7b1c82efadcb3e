"""How good the advice is: rank correlation of each score with test accuracy, and what following the advice loses.

Usage: python benchmarks/advise.py DATA... --base B [--weights W] --cache DIR

The layers must be cached. Two ways are judged: with everything cached, where cross-validation
decides, and with an empty cache, where scores on a sample of images do. With `--time N` nothing is
judged: whole processes of `featx advise` and `featx compare --refit --clf logreg --clf svm` are timed
in N pairs, one after the other, and the medians of seconds and of their ratio are printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tabulate import tabulate

from featx.base_choice import BaseChoice
from featx.requests import CompareRequest
from featx.workflows.advise import Advice, advise_layer
from featx.workflows.compare import compare_layer_sets

SCORES = {
    "LogME": lambda one: one.logme,
    "H-score": lambda one: one.h_score,
    "5-NN": lambda one: one.knn_accuracy,
    "cross-validation": lambda one: one.best,
}


def measure(request: CompareRequest) -> dict[str, float]:
    """Test accuracy of each cached layer, by the linear classifier that cross-validation prefers."""
    best: dict[str, tuple[float, float]] = {}
    for row in compare_layer_sets(replace(request, classifiers=("logreg", "svm"))):
        best[row.layer] = max(best.get(row.layer, (0.0, 0.0)), (row.cv_accuracy, row.test_accuracy))
    return {layer: test for layer, (_, test) in best.items()}


def correlations(advice: Advice, truth: dict[str, float]) -> list[str]:
    layers = [one for one in advice.layers if one.layer in truth]
    measured = [truth[one.layer] for one in layers]
    return [f"{spearmanr([score(one) for one in layers], measured).statistic:.2f}" for score in SCORES.values()]


def time_command(verb: str, words: list[str]) -> float:
    """Seconds of a whole process."""
    command = [sys.executable, "-c", "from featx.cli.main import run; run()", verb, *words, "-q"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def time_pairs(words: list[str], pairs: int) -> list[str]:
    """Medians of seconds of `advise` and of `compare`, and of the ratio of each pair."""
    seconds = []
    for _ in range(pairs):
        advise = time_command("advise", words)
        compare = time_command("compare", [*words, "--refit", "--clf", "logreg", "--clf", "svm"])
        seconds.append((advise, compare, advise / compare))
    return [f"{statistics.median(column):.2f}" for column in zip(*seconds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--base", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--time", type=int, metavar="N")
    asked = parser.parse_args()
    lines = []
    if asked.time:
        for data in asked.data:
            words = [data, "--base", asked.base, "--cache", str(asked.cache)]
            words += ["--weights", asked.weights] if asked.weights else []
            lines.append([Path(data).name, *time_pairs(words, asked.time)])
        print(tabulate(lines, ["data", "advise s", "compare s", "ratio"], tablefmt="github", disable_numparse=True))
        return
    for data in asked.data:
        request = CompareRequest(data, BaseChoice(asked.base, asked.weights), poolings=("avg",), cache=asked.cache)
        truth = measure(request)
        best = max(truth, key=truth.__getitem__)
        with tempfile.TemporaryDirectory() as empty:
            ways = {"cached": advise_layer(request), "a sample": advise_layer(replace(request, cache=Path(empty)))}
        for way, advice in ways.items():
            single = advice.rungs[0].layer if advice.rungs else advice.layer
            lost = f"{100 * (truth[best] - truth.get(single, np.nan)):.1f}"
            similarity = "" if advice.similarity is None else f"{advice.similarity:.2f}"
            named = [Path(data).name, way, similarity, single, best, lost]
            lines.append([*named, *correlations(advice, truth)])
    headings = ["data", "judged on", "similarity", "advised", "best", "points lost", *SCORES]
    print(tabulate(lines, headings, tablefmt="github", disable_numparse=True))
    print("\nColumns of scores: Spearman's rank correlation with test accuracy over the layers.")


if __name__ == "__main__":
    main()
