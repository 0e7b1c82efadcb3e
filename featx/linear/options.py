"""How a fit is solved: how exactly, in which space, and by which method; none of it changes what is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

SpaceName: TypeAlias = Literal["auto", "rows", "columns"]
SvmSolver: TypeAlias = Literal["auto", "newton", "lbfgs"]


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
    """

    tolerance: float
    max_iter: int = 1000
    space: SpaceName = "auto"
    svm_solver: SvmSolver = "auto"


ROUGH = SolverOptions(2e-6)
"""Enough for cross-validation: accuracies lie within 0.3 points of those of the optimum at every C."""

TIGHT = SolverOptions(1e-10)
"""For the model that is kept."""
