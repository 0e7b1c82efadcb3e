"""How a fit is solved: how exactly, in which space, and by which method; none of it changes what is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.types import Progress

SpaceName: TypeAlias = Literal["auto", "rows", "columns"]
SvmSolver: TypeAlias = Literal["auto", "newton", "lbfgs"]


class Start(NamedTuple):
    """Where a solver may begin: a solution for a nearby C, or of rows much the same.

    Attributes
    ----------
    weights : (k, d) or, for two classes, (1, d) float64
        On features as they are given, neither shifted nor scaled.
    intercept : (k,) or (1,) float64
    """

    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]


@dataclass(frozen=True)
class SolverOptions:
    """How hard the solver tries, and which way it goes.

    Attributes
    ----------
    tolerance : float
        Squared relative error of the weights in the norm of the Hessian; the error of the objective is a tenth of it.
    max_iter : int
        Most steps at each C.
    space : str
        Coordinates of `fit_linear`: "rows" (the span of the training rows), "columns", or "auto": the smaller of both.
    svm_solver : str
        "newton" (exact steps, class by class), "lbfgs" (products for all classes at once), or "auto": the cheaper one.
    start : Start, optional
        Where to begin on many rows; few rows are solved too soon for it to matter.
    report : callable, optional
        Called on many rows after each pass over them, with the passes done and about how many there will be.
    """

    tolerance: float
    max_iter: int = 1000
    space: SpaceName = "auto"
    svm_solver: SvmSolver = "auto"
    start: Start | None = None
    report: Progress | None = None


ROUGH = SolverOptions(2e-6)
"""Enough for cross-validation: accuracies lie within 0.3 points of those of the optimum at every C."""

SEARCH = SolverOptions(1e-5)
"""Enough to choose C on many rows: accuracies lie within 0.1 points of those of the optimum (measured; 0.3 at 1e-4)."""

TIGHT = SolverOptions(1e-10)
"""For the model that is kept."""
