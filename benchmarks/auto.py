"""Does `featx auto` end near the best row of the whole ladder? Both judged by nested cross-validation.

    python benchmarks/auto.py DATA... --base B --weights FILE --cache DIR --budget 30m --out benchmarks/results/auto.txt

`auto` runs first. Then what it may try is extracted and cross-validated in full: every cut; all pairs and triples of
the five best cuts; the other poolings and six views of the best layer sets; the MLP on the best features. Rows that
cross-validation within the training part puts on top, the best of each kind, and what `auto` chose are judged by nested
cross-validation of all images: the same five outer folds for each, so differences are paired.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from tabulate import tabulate

from featx.base_choice import BaseChoice
from featx.evaluation.table_row import TableRow
from featx.ladder.candidates import LATE_CLASSIFIER, USUAL_CLASSIFIERS, VIEWS
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features

BEST_CUTS = 5
BEST_SETS = 6
ON_TOP = 8
"""Rows that are judged by nested cross-validation by default, beside the best of each kind."""

POOLINGS = ("avg", "avg+max", "pyramid")
POOLINGS_OF_VIEWS = ("avg", "avg+max")


@dataclass(frozen=True)
class Row:
    """A row of the ladder: what it is, its layers, pooling, views and classifier, and its cross-validated accuracy."""

    kind: str
    layers: str
    pooling: str
    views: int
    clf: str
    cv_accuracy: float = 0.0

    def describe(self) -> str:
        views = f", {self.views} views" if self.views > 1 else ""
        return f"{self.layers} ({self.pooling}{views}), {self.clf}"


def run_auto(data: str, base: BaseChoice, cache: Path, budget: str) -> dict[str, object]:
    """Run `featx auto` as a user does; its JSON."""
    words = ["auto", data, "--base", base.name, "--budget", budget, "--cache", str(cache), "--json", "-q"]
    words += ["--weights", str(base.weights)] if base.weights else []
    words += ["--out", str(cache / "chosen.featx")]
    command = [sys.executable, "-c", "from featx.cli.main import run; run()", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, object] = json.loads(done.stdout)
    return report


def evaluate(
    request: CompareRequest, kind: str, sets: list[str], pooling: str, views: int, clfs: tuple[str, ...]
) -> list[Row]:
    """Cross-validate layer sets within the training part."""
    asked = replace(request, layers=sets, poolings=(pooling,), views=views, test_views=views, classifiers=clfs)
    rows = compare_layer_sets(asked)
    return [Row(kind, row.layer, pooling, views, row.clf, row.cv_accuracy) for row in rows if row.clf in clfs]


def best_sets(rows: list[Row], count: int) -> list[str]:
    """Layer sets in the order of their best rows."""
    ordered = sorted(rows, key=lambda row: -row.cv_accuracy)
    return list(dict.fromkeys(row.layers for row in ordered))[:count]


def climb_everything(request: CompareRequest) -> list[Row]:
    """Cross-validate the whole ladder."""
    singles = [
        Row("single", row.layer, "avg", 1, row.clf, row.cv_accuracy)
        for row in compare_layer_sets(replace(request, poolings=("avg",), classifiers=USUAL_CLASSIFIERS))
        if "+" not in row.layer
    ]
    order = list(dict.fromkeys(row.layers for row in singles))
    cuts = sorted(best_sets(singles, BEST_CUTS), key=order.index)
    extract_features(ExtractRequest(request.data, request.base, order, POOLINGS, cache=request.cache))
    extract_features(
        ExtractRequest(request.data, request.base, order, POOLINGS_OF_VIEWS, cache=request.cache, views=VIEWS)
    )
    mixes = ["+".join(names) for count in (2, 3) for names in combinations(cuts, count)]
    rows = [*singles, *evaluate(request, "mix", mixes, "avg", 1, USUAL_CLASSIFIERS)]
    sets = list(dict.fromkeys([*best_sets(rows, BEST_SETS), *best_sets(singles, 2)]))
    for pooling in POOLINGS[1:]:
        rows += evaluate(request, "pooling", sets, pooling, 1, USUAL_CLASSIFIERS)
    for pooling in POOLINGS_OF_VIEWS:
        rows += evaluate(request, "views", sets, pooling, VIEWS, USUAL_CLASSIFIERS)
    top = max(rows, key=lambda row: row.cv_accuracy)
    return rows + evaluate(request, "mlp", [top.layers], top.pooling, top.views, (LATE_CLASSIFIER,))


def choose_rows(rows: list[Row], chosen: Row, top: int) -> list[Row]:
    """Give the rows to be judged: those on top, the best of each kind, and the chosen one at the end."""
    ordered = sorted(rows, key=lambda row: -row.cv_accuracy)
    firsts = {row.kind: row for row in reversed(ordered)}
    kept = list(dict.fromkeys([*ordered[:top], *firsts.values()]))
    key = (chosen.layers, chosen.pooling, chosen.views, chosen.clf)
    return [row for row in kept if (row.layers, row.pooling, row.views, row.clf) != key] + [chosen]


def judge(request: CompareRequest, row: Row) -> TableRow:
    """Judge a row by nested cross-validation of all images."""
    asked = replace(
        request,
        layers=(row.layers,),
        poolings=(row.pooling,),
        views=row.views,
        test_views=row.views,
        classifiers=(row.clf,),
        nested=5,
    )
    return next(found for found in compare_layer_sets(asked) if found.clf == row.clf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--base", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--budget", default="30m")
    parser.add_argument("--top", type=int, default=ON_TOP, help="rows on top that nested cross-validation judges")
    parser.add_argument("--out", type=Path, help="add the table to this file")
    asked = parser.parse_args()
    base = BaseChoice(asked.base, asked.weights)
    for data in asked.data:
        started = time.perf_counter()
        report = run_auto(data, base, asked.cache, asked.budget)
        picked, held_out = report["chosen"], report["result"]
        assert isinstance(picked, dict)
        assert isinstance(held_out, dict)
        chosen = Row("auto", "+".join(picked["layers"]), picked["pooling"], picked["views"], picked["clf"])
        chosen = replace(chosen, cv_accuracy=held_out["cv_accuracy"])
        request = CompareRequest(data, base, cache=asked.cache)
        rows = climb_everything(request)
        judged = [(row, judge(request, row)) for row in choose_rows(rows, chosen, asked.top)]
        best = max(result.test_accuracy for _, result in judged)
        of_auto = judged[-1][1].test_accuracy
        head = (
            f"{Path(data).name}, {asked.base}: auto {report['seconds']:.0f} s, "
            f"held out {held_out['test_accuracy']:.3f}; nested {of_auto:.4f}, best of {len(rows)} rows {best:.4f}: "
            f"{100 * (best - of_auto):.2f} points ({time.perf_counter() - started:.0f} s in all)"
        )
        lines = [
            [row.kind, row.describe(), f"{row.cv_accuracy:.4f}", f"{result.test_accuracy:.4f}"]
            for row, result in sorted(judged, key=lambda each: -each[1].test_accuracy)
        ]
        text = f"{head}\n\n{tabulate(lines, ['kind', 'row', 'cv', 'nested'], disable_numparse=True)}\n"
        print(text, flush=True)
        if asked.out:
            with asked.out.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


if __name__ == "__main__":
    main()
