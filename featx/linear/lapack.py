"""What numpy and torch call by one name, and the few things they do not: the same solver runs on both.

Nothing here imports torch: it is taken from the modules already loaded when an array turns out to be a tensor.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar

import numpy as np
from scipy import linalg
from scipy.linalg import lapack
from threadpoolctl import OpenBLASController, threadpool_limits

from featx.errors import DataError

# A numpy array or a torch tensor; the shapes and dtypes are in the docstrings.
Array: TypeAlias = Any

T = TypeVar("T")
R = TypeVar("R")

# Numbers whose moments are measured at a time: 2 MB of float64, which stay in a core's cache. Of few rows some columns,
# and no fewer than lie in one line of it (20,000 x 1,280: a seventh of the time of all columns at once, the same bits);
# of more all columns (30,000 x 512: a third of the time of sixteen).
MOMENT_NUMBERS = 2**18
LEAST_COLUMNS = 16

# Results of threads that may wait to be taken, for each thread.
RESULTS_AHEAD = 4

ROUNDING = {name: float(np.finfo(name).eps) for name in ("float32", "float64")}


class OneThread:
    """Counts who wants linear algebra to have one thread, for the limit is one of the whole process.

    Two threads that each set it and put it back by themselves would leave it set, the one that ends last putting back
    what the other had set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limits: threadpool_limits | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the limit; the first one sets it, and the last one puts back what was there before."""
        with self._lock:
            if self._holders == 0:
                take_control()
                self._limits = threadpool_limits(1, "blas")
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0 and self._limits is not None:
                    take_control()
                    self._limits.restore_original_limits()
                    self._limits = None
                    take_control()


def take_control() -> None:
    """Let this thread set the limit, whoever did so before.

    From threadpoolctl 3.8 on, the first thread that does is the only one: what others ask for is ignored in silence.
    """
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


ONE_THREAD = OneThread()


def one_thread() -> AbstractContextManager[None]:
    """Limit linear algebra to one thread while the context that this returns is open, in whatever thread.

    The matrices here are small. On a busy machine two threads spin while they wait for each other, for a hundred times
    as long as they work, whereas two folds on two threads never meet. Nor do results depend on the number of cores.
    """
    return ONE_THREAD.held()


def map_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Call a function on items, in threads; results come in the order of the items, and few of them wait."""
    if threads < 2:
        yield from map(function, items)
        return
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > RESULTS_AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def namespace(array: Array) -> Any:
    """Return the module whose functions work on `array`: torch for a tensor, else numpy."""
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


def send_like(values: Any, like: Array, dtype: str) -> Array:
    """Put numpy values where `like` lives (module and device), as the dtype of that name."""
    xp = namespace(like)
    return xp.asarray(values, dtype=getattr(xp, dtype), device=like.device)


def to_numpy(array: Array) -> Any:
    """Copy a tensor to a numpy array on the host, its dtype kept; a numpy array is returned as it is."""
    if isinstance(array, np.ndarray):
        return array
    return array.detach().cpu().numpy()


def make_contiguous(array: Array) -> Array:
    """Lay an array out in memory in the order of its axes."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array)
    return array.contiguous()


def dtype_name(array: Array) -> str:
    """Name the dtype of an array of float32 or float64 as `cast` takes it."""
    # Asking a dtype for its name is slow, and this is asked in every step of the solver.
    return "float32" if array.dtype.itemsize == 4 else "float64"


def rounding_of(array: Array) -> float:
    """Return the relative rounding error of an array's dtype, float32 or float64."""
    return ROUNDING[dtype_name(array)]


def require_finite(x: Array, what: str = "the features") -> None:
    """Refuse NaN and infinity before they spread to every weight.

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
    # A sum is finite if all entries are, unless it overflows: then the rows are looked at one by one.
    if bool(xp.isfinite(xp.sum(x))):
        return
    finite_rows = to_numpy(xp.all(xp.isfinite(x), axis=1))
    bad = np.flatnonzero(~finite_rows)
    if not len(bad):
        return
    plural = "row" if len(finite_rows) == 1 else "rows"
    raise DataError(
        f"{what} hold NaN or infinity in {len(bad)} of {len(finite_rows)} {plural} (the first is row {bad[0]}): "
        f"leave those rows out, or compute them again"
    )


def decompose_symmetric(matrix: Array) -> tuple[Array, Array]:
    """Compute the eigenvalues and eigenvectors of a symmetric matrix.

    Parameters
    ----------
    matrix : (m, m) float32 or float64
        May be overwritten.

    Returns
    -------
    values : (m,) same dtype
        Rising.
    vectors : (m, m) same dtype
        One a column.
    """
    if isinstance(matrix, np.ndarray):
        # The routine that numpy has, with one copy less and a newer library beneath.
        values, vectors = linalg.eigh(matrix, driver="evd", overwrite_a=True, check_finite=False)
        return values, vectors
    values, vectors = namespace(matrix).linalg.eigh(matrix)
    return values, vectors


def solve_positive_definite(matrix: Array, right: Array) -> Array | None:
    """Solve a symmetric positive definite system by Cholesky.

    Parameters
    ----------
    matrix : (m, m) float32 or float64
        May be overwritten.
    right : (m,) same dtype

    Returns
    -------
    (m,) same dtype, or None
        None where rounding made the matrix indefinite: the caller then goes on in a higher precision.
    """
    if len(matrix) == 0:
        return right
    if isinstance(matrix, np.ndarray):
        posv = lapack.sposv if matrix.dtype == np.float32 else lapack.dposv
        # The transpose of a symmetric C-ordered matrix is the Fortran-ordered matrix that LAPACK can work in place on.
        _, solution, info = posv(matrix.T, right, lower=1, overwrite_a=1)
        return solution if info == 0 else None
    torch = namespace(matrix)
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        return None
    return torch.cholesky_solve(right[:, None], factor)[:, 0]


def compute_column_moments(x: Array, shares: Array | None = None, threads: int = 1) -> tuple[Array, Array]:
    """Compute mean and variance of every column, in float64.

    Parameters
    ----------
    x : (n, d) float32 or float64
    shares : (n,) float64, optional
        What the rows are averaged with: they add up to 1.
    threads : int
        Where rows are many.

    Returns
    -------
    mean, variance : (d,) float64
    """
    xp = namespace(x)
    n, d = x.shape
    width = MOMENT_NUMBERS // max(n, 1)
    if width < LEAST_COLUMNS:
        return _sum_moments(x, shares, threads if xp is np else 1)
    moments = [_measure_columns(x[:, start : start + width], shares) for start in range(0, d, width)]
    means, variances = zip(*moments, strict=True)
    return xp.concatenate(means), xp.concatenate(variances)


def _measure_columns(block: Array, shares: Array | None) -> tuple[Array, Array]:
    xp = namespace(block)
    block = cast(block, "float64")
    mean = xp.mean(block, axis=0) if shares is None else shares @ block
    centred = block - mean
    squares = centred * centred
    return mean, xp.mean(squares, axis=0) if shares is None else shares @ squares


def _sum_moments(x: Array, shares: Array | None, threads: int) -> tuple[Array, Array]:
    """Go over blocks of rows twice; sums over them are made in their order."""
    xp = namespace(x)
    n, d = x.shape
    size = max(1, MOMENT_NUMBERS // d)

    def add(block: Array, start: int) -> Array:
        return xp.sum(block if shares is None else shares[start : start + size, None] * block, axis=0)

    def add_rows(start: int) -> Array:
        return add(cast(x[start : start + size], "float64"), start)

    count = n if shares is None else 1.0
    mean = sum(map_threads(add_rows, range(0, n, size), threads)) / count

    def add_squares(start: int) -> Array:
        centred = cast(x[start : start + size], "float64") - mean
        centred *= centred
        return add(centred, start)

    variance = sum(map_threads(add_squares, range(0, n, size), threads)) / count
    return mean, variance
