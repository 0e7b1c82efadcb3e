"""Cross-validate as scikit-learn's grid search does, and with featx's solvers, side by side on the same folds.

    python benchmarks/fit.py --features flowers17.npz --out results/fit
    python benchmarks/fit.py --only wide --only tall --quick
    python benchmarks/fit.py --quick --against ../featx-before --rounds 3

A features file (.npz or .h5) holds `y` (or `labels`) and one array a layer. Without one, only generated data are used:
wide (3680 x 2048, 37 classes), maps (1020 x 62720, 17 classes), tall (50000 x 512, 10 classes).
Scikit-learn's SVM takes minutes a layer, and most of an hour on the last one of Flowers-17; --quick takes two folds and
three values of C. What is timed is scikit-learn with its own settings. Accuracies are compared with those and, since
both of its classifiers stop far from the optimum where C is large (see results/fit.md), with converged solutions, which
are not timed: its logistic regression at tight tolerance, and its SVM's objective solved exactly by Newton's method.

--against times featx alone, as it is here and as it is in another working tree (`git worktree add`), each in a process
of its own and in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from featx.linear.cross_validation import cross_validate
from featx.linear.fit import fit_linear

GENERATED = {"wide": (3680, 2048, 37, 200), "maps": (1020, 62720, 17, 400), "tall": (50_000, 512, 10, 60)}
POWER = 1.0
"""Power of the standard deviation that columns are divided by: both standardise here, as scikit-learn does."""

VALUES = {"logreg": np.logspace(-4, 2, 13).tolist(), "svm": np.logspace(-4, 2, 7).tolist()}

HESSIAN = 2000
"""Largest number of weights for which scikit-learn's Newton method is the reference."""

REACHABLE = {"logreg": 10_000_000, "svm": 2_000_000}
"""Largest feature matrix, in numbers, for which the converged solution is computed: others would take hours."""


@dataclass(frozen=True)
class Case:
    """A feature matrix (n, d) float32 with labels (n,) int64."""

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds of wall clock, differences in points of accuracy."""

    case: str
    clf: str
    shape: str
    values: int
    folds: int
    featx_seconds: float
    sklearn_seconds: float
    ratio: float
    cv_difference: float
    cv_difference_to_converged: float | None
    featx_test: float
    sklearn_test: float


def generate(name: str) -> Case:
    """Draw features of low rank plus noise, classes apart in a few directions."""
    n, d, classes, rank = GENERATED[name]
    draw = np.random.default_rng(0)
    y = np.arange(n) % classes
    factors = draw.standard_normal((n, rank), dtype=np.float32)
    factors += 0.45 * draw.standard_normal((classes, rank), dtype=np.float32)[y]
    mix = (
        draw.standard_normal((rank, d), dtype=np.float32) * (np.arange(1, rank + 1, dtype=np.float32) ** -0.5)[:, None]
    )
    x = factors @ mix
    x += 0.5 * draw.standard_normal((n, d), dtype=np.float32)
    return Case(name, x, y)


def read(path: Path) -> Iterator[Case]:
    """Read every layer of a features file."""
    with np.load(path) if path.suffix == ".npz" else h5py.File(path, "r") as file:
        names = list(file)
        key = "y" if "y" in names else "labels"
        y = np.unique(np.asarray(file[key]), return_inverse=True)[1]
        for name in names:
            if name != key and np.asarray(file[name]).ndim == 2:
                yield Case(name, np.asarray(file[name], dtype=np.float32), y)


def reference(clf: str, c: float | None = None) -> Any:
    """Build scikit-learn's pipeline, with its own defaults but for the limit on iterations."""
    c = 1.0 if c is None else c
    model = LogisticRegression(C=c, max_iter=10_000) if clf == "logreg" else LinearSVC(C=c, max_iter=10_000)
    return make_pipeline(StandardScaler(), model)


def measure(case: Case, clf: str, quick: bool) -> Row:
    """Time both on one case: ours first and again after scikit-learn, the faster of the two counts."""
    train, test = split(case)
    x, y = case.x[train], case.y[train]
    folds, values = choose_work(x, y, clf, quick)
    featx_seconds, scores = time_featx(clf, x, y, folds, values)
    start = time.perf_counter()
    sklearn_scores = grid_search(x, y, folds, values, reference(clf))
    sklearn_seconds = time.perf_counter() - start
    difference = largest_difference(scores, sklearn_scores)
    difference_to_converged = None
    if not quick and x.size <= REACHABLE[clf]:
        converged_scores = grid_search(x, y, folds, values, converged(clf, x, y))
        difference_to_converged = largest_difference(scores, converged_scores)
    featx_seconds = min(featx_seconds, time_featx(clf, x, y, folds, values)[0])
    model = fit_linear(x, y, clf, values[int(scores.argmax())], power=POWER)
    sklearn_model = reference(clf, values[int(sklearn_scores.argmax())]).fit(x, y)
    return Row(
        case=case.name,
        clf=clf,
        shape=f"{x.shape[0]} x {x.shape[1]}",
        values=len(values),
        folds=len(folds),
        featx_seconds=round(featx_seconds, 3),
        sklearn_seconds=round(sklearn_seconds, 3),
        ratio=round(sklearn_seconds / featx_seconds, 1),
        cv_difference=difference,
        cv_difference_to_converged=difference_to_converged,
        featx_test=round(100 * float(np.mean(model.predict(case.x[test]) == case.y[test])), 2),
        sklearn_test=round(100 * float(sklearn_model.score(case.x[test], case.y[test])), 2),
    )


def split(case: Case) -> tuple[Any, Any]:
    """Hold a quarter of the rows out: give training rows and test rows."""
    train, test = train_test_split(np.arange(len(case.y)), test_size=0.25, random_state=42, stratify=case.y)
    return train, test


def choose_work(x: Any, y: Any, clf: str, quick: bool) -> tuple[list[Any], list[float]]:
    """Give the folds and the values of C."""
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))
    if not quick:
        return folds, VALUES[clf]
    return folds[:2], VALUES[clf][:: 6 if clf == "logreg" else 3]


def largest_difference(scores: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Compare mean accuracies at every C: the largest difference in points."""
    return round(100 * float(np.abs(scores - others).max()), 2)


def time_featx(clf: str, x: Any, y: Any, folds: Any, values: list[float]) -> tuple[float, NDArray[np.float64]]:
    """Time our search; return the seconds and the mean accuracy at every C."""
    start = time.perf_counter()
    scores = cross_validate(x, y, folds, {clf: values}, cpu_count(), POWER)[clf].accuracy.mean(axis=0)
    return time.perf_counter() - start, scores


class ExactSVC(LinearSVC):  # type: ignore[misc]
    """The optimum of `LinearSVC`, which no option of its own reaches, by Newton's method in the primal (Chapelle 2007).

    The squared hinge is quadratic as long as the rows inside the margin stay the same. So each step is a ridge
    regression of +1 and -1 on those rows, halved until the objective falls, and the solution is exact once they no
    longer change.
    """

    def fit(self, x: Any, y: Any) -> ExactSVC:
        """Solve one class against the rest for every class."""
        x = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
        self.classes_ = np.unique(y)
        solved = np.stack([self.solve(x, np.where(y == label, 1.0, -1.0)) for label in self.classes_])
        self.coef_, self.intercept_ = solved[:, :-1], solved[:, -1]
        return self

    def solve(self, x: Any, signs: Any) -> Any:
        """Return the weights (d + 1,) of one class."""
        weights = np.zeros(x.shape[1])
        for _ in range(self.max_iter):
            inside = signs * (x @ weights) < 1
            ridge = Ridge(1 / (2 * self.C), fit_intercept=False, solver="cholesky").fit(x[inside], signs[inside])
            step, share = ridge.coef_ - weights, 1.0
            while share > 1e-12 and self.cost(x, signs, weights + share * step) > self.cost(x, signs, weights):
                share /= 2
            weights = weights + share * step
            if share <= 1e-12 or (share == 1 and np.array_equal(inside, signs * (x @ weights) < 1)):
                break
        return weights

    def cost(self, x: Any, signs: Any, weights: Any) -> float:
        """Compute the objective of `LinearSVC`."""
        return float(weights @ weights / 2 + self.C * (np.maximum(0, 1 - signs * (x @ weights)) ** 2).sum())


def converged(clf: str, x: Any, y: Any) -> Any:
    """Build scikit-learn's classifier, solved as far as arithmetic goes."""
    if clf == "svm":
        model = ExactSVC(max_iter=1000)
    elif x.shape[1] * len(np.unique(y)) < HESSIAN:
        model = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=1000)
    else:
        model = LogisticRegression(tol=1e-7, max_iter=100_000)
    return make_pipeline(StandardScaler(), model)


def grid_search(x: Any, y: Any, folds: Any, values: list[float], pipeline: Any) -> NDArray[np.float64]:
    """Run scikit-learn's grid search; return the mean accuracy at every C."""
    search = GridSearchCV(pipeline, {pipeline.steps[-1][0] + "__C": values}, cv=folds, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(x, y)
    return np.asarray(search.cv_results_["mean_test_score"])


def time_alone(case: Case, clf: str, quick: bool) -> dict[str, Any]:
    """Time our search once: seconds of the clock and of all cores, and the accuracy of each fold at every C."""
    train, _ = split(case)
    x, y = case.x[train], case.y[train]
    folds, values = choose_work(x, y, clf, quick)
    clock = time.perf_counter()
    cores = time.process_time()
    scores = cross_validate(x, y, folds, {clf: values}, cpu_count(), POWER)[clf]
    return {
        "shape": f"{x.shape[0]} x {x.shape[1]}",
        "seconds": time.perf_counter() - clock,
        "core_seconds": time.process_time() - cores,
        "accuracy": scores.accuracy.tolist(),
    }


def compare_trees(names: list[str], options: argparse.Namespace) -> str:
    """Time featx in another tree and in this one, in turns; lay the medians out as a table."""
    trees = [options.against.resolve(), Path(__file__).resolve().parents[1]]
    lines = [
        "| case | clf | before | now | ratio | before, s of all cores | now | largest difference of a mean accuracy |",
        "|" + " --- |" * 8,
    ]
    for name in names:
        for clf in options.clf or VALUES:
            taken: list[list[dict[str, Any]]] = [[], []]
            for _ in range(options.rounds):
                for runs, tree in zip(taken, trees, strict=True):
                    runs.append(run_in_tree(tree, name, clf, options))
            seconds = [statistics.median(run["seconds"] for run in runs) for runs in taken]
            cores = [statistics.median(run["core_seconds"] for run in runs) for runs in taken]
            before, now = (np.mean(runs[0]["accuracy"], axis=0) for runs in taken)
            lines.append(
                f"| {name}, {taken[1][0]['shape']} | {clf} | {seconds[0]:.2f} | {seconds[1]:.2f} | "
                f"{seconds[1] / seconds[0]:.2f} | {cores[0]:.2f} | {cores[1]:.2f} | {largest_difference(now, before)} |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines)


def run_in_tree(tree: Path, name: str, clf: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run `time_alone` in a process that imports featx from a tree."""
    command = [sys.executable, __file__, "--alone", "--only", name, "--clf", clf]
    if options.quick:
        command.append("--quick")
    if options.features:
        command += ["--features", str(options.features)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def markdown(rows: list[Row]) -> str:
    """Lay the rows out as a table, with a line for the total."""
    header = list(asdict(rows[0]))
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(value) for value in asdict(row).values()) + " |" for row in rows]
    mine, theirs = sum(row.featx_seconds for row in rows), sum(row.sklearn_seconds for row in rows)
    return "\n".join(
        [*lines, "", f"In total: {mine:.1f} s instead of {theirs:.1f} s, {theirs / mine:.1f} times faster."]
    )


def main() -> None:
    """Read the options, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, help="an .npz or .h5 file: y (or labels), and one array a layer")
    parser.add_argument("--only", action="append", help="a layer of that file, or wide, maps, tall (repeatable)")
    parser.add_argument("--clf", action="append", choices=list(VALUES), help="only this classifier (repeatable)")
    parser.add_argument("--quick", action="store_true", help="two folds, three values of C")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.json")
    parser.add_argument("--against", type=Path, metavar="TREE", help="time featx alone, in TREE and here, in turns")
    parser.add_argument("--rounds", type=int, default=3, help="how often each tree has its turn; medians are shown")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = list(read(options.features)) if options.features else []
    wanted = options.only or [case.name for case in cases] or list(GENERATED)
    if options.against:
        table = compare_trees(wanted, options)
        print(table)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.with_suffix(".md").write_text(table + "\n")
        return
    cases = [case for case in cases if case.name in wanted]
    if options.alone:
        case = next(iter(cases), None) or generate(wanted[0])
        print(json.dumps(time_alone(case, options.clf[0], options.quick)))
        return
    rows = []
    for name in wanted:
        case = next((case for case in cases if case.name == name), None) or generate(name)
        for clf in options.clf or VALUES:
            rows.append(measure(case, clf, options.quick))
            print(json.dumps(asdict(rows[-1])), flush=True)
    print(markdown(rows))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".md").write_text(markdown(rows) + "\n")
        options.out.with_suffix(".json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
