"""Choose C and fit on many rows: how featx grows, and what others take for the same values of C on the same split.

    python benchmarks/many_rows.py --out benchmarks/results/many_rows.txt
    python benchmarks/many_rows.py --features cifar100-tiny-layer4.npz --only rivals --clf logreg

Growth: generated features of overlapping classes; one 80/20 split chooses C, and the model is fitted on all rows.
Rivals: scikit-learn, plain torch L-BFGS (logistic regression, float32, all cores) and scikit-learn-intelex where it is
installed in a Python of its own (--intelex PYTHON), each at the values of C that featx tried, then the best one on all
rows; scikit-learn's time at the whole grid is what is asked of a grid search, and is added up from these and from the
values that featx left out with --whole. A features file (.npz) holds X (n, d) float32 and y (n,).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from featx.classifiers.registry import Linear, find_classifier
from featx.classifiers.search import score_path, search_linear
from featx.features.splits import make_folds
from featx.linear.many_rows.cost import count_threads
from featx.linear.many_rows.path import PathSetting
from featx.linear.spaces import fit_scaling
from featx.linear.weighting import UNWEIGHTED, WeightedLabels

ROWS = (5_000, 10_000, 20_000, 50_000)
COLUMNS = (64, 256, 640, 1280)
CLASSES = (10, 100)
MIDDLE = (20_000, 256, 100)
"""Rows, columns and classes that stay where another of them grows."""

TORCH_STEPS = 500


def make_clusters(n: int, d: int, classes: int) -> tuple[Any, Any]:
    """Draw features (n, d) float32 of overlapping classes (n,): about half can be told."""
    draw = np.random.default_rng(0)
    y = draw.permutation(np.arange(n) % classes)
    decay = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    x = draw.standard_normal((n, d), dtype=np.float32)
    x += 0.13 * (256 / d) ** 0.5 * draw.standard_normal((classes, d), dtype=np.float32)[y] * (decay / decay.mean())
    return x * decay, y


def split(y: Any) -> Any:
    """Give the first of five stratified folds, as one that validates."""
    return make_folds(y, np.arange(len(y)), 42)[:1]


def timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Call a function; return seconds of the clock, seconds of all cores, and what it gave."""
    clock = time.perf_counter()
    cores = time.process_time()
    result = function()
    return time.perf_counter() - clock, time.process_time() - cores, result


def search(clf: str, x: Any, y: Any, folds: Any) -> Any:
    """Choose C and fit, as featx does."""
    classifier = find_classifier(clf)
    assert isinstance(classifier, Linear)
    return search_linear({clf: classifier}, x, y, folds)[clf]


def measure_growth(clf: str, show: Callable[[str], None]) -> None:
    """Time featx where rows, columns and classes grow one by one."""
    rows, columns, classes = MIDDLE
    cases = [(n, columns, classes) for n in ROWS]
    cases += [(rows, d, classes) for d in COLUMNS if d != columns]
    cases += [(n, columns, k) for k in CLASSES if k != classes for n in ROWS]
    show(f"\n{clf}: rows x columns x classes, seconds (of all cores), seconds a 10^9 numbers, C, cv accuracy")
    for n, d, k in cases:
        x, y = make_clusters(n, d, k)
        clock, cores, found = timed(lambda: search(clf, x, y, split(y)))  # noqa: B023
        size = n * d * k / 1e9
        show(
            f"{n:>7,} x {d:>5} x {k:>4}  {clock:>7.2f} ({cores:>6.1f})  {clock / size:>7.1f}  "
            f"{found.params['C']:>9.3g}  {found.cv_accuracy:.4f}"
        )


def fit_sklearn(clf: str, x: Any, y: Any, c: float) -> Any:
    """Fit scikit-learn's classifier with its own settings but for the limit on iterations."""
    model = LogisticRegression(C=c, max_iter=1000) if clf == "logreg" else LinearSVC(C=c, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return model.predict


def fit_torch(clf: str, x: Any, y: Any, c: float) -> Any:
    """Fit logistic regression by torch's own L-BFGS, all rows at once in float32."""
    assert clf == "logreg"
    rows = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    labels = torch.from_numpy(np.asarray(y, dtype=np.int64))
    linear = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    optimiser = torch.optim.LBFGS(
        linear.parameters(), max_iter=TORCH_STEPS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(linear(rows), labels)
        loss = loss + (linear.weight**2).sum() / (2 * c * len(rows))
        loss.backward()
        return loss

    optimiser.step(closure)
    return lambda other: linear(torch.from_numpy(other)).argmax(1).detach().numpy()


def measure_rival(
    name: str, fit: Callable[..., Any], data: tuple[str, Any, Any], values: Sequence[float], show: Callable[[str], None]
) -> tuple[float, float]:
    """Time a rival at each C on the training part, and once on all rows: in seconds, and in seconds of all cores."""
    clf, x, y = data
    train, val = split(y)[0]
    scaling = fit_scaling(x[train])
    of_train = scaling.apply(x[train], "float32")
    of_val = scaling.apply(x[val], "float32")
    total = total_cores = 0.0
    best = (0.0, values[0])
    for c in values:
        clock, cores, predict = timed(lambda: fit(clf, of_train, y[train], c))  # noqa: B023
        accuracy = float((predict(of_val) == y[val]).mean())
        best = max(best, (accuracy, c))
        total += clock
        total_cores += cores
        show(f"  {name:<12} C = {c:<9.3g} {clock:>7.2f} s ({cores:.1f} s of all cores)  cv accuracy {accuracy:.4f}")
    whole = fit_scaling(x).apply(x, "float32")
    clock, cores, _ = timed(lambda: fit(clf, whole, y, best[1]))
    total += clock
    total_cores += cores
    show(f"  {name:<12} final fit     {clock:>7.2f} s; in all {total:.1f} s ({total_cores:.1f} s of all cores)")
    return total, total_cores


def measure_rivals(clf: str, x: Any, y: Any, options: Any, show: Callable[[str], None]) -> None:
    """Time featx, then the others at the values that featx tried."""
    classifier = find_classifier(clf)
    assert isinstance(classifier, Linear)
    folds = split(y)
    show(f"\n{clf}: {len(x):,} x {x.shape[1]}, {int(y.max()) + 1} classes, one 80/20 split")
    clock, cores, found = timed(lambda: search(clf, x, y, folds))
    labels = WeightedLabels(y, UNWEIGHTED)
    path = score_path(classifier.values, x, labels, folds, PathSetting(clf, count_threads()))
    values = list(classifier.values) if options.whole else path.values
    tried = ", ".join(f"{value:.3g}" for value in path.values)
    show(f"  featx: {clock:.2f} s ({cores:.1f} s of all cores), C = {found.params['C']:.3g} of {tried}")
    for value, accuracy in zip(path.values, path.scores.accuracy[0], strict=True):
        show(f"  featx        C = {value:<9.3g}            cv accuracy {accuracy:.4f}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show(f"  most memory of this process so far: {memory:.0f} MB")
    rivals: dict[str, Callable[..., Any]] = {"torch": fit_torch} if clf == "logreg" else {}
    rivals["scikit-learn"] = fit_sklearn
    for name, fit in rivals.items():
        if options.rival and name not in options.rival:
            continue
        rival_clock, rival_cores = measure_rival(name, fit, (clf, x, y), values, show)
        show(
            f"  {name}: {rival_clock / clock:.1f} times featx, {rival_cores / cores:.1f} times by the time of all cores"
        )
    if options.intelex:
        measure_intelex(options.intelex, (clf, x, y), values, clock, show)


INTELEX = """
import json, sys, time, warnings
import numpy as np
from sklearnex import patch_sklearn
patch_sklearn(verbose=False)
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
warnings.simplefilter("ignore")
data = np.load(sys.argv[1])
for c in json.loads(sys.argv[3]):
    model = LogisticRegression(C=c, max_iter=1000) if sys.argv[2] == "logreg" else LinearSVC(C=c, max_iter=1000)
    started = time.perf_counter()
    model.fit(data["x"], data["y"])
    seconds = time.perf_counter() - started
    print(json.dumps([c, seconds, float((model.predict(data["v"]) == data["w"]).mean())]), flush=True)
"""


def measure_intelex(
    python: str, data: tuple[str, Any, Any], values: Sequence[float], ours: float, show: Callable[[str], None]
) -> None:
    """Time scikit-learn-intelex in a Python of its own."""
    clf, x, y = data
    train, val = split(y)[0]
    scaling = fit_scaling(x[train])
    file = Path("intelex-rows.npz")
    rows = {"x": scaling.apply(x[train], "float32"), "v": scaling.apply(x[val], "float32")}
    np.savez(file, y=y[train], w=y[val], **rows)
    total = 0.0
    command = [python, "-c", INTELEX, str(file), clf, json.dumps(list(values))]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        c, seconds, accuracy = json.loads(line)
        total += seconds
        show(f"  {'intelex':<12} C = {c:<9.3g} {seconds:>7.2f} s  cv accuracy {accuracy:.4f}")
    show(f"  intelex: {total / ours:.1f} times the time of featx, without a final fit")
    file.unlink()


def main() -> None:
    """Read the options, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, help="an .npz file with X and y; generated features where not given")
    parser.add_argument("--only", choices=["growth", "rivals"])
    parser.add_argument("--clf", action="append", choices=["logreg", "svm"])
    parser.add_argument("--rival", action="append", choices=["torch", "scikit-learn"], help="all where not given")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the generated features that rivals get")
    parser.add_argument("--whole", action="store_true", help="rivals try the whole grid, as a grid search does")
    parser.add_argument("--intelex", metavar="PYTHON", help="a Python that has scikit-learn-intelex")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    show(" ".join(["$ python benchmarks/many_rows.py", *sys.argv[1:]]))
    for clf in options.clf or ["logreg", "svm"]:
        if options.only != "rivals":
            measure_growth(clf, show)
        if options.only != "growth":
            x, y = make_clusters(options.rows, 256, 100)
            if options.features:
                with np.load(options.features) as file:
                    x, y = file["X"], file["y"]
            measure_rivals(clf, x, y, options, show)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
