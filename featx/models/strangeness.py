"""How strange a picture is to the classes that a model knows, from features alone, whatever its classifier is.

Training pictures stand in the space of their principal components, and a kernel machine (ridge regression on the
classes' indicators, with a Gaussian kernel) scores how much a picture is like each class. Far from all that was seen
all scores fall to nothing, as those of a linear classifier do not; so the largest of them says how familiar it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError
from featx.features.scaling import unit_length
from featx.models.array_classifier import Arrays
from featx.types import Fold, Matrix

COLUMNS = 128
LANDMARKS = 1000
"""Principal components, and training pictures that are kept: on three left-out flowers of seventeen all columns and
pictures gain 0.001 in the area under the ROC curve, and 64 columns lose 0.008."""

WIDTH = 0.5
PENALTY = 0.01
"""Of the kernel exp(-width |a - b|^2) between rows of unit length, and of the ridge: widths from 0.1 to 1 and penalties
from 0.01 to 0.1 differ by 0.005."""

SAMPLE = 4096
"""Pictures that principal components are computed of."""

MANY_ROWS = 5000
"""Rows from which on their components hardly depend on a fifth of them."""

SHARES = 1001
"""Quantiles of the known pictures' scores that are kept: `--reject` in steps of a tenth of a percent."""

WIDEST = 20_000
"""Longer features are not looked at: their projection alone would take ten megabytes."""

LONGEST = 1.001
"""No number of a row of unit length is larger, but for rounding."""

BLOCK = 4096
"""Rows that are scored at a time."""

PREFIX = "known."
"""What the names of these arrays begin with in a model file."""

NAMES = ("projection", "offset", "landmarks", "weights", "quantiles")


@dataclass(frozen=True)
class KnownClasses:
    """What a model knows of the pictures that it was trained on.

    Attributes
    ----------
    projection : (d, r) float32
    offset : (r,) float32
        Features times the projection less the offset are the principal components.
    landmarks : (m, r) float32
        Training pictures there, of unit length.
    weights : (m, k) float32
    quantiles : (q,) float64
        Scores of training pictures by machines that did not see them, from the strangest to the most familiar, at
        equal shares. Empty before they are known.
    """

    projection: NDArray[np.float32]
    offset: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    quantiles: NDArray[np.float64]

    @property
    def arrays(self) -> Arrays:
        """The arrays under the names that a model file gives them."""
        return {f"{PREFIX}{name}": getattr(self, name) for name in NAMES}

    @classmethod
    def of_arrays(cls, arrays: Arrays) -> KnownClasses | None:
        """Make it of the arrays of a model file; None where it holds none."""
        if f"{PREFIX}{NAMES[0]}" not in arrays:
            return None
        return cls(*(arrays[f"{PREFIX}{name}"] for name in NAMES))

    def score(self, X: Matrix) -> NDArray[np.float64]:
        """Score how familiar rows are: features (n, d) to (n,), about 1 in the middle of a class and 0 far away."""
        blocks = []
        for first in range(0, len(X), BLOCK):
            rows = place_rows(X[first : first + BLOCK], self.projection, self.offset)
            blocks.append((compute_kernel(rows, self.landmarks) @ self.weights).max(axis=1))
        return np.concatenate(blocks).astype(np.float64) if blocks else np.zeros(0)

    def rate(self, X: Matrix) -> NDArray[np.float64]:
        """Say how strange rows are.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each picture, of which the first counts

        Returns
        -------
        (n,) float64
            The share of known pictures that are less strange, from 0 to 1. Beyond the strangest of them it goes on
            above 1: by how far the score is lower, against the distance from there to the middle.
        """
        return rate_scores(self.score(X[:, 0] if X.ndim == 3 else X), self.quantiles)


def check_known(known: KnownClasses) -> None:
    """Check the numbers of a model file beyond that they are finite.

    Raises
    ------
    ModelError
        If quantiles do not rise, or kept pictures are longer than one.
    """
    if not (np.diff(known.quantiles) >= 0).all():
        raise ModelError(f"'{PREFIX}quantiles' holds numbers that do not rise")
    if not (np.abs(known.landmarks) <= LONGEST).all():
        raise ModelError(f"'{PREFIX}landmarks' holds rows that are not of unit length")


def rate_scores(scores: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn scores into strangeness, as `KnownClasses.rate` says."""
    shares = 1 - np.interp(scores, quantiles, np.linspace(0, 1, len(quantiles)))
    lowest = quantiles[0]
    spread = max(float(np.median(quantiles)) - float(lowest), 1e-9)
    beyond: NDArray[np.float64] = shares + np.maximum(lowest - scores, 0) / spread
    return beyond


def place_rows(X: Matrix, projection: NDArray[np.float32], offset: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the principal components of rows, brought to unit length: (n, d) to (n, r) float32."""
    return unit_length(np.asarray(X, np.float32) @ projection - offset)


def compute_kernel(rows: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the Gaussian kernel between rows of unit length: (n, r), (m, r) to (n, m)."""
    products = rows @ landmarks.T
    lengths = np.einsum("ij,ij->i", rows, rows)[:, None] + np.einsum("ij,ij->i", landmarks, landmarks)
    kernel: NDArray[np.float32] = np.exp(-np.float32(WIDTH) * np.maximum(lengths - 2 * products, 0))
    return kernel


def fit_known_classes(X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], seed: int = 42) -> KnownClasses:
    """Learn what the pictures of classes look like, and how strange each of them is to the others.

    Parameters
    ----------
    X : (n, d) float
        Training rows, one a picture.
    y : (n,) int
        Classes, numbered from 0.
    folds : sequence of (train rows, validation rows)
    seed : int
        Of the choice of landmarks.
    """
    scores = score_folds(X, y, folds, seed)
    known = scores[np.isfinite(scores)]
    projection, offset = fit_projection(X)
    rows = place_rows(X, projection, offset)
    landmarks = draw_landmarks(np.arange(len(rows)), seed)
    weights = solve_ridge(rows, y, np.arange(len(rows)), landmarks)
    quantiles = np.quantile(known if len(known) else np.zeros(1), np.linspace(0, 1, SHARES))
    # In the memory order of a file: it is written as it lies there, and products of other orders differ in a last bit.
    return KnownClasses(
        np.ascontiguousarray(projection),
        np.ascontiguousarray(offset),
        np.ascontiguousarray(rows[landmarks]),
        np.ascontiguousarray(weights),
        np.ascontiguousarray(quantiles),
    )


def score_folds(X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], seed: int) -> NDArray[np.float64]:
    """Score rows by machines of the other folds: (n,) float64, NaN of rows that no fold validates.

    Of few rows components are found inside each fold: those of all would fit the rows that are judged, too.
    """
    scores = np.full(len(X), np.nan)
    # Rows in no fold, such as copies, say nothing.
    rows_of_folds = np.sort(np.concatenate(folds[0])) if len(folds) else np.zeros(0, np.intp)
    shared = None
    if len(rows_of_folds) >= MANY_ROWS:
        sample = rows_of_folds[:: -(-len(rows_of_folds) // SAMPLE)]
        shared = place_rows(X, *fit_projection(X[sample]))
    for train, val in folds:
        rows = place_rows(X, *fit_projection(X[train])) if shared is None else shared
        landmarks = draw_landmarks(train, seed)
        weights = solve_ridge(rows, y, train, landmarks)
        for first in range(0, len(val), BLOCK):
            some = val[first : first + BLOCK]
            scores[some] = (compute_kernel(rows[some], rows[landmarks]) @ weights).max(axis=1)
    return scores


def fit_projection(X: Matrix) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the principal components of columns that are divided by the root of their deviation: (d, r), (r,) float32.

    Columns are treated as the linear classifiers treat them. At most `SAMPLE` rows are looked at.
    """
    sample = np.asarray(X[:: -(-len(X) // SAMPLE)], np.float64)
    mean = sample.mean(axis=0)
    roots = np.sqrt(sample.std(axis=0))
    scale = np.where(roots > 0, roots, 1)
    scaled = (sample - mean) / scale
    if len(scaled) < scaled.shape[1]:
        squares, vectors = np.linalg.eigh(scaled @ scaled.T)
        vectors = scaled.T @ vectors / np.sqrt(np.maximum(squares, np.finfo(np.float64).tiny))
    else:
        squares, vectors = np.linalg.eigh(scaled.T @ scaled)
    is_kept = squares > 1e-10 * max(float(squares[-1]), np.finfo(np.float64).tiny)
    is_kept[:-COLUMNS] = False
    # Something is kept of features that are all equal, too: what follows then says that nothing is strange.
    is_kept[-1] = True
    projection = (vectors[:, is_kept] / scale[:, None]).astype(np.float32)
    if not np.isfinite(projection).all():
        projection = np.zeros_like(projection)
    return projection, (mean @ projection.astype(np.float64)).astype(np.float32)


def draw_landmarks(rows: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Draw the training pictures that are kept, in their order: all where there are few."""
    if len(rows) <= LANDMARKS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, LANDMARKS, replace=False))


def solve_ridge(
    rows: NDArray[np.float32], y: NDArray[np.intp], train: NDArray[np.intp], landmarks: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Fit kernel ridge regression on the classes' indicators: (m, k) float32.

    Where not all rows are landmarks, all of them count all the same: the subset of regressors (Rasmussen and Williams,
    "Gaussian Processes for Machine Learning", 2006, section 8.3.1).
    """
    classes = int(y.max()) + 1
    own = compute_kernel(rows[landmarks], rows[landmarks]).astype(np.float64)
    if len(landmarks) == len(train):
        system = own + PENALTY * np.eye(len(own))
        right = np.eye(classes)[y[landmarks]]
    else:
        # A row of many weighs less than one of few, so the penalty is that of as many rows as there are landmarks.
        system = PENALTY * len(train) / len(landmarks) * own + PENALTY**2 * np.eye(len(own))
        right = np.zeros((len(landmarks), classes))
        for first in range(0, len(train), BLOCK):
            some = train[first : first + BLOCK]
            kernel = compute_kernel(rows[some], rows[landmarks]).astype(np.float64)
            system += kernel.T @ kernel
            for code in range(classes):
                right[:, code] += kernel[y[some] == code].sum(axis=0)
    weights: NDArray[np.float32] = np.linalg.solve(system, right).astype(np.float32)
    return weights
