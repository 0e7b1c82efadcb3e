"""Scores that say, without any training, how well a classifier would do on features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from featx.types import Matrix

NEIGHBOURS = 5
"""Neighbours that vote: few enough that a class of ten images can win."""

NOT_A_NEIGHBOUR = -2.0
"""Similarity below every cosine, so that an image is never among its own neighbours."""


def log_evidence(X: Matrix, y: NDArray[np.intp], steps: int = 100) -> float:
    """Score features by LogME: the logarithm of the evidence of Bayesian linear regression on each class, an image.

    You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (2021), with the
    fixed point of alpha and beta on the singular values.

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
        Classes.
    steps : int
        Maximum iterations of the fixed point.

    Returns
    -------
    float
        The mean over classes; higher is better.
    """
    n, d = X.shape
    u, s, _ = np.linalg.svd(np.asarray(X, np.float64) - X.mean(axis=0, dtype=np.float64), full_matrices=False)
    squares = s**2
    if not squares.any():
        # Constant features explain nothing, and their weights have no evidence: only the noise is left.
        shares = np.bincount(y)[np.unique(y)] / n
        return float(np.mean(-(np.log(2 * np.pi * shares * (1 - shares)) + 1) / 2))
    evidences = []
    for code in np.unique(y):
        target = (y == code).astype(np.float64)
        target -= target.mean()
        inner = u.T @ target
        outside = float(target @ target - inner @ inner)
        evidences.append(maximise_evidence(squares, inner**2, max(outside, 0.0), (n, d), steps))
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


def h_score(X: Matrix, y: NDArray[np.intp]) -> float:
    """Score features by the regularised H-score: the share of their spread that lies between classes, in dimensions.

    Bao et al., "An Information-Theoretic Approach to Transferability" (2019), with the shrunken covariance of Ibrahim,
    Ponomareva and Mazumder, "Newer is not always better" (2021).

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int

    Returns
    -------
    float
        From 0 to the number of classes less one; higher is better.
    """
    centred = np.asarray(X, np.float64) - X.mean(axis=0, dtype=np.float64)
    n, d = centred.shape
    shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    floor = shrinkage * float((centred**2).sum()) / (n * d)
    counts = np.bincount(y)
    means = np.stack([centred[y == code].mean(axis=0) for code in np.flatnonzero(counts)])
    weighted = means * np.sqrt(counts[counts > 0] / n)[:, None]
    # (1 - s) C + s m I is inverted in the space of the singular vectors, where C is diagonal.
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    inside = weighted @ vt.T
    kept = (1 - shrinkage) * s**2 / n + floor
    beyond = (weighted**2).sum() - (inside**2).sum()
    return float((1 - shrinkage) * ((inside**2 / np.maximum(kept, 1e-12)).sum() + max(beyond, 0) / max(floor, 1e-12)))


def neighbour_accuracy(X: Matrix, y: NDArray[np.intp], groups: NDArray[np.intp]) -> float:
    """Share of images whose class most of their five nearest neighbours have, by the angle between features.

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
    groups : (n,) int
        Images of one group are not each other's neighbours.
    """
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    unit = np.asarray(X / np.where(lengths > 0, lengths, 1), np.float32)
    # Not scikit-learn's KNeighborsClassifier: images of one group must not vote for each other.
    alike = unit @ unit.T
    alike[groups[:, None] == groups[None, :]] = NOT_A_NEIGHBOUR
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(y) - 1)]
    votes = np.zeros((len(y), int(y.max()) + 1))
    # Among classes with equally many votes the nearer neighbours win.
    rows = np.arange(len(y))
    for place, column in enumerate(nearest.T):
        # A large group may leave fewer others than there are votes.
        is_neighbour = alike[rows, column] > NOT_A_NEIGHBOUR
        votes[rows, y[column]] += is_neighbour * (1 - 1e-3 * place)
    return float((votes.argmax(axis=1) == y).mean())
