"""What numpy and torch call by one name, and the few things they do not: the same solver runs on both.

Nothing here imports torch: it is taken from the modules already loaded when an array turns out to be a tensor.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from scipy import linalg
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from featx.errors import DataError

# A numpy array or a torch tensor; the shapes and dtypes are in the docstrings.
Array: TypeAlias = Any

EPSILON = {name: float(np.finfo(name).eps) for name in ("float32", "float64")}


def one_thread() -> threadpool_limits:
    """Bound the linear algebra to one thread for a while: a context manager.

    The matrices here are small. Two threads spin while they wait for each other, on a busy machine for a hundred times
    as long as they work, whereas two folds on two threads never meet. Nor do results depend on the number of cores.
    """
    return threadpool_limits(1, "blas")


def namespace(array: Array) -> Any:
    """Find the module whose functions work on `array`: torch for a tensor, else numpy."""
    return sys.modules["torch"] if type(array).__module__.partition(".")[0] == "torch" else np


def cast(array: Array, dtype: str) -> Array:
    """Convert to the dtype of that name, without a copy where it already is.

    Parameters
    ----------
    array : (...) any dtype
    dtype : str
        "float32", "float64" or "int64".
    """
    xp = namespace(array)
    return xp.asarray(array, dtype=getattr(xp, dtype))


def send(values: Any, like: Array, dtype: str) -> Array:
    """Put numpy values where `like` lives (module and device), as the dtype of that name."""
    xp = namespace(like)
    return xp.asarray(values, dtype=getattr(xp, dtype), device=like.device)


def to_numpy(array: Array) -> Any:
    """Bring an array to numpy on the host, its dtype kept."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def contiguous(array: Array) -> Array:
    """Lay an array out in memory in the order of its axes."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array.contiguous()


def precision(array: Array) -> str:
    """Name the dtype of an array of float32 or float64 in the way `cast` takes it."""
    return "float32" if array.dtype.itemsize == 4 else "float64"  # the names that dtypes have are slow to make


def epsilon(array: Array) -> float:
    """Give the rounding error of an array's dtype, float32 or float64, relative to 1."""
    return EPSILON[precision(array)]


def require_finite(x: Array, what: str = "the features") -> None:
    """Refuse NaN and infinity before they poison every weight.

    Parameters
    ----------
    x : (n, d) float
    what : str
        How the message calls the array.

    Raises
    ------
    DataError
        If any entry is not finite; the message says how many rows have one, and which is the first.
    """
    xp = namespace(x)
    # A sum is finite only if all entries are, or after an overflow, which the closer look below tells apart.
    if bool(xp.isfinite(xp.sum(x))):
        return
    rows = to_numpy(xp.all(xp.isfinite(x), axis=1))
    if not rows.all():
        bad = np.flatnonzero(~rows)
        raise DataError(
            f"{what} hold NaN or infinity in {len(bad)} of {len(rows)} rows (the first is row {bad[0]}): "
            f"leave those rows out, or compute them again"
        )


def eigen(matrix: Array) -> tuple[Array, Array]:
    """Decompose a symmetric matrix (m, m) into rising eigenvalues (m,) and eigenvectors (m, m), one a column.

    The matrix may be overwritten. scipy's routine is the one of numpy, with a copy less and a newer library beneath.
    """
    if isinstance(matrix, np.ndarray):
        values, vectors = linalg.eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
        return values, vectors
    values, vectors = namespace(matrix).linalg.eigh(matrix)
    return values, vectors


def solve_positive(matrix: Array, right: Array) -> Array | None:
    """Solve a symmetric positive definite system by Cholesky.

    Parameters
    ----------
    matrix : (m, m) float32 or float64
        May be overwritten.
    right : (m,) same dtype

    Returns
    -------
    (m,) same dtype, or None
        None where rounding made the matrix indefinite: the caller then takes a higher precision.
    """
    if len(matrix) == 0:
        return right
    if isinstance(matrix, np.ndarray):
        posv = lapack.sposv if matrix.dtype == np.float32 else lapack.dposv
        # The transpose of a symmetric C-ordered matrix is the Fortran-ordered matrix LAPACK can work in place on.
        _, solution, info = posv(matrix.T, right, lower=1, overwrite_a=1)
        return solution if info == 0 else None
    torch = namespace(matrix)
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_solve(right[:, None], factor)[:, 0] if int(info) == 0 else None
