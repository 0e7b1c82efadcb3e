"""Grids of hyper-parameters: the values of C that are tried for each linear classifier."""

from __future__ import annotations

import numpy as np

# Two values a decade.
LOGREG_C: list[float] = np.geomspace(1e-5, 1e2, 15).tolist()
SVM_C: list[float] = np.geomspace(1e-6, 1e1, 15).tolist()
