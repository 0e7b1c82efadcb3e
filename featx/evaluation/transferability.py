"""Scores that say, without any training, how well a classifier would do on features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.linear.lapack import decompose_symmetric, rounding_of
from featx.models.neighbours import NOT_A_NEIGHBOUR, take_largest
from featx.types import Matrix

NEIGHBOURS = 5
"""Neighbours that vote: few enough that a class of ten images can win."""

MOST_JUDGED = 10_000
"""Images of which the neighbours are looked for, at most: their accuracy is known to half a point."""

BLOCK_SIMILARITIES = 4_000_000
"""Similarities at a time: 16 MB."""


@dataclass(frozen=True)
class Spectrum:
    """Centred features factorised once, for every score that wants their singular values and vectors.

    Attributes
    ----------
    squares : (r,) float64
        Squared singular values; r is the smaller of n and d. Those that are rounding only are 0.
    inner : (r, k) float64
        Inner products of left singular vectors and class indicators; 0 where the singular value is 0.
    class_sums : (k, d) float64
        Sums of the centred rows of each class.
    counts : (k,) int
        Rows of each class that occurs.
    fourth_powers : float
        Sum over rows of their length to the fourth power.
    """

    squares: NDArray[np.float64]
    inner: NDArray[np.float64]
    class_sums: NDArray[np.float64]
    counts: NDArray[np.intp]
    fourth_powers: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the features, (n, d)."""
        return int(self.counts.sum()), self.class_sums.shape[1]


def factorise(X: Matrix, y: NDArray[np.intp]) -> Spectrum:
    """Factorise centred features by the eigenvectors of their inner products or of their moments, the smaller side.

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
        Classes.
    """
    centred = np.asarray(X, np.float64) - X.mean(axis=0, dtype=np.float64)
    n, d = centred.shape
    classes = np.unique(y)
    indicators = (y[:, None] == classes).astype(np.float64)
    class_sums = indicators.T @ centred
    lengths = np.einsum("ij,ij->i", centred, centred)
    if n <= d:
        squares, vectors = decompose_symmetric(centred @ centred.T)
        inner = vectors.T @ indicators
    else:
        squares, vectors = decompose_symmetric(centred.T @ centred)
        inner = (class_sums @ vectors).T / np.sqrt(np.where(squares > 0, squares, 1))[:, None]
    is_rounding = squares <= max(n, d) * rounding_of(squares) * max(float(squares[-1]), 0)
    squares = np.where(is_rounding, 0, squares)
    inner = np.where(is_rounding[:, None], 0, inner)
    counts = indicators.sum(axis=0).astype(np.intp)
    return Spectrum(squares, inner, class_sums, counts, float(lengths @ lengths))


def log_evidence(spectrum: Spectrum, steps: int = 100) -> float:
    """Score features by LogME: the logarithm of the evidence of Bayesian linear regression on each class, an image.

    You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (2021), with the
    fixed point of alpha and beta on the singular values.

    Parameters
    ----------
    spectrum : Spectrum
    steps : int
        Maximum iterations of the fixed point.

    Returns
    -------
    float
        The mean over classes; higher is better.
    """
    n, _ = spectrum.shape
    shares = spectrum.counts / n
    if not spectrum.squares.any():
        # Constant features explain nothing, and their weights have no evidence: only the noise is left.
        return float(np.mean(-(np.log(2 * np.pi * shares * (1 - shares)) + 1) / 2))
    evidences = []
    for count, inner in zip(spectrum.counts.tolist(), spectrum.inner.T, strict=True):
        outside = count * (1 - count / n) - float(inner @ inner)
        evidences.append(maximise_evidence(spectrum.squares, inner**2, max(outside, 0.0), spectrum.shape, steps))
    return float(np.mean(evidences))


def maximise_evidence(
    squares: NDArray[np.float64],
    inner: NDArray[np.float64],
    outside: float,
    shape: tuple[int, int],
    steps: int,
) -> float:
    """Maximise the evidence of one target over the precisions of weights (alpha) and noise (beta).

    Parameters
    ----------
    squares : (r,) float64
        Squared singular values of the features.
    inner : (r,) float64
        Squared coordinates of the target along the left singular vectors.
    outside : float
        Squared length of the target's rest.
    shape : (n, d)
    """
    n, d = shape
    alpha = beta = 1.0
    residue = weights = 0.0
    for _ in range(steps):
        ratio = alpha / beta
        gamma = float((squares / (squares + ratio)).sum())
        weights = float((squares * inner / (squares + ratio) ** 2).sum())
        residue = outside + float((inner * (ratio / (squares + ratio)) ** 2).sum())
        # The small constants keep a target that is fitted exactly, or not at all, from dividing by zero.
        alpha = gamma / (weights + 1e-10)
        beta = (n - gamma) / (residue + 1e-10)
        if abs(alpha / beta - ratio) <= 1e-3 * ratio:
            break
    logs = float(np.log(alpha + beta * squares).sum()) + (d - len(squares)) * np.log(alpha)
    total = d * np.log(alpha) + n * np.log(beta) - logs - beta * residue - alpha * weights - n * np.log(2 * np.pi)
    return float(total / (2 * n))


def h_score(spectrum: Spectrum) -> float:
    """Score features by the regularised H-score: the share of their spread that lies between classes, in dimensions.

    Bao et al., "An Information-Theoretic Approach to Transferability" (2019), with the shrunken covariance of Ibrahim,
    Ponomareva and Mazumder, "Newer is not always better" (2021).

    Returns
    -------
    float
        From 0 to the number of classes less one; higher is better.
    """
    n, d = spectrum.shape
    squares = spectrum.squares
    shrinkage = ledoit_wolf_shrinkage(spectrum)
    floor = shrinkage * float(squares.sum()) / (n * d)
    roots_of_counts = np.sqrt(spectrum.counts * n)
    # (1 - s) C + s m I is inverted in the space of the singular vectors, where C is diagonal.
    inside = spectrum.inner.T * np.sqrt(squares) / roots_of_counts[:, None]
    kept = (1 - shrinkage) * squares / n + floor
    beyond = float(((spectrum.class_sums / roots_of_counts[:, None]) ** 2).sum() - (inside**2).sum())
    return float((1 - shrinkage) * ((inside**2 / np.maximum(kept, 1e-12)).sum() + max(beyond, 0) / max(floor, 1e-12)))


def ledoit_wolf_shrinkage(spectrum: Spectrum) -> float:
    """Give the share of the identity in the shrunken covariance, from 0 to 1.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004), lemma 3.2 to 3.5,
    by singular values and lengths of rows instead of products of columns; held to scikit-learn's by a test.
    """
    n, d = spectrum.shape
    if d == 1:
        return 0.0
    mean_variance = float(spectrum.squares.sum()) / (n * d)
    squared_norm = float((spectrum.squares**2).sum()) / n**2
    dispersion = (squared_norm - d * mean_variance**2) / d
    noise = min((spectrum.fourth_powers / n - squared_norm) / (n * d), dispersion)
    return noise / dispersion if noise > 0 else 0.0


def neighbour_accuracy(X: Matrix, y: NDArray[np.intp], groups: NDArray[np.intp]) -> float:
    """Share of images whose class most of their five nearest neighbours have, by the angle between features.

    At most `MOST_JUDGED` images are judged, each by its neighbours among all. Memory: a copy of X, and
    `BLOCK_SIMILARITIES` numbers.

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
    groups : (n,) int
        Images of one group are not each other's neighbours.
    """
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    unit = np.asarray(X / np.where(lengths > 0, lengths, 1), np.float32)
    judged = spread_evenly(len(y), MOST_JUDGED)
    block = max(1, BLOCK_SIMILARITIES // len(y))
    right = 0
    for first in range(0, len(judged), block):
        rows = judged[first : first + block]
        # Not scikit-learn's KNeighborsClassifier: images of one group must not vote for each other.
        alike = unit[rows] @ unit.T
        alike[groups[rows, None] == groups] = NOT_A_NEIGHBOUR
        right += int((vote(alike, y) == y[rows]).sum())
    return right / len(judged)


def spread_evenly(count: int, most: int) -> NDArray[np.intp]:
    """Give the numbers below a count, or so many of them, evenly spread, so that every class has its share."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def vote(alike: NDArray[np.float32], y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give the class that most of the nearest neighbours of each image have.

    Parameters
    ----------
    alike : (m, n) float32
        How near each of n images is; overwritten.
    y : (n,) int
    """
    rows = np.arange(len(alike))
    votes = np.zeros((len(alike), int(y.max()) + 1))
    nearest, similarities = take_largest(alike, min(NEIGHBOURS, len(y) - 1))
    # A large group may leave fewer others than there are votes.
    is_neighbour = similarities > NOT_A_NEIGHBOUR
    # Among classes with equally many votes the nearer neighbours win.
    for place, column in enumerate(nearest.T):
        votes[rows, y[column]] += is_neighbour[:, place] * (1 - 1e-3 * place)
    return votes.argmax(axis=1)
