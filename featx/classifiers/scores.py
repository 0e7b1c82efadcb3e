"""Figures that say how good a classifier is, and how sure that is."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy (Wilson, 1927: the score interval of a binomial share).

    Parameters
    ----------
    hits, total : int
        Images classified rightly, and all that were judged.

    Returns
    -------
    tuple of two floats
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    ValueError
        If nothing was judged.
    """
    if total < 1:
        raise ValueError("an interval needs at least one judged image")
    share, spread = hits / total, Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)
