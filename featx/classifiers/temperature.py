"""The inverse temperature that turns margins into probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from featx.linear.weighting import average_weighted

MAX_EXPONENT = 8.0
"""The inverse temperature is searched from exp(-8) to exp(8), which suits margins from about 0.001 to 1,000."""


def fit_inverse_temperature(
    scores: NDArray[np.float64], y: NDArray[np.intp], row_weights: NDArray[np.float64] | None = None
) -> float:
    """Find the factor by which scores are multiplied so that their softmax has the greatest likelihood.

    Parameters
    ----------
    scores : (n, k) float64
        Scores of rows that the classifier was not trained on.
    y : (n,) int
    row_weights : (n,) float64, optional
        How often each row counts.

    Returns
    -------
    float
        Positive.

    Notes
    -----
    Temperature scaling (Guo et al., 2017, On Calibration of Modern Neural Networks); the loss is convex in the
    inverse temperature.
    """
    # A tenth of the time that a process of `advise` needs to start, and it never comes here.
    from scipy.optimize import minimize_scalar

    true_scores = scores[np.arange(len(y)), y]

    def loss(exponent: float) -> float:
        inverse_temperature = np.exp(exponent)
        losses = logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * true_scores
        return average_weighted(losses, row_weights)

    best = minimize_scalar(loss, bounds=(-MAX_EXPONENT, MAX_EXPONENT), method="bounded")
    return float(np.exp(best.x))
