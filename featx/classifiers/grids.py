"""Grids of hyper-parameters: values of C for each linear classifier, numbers of neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Two values a decade.
LOGREG_C: list[float] = np.geomspace(1e-5, 1e2, 15).tolist()
SVM_C: list[float] = np.geomspace(1e-6, 1e1, 15).tolist()

C_STEP = 10**0.5
"""From one value of C to the next."""

STEPS_BEYOND = 4
"""Values that are added beyond an edge of a grid where the best one lies there: two decades."""

WARM_STARTS = 3
"""Values of C that are solved on the way to a large one: at two a decade each is a good start for the next."""

# Odd, so that two classes cannot have equally many votes; wider apart where one more vote changes little.
NEIGHBOURS_K: list[int] = [1, 3, 5, 7, 9, 11, 15, 21, 31]


def list_beyond(values: Sequence[float], at_highest: bool) -> list[float]:
    """List the values of C beyond an edge of a rising grid, rising."""
    steps = C_STEP ** np.arange(1, STEPS_BEYOND + 1)
    if at_highest:
        return (values[-1] * steps).tolist()
    return (values[0] / steps[::-1]).tolist()


def list_warm_values(values: Sequence[float], beyond: Sequence[float]) -> list[float]:
    """Put before the values above a grid those that lead there: from zero, a large C is reached slowly."""
    return [*values[-WARM_STARTS:], *beyond] if beyond and beyond[0] > values[-1] else list(beyond)
