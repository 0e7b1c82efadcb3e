"""When rows are many, how many cores share them, and what fitting takes."""

from __future__ import annotations

from dataclasses import dataclass

from joblib import cpu_count
from joblib.parallel import get_active_backend

from featx.linear.lapack import Array
from featx.linear.options import SolverOptions
from featx.linear.spaces import prefers_rows

MANY = 2e7
"""Rows times columns times scores, from which on passes over blocks take less than one product of all rows."""

SECONDS_A_PRODUCT = 7e-11
"""Of one core, for a row, a column and a class in one pass: two products of float32 and the loss between them."""

PASSES = {"logreg": 60, "svm": 20}
"""Passes over the training rows that a value of C takes on average, begun from its neighbour."""

APART = "apart"
"""What is stated of results on many rows and several folds: there are some that do not say so, whose folds began from
what the first one had solved, and whose scores are too high. They are not to be found."""

FINAL_PASSES = {"logreg": 240, "svm": 60}
"""Passes, in those of float32, of the fit that is kept."""

VALUES = 6
"""Values of C that are tried before both directions are left."""


@dataclass(frozen=True)
class Problem:
    """The size of a search for C.

    Attributes
    ----------
    rows, columns, classes : int
        Of the training part, views counted as rows.
    folds : int
    """

    rows: int
    columns: int
    classes: int
    folds: int

    @property
    def is_large(self) -> bool:
        """Whether it is searched by passes over blocks of rows."""
        training_rows = self.rows * (self.folds - 1) // self.folds if self.folds > 1 else self.rows * 4 // 5
        return has_many_rows(training_rows, self.columns, self.scores)

    @property
    def scores(self) -> int:
        """Scores of a row: one for two classes."""
        return self.count_scores(self.classes)

    @staticmethod
    def count_scores(classes: int) -> int:
        """Count the scores of a row: one for two classes."""
        return classes if classes > 2 else 1

    def count_search_passes(self, kind: str) -> int:
        """Estimate the passes over training rows until C is chosen."""
        return self.folds * VALUES * PASSES[kind]

    def estimate_seconds(self, kind: str, threads: int) -> float:
        """Estimate what choosing C and the fit that is kept take, in seconds: the product of all sizes."""
        pass_seconds = SECONDS_A_PRODUCT * self.rows * self.columns * self.scores / threads
        return pass_seconds * (0.8 * self.count_search_passes(kind) + FINAL_PASSES[kind])


def has_many_rows(rows: int, columns: int, scores: int) -> bool:
    """Say whether rows are solved by passes over blocks of them."""
    return not prefers_rows(rows, columns) and rows * columns * scores >= MANY


def takes_passes(x: Array, scores: int, options: SolverOptions) -> bool:
    """Say whether a fit goes by passes over blocks of rows: it must be large, and no other way asked for."""
    rows, columns = x.shape
    return options.space == "auto" and options.svm_solver == "auto" and has_many_rows(rows, columns, scores)


def count_threads(jobs: int | None = None) -> int:
    """Count the threads that passes may use: jobs, else what a surrounding `joblib.parallel_config` says, else all."""
    if jobs is not None:
        return jobs if jobs > 0 else cpu_count()
    backend, of_config = get_active_backend()
    if type(backend).__name__ == "LokyBackend":
        return int(cpu_count())
    return max(1, int(backend.effective_n_jobs(of_config or 1)))
