"""When several processes pay, and how many threads of linear algebra each of them may have."""

from __future__ import annotations

import os

from joblib.parallel import get_active_backend

WORTH_PROCESSES = 1_000_000
"""Numbers in all features to be evaluated, from which on a second process earns back the seconds of its start."""

LEAST_COLUMNS = 256
"""Fewer columns take no less time: steps of a solver on so few are Python more than multiplication."""

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables that tell libraries of linear algebra how many threads to start."""


def count_numbers(rows: int, columns: int) -> int:
    """Count the numbers of features, to be compared with `WORTH_PROCESSES`: narrow ones as what takes their time."""
    return rows * max(columns, LEAST_COLUMNS)


def limit_threads(threads: int) -> dict[str, str]:
    """Give the variables of a process that may have so many threads; what the user has set stays."""
    return {name: os.environ.get(name, str(threads)) for name in THREAD_LIMITS}


def joblib_backend_surrounds() -> bool:
    """Whether a `joblib.parallel_config` chose a backend for this call."""
    backend, _ = get_active_backend()
    return type(backend).__name__ != "LokyBackend"
