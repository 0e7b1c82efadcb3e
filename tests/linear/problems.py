"""Generated problems of any shape, and scikit-learn's classifiers to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sklearn.linear_model
import sklearn.svm

REFERENCES = {
    "logreg": lambda c: sklearn.linear_model.LogisticRegression(C=c, tol=1e-9, max_iter=20_000),
    "svm": lambda c: sklearn.svm.LinearSVC(C=c, tol=1e-9, max_iter=50_000, random_state=0, dual=False),
}
"""Kind of classifier: what makes scikit-learn's for one C, solved to a tight tolerance."""


@dataclass(frozen=True)
class Case:
    rows: int
    columns: int
    classes: int
    c: float
    seed: int
    duplicated: bool = False
    constant: bool = False
    unbalanced: bool = False


def make_problem(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw features (n, d) float64 and labels (n,)."""
    random = np.random.default_rng(case.seed)
    labels = np.arange(case.rows) % case.classes
    if case.unbalanced:
        labels[2 * case.classes :] = 0
    noise = random.normal(size=(case.rows, case.columns))
    centres = random.normal(size=(case.classes, case.columns))
    x = noise + 0.7 * centres[labels]
    if case.duplicated:
        half = case.rows // 2
        x[half : 2 * half] = x[:half]
        labels[half : 2 * half] = labels[:half]
    if case.constant:
        x[:, 0] = 3.7
    return x, labels
