"""Linear classifiers, solved exactly and fast; usable by themselves.

For a scikit-learn user, in place of `LogisticRegression` and `LinearSVC` on dense features::

    from featx.linear import LinearSVC, LogisticRegression

What is minimised, x being scaled columns and f the score:

- logistic regression: |w|^2 / 2 + C sum log-loss(f), multinomial, the intercept not penalised;
- linear SVM: (|w|^2 + b^2) / 2 + C sum max(0, 1 - y f)^2, one class against the rest, on centred columns.

Rows and classes may have weights, by which their losses are multiplied (`weighting`).

Why it is fast: the weights of an L2-penalised model lie in the span of its training rows. So n rows of d > n columns
are replaced by n - 1 coordinates each (the row space), found from the n x n inner products by one eigendecomposition,
which serves every C and both losses. Where rows outnumber columns, the coordinates are the columns, rotated until
their second moments are diagonal. In such coordinates a diagonal preconditions L-BFGS nearly perfectly.

On many rows (`many_rows`) what counts is the speed of a pass over them: blocks of rows stay in a core's cache, and
Newton's steps are found by conjugate gradients, all classes at once.

Read the files in this order: `spaces` (scaling and coordinates), `weighting`, `losses`, `objective` (value, gradient,
line search), `lbfgs` (logistic regression), `svm_systems` and `svm_newton` (the SVM), `options`, `fit` (one
classifier), `many_rows` (which has an order of its own), `val_scores`, `cross_validation` (all C, all folds),
`out_of_core` (features larger than memory), `estimators` (scikit-learn's interface). `lapack` holds what numpy and
torch do not share.

Proof: `tests/linear/test_estimators.py` compares objectives with scikit-learn's on generated problems of any shape and
runs scikit-learn's own checks of estimators; `test_fit.py` shows that spaces and methods agree, and that fits are
reproducible to the last bit; `test_cross_validation.py` compares accuracies and log-loss with scikit-learn's at every
C; `test_out_of_core.py` compares with fits in memory; `test_weighting.py` compares weighted
objectives with scikit-learn's, and whole weights with repeated rows. `benchmarks/fit.py` measures the speed.

Nothing here imports torch, and scikit-learn is imported only for the estimators.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featx.linear.estimators import LinearSVC, LogisticRegression

__all__ = ["LinearSVC", "LogisticRegression"]


def __getattr__(name: str) -> Any:
    # Lazily, since the modules of this package are used without the estimators, which take scikit-learn to load.
    if name not in __all__:
        raise AttributeError(f"module 'featx.linear' has no attribute '{name}'")
    return getattr(importlib.import_module("featx.linear.estimators"), name)
